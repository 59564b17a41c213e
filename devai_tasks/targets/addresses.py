"""Where a lab in a cloud or a cluster is found, and whether it answers there."""

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
    """The lab's address, without its token; empty where the configuration names none."""
    if not (clouds.of(settings).has_ingress(settings) and settings.ingress.host):
        return ""
    return f"{'https' if settings.tls.enabled else 'http'}://{settings.ingress.host}{settings.network.base_url}"


def detour(settings: Settings) -> str:
    """What leads to a lab that the configuration names no address of."""
    stack, flags = settings.stack, settings.stack.flags
    if not clouds.of(settings).has_ingress(settings):
        return f"no ingress leads to {stack}; `inv k8s.port-forward {flags}` opens it"
    task = "k8s.status" if settings.compute.uses_kubernetes else "tf.output --name=url"
    return f"{stack} has no host name (ingress.host); `inv {task} {flags}` shows its load balancer's own"


def wait(settings: Settings, *, seconds: int, dry: bool = False) -> None:
    """Return when the lab answers at its address. Raises DevaiError with the reason where it doesn't in time."""
    address = f"{url(settings)}api"
    if not url(settings):
        return console.say(detour(settings))
    trusted = not clouds.of(settings).self_signed(settings)
    if dry:
        return console.say(f"curl --fail {'' if trusted else '--insecure '}{address}")
    deadline, last = time.monotonic() + seconds, None
    with console.waiting(f"waiting for {address}"):
        while (failure := _failure(address, trusted=trusted)) and time.monotonic() < deadline:
            if failure != last:
                console.say(f"  {failure.reason}")
                last = failure
            time.sleep(_POLL_SECONDS)
    if failure:
        raise DevaiError(
            f"{address} does not answer after {seconds} s: {failure.reason}",
            hint=_dns_hint(settings) if failure.without_address else _hint(settings),
            code="DEVAI-LAB-001",
        )
    note = "" if trusted else "; nobody vouches for its certificate, which was not looked at (terraform.certificate)"
    return console.say(f"{address} answers{note}")


@dataclass(frozen=True)
class _Failure:
    """Why there is no good answer, and whether that is because the name has no address."""

    reason: str
    without_address: bool = False


def _failure(address: str, *, trusted: bool) -> _Failure | None:
    """Return why there is no good answer yet; None where there is one."""
    try:
        code = http.status(address, trusted=trusted)
    except http.UnreachableError as error:
        return _Failure("the name has no address yet", without_address=True) if error.unknown else _Failure(str(error))
    return None if code == _OK else _Failure(f"HTTP {code}")


def _hint(settings: Settings) -> str:
    flags = settings.stack.flags
    return f"`inv status {flags}` and `inv logs {flags}` show more{clouds.of(settings).unreachable_hint(settings)}"


def _dns_hint(settings: Settings) -> str:
    where = "`inv tf.output --name=dns_records` shows the records to make"
    if settings.compute.uses_kubernetes:
        where = f"`inv k8s.status {settings.stack.flags}` shows the address that its ingress has"
    return f"{settings.ingress.host} needs a record in your DNS: {where}; a zone in `dns.zone` has Terraform make it"
