"""Common base of the clouds that Terraform supports: accounts, state stores, certificates, home file systems."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from devai_tasks.clouds import command_line, rules
from devai_tasks.clouds.base import Cloud, ClusterWide
from devai_tasks.clouds.registry_login import Login, LoginMethod
from devai_tasks.config import naming
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Mistake, Rule
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import TOKEN
from devai_tasks.config.sections.cloud import Deployed
from devai_tasks.system.errors import DevaiError, ToolError, UsageError

Command = Sequence[str]


class CloudError(DevaiError):
    """A command of the cloud's command line failed.

    Attributes:
        output: The command and its output, printed below message and hint; empty if the message is sufficient.
    """

    def __init__(self, message: str, *, output: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.output = output

    def __str__(self) -> str:
        return "\n".join(filter(None, [super().__str__(), self.output]))


class NotAuthenticatedError(CloudError):
    """The user is not logged in to the cloud, or the login has expired."""


class WrongAccountError(UsageError):
    """The login is for an account, subscription or project other than the stack's."""


@dataclass(frozen=True)
class Part:
    """One part of a state store.

    Attributes:
        create: Command that creates the part.
        check: Command that fails if the part is missing.
        expected: Text that the output of `check` contains if the part exists; empty to check the exit code only.
    """

    create: Command
    check: Command
    expected: str = ""


class TerraformCloud(Cloud):
    """A cloud in which Terraform creates stacks."""

    account_kind: ClassVar[str]
    """The cloud's term for an account: account, subscription or project."""
    login_hint: ClassVar[str]
    """Command to log in."""
    switch_hint: ClassVar[str]
    """Command to switch to the stack's account, as a format string for the account."""
    logs_command: ClassVar[str]
    """Command that prints the logs of managed containers."""
    registry_hosts: ClassVar[str]
    """Pattern of the cloud's own registry hosts: no other host receives a token of the cloud."""
    registry_user: ClassVar[str]
    region_in_state: ClassVar[str]
    """Pattern of a resource's region in a Terraform state of version 0.1."""
    account_in_state: ClassVar[str] = ""
    """Pattern of the account in a state of version 0.1; empty if the location of the state determines the account."""

    # Configuration.

    def rules(self) -> tuple[Rule, ...]:
        """Return the validation rules of stacks in the cloud."""
        return (
            rules.protected_on_a_network,
            rules.not_of_this_machine,
            _location,
            rules.networks,
            self.platform_rules,
            self.moved,
        )

    @abstractmethod
    def platform_rules(self, settings: Settings) -> Iterator[Mistake]:
        """Yield settings that the cloud's services do not support."""

    def moved(self, settings: Settings) -> Iterator[Mistake]:
        """Yield changed keys that would create a second deployment and abandon the existing one."""
        deployed = settings.terraform.deployed
        pairs = {
            ("project", "name"): (settings.project.name, deployed.project),
            ("terraform", "account"): (settings.terraform.account, deployed.account),
            ("terraform", "region"): (settings.terraform.region, deployed.region),
            ("terraform", "state", "store"): (self.store_name(settings, deployed), deployed.store),
            ("terraform", "state", "group"): (self.store_group(settings, deployed), deployed.group),
        }
        changed = {key: recorded for key, (current, recorded) in pairs.items() if recorded and current != recorded}
        stack, restored = settings.stack, [f"--set={'.'.join(key)}={recorded}" for key, recorded in changed.items()]
        down = " ".join(["inv down", f"--env={stack.environment}", f"--cloud={stack.cloud}", *restored])
        for key, recorded in changed.items():
            allowed = (
                f"{stack} is deployed with {recorded} and would be created twice: restore that value, or first run "
            )
            yield Mistake(key, f"{allowed}`{down}`", "DEVAI-TF-003")

    def unknown_before_deployment(self, known: Known) -> frozenset[str]:
        """Return the keys whose values come from Terraform's outputs and the pushed image."""
        keys = {"image.registry", "image.digest", "image.gpu.digest"}
        if known("compute", "platform") == "kubernetes":
            keys |= {"kubernetes.context", "storage.file_system", *self.unknown_of_cluster(known)}
        return frozenset(keys)

    @abstractmethod
    def unknown_of_cluster(self, known: Known) -> set[str]:
        """Return the keys that a cluster of this cloud gets from Terraform, in addition to its context and the home."""

    # Manifests.

    def component(self, settings: Settings) -> str:
        """Return the cloud's own component in deploy/kubernetes/components."""
        return self.name

    def has_ingress(self, settings: Settings) -> bool:
        """Whether the stack has an ingress: always, because the cloud has a controller."""
        return True

    def has_self_signed_certificate(self, settings: Settings) -> bool:
        """Whether the lab uses a self-signed certificate created by Terraform."""
        return settings.tls.enabled and not settings.terraform.certificate

    def provides_home(self, settings: Settings) -> bool:
        """Whether the home is a file system created by Terraform."""
        return not settings.storage.home_class

    def cluster_wide(self, settings: Settings) -> tuple[ClusterWide, ...]:
        """Return the home's PersistentVolume."""
        own_name = f"{naming.stack(settings)}-home" if self.provides_home(settings) else ""
        return (ClusterWide("v1", "PersistentVolume", "home", own_name),)

    # Terraform.

    def labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return labels in a form that the cloud accepts."""
        return dict(labels)

    @abstractmethod
    def backend(self, settings: Settings) -> dict[str, Any]:
        """Return the backend configuration of the root module."""

    def store_name(self, settings: Settings, deployed: Deployed | None = None) -> str:
        """Return the name of the bucket or storage account.

        The name must be globally unique, so it contains a digest of account and region.

        Args:
            settings: Settings of the stack.
            deployed: Identity of the deployed stack, whose project, account and region take precedence.
        """
        terraform, recorded = settings.terraform, deployed or Deployed()
        if terraform.state.store:
            return terraform.state.store
        project = recorded.project or settings.project.name
        identity = f"{recorded.account or terraform.account} {recorded.region or terraform.region}"
        return self.default_store_name(project, hashlib.sha256(identity.encode()).hexdigest()[:12])

    def default_store_name(self, project: str, digest: str) -> str:
        """Return the default name of a store: the name of a bucket has at most 63 characters."""
        return f"{project}-state-{digest}"

    def store_group(self, settings: Settings, deployed: Deployed | None = None) -> str:
        """Return the resource group of the store; empty in clouds without resource groups."""
        return ""

    def outputs(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of cloud-specific keys from Terraform's outputs."""
        return {}

    @abstractmethod
    def file_system(self, address: str, home: str) -> str:
        """Return `storage.file_system` from Terraform's outputs."""

    # The command line.

    @abstractmethod
    def account_command(self, settings: Settings) -> Command:
        """Return the command that prints the account, subscription or project of the current credentials."""

    def login_proof(self) -> Command:
        """Return a command that fails without a valid login; empty if `account_command` does so."""
        return ()

    def account(self, settings: Settings) -> str:
        """Return the account, subscription or project of the current credentials; empty if none is selected.

        Raises:
            MissingToolError: The cloud's command line is not installed.
            NotAuthenticatedError: The user has no valid login.
            CloudError: The cloud is unreachable.
        """
        try:
            if proof := self.login_proof():
                command_line.ask(proof)  # its output is a token, and must not be shown
            return command_line.ask(self.account_command(settings))
        except command_line.UnreachableError as error:
            raise CloudError(
                "cannot check the login: the cloud is unreachable",
                output=str(error),
                hint="check the network connection",
                code="DEVAI-CLOUD-002",
            ) from error
        except ToolError as error:
            raise NotAuthenticatedError(
                f"not logged in to {self.name}", output=str(error), hint=self.login_hint, code="DEVAI-CLOUD-001"
            ) from error

    def check_account(self, settings: Settings, *, dry: bool = False) -> None:
        """Raise NotAuthenticatedError or WrongAccountError unless the credentials are for the stack's account."""
        if dry:
            return
        expected = settings.terraform.account
        if (actual := self.account(settings)) != expected:
            raise WrongAccountError(
                f"the credentials are for {self.account_kind} {actual or '(none selected)'}, but {settings.stack} "
                f"belongs to {expected}; nothing was changed",
                hint=f"{self.switch_hint.format(expected)}, or change terraform.account",
                code="DEVAI-CLOUD-003",
            )

    def check_terraform_login(self) -> None:
        """Raise NotAuthenticatedError if Terraform's provider needs a login of its own, and that is missing."""

    @abstractmethod
    def kubeconfig_command(self, settings: Settings) -> list[str]:
        """Return the command that adds the stack's cluster to the kubeconfig, and makes it the current context."""

    def update_kubeconfig(self, settings: Settings, *, dry: bool = False) -> None:
        """Add the stack's cluster to the kubeconfig."""
        command_line.run(self.kubeconfig_command(settings), dry=dry)

    @abstractmethod
    def secret_command(self, settings: Settings, key: str) -> list[str]:
        """Return the command that prints a secret of the stack."""

    def token(self, settings: Settings, *, dry: bool = False) -> str:
        """Return the token of a lab in managed containers, from the cloud's secret manager.

        With `dry`, print the command and return a placeholder.

        Raises:
            MissingToolError: The cloud's command line is not installed.
            CloudError: The secret cannot be read.
        """
        command = self.secret_command(settings, TOKEN)
        if dry:
            command_line.run(command, dry=True)
            return "…"
        try:
            return command_line.ask(command)
        except ToolError as error:
            raise CloudError(
                f"cannot read the token of {settings.stack} from the cloud's secret manager",
                output=str(error),
                hint=f"check that the stack is up and that your login may read its secrets ({self.login_hint})",
                code="DEVAI-CLOUD-014",
            ) from error

    @abstractmethod
    def store_parts(self, settings: Settings) -> tuple[Part, ...]:
        """Return the parts of the state store in order of creation: versioned, encrypted, without public access."""

    def bootstrap(self, settings: Settings, *, dry: bool = False) -> bool:
        """Create the missing parts of the state store, such as those after an interrupted bootstrap.

        Returns:
            Whether any part was missing.
        """
        created = False
        for part in self.store_parts(settings):
            if dry or not command_line.finds(part.check, part.expected):
                command_line.run(part.create if dry else self.resolved(part.create, settings), dry=dry)
                created = True
        return created

    def resolved(self, command: Command, settings: Settings) -> Command:
        """Return a command of the store with the values that depend on the login."""
        return command

    # The registry.

    @abstractmethod
    def login_methods(self) -> tuple[LoginMethod, ...]:
        """Return the login methods of the cloud's registry, the preferred one first."""

    @abstractmethod
    def registry_command(self, address: str, region: str) -> list[str]:
        """Return the command of the first login method."""

    def owns_registry(self, host: str) -> bool:
        """Whether a registry is the cloud's own, and may receive its token."""
        return re.fullmatch(self.registry_hosts, host) is not None

    def registry_login(self, address: str, region: str) -> Login:
        """Return a login for a registry.

        Args:
            address: Address of the registry.
            region: Region to use if the address contains none.

        Raises:
            MissingToolError: Neither the command line nor the SDK is installed.
            ToolError: The login failed; the message has the reason of each method.
        """
        return LoginMethod.first_of(self.login_methods(), address, region, cloud=self.name, login_hint=self.login_hint)


def _location(settings: Settings) -> Iterator[Mistake]:
    if not settings.terraform.region:
        yield Mistake(("terraform", "region"), "a region, such as eu-central-1")
    if not settings.terraform.account:
        yield Mistake(("terraform", "account"), "the account, subscription or project that this stack belongs to")
    if not settings.network.allowed_cidrs:
        yield Mistake(("network", "allowed_cidrs"), "your networks: without any, the lab cannot be reached")
    in_cluster = settings.compute.platform == "kubernetes"
    if in_cluster and not (settings.network.load_balancers or settings.ingress.controller):
        yield Mistake(
            ("network", "load_balancers"),
            "the load balancer's networks: without any, its requests do not reach the lab",
        )
