"""Looks at a whole stack, whatever it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from devai_tasks.cli.collections import terraform as tf
from devai_tasks.system.errors import DevaiError, UsageError

if TYPE_CHECKING:
    from devai_tasks.cli.decorators import Request
    from devai_tasks.stack.overview import Overview
    from devai_tasks.targets.kubernetes.deployment import Cluster
    from devai_tasks.workspace.ownership import Owner

# Addresses that Terraform contacts for a plan: where its state is, and a certificate of Azure's Key Vault.
_OF_TERRAFORM = (("terraform", "state", "store"), ("terraform", "certificate"))


def overview(request: Request) -> Overview:
    """What `up` would change; on a stack that lacks what comes first, what would be new then; under `--dry` nothing."""
    from devai_tasks.stack import overview as of

    found = of.Overview(str(request.stack))
    if unvisited := request.configuration.why_unvisited(*_OF_TERRAFORM):
        found.notes.append(f"not compared: {unvisited}")
        return found
    request = tf.informed(request, anyway=True)
    found.keys = of.changed_keys(request.project, request.configuration)
    provider, kubernetes = request.settings.compute.provider, request.settings.compute.platform == "kubernetes"
    if provider == "local":
        request.docker.check()
        found.changes += of.of_image(request.project, request.settings, to_push=False, dry=request.dry)
        rebuilt = bool(found.changes)
        unvisited = request.configuration.why_unvisited(("ollama", "url"))
        of.of_compose(found, request.project, request.settings, request.docker, rebuilt=rebuilt, unvisited=unvisited)
        if owner := _owner(request):
            of.of_owner(found, owner)
        return found
    if provider != "none":
        found.changes += _terraform(request)
    request.docker.check()
    found.changes += of.of_image(request.project, request.settings, to_push=True, dry=request.dry)
    if kubernetes:
        _kubernetes(request, found)
        _secrets(request, found)
        if owner := _owner(request):
            of.of_owner(found, owner)
    elif found.changes:
        found.notes.append("a pushed image is rolled out by Terraform, which then changes the service")
    return found


def _terraform(request: Request) -> Sequence[Any]:
    from devai_tasks.stack import overview as of
    from devai_tasks.targets.terraform import deployment as terraform

    with terraform.work(request.project, request.settings, dry=request.dry) as work:
        planned = terraform.plan(work)
        if planned.empty:
            terraform.forget_plan(work)
        return of.of_terraform(planned)


def _kubernetes(request: Request, found: Overview) -> None:
    from devai_tasks.stack import overview as of
    from devai_tasks.targets.kubernetes import deployment as cluster
    from devai_tasks.targets.kubernetes import objects

    own = _cluster(request)
    missing = [".".join(key) for key in request.configuration.missed if key in tf.NEEDED]
    if missing and not request.dry:
        found.changes += of.of_cluster(objects.summary(objects.as_new(cluster.manifests(own))))
        found.notes.append(f"kubernetes: all is new, once {', '.join(missing)} {_is_or_are(missing)} known")
        return
    found.changes += of.of_cluster(objects.summary(cluster.diff(own)))


def _secrets(request: Request, found: Overview) -> None:
    """Add the secrets that are others in the cluster than on this machine, where it has them from here."""
    from devai_tasks.stack import overview as of
    from devai_tasks.targets.kubernetes import secrets as cluster_secrets

    known = request.dry or not any(key in tf.NEEDED for key in request.configuration.missed)
    if known and not request.settings.kubernetes.secret_store:
        found.changes += of.of_secrets(cluster_secrets.compare(_cluster(request)).changed)


def _owner(request: Request) -> Owner | None:
    """Whose the stack is; None where that can't be asked yet, and under `--dry`."""
    from devai_tasks.targets.compose import ownership as folder_ownership
    from devai_tasks.targets.kubernetes import ownership as cluster_ownership

    compute = request.settings.compute
    if request.dry or (compute.provider != "local" and compute.platform != "kubernetes"):
        return None
    if compute.provider == "local":
        return folder_ownership.of_folder(request.project, request.settings)
    if any(key in tf.NEEDED for key in request.configuration.missed):
        return None
    return cluster_ownership.of_namespace(_cluster(request).kubectl, request.settings)


def _is_or_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def status(request: Request) -> Mapping[str, Any]:
    """What runs where: rows of target, what, state and version; the owner, address, drift, and last change."""
    from devai_tasks.stack import overview as of
    from devai_tasks.targets import addresses
    from devai_tasks.targets.compose import deployment as lab
    from devai_tasks.targets.compose import rendering as compose
    from devai_tasks.workspace import runs

    rows: list[dict[str, str]] = []
    drift = "`inv plan` looks for it"
    unvisited = request.configuration.why_unvisited(*_OF_TERRAFORM)
    request = request if unvisited else tf.informed(request)
    settings = request.settings
    address = addresses.url(settings)
    if unvisited:
        rows.append({"target": "terraform", "what": "state", "state": f"not looked at: {unvisited}", "version": ""})
    elif settings.compute.provider == "local":
        request.docker.check()
        own = lab.compose(request.project, settings, request.docker)
        rows += of.running(own.containers())
        if not request.dry:
            drift = _drift(overview(request)) if rows else ""
            address = compose.url(settings) if rows else ""
    elif settings.compute.platform == "kubernetes":
        rows += _workloads(request)
        if rows and not request.dry:
            held = of.Overview(str(request.stack), notes=["only the cluster was compared, `inv plan` compares all"])
            _kubernetes(request, held)
            drift = _drift(held)
    else:
        rows += _service(request)
    last, owner = runs.last(request.project, request.stack), _owner(request)
    return {
        "stack": str(request.stack),
        "rows": rows,
        "owner": owner.words if owner else "",
        "address": address,
        "drift": drift if rows else "",
        "last change": f"{last['task']} by {last['who']} at {last['time']}: {last['result']}" if last else "",
    }


def _drift(found: Overview) -> str:
    """How many changes there are, and what was not looked at."""
    count = f"{len(found.changes)} changes, `inv plan` shows them" if found.changes else "none"
    return "; ".join([count, *found.notes])


def _workloads(request: Request) -> Iterator[dict[str, str]]:
    from devai_tasks.targets.kubernetes import status as cluster_status

    if ("kubernetes", "context") in request.configuration.pending and not request.dry:
        return
    for row in cluster_status.rows(_cluster(request)):
        if row["kind"] in ("Deployment", "Ingress"):
            yield {
                "target": "kubernetes",
                "what": f"{row['kind'].lower()}/{row['name']}",
                "state": row["state"],
                "version": row["image"],
            }


def _service(request: Request) -> Iterator[dict[str, str]]:
    from devai_tasks.targets.terraform import deployment as terraform

    with terraform.work(request.project, request.settings, dry=request.dry, looking=True) as work:
        terraform.prepare(work)
        made = work.tool.outputs()
        if made:
            yield {
                "target": "terraform",
                "what": "service",
                "state": "rolled out" if made.get("image") else "stopped, or no image is pushed yet",
                "version": str(made.get("image") or ""),
            }


def link(request: Request) -> str:
    """The address of the lab with its token. Raises UsageError where the configuration names none."""
    from devai_tasks import clouds
    from devai_tasks.targets import addresses
    from devai_tasks.targets.compose import deployment as lab
    from devai_tasks.targets.kubernetes import deployment as cluster

    settings = request.settings
    if settings.compute.provider == "local":
        return lab.link(request.project, settings, request.docker)
    url = addresses.url(settings)
    if not url:
        raise UsageError(addresses.detour(settings))
    if request.dry:
        return url
    request = tf.informed(request)
    if settings.compute.platform == "kubernetes":
        token = cluster.token(_cluster(request))
    else:
        token = clouds.terraform_of(settings).token(request.settings)
    return f"{url}lab?token={token}"


def opened(request: Request) -> str:
    """The same for a browser, so on this machine of a lab that answers. Under `--dry` what asks, and no token."""
    from devai_tasks import clouds
    from devai_tasks.targets.compose import deployment as lab
    from devai_tasks.targets.compose import rendering as compose
    from devai_tasks.targets.kubernetes import deployment as cluster

    compute = request.settings.compute
    if compute.provider == "local":
        if request.dry:
            return compose.url(request.settings)
        own = link(request)
        lab.check_answers(request.settings)
        return own
    if request.dry and compute.platform == "kubernetes":
        cluster.token(_cluster(request))
    elif request.dry:
        clouds.terraform_of(request.settings).token(request.settings, dry=True)
    return link(request)


def logs(request: Request, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
    """What the services print."""
    from devai_tasks import clouds
    from devai_tasks.cli.collections import compose
    from devai_tasks.cli.collections import kubernetes as k8s

    settings = request.settings
    if settings.compute.provider == "local":
        return compose.lines(request, services, follow=follow, tail=tail)
    if settings.compute.platform == "kubernetes":
        return k8s.lines(request, services, follow=follow, tail=tail)
    command = clouds.terraform_of(settings).logs_command
    raise DevaiError(
        f"the logs of {request.stack} are in its cloud",
        hint=(f"`{command}` shows them, for what `inv tf.output {request.stack.flags}` names"),
    )


def _cluster(request: Request) -> Cluster:
    from devai_tasks.targets.kubernetes.deployment import Cluster

    return Cluster(request.project, request.settings, dry=request.dry)
