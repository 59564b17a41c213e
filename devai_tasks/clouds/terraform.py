"""What the clouds have in common in which Terraform makes stacks: accounts, stores of states, certificates, homes."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from devai_tasks.clouds import command_line, rules
from devai_tasks.clouds.base import Cloud, ClusterWide
from devai_tasks.clouds.registry_login import Login, Way
from devai_tasks.config import naming
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Mistake, Rule
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import TOKEN
from devai_tasks.config.sections.cloud import Deployed
from devai_tasks.system.errors import DevaiError, ToolError, UsageError

Command = Sequence[str]


class CloudError(DevaiError):
    """The cloud's command line does not tell what it was asked.

    Attributes:
        output: the command, and what it printed; empty where the message says all. It stands below message and hint.
    """

    def __init__(self, message: str, *, output: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.output = output

    def __str__(self) -> str:
        return "\n".join(filter(None, [super().__str__(), self.output]))


class NotAuthenticatedError(CloudError):
    """The caller is not logged in to the cloud, or the login has expired."""


class WrongAccountError(UsageError):
    """The login is for another account, subscription or project than the stack's."""


@dataclass(frozen=True)
class Part:
    """One part of a store for states: the command that makes it, and one that tells whether it exists."""

    make: Command
    look: Command
    """Fails where the part is missing,"""
    found: str = ""
    """or prints something without this."""


class TerraformCloud(Cloud):
    """A cloud in which Terraform makes a stack."""

    account_kind: ClassVar[str]
    """What a stack belongs to there."""
    login_hint: ClassVar[str]
    switch_hint: ClassVar[str]
    """How to choose the stack's own account, with a place for its name."""
    logs_command: ClassVar[str]
    """That shows what managed containers print."""
    registry_hosts: ClassVar[str]
    """A pattern of the cloud's own registries: a token of it goes to no other host."""
    registry_user: ClassVar[str]
    region_in_state: ClassVar[str]
    """A pattern by which resources in a state of version 0.1 name their region."""
    account_in_state: ClassVar[str] = ""
    """The same for the account, where the state's location does not pin it."""

    # Configuration.

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules of stacks in the cloud."""
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
        """Yield what the cloud's services do not offer of a stack's settings."""

    def moved(self, settings: Settings) -> Iterator[Mistake]:
        """Yield keys by which a deployed stack would be built a second time, and the first one forgotten."""
        deployed = settings.terraform.deployed
        pairs = {
            ("project", "name"): (settings.project.name, deployed.project),
            ("terraform", "account"): (settings.terraform.account, deployed.account),
            ("terraform", "region"): (settings.terraform.region, deployed.region),
            ("terraform", "state", "store"): (self.store_name(settings, deployed), deployed.store),
            ("terraform", "state", "group"): (self.store_group(settings, deployed), deployed.group),
        }
        changed = {key: recorded for key, (now, recorded) in pairs.items() if recorded and now != recorded}
        stack, back = settings.stack, [f"--set={'.'.join(key)}={recorded}" for key, recorded in changed.items()]
        down = " ".join(["inv down", f"--env={stack.environment}", f"--cloud={stack.cloud}", *back])
        for key, recorded in changed.items():
            allowed = f"{stack} is deployed with {recorded}, and would be built twice: set it back, or first "
            yield Mistake(key, f"{allowed}`{down}`", "DEVAI-TF-003")

    def unknown_before_deployment(self, known: Known) -> frozenset[str]:
        """Return the keys whose values only Terraform's outputs and the pushed image tell."""
        keys = {"image.registry", "image.digest", "image.gpu.digest"}
        if known("compute", "platform") == "kubernetes":
            keys |= {"kubernetes.context", "storage.file_system", *self.unknown_of_cluster(known)}
        return frozenset(keys)

    @abstractmethod
    def unknown_of_cluster(self, known: Known) -> set[str]:
        """Return those of them that a cluster of this cloud needs beside its context and the home."""

    # Manifests.

    def component(self, settings: Settings) -> str:
        """Return the cloud's own component of the manifests."""
        return self.name

    def has_ingress(self, settings: Settings) -> bool:
        """Whether the stack has an ingress: the cloud has a controller."""
        return True

    def self_signed(self, settings: Settings) -> bool:
        """Whether the lab has a certificate of Terraform's, which no authority has signed."""
        return settings.tls.enabled and not settings.terraform.certificate

    def provides_home(self, settings: Settings) -> bool:
        """Whether the home is a file system that Terraform makes."""
        return not settings.storage.home_class

    def cluster_wide(self, settings: Settings) -> tuple[ClusterWide, ...]:
        """Return the volume of the home."""
        own_name = f"{naming.stack(settings)}-home" if self.provides_home(settings) else ""
        return (ClusterWide("v1", "PersistentVolume", "home", own_name),)

    # Terraform.

    def labels(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return labels as the cloud allows them."""
        return dict(given)

    @abstractmethod
    def backend(self, settings: Settings) -> dict[str, Any]:
        """Return the settings of the root's backend."""

    def store_name(self, settings: Settings, deployed: Deployed | None = None) -> str:
        """Return the bucket or storage account; of a stack that is `deployed`, as it would be where that is.

        Its name is nobody else's in the world, so account and region are in it, as a digest.
        """
        own, there = settings.terraform, deployed or Deployed()
        if own.state.store:
            return own.state.store
        project = there.project or settings.project.name
        identity = f"{there.account or own.account} {there.region or own.region}"
        return self.default_store_name(project, hashlib.sha256(identity.encode()).hexdigest()[:12])

    def default_store_name(self, project: str, digest: str) -> str:
        """Return the name of the store of an account and region: a bucket's has 63 characters at most."""
        return f"{project}-state-{digest}"

    def store_group(self, settings: Settings, deployed: Deployed | None = None) -> str:
        """Return the resource group of the store; empty where there are none."""
        return ""

    def outputs(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what Terraform's outputs tell of the cloud's own keys."""
        return {}

    @abstractmethod
    def file_system(self, address: str, home: str) -> str:
        """Return the home as manifests name it (`storage.file_system`), by Terraform's outputs."""

    # The command line.

    @abstractmethod
    def account_command(self, settings: Settings) -> Command:
        """Return the command that prints the account, subscription or project of the credentials at hand."""

    def login_proof(self) -> Command:
        """Return a command that fails without a valid login, where `account_command` answers in any case."""
        return ()

    def account(self, settings: Settings) -> str:
        """Return the account, subscription or project of the credentials at hand; empty where none is chosen.

        Raises:
            MissingToolError: the cloud's command line is not installed.
            NotAuthenticatedError: there is no valid login.
            CloudError: the cloud does not answer.
        """
        try:
            if proof := self.login_proof():
                command_line.ask(proof)  # what it prints is nobody's to see
            return command_line.ask(self.account_command(settings))
        except command_line.UnreachableError as error:
            raise CloudError(
                "the cloud can't be asked who is logged in",
                output=str(error),
                hint="is there a network?",
                code="DEVAI-CLOUD-002",
            ) from error
        except ToolError as error:
            raise NotAuthenticatedError(
                "nobody is logged in", output=str(error), hint=self.login_hint, code="DEVAI-CLOUD-001"
            ) from error

    def check_account(self, settings: Settings, *, dry: bool = False) -> None:
        """Raise NotAuthenticatedError or WrongAccountError unless the credentials are for the stack's account."""
        if dry:
            return
        own = settings.terraform.account
        if (found := self.account(settings)) != own:
            raise WrongAccountError(
                f"the credentials are those of {self.account_kind} {found or '(none chosen)'}, and {settings.stack} "
                f"belongs to {own}; nothing was changed",
                hint=f"{self.switch_hint.format(own)}, or another terraform.account",
                code="DEVAI-CLOUD-003",
            )

    def check_terraform_login(self) -> None:
        """Raise NotAuthenticatedError where the provider has a login of its own, and finds none."""

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

        Raises MissingToolError without the cloud's command line, CloudError where the cloud doesn't tell it. Under
        --dry the command is printed.
        """
        command = self.secret_command(settings, TOKEN)
        if dry:
            command_line.run(command, dry=True)
            return "…"
        try:
            return command_line.ask(command)
        except ToolError as error:
            raise CloudError(
                f"the token of {settings.stack} is in its cloud's secret manager, which doesn't tell it",
                output=str(error),
                hint=f"is it up, and is your login allowed to read it ({self.login_hint})?",
                code="DEVAI-CLOUD-014",
            ) from error

    @abstractmethod
    def store_parts(self, settings: Settings) -> tuple[Part, ...]:
        """Return what the store of states is made of, in order: versioned, encrypted, closed to the public."""

    def bootstrap(self, settings: Settings, *, dry: bool = False) -> bool:
        """Make what is missing of the store: all of it, or what an interrupted bootstrap left out.

        Returns whether anything was missing.
        """
        made = False
        for part in self.store_parts(settings):
            if dry or not command_line.finds(part.look, part.found):
                command_line.run(part.make if dry else self.resolved(part.make, settings), dry=dry)
                made = True
        return made

    def resolved(self, command: Command, settings: Settings) -> Command:
        """Return a command of the store with what only a login tells."""
        return command

    # The registry.

    @abstractmethod
    def registry_ways(self) -> tuple[Way, ...]:
        """Return the ways to a login for the cloud's registry, the preferred one first."""

    @abstractmethod
    def registry_command(self, address: str, region: str) -> list[str]:
        """Return the command of the first of them."""

    def owns_registry(self, host: str) -> bool:
        """Whether a registry is the cloud's own, and so may have its token."""
        return re.fullmatch(self.registry_hosts, host) is not None

    def registry_login(self, address: str, region: str) -> Login:
        """Return a login for the registry at an address; for the region where the address has none.

        Raises MissingToolError where neither the command line nor the SDK is installed, ToolError with both reasons.
        """
        return Way.first_of(self.registry_ways(), address, region, cloud=self.name, login_hint=self.login_hint)


def _location(settings: Settings) -> Iterator[Mistake]:
    if not settings.terraform.region:
        yield Mistake(("terraform", "region"), "a region, such as eu-central-1")
    if not settings.terraform.account:
        yield Mistake(("terraform", "account"), "the account, subscription or project that this stack belongs to")
    if not settings.network.allowed_cidrs:
        yield Mistake(
            ("network", "allowed_cidrs"), "the networks that you come from: without one, nobody reaches the lab"
        )
    in_cluster = settings.compute.platform == "kubernetes"
    if in_cluster and not (settings.network.load_balancers or settings.ingress.controller):
        yield Mistake(
            ("network", "load_balancers"),
            "the networks of the load balancer: without one, its requests reach no lab",
        )
