"""Microsoft Azure: Container Instances, or AKS."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from devai_tasks.clouds import command_line, registry_login, sizes
from devai_tasks.clouds.base import Object, Routing
from devai_tasks.clouds.registry_login import Login, Way
from devai_tasks.clouds.sizes import GI, Pair
from devai_tasks.clouds.terraform import Command, Part, TerraformCloud
from devai_tasks.config import naming
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Mistake
from devai_tasks.config.schema import Settings
from devai_tasks.config.sections.cloud import Deployed
from devai_tasks.config.units import Cpu, Size
from devai_tasks.engine import registry
from devai_tasks.system.errors import DevaiError
from devai_tasks.system.programs import Program

# "Resource availability and quota limits" and "Container groups": what Container Instances has in every region for a
# whole group, and the least of one.
_CONTAINER_GROUP = (Cpu(4000), Size(16 * GI))
_CONTAINER_GROUP_LEAST = (Cpu(1000), Size(GI))
# Premium Azure Files begins there.
_LEAST_HOME = Size(100 * GI)
# https://learn.microsoft.com/azure/container-registry/container-registry-authentication#az-acr-login-with---expose-token
_USER = "00000000-0000-0000-0000-000000000000"
# Stands in a command for who is logged in: that is asked only when the command is run.
_ME = "OBJECT-ID"


class Azure(TerraformCloud):
    """Microsoft Azure."""

    name = "azure"
    every_program = (Program("az", ("az", "version"), f"{command_line.INSTALL['az']} says how"),)
    load_balancer_domains = (".cloudapp.azure.com",)
    shares_secret_store = False  # each stack has a vault
    identity_annotation = "azure.workload.identity/client-id"
    account_kind = "subscription"
    login_hint = "`az login`"
    switch_hint = "`az account set --subscription={}`"
    logs_command = "az container logs"
    registry_hosts = r"[a-z0-9-]+\.azurecr\.(?:io|us|cn)"
    registry_user = _USER
    region_in_state = r'"location": "([a-z0-9]+)"'

    def platform_rules(self, settings: Settings) -> Iterator[Mistake]:
        """Yield what Container Instances, Azure Files or gateways do not offer."""
        if settings.protected and settings.tls.enabled and not settings.terraform.certificate:
            yield Mistake(
                ("terraform", "certificate"),
                "one of your Key Vault: Azure makes none, and a protected stack has no own one",
            )
        if settings.compute.platform == "kubernetes":
            if settings.storage.home < _LEAST_HOME:
                yield Mistake(
                    ("storage", "home"), f"at least {_LEAST_HOME}: a premium share of Azure Files has no less"
                )
            return
        asked = sizes.of_containers(settings)
        if refusal := _container_group(total := sizes.total(asked.values())):
            yield Mistake(("resources", "lab", "memory"), f"{sizes.together(asked, total)}; {refusal}")
        if settings.gpu.enabled:
            yield Mistake(
                ("gpu", "enabled"), "false: Container Instances has no GPUs any more; compute.platform: kubernetes"
            )

    def unknown_of_cluster(self, known: Known) -> set[str]:
        """Return the managed identity and the gateway's certificate."""
        return {"kubernetes.identity", "tls.certificate"}

    # Manifests.

    def routing(self, settings: Settings) -> Routing:
        """Return what the controller of Application Gateways wants to know."""
        prefix = "appgw.ingress.kubernetes.io"
        annotations = {f"{prefix}/health-probe-path": f"{settings.network.base_url}api"}
        if settings.tls.enabled:
            annotations[f"{prefix}/appgw-ssl-certificate"] = settings.tls.certificate
            annotations[f"{prefix}/ssl-redirect"] = "true"
        return Routing(annotations, {"ingressClassName": settings.ingress.class_name})

    def home_volume(self, settings: Settings) -> Object:
        """Return the share of Azure Files; the handle is any name that no other volume has."""
        account, _, share = settings.storage.file_system.partition("/")
        attributes = {"storageAccount": account, "shareName": share}
        return {"volumeHandle": f"{naming.stack(settings)}-home", "volumeAttributes": attributes}

    def secret_name(self, settings: Settings, key: str) -> str:
        """Return the name of a secret in the stack's vault, where names have no other sign than hyphens."""
        return key.replace("_", "-")

    # Terraform.

    def labels(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return labels without the characters that names of tags refuse ("Use tags to organize your resources")."""
        return {re.sub(r"[<>%&\\?/]", "_", name): value for name, value in given.items()}

    def backend(self, settings: Settings) -> dict[str, Any]:
        """Return the settings of the backend `azurerm`."""
        return {
            "resource_group_name": self.store_group(settings),
            "storage_account_name": self.store_name(settings),
            "container_name": "tfstate",
            "key": f"{naming.state(settings)}.tfstate",
            "subscription_id": settings.terraform.account,
            "use_azuread_auth": True,
        }

    def default_store_name(self, project: str, digest: str) -> str:
        """Return the storage account: 24 lower-case letters and digits at most ("Storage account overview")."""
        return f"{project.replace('-', '')[:12]}{digest}"

    def store_group(self, settings: Settings, deployed: Deployed | None = None) -> str:
        """Return the resource group of the storage account."""
        project = (deployed.project if deployed else "") or settings.project.name
        return settings.terraform.state.group or f"{project}-state"

    def outputs(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the managed identity."""
        return {"kubernetes.identity": outputs.get("identity")}

    def file_system(self, address: str, home: str) -> str:
        """Return `account/share`."""
        return f"{address}/{home}"

    # The command line.

    def account_command(self, settings: Settings) -> Command:
        """Return the command that prints the subscription.

        `az account show` tells who was logged in once; this one needs a token that is valid now, and prints none.
        """
        return ["az", "account", "get-access-token", "--query=subscription", "--output=tsv"]

    def kubeconfig_command(self, settings: Settings) -> list[str]:
        """Return the command for a cluster of AKS, which has the name of its context and of its resource group."""
        context, subscription = settings.kubernetes.context, f"--subscription={settings.terraform.account}"
        of = [f"--name={context}", f"--resource-group={context}", subscription]
        return ["az", "aks", "get-credentials", "--overwrite-existing", *of]

    def secret_command(self, settings: Settings, key: str) -> list[str]:
        """Return the command that prints a secret of the stack's vault."""
        of = [f"--vault-name={naming.unique(settings)}", f"--name={self.secret_name(settings, key)}"]
        return ["az", "keyvault", "secret", "show", *of, "--query=value", "--output=tsv"]

    def store_parts(self, settings: Settings) -> tuple[Part, ...]:
        """Return the parts of a storage account."""
        backend, region = self.backend(settings), settings.terraform.region
        group, account, name = (backend[f"{of}_name"] for of in ("resource_group", "storage_account", "container"))
        subscription = f"--subscription={settings.terraform.account}"
        store, service = ["az", "storage", "account"], ["az", "storage", "account", "blob-service-properties"]
        closed = ["--allow-blob-public-access=false", "--allow-shared-key-access=false", "--min-tls-version=TLS1_2"]
        versions = ["--enable-versioning=true", "--enable-delete-retention=true", "--delete-retention-days=30"]
        of = [f"--name={account}", f"--resource-group={group}", subscription]
        inside = [f"--account-name={account}", f"--resource-group={group}", subscription]
        # By Azure's control plane, for who owns a subscription has no role for what is in its accounts, and needs one.
        box, boxed = ["az", "storage", "container-rm"], [f"--name={name}", f"--storage-account={account}", *of[1:]]
        scope = f"/subscriptions/{settings.terraform.account}/resourceGroups/{group}"
        scope += f"/providers/Microsoft.Storage/storageAccounts/{account}"
        role = ["--role=Storage Blob Data Contributor", f"--scope={scope}", subscription]
        as_oneself = [f"--account-name={account}", f"--container-name={name}", subscription, "--auth-mode=login"]
        return (
            # One group for the stores of all regions, wherever the first was made.
            Part(
                ["az", "group", "create", f"--name={group}", f"--location={region}", subscription],
                ["az", "group", "show", f"--name={group}", subscription],
            ),
            Part([*store, "create", *of, f"--location={region}", "--sku=Standard_GRS", *closed], [*store, "show", *of]),
            Part(
                [*service, "update", *inside, *versions],
                [*service, "show", *inside, "--query=isVersioningEnabled", "--output=tsv"],
                "true",
            ),
            Part([*box, "create", *boxed], [*box, "show", *boxed]),
            Part(
                ["az", "role", "assignment", "create", "--assignee-object-id", _ME, *role],
                ["az", "storage", "blob", "list", *as_oneself, "--num-results=1"],
            ),
        )

    def resolved(self, command: Command, settings: Settings) -> Command:
        """Return a command with the object ID of who is logged in, where it names that."""
        return [self._principal(settings) if word == _ME else word for word in command]

    def _principal(self, settings: Settings) -> str:
        """Return the object ID of who is logged in, by which roles are given.

        The token has it, where Terraform's provider reads it, too; the directory would tell users, but not programs.
        """
        words = ["az", "account", "get-access-token", f"--subscription={settings.terraform.account}"]
        claims = command_line.ask([*words, "--query=accessToken", "--output=tsv"]).split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["oid"])

    def unreachable_hint(self, settings: Settings) -> str:
        """Return that a container group may have another address after a restart."""
        if settings.compute.platform != "simple":
            return ""
        apply = f"`inv tf.apply {settings.stack.flags}`"
        return f"; where its group has another address since a restart, {apply} writes that down"

    # The registry.

    def registry_ways(self) -> tuple[Way, ...]:
        """Return the ways to a login for Azure Container Registry, valid for 3 hours."""
        return (
            Way.by_program("az", self._program_login),
            Way.by_package("azure-identity", "azure.identity", _sdk_login),
        )

    def registry_command(self, address: str, region: str) -> list[str]:
        """Return the command that prints the registry's token."""
        return ["az", "acr", "login", "--name", address.partition(".")[0], "--expose-token", "--output", "json"]

    def _program_login(self, address: str, region: str) -> Login:
        answer = registry_login.run(self.registry_command(address, region))
        return Login(_USER, json.loads(answer)["accessToken"])


def _sdk_login(address: str, _: str) -> Login:
    """Return Entra's token for the management plane, exchanged for a refresh token of the registry.

    https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
    """
    import httpx  # not for every load of a configuration
    from azure.identity import DefaultAzureCredential

    host = registry.host(address)
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    form = {"grant_type": "access_token", "service": host, "access_token": token}
    answer = httpx.post(f"{registry.url(host)}/oauth2/exchange", data=form, timeout=30)
    if answer.status_code != httpx.codes.OK:
        raise DevaiError(f"{host} gives no token for this identity ({answer.status_code})")
    return Login(_USER, answer.json()["refresh_token"])


def _container_group(total: Pair) -> str:
    """Return what Container Instances offers in place of a size; empty where it offers that."""
    most, least = _CONTAINER_GROUP, _CONTAINER_GROUP_LEAST
    fitting = (
        min(max(total[0], least[0]), most[0]),
        # In tenths of a GB, as the service counts them.
        Size(round(min(max(total[1], least[1]), most[1]).bytes / GI * 10) * GI // 10),
    )
    if fitting == total or (fitting[0] == total[0] and fitting[1].gib == total[1].gib):
        return ""
    bounds = f"{sizes.text(least)} to {sizes.text(most)}"
    return f"Container Instances offers {bounds}, in steps of 0.1Gi: {sizes.text(fitting)}"
