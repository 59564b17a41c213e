"""Looks at a whole stack, whatever it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from devai_tasks.errors import DevaiError, UsageError

if TYPE_CHECKING:
    from devai_tasks.operations.cluster import Cluster
    from devai_tasks.operations.overview import Overview
    from devai_tasks.tasks.declare import Request

# What has to be known of a stack before anything of it can be in a cluster.
_OF_A_CLUSTER = (("kubernetes", "context"), ("image", "registry"), ("image", "digest"), ("image", "gpu", "digest"))


def overview(request: Request) -> Overview:
    """What `up` would change; on a stack that lacks what comes first, what would be new then."""
    from devai_tasks.operations import overview as of

    found = of.Overview(str(request.stack))
    if request.dry:
        return found
    found.keys = of.changed_keys(request.project, request.configuration)
    provider, kubernetes = request.settings.compute.provider, request.settings.compute.platform == "kubernetes"
    if provider == "local":
        request.docker.check()
        found.changes += of.of_image(request.project, request.settings, to_push=False)
        rebuilt = bool(found.changes)
        found.changes += of.of_compose(request.project, request.settings, request.docker, rebuilt=rebuilt)
        return found
    if provider != "none":
        found.changes += _terraform(request)
    request.docker.check()
    found.changes += of.of_image(request.project, request.settings, to_push=True)
    if kubernetes:
        _kubernetes(request, found)
    elif found.changes:
        found.notes.append("a pushed image is rolled out by Terraform, which then changes the service")
    return found


def _terraform(request: Request) -> Sequence[Any]:
    from devai_tasks.operations import overview as of
    from devai_tasks.operations import terraform

    with terraform.work(request.project, request.settings) as work:
        planned = terraform.plan(work)
        if planned.empty:
            terraform.forget_plan(work)
        return of.of_terraform(planned)


def _kubernetes(request: Request, found: Overview) -> None:
    from devai_tasks.operations import cluster, live
    from devai_tasks.operations import overview as of

    own = _cluster(request)
    missing = [".".join(key) for key in request.configuration.missed if key in _OF_A_CLUSTER]
    if missing:
        found.changes += of.of_cluster(live.summary(live.as_new(cluster.manifests(own))))
        found.notes.append(f"kubernetes: all is new, once {', '.join(missing)} {_is_or_are(missing)} known")
        return
    found.changes += of.of_cluster(live.summary(cluster.diff(own)))


def _is_or_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def status(request: Request) -> Mapping[str, Any]:
    """What runs where: rows of target, what, state and version; the address, drift, and who changed it last."""
    from devai_tasks.operations import addresses, lab, runs
    from devai_tasks.operations import overview as of

    rows: list[dict[str, str]] = []
    changes: Sequence[of.Change] = ()
    settings = request.settings
    address = addresses.url(settings)
    if settings.compute.provider == "local":
        request.docker.check()
        own = lab.compose(request.project, settings, request.docker)
        if not request.dry:
            rows += of.running(own.containers())
            changes = of.of_compose(request.project, settings, request.docker) if rows else ()
            address = lab.link(request.project, settings).partition("?")[0] if rows else ""
    elif settings.compute.platform == "kubernetes":
        rows += _in_its_cluster(request)
        if rows and not request.dry:
            held: of.Overview = of.Overview(str(request.stack))
            _kubernetes(request, held)
            changes = held.changes
    else:
        rows += _in_its_cloud(request)
    last = runs.last(request.project, request.stack)
    return {
        "stack": str(request.stack),
        "rows": rows,
        "address": address,
        "drift": (f"{len(changes)} changes, `inv plan` shows them" if changes else "none") if rows else "",
        "last change": f"{last['task']} by {last['who']} at {last['time']}: {last['result']}" if last else "",
    }


def _in_its_cluster(request: Request) -> Iterator[dict[str, str]]:
    from devai_tasks.operations import cluster_status

    if ("kubernetes", "context") in request.configuration.pending:
        return
    for row in cluster_status.rows(_cluster(request)):
        if row["kind"] in ("Deployment", "Ingress"):
            yield {
                "target": "kubernetes",
                "what": f"{row['kind'].lower()}/{row['name']}",
                "state": row["state"],
                "version": row["image"],
            }


def _in_its_cloud(request: Request) -> Iterator[dict[str, str]]:
    from devai_tasks.operations import terraform

    with terraform.work(request.project, request.settings, dry=request.dry) as work:
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
    """The address of the lab with its token. Raises UsageError where only a forwarded port leads there."""
    from devai_tasks import state
    from devai_tasks.operations import addresses, cluster, lab

    settings = request.settings
    if settings.compute.provider == "local":
        return lab.link(request.project, settings)
    url = addresses.url(settings)
    if not url:
        raise UsageError(f"no ingress leads to {request.stack}; `inv k8s.port-forward {request.stack.flags}` opens it")
    if request.dry:
        return url
    in_cluster = settings.compute.platform == "kubernetes"
    token = cluster.token(_cluster(request)) if in_cluster else state.token(request.project, request.stack)
    return f"{url}lab?token={token}"


def logs(request: Request, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
    """What the services print."""
    from devai_tasks.tasks import compose, k8s

    settings = request.settings
    if settings.compute.provider == "local":
        return compose.lines(request, services, follow=follow, tail=tail)
    if settings.compute.platform == "kubernetes":
        return k8s.lines(request, services, follow=follow, tail=tail)
    way = {"aws": "aws logs tail", "azure": "az container logs", "gcp": "gcloud run services logs read"}
    raise DevaiError(
        f"the logs of {request.stack} are in its cloud; `{way[settings.compute.provider]}` shows them, for what "
        f"`inv tf.output {request.stack.flags}` names"
    )


def _cluster(request: Request) -> Cluster:
    from devai_tasks.operations.cluster import Cluster

    return Cluster(request.project, request.settings, dry=request.dry)
