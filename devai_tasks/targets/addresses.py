"""The address of a lab in a cloud or a cluster, and whether the lab answers there."""

from __future__ import annotations

import time
from dataclasses import dataclass

from devai_tasks import clouds
from devai_tasks.config.schema import Settings
from devai_tasks.system import console, http
from devai_tasks.system.errors import DevaiError

_POLL_SECONDS = 2
_OK = 200


def url(settings: Settings) -> str:
    """Return the lab's URL without its token; empty if the configuration has no host name for it."""
    if not (clouds.of(settings).has_ingress(settings) and settings.ingress.host):
        return ""
    return f"{'https' if settings.tls.enabled else 'http'}://{settings.ingress.host}{settings.network.base_url}"


def access_hint(settings: Settings) -> str:
    """Return how to reach a lab whose address is not in the configuration, as a sentence."""
    stack, flags = settings.stack, settings.stack.flags
    if not clouds.of(settings).has_ingress(settings):
        return f"{stack} has no ingress; `inv k8s.port-forward {flags}` opens it"
    task = "k8s.status" if settings.compute.uses_kubernetes else "tf.output --name=url"
    return f"{stack} has no host name (ingress.host); `inv {task} {flags}` shows its load balancer's address"


def wait(settings: Settings, *, seconds: int, dry: bool = False) -> None:
    """Wait until the lab answers at its address.

    Raises:
        DevaiError: the lab does not answer within `seconds`; the message has the reason.
    """
    address = f"{url(settings)}api"
    if not url(settings):
        return console.say(access_hint(settings))
    trusted = not clouds.of(settings).has_self_signed_certificate(settings)
    if dry:
        return console.say(f"curl --fail {'' if trusted else '--insecure '}{address}")
    deadline, last_failure = time.monotonic() + seconds, None
    with console.waiting(f"waiting for {address}"):
        while (failure := _failure(address, trusted=trusted)) and time.monotonic() < deadline:
            if failure != last_failure:
                console.say(f"  {failure.reason}")
                last_failure = failure
            time.sleep(_POLL_SECONDS)
    if failure:
        raise DevaiError(
            f"{address} does not answer after {seconds} s: {failure.reason}",
            hint=_dns_hint(settings) if failure.without_address else _hint(settings),
            code="DEVAI-LAB-001",
        )
    note = "" if trusted else "; self-signed certificate, TLS verification skipped (terraform.certificate)"
    return console.say(f"{address} answers{note}")


@dataclass(frozen=True)
class _Failure:
    """Why the lab does not answer, and whether the reason is a host name without a DNS record."""

    reason: str
    without_address: bool = False


def _failure(address: str, *, trusted: bool) -> _Failure | None:
    """Return why the lab does not answer yet; None if it does."""
    try:
        code = http.status(address, trusted=trusted)
    except http.UnreachableError as error:
        if error.unknown:
            return _Failure("the host name has no DNS record yet", without_address=True)
        return _Failure(str(error))
    return None if code == _OK else _Failure(f"HTTP {code}")


def _hint(settings: Settings) -> str:
    flags = settings.stack.flags
    return f"`inv status {flags}` and `inv logs {flags}` show more{clouds.of(settings).unreachable_hint(settings)}"


def _dns_hint(settings: Settings) -> str:
    where = "`inv tf.output --name=dns_records` shows the records to create"
    if settings.compute.uses_kubernetes:
        where = f"`inv k8s.status {settings.stack.flags}` shows the address of its ingress"
    return f"{settings.ingress.host} needs a DNS record: {where}; with `dns.zone`, Terraform creates the record"
