"""Kubernetes: build, compare, apply and watch the manifests of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.collections import terraform
from devai_tasks.cli.decorators import Request, check_tail, seconds_of, stack_task, words_of
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devai_tasks.targets.kubernetes.deployment import Cluster
    from devai_tasks.targets.kubernetes.secrets import Sending

_SERVICE = {"service": "devai or ollama (default: both); can be repeated"}
_SECONDS = {"seconds": "how long to wait for it (default: 600)"}


def _cluster(request: Request) -> Cluster:
    """The stack's cluster, to look at."""
    from devai_tasks.targets.kubernetes.deployment import Cluster

    return Cluster(request.project, request.settings, dry=request.dry)


def _own_cluster(request: Request, *, claim: bool = False) -> Cluster:
    """The stack's cluster, to change something there: values are known, the context is current, the stack is ours.

    With `claim` it becomes ours where there is none yet.
    """
    from devai_tasks import clouds

    if request.settings.kubernetes.secret_store and clouds.of(request.settings).shares_secret_store:
        request = terraform.informed(request)  # secrets are found by the stack's name, which Terraform knows
    if not request.dry:
        request.configuration.to_deploy()
    check_owner(request, claim=claim)
    return _cluster(request if request.settings.project.id else request.anew())


def check_owner(request: Request, *, claim: bool = False) -> None:
    """Raise UsageError unless the context is current, and the stack there this project's, or taken over."""
    from devai_tasks.cli import confirm

    own = _cluster(request)
    own.kubectl.check_current()
    confirm.check_cluster(request, own, claim=claim)


@stack_task(target="kubernetes")
def build(c: Context, request: Request) -> None:
    """Print the manifests, and nothing else."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    text = kubernetes.manifests(_cluster(request))
    if not request.dry:
        console.show(text)


@stack_task(
    target="kubernetes", owned=True, help={"json": "for programs, as `inv plan` has it (default: a unified diff)"}
)
def diff(c: Context, request: Request, json: bool = False) -> None:
    """Show what apply would change, as the server sees it."""
    from devai_tasks.stack.overview import Overview, of_cluster
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import objects

    changes = kubernetes.diff(_cluster(request))
    if json and not request.dry:
        return console.show_json(Overview(str(request.stack), of_cluster(objects.summary(changes))).as_json())
    if changes:
        return console.show(changes)
    if not request.dry:
        console.say("nothing to change")


@stack_task(
    target="kubernetes",
    changes=True,
    asks=True,
    help={**_SECONDS, "undo": "go back where the rollout fails (default: yes)"},
)
def apply(c: Context, request: Request, seconds: str = "600", undo: bool = True) -> None:
    """Show the changes, ask, apply them, and wait until every workload runs."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    own = roll_out(request, seconds=seconds_of(seconds), undo=undo)
    if not request.dry:
        kubernetes.say_where(own)


def roll_out(request: Request, *, seconds: int = 600, undo: bool = True) -> Cluster:
    """Show the changes, ask, apply them, and wait until every workload runs; returns the cluster."""
    from devai_tasks.cli import confirm
    from devai_tasks.stack import cluster_images
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import secrets as cluster_secrets
    from devai_tasks.targets.kubernetes.deployment import Cluster

    own = _own_cluster(request, claim=True)
    if not own.settings.pulls_image and cluster_images.provide(own, lambda: request.docker):
        own = Cluster(own.project, request.anew().settings, dry=own.dry)  # with the tag that was noted
    text, there = kubernetes.look(own)
    made = kubernetes.ensure_namespace(own, text, there)
    try:
        changes = kubernetes.changes(own, text, there)
        sending = None if own.settings.kubernetes.secret_store else cluster_secrets.compare(own, there)
        restarted = cluster_secrets.restarted(own, sending)
        shown = _shown(changes, sending, restarted)
        for part in shown:
            console.say(part)
        if shown:
            confirm.allow(request, f"this is applied in {own.kubectl.context}")
    except BaseException:  # refused here or by the server, or Ctrl-C
        if made:
            kubernetes.forget_namespace(own)
        raise
    if sending:
        _send(request, own, sending, restarts=bool(restarted))
    if not (shown or request.dry):
        console.say("nothing to change")
    if changes or request.dry:
        kubernetes.apply(own, text, there, seconds=seconds, undo=undo)
    if not request.dry:
        _restart(own, restarted)
        kubernetes.watch(own, seconds=seconds)
    kubernetes.bring_models(own, seconds=seconds)
    return own


def _shown(changes: str, sending: Sending | None, restarted: Sequence[str]) -> list[str]:
    """What is shown before the question."""
    end = f"{' and '.join(restarted)} restart to read them, and kernels end" if restarted else ""
    return [part for part in (changes, sending.shown if sending else "", end) if part]


def rotate(request: Request, *, seconds: int) -> None:
    """Ask, replace the lab's token, and wait until its pods run with it."""
    from devai_tasks.cli import confirm
    from devai_tasks.config.naming import LAB
    from devai_tasks.targets.kubernetes import rollout
    from devai_tasks.targets.kubernetes import secrets as cluster_secrets

    own = _own_cluster(request)
    confirm.allow(request, confirm.ROTATION)
    sending = cluster_secrets.renew(own)
    with confirm.rotating(request):
        _send(request, own, sending, restarts=True)
        _restart(own, [LAB])
        if request.dry:
            return rollout.print_commands(own.kubectl, [LAB], seconds)
        return rollout.wait(own.kubectl, [LAB], seconds=seconds)


def _send(request: Request, own: Cluster, sending: Sending, *, restarts: bool = False) -> None:
    """Send the secrets, and say what it takes until labs that run see them, where that does not follow."""
    from devai_tasks.targets.kubernetes import secrets as cluster_secrets
    from devai_tasks.workspace import secret_values

    secret_values.report_kept(sending.kept)
    cluster_secrets.send(own, sending)
    if sending.changed and not request.dry:
        waits = sending.present and not restarts
        later = f"; labs that run see it after `inv {sending.remedy} {request.stack.flags}`" if waits else ""
        console.say(f"changed: {', '.join(sending.changed)}{later}")


@stack_task(
    target="kubernetes",
    changes=True,
    asks=True,
    help={"data": "homes, models and secrets as well; asks for project and stack (default: they stay)"},
)
def delete(c: Context, request: Request, data: bool = False) -> None:
    """Remove the stack from its cluster; homes, models and secrets stay unless --data is given."""
    take_down(request, data=data)


def take_down(request: Request, *, data: bool, cluster_goes: bool = False) -> None:
    """Ask, and remove the stack from its cluster; without `data`, homes, models and secrets stay.

    Of a cluster that goes next, nothing stays but the home's file system, which is Terraform's: raises UsageError for
    a home that the cluster has made.
    """
    from devai_tasks.cli import confirm
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    own = _own_cluster(request)
    effect = f"it is deleted in {own.kubectl.context}, with the kernels that run"
    if cluster_goes and not data:
        if not own.dry and kubernetes.home_is_made(own):
            flags = request.stack.flags
            raise UsageError(
                "the home is a volume of the cluster (storage.home_class) and would go with it; nothing was changed",
                hint=f"`inv data.backup --file=home.tar.gz {flags}` keeps its files, `inv down --data {flags}` goes on",
            )
        models = ", and models are brought again by the next `inv up`" if own.settings.ollama.is_bundled else ""
        effect += f"; the home stays{models}"
    confirm.allow(request, effect, loses="homes, models, secrets and all else" if data else "")
    kubernetes.delete(own, data=data or cluster_goes)


def stop(request: Request) -> None:
    """Ask, and end the stack's pods; all else stays."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.kubernetes import scaling

    own = _own_cluster(request)
    confirm.allow(request, "its pods end, and kernels with them")
    scaling.stop(own)


def start(request: Request, *, seconds: int) -> None:
    """Start the stack's pods again, and wait until they are ready."""
    from devai_tasks.targets.kubernetes import scaling

    scaling.start(_own_cluster(request), seconds=seconds)


@stack_task(target="kubernetes", owned=True, help={"json": "for programs (default: a table)"})
def status(c: Context, request: Request, json: bool = False) -> None:
    """Show the stack's workloads, pods and volumes."""
    from devai_tasks.targets.kubernetes import status as cluster_status

    rows = cluster_status.rows(_cluster(request))
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
def logs(c: Context, request: Request, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show what the pods print."""
    for line in lines(request, service, follow=follow, tail=tail):
        console.show(line)


def lines(request: Request, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
    """What the pods of services print, all for none."""
    own = _cluster(request)
    names = own.check_services(services)
    check_tail(tail)
    selector = f"app.kubernetes.io/name in ({','.join(names)})"
    return own.kubectl.follow_logs(selector, follow=follow, tail=tail)


@stack_task(
    target="kubernetes",
    owned=True,
    help={"command": "what to run (default: bash)", "service": "devai or ollama (default: devai)"},
)
def shell(c: Context, request: Request, command: str = "bash", service: str = "devai") -> None:
    """Open a shell in a lab, as the lab's own user."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    words = words_of(command)
    code = kubernetes.execute(_cluster(request), service, words)
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
def port_forward(c: Context, request: Request, service: str = "devai", port: str = "") -> None:
    """Reach a service from this machine, until Ctrl-C; prints its address."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    if port and not port.isdecimal():
        raise UsageError(f"--port={port} is not a number")
    kubernetes.forward(_cluster(request), service, port)


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
def rollback(c: Context, request: Request, service: list[str], revision: str = "0", seconds: str = "600") -> None:
    """Go back to an earlier revision of the workloads, and wait until it runs."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.kubernetes import rollout

    if not revision.isdecimal():
        raise UsageError(f"--revision={revision} is not a number", hint="less than the one that `inv k8s.status` shows")
    limit = seconds_of(seconds)
    own = _own_cluster(request)
    names = own.check_services(service or ["devai"])
    confirm.allow(request, f"{' and '.join(names)} go back")
    rollout.back(own.kubectl, names, revision=int(revision), seconds=limit)


@stack_task(target="kubernetes", changes=True, asks=True, help={**_SERVICE, **_SECONDS}, iterable=["service"])
def restart(c: Context, request: Request, service: list[str], seconds: str = "600") -> None:
    """Replace the pods, one after the other; kernels end with theirs."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.kubernetes import rollout

    limit = seconds_of(seconds)
    own = _own_cluster(request)
    names = own.check_services(service)
    confirm.allow(request, f"{' and '.join(names)} begin anew, and kernels end")
    _restart(own, names)
    if request.dry:
        return rollout.print_commands(own.kubectl, names, limit)
    rollout.wait(own.kubectl, names, seconds=limit)


def _restart(own: Cluster, names: Sequence[str]) -> None:
    for name in names:
        own.kubectl.restart(name)


@stack_task(target="kubernetes", changes=True, asks=True)
def secrets(c: Context, request: Request) -> None:
    """Send the lab's token and the secrets that are set on this machine to the cluster."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.kubernetes import deployment as kubernetes
    from devai_tasks.targets.kubernetes import secrets as cluster_secrets

    own = _own_cluster(request, claim=True)
    confirm.allow(request, f"its secrets become those of this machine in {own.kubectl.context}")
    kubernetes.ensure_namespace(own, *kubernetes.look(own))
    sending = cluster_secrets.compare(own)
    _send(request, own, sending)
    if not (sending.changed or request.dry):
        console.say("nothing to change")


@stack_task(target="kubernetes", owned=True, help=_SECONDS)
def wait(c: Context, request: Request, seconds: str = "600") -> None:
    """Wait until every workload runs; says why where one doesn't."""
    from devai_tasks.targets.kubernetes import deployment as kubernetes

    kubernetes.watch(_cluster(request), seconds=seconds_of(seconds))
