"""Google Cloud: Cloud Run, or GKE."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devai_tasks.clouds import command_line, registry_login, sizes
from devai_tasks.clouds.base import Object, Routing
from devai_tasks.clouds.registry_login import Login, LoginMethod
from devai_tasks.clouds.sizes import GI, Pair
from devai_tasks.clouds.terraform import Command, NotAuthenticatedError, Part, TerraformCloud
from devai_tasks.config import naming
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Mistake
from devai_tasks.config.schema import Settings
from devai_tasks.config.units import Cpu, Size
from devai_tasks.system.errors import ToolError, UsageError
from devai_tasks.system.programs import Program

# "Configure CPU limits" and "Configure memory limits" for Cloud Run with CPU always allocated: minimum and maximum
# memory in GiB, by CPU in thousandths of a core.
_CLOUD_RUN = {1000: (0.5, 4), 2000: (0.5, 8), 4000: (2, 16), 6000: (4, 24), 8000: (4, 32)}
# Maximum of one instance, for all its containers.
_INSTANCE = (Cpu(8000), Size(32 * GI))
# Maximum of one HTTP/1 request to Cloud Run; Jupyter's server supports HTTP/1 only. Responses have no limit.
_UPLOAD = 32 * 2**20
# "Filestore: create an instance": the minimum of the basic and regional tiers.
_LEAST_HOME = Size(2**40)
# Steps in GiB of the regional tier, which protected stacks use: below 10 TiB, and from 10 TiB on. Projects with access
# to its small instances have steps of 1 GiB; whether a project has access cannot be queried.
_REGIONAL_STEPS = (256, 2560)
# https://cloud.google.com/artifact-registry/docs/docker/authentication#token
_USER = "oauth2accesstoken"
_GCLOUD = Program("gcloud", ("gcloud", "--version"), f"see {command_line.INSTALL['gcloud']}")
# kubectl needs this plugin to get a token for GKE. The command lines of AWS and Azure do that themselves.
_GKE = Program(
    "gke-gcloud-auth-plugin",
    ("gke-gcloud-auth-plugin", "--version"),
    "`gcloud components install gke-gcloud-auth-plugin`; if gcloud is a system package, so is the plugin",
)


class Gcp(TerraformCloud):
    """Google Cloud."""

    name = "gcp"
    every_program = (_GCLOUD, _GKE)
    identity_annotation = "iam.gke.io/gcp-service-account"
    kinds = (
        "backendconfigs.cloud.google.com", "frontendconfigs.networking.gke.io", "managedcertificates.networking.gke.io",
    )  # fmt: skip
    account_kind = "project"
    login_hint = "`gcloud auth login`"
    switch_hint = "`gcloud config set project {}`"
    logs_command = "gcloud run services logs read"
    registry_hosts = r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io"
    registry_user = _USER
    region_in_state = r'"(?:region|location)": "([a-z]+-[a-z]+[0-9]+)'
    account_in_state = r'"project": "([a-z][a-z0-9-]+)"'

    def platform_rules(self, settings: Settings) -> Iterator[Mistake]:
        """Yield settings that Cloud Run, Filestore or GKE do not support."""
        if settings.compute.platform == "kubernetes":
            if settings.ingress.class_name:
                yield Mistake(("ingress", "class_name"), "empty: GKE's controller does not use ingress classes")
            if refusal := _filestore(settings):
                yield Mistake(("storage", "home"), refusal)
            return
        requested = sizes.of_containers(settings)
        for name, pair in requested.items():
            if (offered := cloud_run(pair)) != pair:
                yield Mistake(
                    ("resources", name, "memory"),
                    f"{sizes.text(pair)} is not offered by Cloud Run; the nearest is {sizes.text(offered)}",
                )
        total = sizes.total(requested.values())
        if total[0] > _INSTANCE[0] or total[1] > _INSTANCE[1]:
            most = f"an instance of Cloud Run has {sizes.text(_INSTANCE)} at most"
            yield Mistake(("resources", "lab", "memory"), f"{sizes.sum_text(requested, total)}; {most}")

    def unknown_of_cluster(self, known: Known) -> set[str]:
        """Return the keys of the service account, the address and the Cloud Armor policy.

        The certificate's key is included unless Google issues the certificate.
        """
        keys = {"kubernetes.identity", "ingress.firewall", "ingress.address"}
        issued_by_google = known("ingress", "host") and not known("terraform", "certificate")
        return keys if issued_by_google else {*keys, "tls.certificate"}

    # Manifests.

    def has_self_signed_certificate(self, settings: Settings) -> bool:
        """Whether the lab uses a self-signed certificate: Google issues one for a host name."""
        return super().has_self_signed_certificate(settings) and not settings.ingress.host

    def routing(self, settings: Settings) -> Routing:
        """Return the settings of GKE's ingress controller."""
        # The address created by Terraform, which the host name's record points to.
        annotations = {"kubernetes.io/ingress.global-static-ip-name": settings.ingress.address}
        if _uses_google_certificate(settings):
            annotations["networking.gke.io/managed-certificates"] = "devai"
        elif settings.tls.enabled:
            annotations["ingress.gcp.kubernetes.io/pre-shared-cert"] = settings.tls.certificate
        return Routing(annotations, {}, _objects(settings))

    def home_volume(self, settings: Settings) -> Object:
        """Return the Filestore share."""
        instance, _, ip = settings.storage.file_system.rpartition("@")
        share = instance.rpartition("/")[2]
        return {"volumeHandle": f"modeInstance/{instance}", "volumeAttributes": {"ip": ip, "volume": share}}

    def home_access_modes(self, settings: Settings) -> list[str]:
        """Return the access modes of the home's volume.

        A new Filestore share is owned by root. Not every version of its CSI driver declares that owners can be changed.
        Without that declaration, the kubelet changes the volume's group only if the modes include ReadWriteOnce. Claims
        use the first mode.
        """
        return [*dict.fromkeys([settings.storage.access, "ReadWriteOnce"])]

    # Terraform.

    def labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return labels of up to 63 lower-case letters, digits, hyphens, underscores ("Requirements for labels")."""
        return {_label(name): _label(value) for name, value in labels.items()}

    def backend(self, settings: Settings) -> dict[str, Any]:
        """Return the configuration of the backend `gcs`."""
        return {"bucket": self.store_name(settings), "prefix": naming.state(settings)}

    def outputs(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the service account, and the load balancer's address and Cloud Armor policy."""
        ingress = outputs.get("ingress") or {}
        return {
            "kubernetes.identity": outputs.get("identity"),
            "ingress.address": ingress.get("address_name"),
            "ingress.firewall": ingress.get("firewall"),
        }

    def file_system(self, address: str, home: str) -> str:
        """Return `zone/instance/share@ip`."""
        return f"{home.removeprefix('modeInstance/')}@{address}"

    # The command line.

    def programs(self, settings: Settings) -> tuple[Program, ...]:
        """Return gcloud, and for a cluster also the kubectl plugin."""
        return (_GCLOUD, _GKE) if settings.compute.platform == "kubernetes" else (_GCLOUD,)

    def account_command(self, settings: Settings) -> Command:
        """Return the command that prints the project."""
        return ["gcloud", "config", "get-value", "project", "--quiet"]

    def login_proof(self) -> Command:
        """Return a command that fails without a valid login; `account_command` succeeds without one."""
        return ["gcloud", "auth", "print-access-token", "--quiet"]

    def check_terraform_login(self) -> None:
        """Raise NotAuthenticatedError if the application default credentials that Terraform uses are missing."""
        try:
            command_line.ask(["gcloud", "auth", "application-default", "print-access-token", "--quiet"])
        except ToolError as error:
            raise NotAuthenticatedError(
                "Terraform is not logged in to Google Cloud",
                hint="`gcloud auth application-default login`",
                code="DEVAI-CLOUD-001",
            ) from error

    def kubeconfig_command(self, settings: Settings) -> list[str]:
        """Return the command for a GKE cluster, whose context is gke_PROJECT_LOCATION_NAME."""
        project, region = settings.terraform.account, settings.terraform.region
        name = settings.kubernetes.context.removeprefix(f"gke_{project}_{region}_")
        of = [f"--location={region}", f"--project={project}"]
        return ["gcloud", "container", "clusters", "get-credentials", name, *of]

    def secret_command(self, settings: Settings, key: str) -> list[str]:
        """Return the command that prints a secret from Secret Manager."""
        of = [f"--secret={self.secret_name(settings, key)}", f"--project={settings.terraform.account}"]
        return ["gcloud", "secrets", "versions", "access", "latest", *of]

    def store_parts(self, settings: Settings) -> tuple[Part, ...]:
        """Return the parts of a Cloud Storage bucket."""
        bucket, project = f"gs://{self.store_name(settings)}", f"--project={settings.terraform.account}"
        buckets = ["gcloud", "storage", "buckets"]
        closed = ["--uniform-bucket-level-access", "--public-access-prevention"]
        # APIs that Terraform calls before it enables any: permissions, enabled services, zones.
        services = [f"{name}.googleapis.com" for name in ("cloudresourcemanager", "serviceusage", "compute")]
        listed = ["gcloud", "services", "list", "--enabled", project, "--format=value(config.name)"]
        check = [*buckets, "describe", bucket, project]
        return (
            *(
                Part(["gcloud", "services", "enable", name, project], [*listed, f"--filter=config.name={name}"], name)
                for name in services
            ),
            Part([*buckets, "create", bucket, project, f"--location={settings.terraform.region}", *closed], check),
            Part(
                [*buckets, "update", bucket, project, "--versioning"],
                [*check, "--format=value(versioning_enabled)"],
                "True",
            ),
        )

    def check_upload(self, settings: Settings, file: Path, size: int) -> None:
        """Raise UsageError if a file is too large for one request to Cloud Run."""
        if settings.compute.platform == "simple" and size > _UPLOAD:
            raise UsageError(
                f"{file} has {size / 2**20:.0f} MiB, but Cloud Run accepts at most {_UPLOAD >> 20} MiB in one request",
                hint="extract it and upload the files to the bucket of the home: `gcloud storage rsync --recursive "
                f"FOLDER gs://{naming.unique(settings)}`",
                code="DEVAI-CLOUD-006",
            )

    # The registry.

    def login_methods(self) -> tuple[LoginMethod, ...]:
        """Return the login methods for Artifact Registry; a login is valid for one hour."""
        return (
            LoginMethod.by_program("gcloud", self._program_login),
            LoginMethod.by_package("google-auth", "google.auth", _sdk_login),
        )

    def registry_command(self, address: str, region: str) -> list[str]:
        """Return the command that prints an access token."""
        return ["gcloud", "auth", "print-access-token"]

    def _program_login(self, address: str, region: str) -> Login:
        return Login(_USER, registry_login.run(self.registry_command(address, region)))


def _sdk_login(_: str, __: str) -> Login:
    import google.auth
    from google.auth.transport.requests import Request

    credentials, _project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(Request())
    return Login(_USER, credentials.token)


def _uses_google_certificate(settings: Settings) -> bool:
    """Whether the ingress requests a certificate for the host name from Google."""
    return settings.tls.enabled and bool(settings.ingress.host) and not settings.terraform.certificate


def _objects(settings: Settings) -> tuple[Object, ...]:
    """Return objects of GKE's own kinds.

    kustomize does not merge lists in these kinds: a list replaces the component's list.
    """
    health = {"requestPath": f"{settings.network.base_url}api"}
    backend = {"healthCheck": health, "securityPolicy": {"name": settings.ingress.firewall}}
    # Terraform creates the TLS policy with the name of the address.
    policy = {"sslPolicy": settings.ingress.address} if settings.tls.enabled else {}
    frontend = {"redirectToHttps": {"enabled": settings.tls.enabled}, **policy}
    certificate = _named("networking.gke.io/v1", "ManagedCertificate")
    if _uses_google_certificate(settings):
        certificate["spec"] = {"domains": [settings.ingress.host]}
    else:
        certificate = {"$patch": "delete", **certificate}
    return (
        _named("cloud.google.com/v1", "BackendConfig") | {"spec": backend},
        _named("networking.gke.io/v1beta1", "FrontendConfig") | {"spec": frontend},
        certificate,
    )


def _named(version: str, kind: str) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "devai"}}


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:63]


def cloud_run(pair: Pair) -> Pair:
    """Return `pair` if Cloud Run offers it for a container, otherwise the nearest offered pair."""
    cpu = min(
        (Cpu(cores) for cores in _CLOUD_RUN), key=lambda offered: sizes.distance(offered.millicores, pair[0].millicores)
    )
    least, most = (Size(int(bound * GI)) for bound in _CLOUD_RUN[cpu.millicores])
    if pair[0] == cpu and pair[1] > most:
        # Memory takes precedence: more memory requires more cores.
        sufficient = [cores for cores, bounds in _CLOUD_RUN.items() if pair[1].bytes <= bounds[1] * GI]
        return (Cpu(sufficient[0]), pair[1]) if sufficient else _INSTANCE
    return cpu, min(max(pair[1], least), most)


def _filestore(settings: Settings) -> str:
    """Return the nearest sizes that Filestore offers, as a message; empty if it offers the home's size."""
    size = settings.storage.home
    if size < _LEAST_HOME:
        return f"at least {_LEAST_HOME}: the minimum of Filestore"
    step = _REGIONAL_STEPS[size.whole_gib >= 10 * 1024]
    if settings.protected and (rest := size.whole_gib % step):
        below, above = (Size((size.whole_gib - rest + more) * GI) for more in (0, step))
        return f"{below} or {above}: the regional tier of Filestore has steps of {step}Gi"
    return ""
