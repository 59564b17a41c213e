"""Microsoft Azure: Container Instances, or AKS."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from devai_tasks.clouds import command_line, registry_login, sizes
from devai_tasks.clouds.base import Object, Routing
from devai_tasks.clouds.registry_login import Login, LoginMethod
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

# "Resource availability and quota limits" and "Container groups": the maximum of a container group that is available in
# every region, and the minimum.
_CONTAINER_GROUP = (Cpu(4000), Size(16 * GI))
_CONTAINER_GROUP_LEAST = (Cpu(1000), Size(GI))
# Minimum size of a premium Azure Files share.
_LEAST_HOME = Size(100 * GI)
# https://learn.microsoft.com/azure/container-registry/container-registry-authentication#az-acr-login-with---expose-token
_USER = "00000000-0000-0000-0000-000000000000"
# Placeholder for the object ID of the current user, which is queried only when the command runs.
_ME = "OBJECT-ID"


class Azure(TerraformCloud):
    """Microsoft Azure."""

    name = "azure"
    every_program = (Program("az", ("az", "version"), f"see {command_line.INSTALL['az']}"),)
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
        """Yield settings that Container Instances, Azure Files or Application Gateways do not support."""
        if settings.protected and settings.tls.enabled and not settings.terraform.certificate:
            yield Mistake(
                ("terraform", "certificate"),
                "a certificate in your Key Vault: Azure issues none, and a protected stack has no self-signed one",
            )
        if settings.compute.platform == "kubernetes":
            if settings.storage.home < _LEAST_HOME:
                yield Mistake(
                    ("storage", "home"), f"at least {_LEAST_HOME}: the minimum of a premium Azure Files share"
                )
            return
        requested = sizes.of_containers(settings)
        if refusal := _container_group(total := sizes.total(requested.values())):
            yield Mistake(("resources", "lab", "memory"), f"{sizes.sum_text(requested, total)}; {refusal}")
        if settings.gpu.enabled:
            yield Mistake(
                ("gpu", "enabled"),
                "false: Container Instances no longer offers GPUs; for GPUs, set compute.platform: kubernetes",
            )

    def unknown_of_cluster(self, known: Known) -> set[str]:
        """Return the keys of the managed identity and the gateway's certificate."""
        return {"kubernetes.identity", "tls.certificate"}

    # Manifests.

    def routing(self, settings: Settings) -> Routing:
        """Return the settings of the Application Gateway Ingress Controller."""
        prefix = "appgw.ingress.kubernetes.io"
        annotations = {f"{prefix}/health-probe-path": f"{settings.network.base_url}api"}
        if settings.tls.enabled:
            annotations[f"{prefix}/appgw-ssl-certificate"] = settings.tls.certificate
            annotations[f"{prefix}/ssl-redirect"] = "true"
        return Routing(annotations, {"ingressClassName": settings.ingress.class_name})

    def home_volume(self, settings: Settings) -> Object:
        """Return the Azure Files share; the volume handle is any unique name."""
        account, _, share = settings.storage.file_system.partition("/")
        attributes = {"storageAccount": account, "shareName": share}
        return {"volumeHandle": f"{naming.stack(settings)}-home", "volumeAttributes": attributes}

    def secret_name(self, settings: Settings, key: str) -> str:
        """Return the name of a secret in the stack's vault, where names consist of letters, digits and hyphens."""
        return key.replace("_", "-")

    # Terraform.

    def labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return labels without characters that tag names must not contain ("Use tags to organize your resources")."""
        return {re.sub(r"[<>%&\\?/]", "_", name): value for name, value in labels.items()}

    def backend(self, settings: Settings) -> dict[str, Any]:
        """Return the configuration of the backend `azurerm`."""
        return {
            "resource_group_name": self.store_group(settings),
            "storage_account_name": self.store_name(settings),
            "container_name": "tfstate",
            "key": f"{naming.state(settings)}.tfstate",
            "subscription_id": settings.terraform.account,
            "use_azuread_auth": True,
        }

    def default_store_name(self, project: str, digest: str) -> str:
        """Return a storage account name: at most 24 lower-case letters and digits ("Storage account overview")."""
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

        `az account show` succeeds with an expired login; this command requires a valid token, and does not print it.
        """
        return ["az", "account", "get-access-token", "--query=subscription", "--output=tsv"]

    def kubeconfig_command(self, settings: Settings) -> list[str]:
        """Return the command for an AKS cluster: cluster, context and resource group have the same name."""
        context, subscription = settings.kubernetes.context, f"--subscription={settings.terraform.account}"
        of = [f"--name={context}", f"--resource-group={context}", subscription]
        return ["az", "aks", "get-credentials", "--overwrite-existing", *of]

    def secret_command(self, settings: Settings, key: str) -> list[str]:
        """Return the command that prints a secret from the stack's vault."""
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
        # Through the control plane: the owner of a subscription has no role on the data of its storage accounts.
        box, boxed = ["az", "storage", "container-rm"], [f"--name={name}", f"--storage-account={account}", *of[1:]]
        scope = f"/subscriptions/{settings.terraform.account}/resourceGroups/{group}"
        scope += f"/providers/Microsoft.Storage/storageAccounts/{account}"
        role = ["--role=Storage Blob Data Contributor", f"--scope={scope}", subscription]
        as_oneself = [f"--account-name={account}", f"--container-name={name}", subscription, "--auth-mode=login"]
        return (
            # One group for the stores of all regions, in the region of the first one.
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
        """Return a command with the current user's object ID in place of its placeholder."""
        return [self._principal(settings) if argument == _ME else argument for argument in command]

    def _principal(self, settings: Settings) -> str:
        """Return the object ID of the current user or service principal, which role assignments need.

        It is a claim of the access token, where Terraform's provider reads it, too: a service principal cannot query
        the directory for itself.
        """
        argv = ["az", "account", "get-access-token", f"--subscription={settings.terraform.account}"]
        claims = command_line.ask([*argv, "--query=accessToken", "--output=tsv"]).split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["oid"])

    def unreachable_hint(self, settings: Settings) -> str:
        """Return that a container group may have a new address after a restart."""
        if settings.compute.platform != "simple":
            return ""
        apply = f"`inv tf.apply {settings.stack.flags}`"
        return f"; if the container group has a new address since a restart, {apply} records it"

    # The registry.

    def login_methods(self) -> tuple[LoginMethod, ...]:
        """Return the login methods for Azure Container Registry; a login is valid for 3 hours."""
        return (
            LoginMethod.by_program("az", self._program_login),
            LoginMethod.by_package("azure-identity", "azure.identity", _sdk_login),
        )

    def registry_command(self, address: str, region: str) -> list[str]:
        """Return the command that prints the registry's token."""
        return ["az", "acr", "login", "--name", address.partition(".")[0], "--expose-token", "--output", "json"]

    def _program_login(self, address: str, region: str) -> Login:
        output = registry_login.run(self.registry_command(address, region))
        return Login(_USER, json.loads(output)["accessToken"])


def _sdk_login(address: str, _: str) -> Login:
    """Return a refresh token of the registry, in exchange for an Entra token for the management plane.

    https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
    """
    import httpx  # not for every load of a configuration
    from azure.identity import DefaultAzureCredential

    host = registry.host(address)
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    form = {"grant_type": "access_token", "service": host, "access_token": token}
    response = httpx.post(f"{registry.url(host)}/oauth2/exchange", data=form, timeout=30)
    if response.status_code != httpx.codes.OK:
        raise DevaiError(f"{host} issues no token for this identity (HTTP status {response.status_code})")
    return Login(_USER, response.json()["refresh_token"])


def _container_group(total: Pair) -> str:
    """Return the nearest size that Container Instances offers, as a message; empty if it offers `total`."""
    most, least = _CONTAINER_GROUP, _CONTAINER_GROUP_LEAST
    fitting = (
        min(max(total[0], least[0]), most[0]),
        # In steps of 0.1 GB, the unit of the service.
        Size(round(min(max(total[1], least[1]), most[1]).bytes / GI * 10) * GI // 10),
    )
    if fitting == total or (fitting[0] == total[0] and fitting[1].gib == total[1].gib):
        return ""
    bounds = f"{sizes.text(least)} to {sizes.text(most)}"
    return f"Container Instances offers {bounds} in steps of 0.1Gi; the nearest is {sizes.text(fitting)}"
