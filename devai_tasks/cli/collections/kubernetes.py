"""Kubernetes: build, compare, apply and watch the manifests of a stack."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import check_tail, seconds_of, stack_task, words_of
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError

_SERVICE = {"service": "devai or ollama (default: both); can be repeated"}
_SECONDS = {"seconds": "how long to wait for it (default: 600)"}


@stack_task(target="kubernetes")
def build(c: Context, session: Session) -> None:
    """Print the manifests, and nothing else."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    text = kubernetes.manifests(session.cluster)
    if not session.dry:
        console.show(text)


@stack_task(
    target="kubernetes", owned=True, help={"json": "for programs, as `inv plan` has it (default: a unified diff)"}
)
def diff(c: Context, session: Session, json: bool = False) -> None:
    """Show what apply would change, as the server sees it."""
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
    help={**_SECONDS, "undo": "go back where the rollout fails (default: yes)"},
)
def apply(c: Context, session: Session, seconds: str = "600", undo: bool = True) -> None:
    """Show the changes, ask, apply them, and wait until every workload runs."""
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    own = KubernetesWorkload(session).deploy(seconds=seconds_of(seconds), undo=undo)
    if not session.dry:
        kubernetes.say_where(own)


@stack_task(
    target="kubernetes",
    changes=True,
    asks=True,
    help={"data": "homes, models and secrets as well; asks for project and stack (default: they stay)"},
)
def delete(c: Context, session: Session, data: bool = False) -> None:
    """Remove the stack from its cluster; homes, models and secrets stay unless --data is given."""
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload

    KubernetesWorkload(session).remove(data=data)


@stack_task(target="kubernetes", owned=True, help={"json": "for programs (default: a table)"})
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
        "follow": "go on as more comes, until Ctrl-C (default: no)",
        "tail": "lines from the end of each pod (default: all)",
    },
    iterable=["service"],
)
def logs(c: Context, session: Session, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show what the pods print."""
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload

    check_tail(tail)
    for line in KubernetesWorkload(session).logs(service, follow=follow, tail=tail):
        console.show(line)


@stack_task(
    target="kubernetes",
    owned=True,
    help={"command": "what to run (default: bash)", "service": "devai or ollama (default: devai)"},
)
def shell(c: Context, session: Session, command: str = "bash", service: str = "devai") -> None:
    """Open a shell in a lab, as the lab's own user."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    words = words_of(command)
    code = kubernetes.execute(session.cluster, service, words)
    if code:
        raise Exit(code=code)


@stack_task(
    target="kubernetes",
    owned=True,
    help={
        "service": "devai or ollama (default: devai)",
        "port": "port of this machine (default: that of ports.lab or ports.ollama; 0: any that is free)",
    },
)
def port_forward(c: Context, session: Session, service: str = "devai", port: str = "") -> None:
    """Reach a service from this machine, until Ctrl-C; prints its address."""
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
        "revision": "its number (default: the one before)",
        **_SECONDS,
    },
    iterable=["service"],
)
def rollback(c: Context, session: Session, service: list[str], revision: str = "0", seconds: str = "600") -> None:
    """Go back to an earlier revision of the workloads, and wait until it runs."""
    from devai_tasks.stack import consent, kubernetes_workload
    from devai_tasks.targets.kubernetes import rollout

    if not revision.isdecimal():
        raise UsageError(f"--revision={revision} is not a number", hint="less than the one that `inv k8s.status` shows")
    limit = seconds_of(seconds)
    own = kubernetes_workload.own_cluster(session)
    names = own.check_services(service or ["devai"])
    consent.allow(session, f"{' and '.join(names)} go back")
    rollout.back(own.kubectl, names, revision=int(revision), seconds=limit)


@stack_task(target="kubernetes", changes=True, asks=True, help={**_SERVICE, **_SECONDS}, iterable=["service"])
def restart(c: Context, session: Session, service: list[str], seconds: str = "600") -> None:
    """Replace the pods, one after the other; kernels end with theirs."""
    from devai_tasks.stack import consent, kubernetes_workload
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import rollout

    limit = seconds_of(seconds)
    own = kubernetes_workload.own_cluster(session)
    names = own.check_services(service)
    consent.allow(session, f"{' and '.join(names)} restart, and kernels end")
    kubernetes.restart(own, names)
    if session.dry:
        return rollout.print_commands(own.kubectl, names, limit)
    rollout.wait(own.kubectl, names, seconds=limit)


@stack_task(target="kubernetes", changes=True, asks=True)
def secrets(c: Context, session: Session) -> None:
    """Send the lab's token and the secrets that are set on this machine to the cluster."""
    from devai_tasks.stack import consent, kubernetes_workload
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import secrets as cluster_secrets

    own = kubernetes_workload.own_cluster(session, claim=True)
    consent.allow(session, f"its secrets become those of this machine in {own.kubectl.context}")
    kubernetes.ensure_namespace(own, *kubernetes.look(own))
    sending = cluster_secrets.compare(own)
    kubernetes_workload.send(session, own, sending)
    if not (sending.changed or session.dry):
        console.say("nothing to change")


@stack_task(target="kubernetes", owned=True, help=_SECONDS)
def wait(c: Context, session: Session, seconds: str = "600") -> None:
    """Wait until every workload runs; says why where one doesn't."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    kubernetes.watch(session.cluster, seconds=seconds_of(seconds))
