"""Kubernetes: build, compare, apply and inspect the manifests of a stack."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import argv_of, check_tail, seconds_of, stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError

_SERVICE = {"service": "devai or ollama (default: both); can be repeated"}
_SECONDS = {"seconds": "seconds to wait (default: 600)"}


@stack_task(target="kubernetes")
def build(c: Context, session: Session) -> None:
    """Print the manifests."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    text = kubernetes.manifests(session.cluster)
    if not session.dry:
        console.show(text)


@stack_task(
    target="kubernetes", owned=True, help={"json": "print JSON in the format of `inv plan` (default: a unified diff)"}
)
def diff(c: Context, session: Session, json: bool = False) -> None:
    """Show what `k8s.apply` would change, with a server-side dry run."""
    from devai_tasks.stack.overview import Overview, of_cluster
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import objects

    changes = kubernetes.diff(session.cluster)
    if json and not session.dry:
        return console.show_json(Overview(str(session.stack), of_cluster(objects.summary(changes))).as_json())
    if changes:
        return console.show(changes)
    if not session.dry:
        console.say("nothing to change")


@stack_task(
    target="kubernetes",
    changes=True,
    asks=True,
    help={**_SECONDS, "undo": "roll back if the rollout fails (default: yes)"},
)
def apply(c: Context, session: Session, seconds: str = "600", undo: bool = True) -> None:
    """Show the changes, ask, apply them, and wait until all workloads are ready."""
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    cluster = KubernetesWorkload(session).deploy(seconds=seconds_of(seconds), undo=undo)
    if not session.dry:
        kubernetes.print_address(cluster)


@stack_task(
    target="kubernetes",
    changes=True,
    asks=True,
    help={"data": "also remove homes, models and secrets; asks for project and stack (default: keep them)"},
)
def delete(c: Context, session: Session, data: bool = False) -> None:
    """Remove the stack from its cluster; keep homes, models and secrets unless --data is given."""
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload

    KubernetesWorkload(session).remove(data=data)


@stack_task(target="kubernetes", owned=True, help={"json": "print JSON (default: a table)"})
def status(c: Context, session: Session, json: bool = False) -> None:
    """Show the stack's workloads, pods and volumes."""
    from devai_tasks.targets.kubernetes import status as cluster_status

    rows = cluster_status.rows(session.cluster)
    if json:
        return console.show_json(rows)
    columns = ["kind", "name", "state", "image", "age"]
    console.table(columns, [[row[name] for name in columns] for row in rows])


@stack_task(
    target="kubernetes",
    owned=True,
    help={
        **_SERVICE,
        "follow": "keep printing new lines until Ctrl-C (default: no)",
        "tail": "number of last lines of each pod (default: all)",
    },
    iterable=["service"],
)
def logs(c: Context, session: Session, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show the logs of the pods."""
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload

    check_tail(tail)
    for line in KubernetesWorkload(session).logs(service, follow=follow, tail=tail):
        console.show(line)


@stack_task(
    target="kubernetes",
    owned=True,
    help={"command": "command to run (default: bash)", "service": "devai or ollama (default: devai)"},
)
def shell(c: Context, session: Session, command: str = "bash", service: str = "devai") -> None:
    """Open a shell in a lab, as the lab's user."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    argv = argv_of(command)
    code = kubernetes.execute(session.cluster, service, argv)
    if code:
        raise Exit(code=code)


@stack_task(
    target="kubernetes",
    owned=True,
    help={
        "service": "devai or ollama (default: devai)",
        "port": "local port; 0 selects a free one (default: ports.lab or ports.ollama)",
    },
)
def port_forward(c: Context, session: Session, service: str = "devai", port: str = "") -> None:
    """Forward a local port to a service until Ctrl-C, and print the address."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    if port and not port.isdecimal():
        raise UsageError(f"--port={port} is not a number")
    kubernetes.forward(session.cluster, service, port)


@stack_task(
    target="kubernetes",
    changes=True,
    asks=True,
    help={
        "service": "devai or ollama (default: devai); can be repeated",
        "revision": "revision number (default: the previous one)",
        **_SECONDS,
    },
    iterable=["service"],
)
def rollback(c: Context, session: Session, service: list[str], revision: str = "0", seconds: str = "600") -> None:
    """Roll back to an earlier revision of the workloads, and wait until they are ready."""
    from devai_tasks.stack import consent, kubernetes_workload
    from devai_tasks.targets.kubernetes import rollout

    if not revision.isdecimal():
        raise UsageError(
            f"--revision={revision} is not a number",
            hint="use a number below the current revision, which `inv k8s.status` shows",
        )
    limit = seconds_of(seconds)
    cluster = kubernetes_workload.owned_cluster(session)
    names = cluster.check_services(service or ["devai"])
    consent.allow(session, f"{' and '.join(names)} roll back")
    rollout.roll_back(cluster.kubectl, names, revision=int(revision), seconds=limit)


@stack_task(target="kubernetes", changes=True, asks=True, help={**_SERVICE, **_SECONDS}, iterable=["service"])
def restart(c: Context, session: Session, service: list[str], seconds: str = "600") -> None:
    """Replace the pods one by one; their kernels stop."""
    from devai_tasks.stack import consent, kubernetes_workload
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import rollout

    limit = seconds_of(seconds)
    cluster = kubernetes_workload.owned_cluster(session)
    names = cluster.check_services(service)
    consent.allow(session, f"{' and '.join(names)} restart, and kernels stop")
    kubernetes.restart(cluster, names)
    if session.dry:
        return rollout.print_commands(cluster.kubectl, names, limit)
    rollout.wait(cluster.kubectl, names, seconds=limit)


@stack_task(target="kubernetes", changes=True, asks=True)
def secrets(c: Context, session: Session) -> None:
    """Copy the lab's token and the secrets that are set on this machine to the cluster."""
    from devai_tasks.stack import consent, kubernetes_workload
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import secrets as cluster_secrets

    cluster = kubernetes_workload.owned_cluster(session, claim=True)
    consent.allow(session, f"its secrets in {cluster.kubectl.context} are replaced by those of this machine")
    kubernetes.ensure_namespace(cluster, *kubernetes.look(cluster))
    sending = cluster_secrets.compare(cluster)
    kubernetes_workload.send(session, cluster, sending)
    if not (sending.changed or session.dry):
        console.say("nothing to change")


@stack_task(target="kubernetes", owned=True, help=_SECONDS)
def wait(c: Context, session: Session, seconds: str = "600") -> None:
    """Wait until all workloads are ready; report why one is not."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    kubernetes.watch(session.cluster, seconds=seconds_of(seconds))
