"""Amazon Web Services: ECS Fargate, or EKS."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from devai_tasks.clouds import command_line, registry_login, sizes
from devai_tasks.clouds.base import ClusterWide, Object, Routing
from devai_tasks.clouds.registry_login import Login, LoginMethod
from devai_tasks.clouds.sizes import GI, Pair
from devai_tasks.clouds.terraform import Command, Part, TerraformCloud
from devai_tasks.config import naming
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Mistake
from devai_tasks.config.schema import Settings
from devai_tasks.config.units import Cpu, Size
from devai_tasks.engine import registry
from devai_tasks.system.programs import Program

# "Amazon ECS task definition parameters for Fargate", task size: the memory sizes in GiB, by CPU in thousandths of a
# core.
_FARGATE: dict[int, Iterable[float]] = {
    250: (0.5, 1, 2),
    500: range(1, 5),
    1000: range(2, 9),
    2000: range(4, 17),
    4000: range(8, 31),
    8000: range(16, 61, 4),
    16000: range(32, 121, 8),
}


class Aws(TerraformCloud):
    """Amazon Web Services."""

    name = "aws"
    every_program = (Program("aws", ("aws", "--version"), f"see {command_line.INSTALL['aws']}"),)
    load_balancer_domains = (".elb.amazonaws.com", ".elb.amazonaws.com.cn")
    account_kind = "account"
    login_hint = "`aws sso login`, or `export AWS_PROFILE=…`"
    switch_hint = (
        "`export AWS_PROFILE=…` with a profile of account {} (`aws configure list-profiles` lists your profiles)"
    )
    logs_command = "aws logs tail"
    # Group 1 is the region: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html
    registry_hosts = (
        r"\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)"
        r"\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn))"
    )
    registry_user = "AWS"
    region_in_state = r'"region": "([a-z]{2}(?:-[a-z]+)+-[0-9])"'

    def platform_rules(self, settings: Settings) -> Iterator[Mistake]:
        """Yield a size that Fargate does not offer.

        Fargate has no GPUs: with GPUs, the task runs on an instance of the stack (`gpu.machine_type`).
        """
        if settings.compute.platform != "simple" or settings.gpu.enabled:
            return
        requested, offered = sizes.of_containers(settings), fargate()
        if (total := sizes.total(requested.values())) not in offered:
            nearest = sizes.text(sizes.nearest(total, offered))
            yield Mistake(
                ("resources", "lab", "memory"), f"{sizes.sum_text(requested, total)}; Fargate's nearest is {nearest}"
            )

    def unknown_of_cluster(self, known: Known) -> set[str]:
        """Return the keys of the load balancer's security group and certificate.

        Pods get their role by EKS Pod Identity.
        """
        return {"ingress.firewall", "tls.certificate"}

    # Manifests.

    def has_self_signed_certificate(self, settings: Settings) -> bool:
        """Whether the lab uses a self-signed certificate: ACM issues one for a host name in a zone of the account."""
        return super().has_self_signed_certificate(settings) and not (settings.ingress.host and settings.dns.zone)

    def routing(self, settings: Settings) -> Routing:
        """Return the settings of the AWS Load Balancer Controller."""
        prefix = "alb.ingress.kubernetes.io"
        listeners = [{"HTTP": 80}, {"HTTPS": 443}] if settings.tls.enabled else [{"HTTP": 80}]
        annotations = {
            f"{prefix}/healthcheck-path": f"{settings.network.base_url}api",
            f"{prefix}/listen-ports": json.dumps(listeners),
            # Created by Terraform: it admits the allowed networks, and the lab's nodes admit it. With this annotation,
            # the controller creates no other group.
            f"{prefix}/security-groups": settings.ingress.firewall,
        }
        if settings.tls.enabled:
            annotations[f"{prefix}/certificate-arn"] = settings.tls.certificate
            annotations[f"{prefix}/ssl-policy"] = "ELBSecurityPolicy-TLS13-1-2-2021-06"
            annotations[f"{prefix}/ssl-redirect"] = "443"
        return Routing(annotations, {"ingressClassName": settings.ingress.class_name or naming.stack(settings)})

    def home_volume(self, settings: Settings) -> Object:
        """Return the EFS file system with the stack's access point."""
        return {"volumeHandle": settings.storage.file_system}

    def models_class(self, settings: Settings) -> str | None:
        """Return the storage class of the models volume: by default the stack's EBS class."""
        return settings.storage.models_class or f"{naming.stack(settings)}-models"

    def cluster_wide(self, settings: Settings) -> tuple[ClusterWide, ...]:
        """Return the home's volume, the storage class of the models volume and the ingress class."""
        name = naming.stack(settings)
        has_models_class = settings.ollama.is_bundled and not settings.storage.models_class
        return (
            *super().cluster_wide(settings),
            ClusterWide("storage.k8s.io/v1", "StorageClass", "models", f"{name}-models" if has_models_class else ""),
            ClusterWide("networking.k8s.io/v1", "IngressClass", "alb", "" if settings.ingress.class_name else name),
        )

    def secret_name(self, settings: Settings, key: str) -> str:
        """Return the name of a secret in Secrets Manager."""
        return f"{naming.name(settings)}/{key}"

    # Terraform.

    def backend(self, settings: Settings) -> dict[str, Any]:
        """Return the configuration of the backend `s3`."""
        return {
            "bucket": self.store_name(settings),
            "key": f"{naming.state(settings)}.tfstate",
            "region": settings.terraform.region,
            "encrypt": True,
            "use_lockfile": True,
            "allowed_account_ids": [settings.terraform.account],
        }

    def outputs(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the load balancer's security group."""
        return {"ingress.firewall": (outputs.get("ingress") or {}).get("firewall")}

    def file_system(self, address: str, home: str) -> str:
        """Return the EFS volume handle."""
        return home

    # The command line.

    def account_command(self, settings: Settings) -> Command:
        """Return the command that prints the account."""
        region = f"--region={settings.terraform.region}"
        return ["aws", "sts", "get-caller-identity", "--query=Account", "--output=text", region]

    def kubeconfig_command(self, settings: Settings) -> list[str]:
        """Return the command for an EKS cluster, whose context is the cluster's ARN."""
        name = settings.kubernetes.context.rpartition("/")[2]
        return ["aws", "eks", "update-kubeconfig", f"--name={name}", f"--region={settings.terraform.region}"]

    def secret_command(self, settings: Settings, key: str) -> list[str]:
        """Return the command that prints a secret from Secrets Manager."""
        of = [f"--secret-id={self.secret_name(settings, key)}", f"--region={settings.terraform.region}"]
        return ["aws", "secretsmanager", "get-secret-value", *of, "--query=SecretString", "--output=text"]

    def store_parts(self, settings: Settings) -> tuple[Part, ...]:
        """Return the parts of an S3 bucket."""
        region, bucket = settings.terraform.region, self.store_name(settings)
        of = [f"--bucket={bucket}", f"--expected-bucket-owner={settings.terraform.account}"]
        # us-east-1 is the default, and the only region that must not be given as a constraint ("CreateBucket").
        location = [] if region == "us-east-1" else [f"--create-bucket-configuration=LocationConstraint={region}"]
        public = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
        encryption = "Rules=[{ApplyServerSideEncryptionByDefault={SSEAlgorithm=aws:kms},BucketKeyEnabled=true}]"
        s3 = ["aws", "s3api"]
        return (
            Part([*s3, "create-bucket", of[0], f"--region={region}", *location], [*s3, "head-bucket", *of]),
            Part(
                [*s3, "put-public-access-block", *of, f"--public-access-block-configuration={public}"],
                [*s3, "get-public-access-block", *of],
            ),
            Part(
                [*s3, "put-bucket-versioning", *of, "--versioning-configuration=Status=Enabled"],
                [*s3, "get-bucket-versioning", *of],
                "Enabled",
            ),
            Part(
                [*s3, "put-bucket-encryption", *of, f"--server-side-encryption-configuration={encryption}"],
                [*s3, "get-bucket-encryption", *of],
                "aws:kms",
            ),
        )

    # The registry: https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html

    def login_methods(self) -> tuple[LoginMethod, ...]:
        """Return the login methods for ECR; a login is valid for 12 hours."""
        return (
            LoginMethod.by_program("aws", lambda address, region: Login("AWS", self._password(address, region))),
            LoginMethod.by_package("boto3", "boto3", self._sdk_login),
        )

    def registry_command(self, address: str, region: str) -> list[str]:
        """Return the command that prints the ECR password."""
        return ["aws", "ecr", "get-login-password", "--region", self._registry_region(address, region)]

    def _password(self, address: str, region: str) -> str:
        return registry_login.run(self.registry_command(address, region))

    def _sdk_login(self, address: str, region: str) -> Login:
        import boto3

        client = boto3.client("ecr", region_name=self._registry_region(address, region))
        encoded = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        username, _, token = base64.b64decode(encoded).decode().partition(":")
        return Login(username, token)

    def _registry_region(self, address: str, default: str) -> str:
        """Return the region in ACCOUNT.dkr.ecr.REGION.amazonaws.com."""
        match = re.fullmatch(self.registry_hosts, registry.host(address))
        return (match and match[1]) or default


def fargate() -> list[Pair]:
    """Return all pairs that Fargate offers for a task with all its containers."""
    return [(Cpu(cpu), Size(int(size * GI))) for cpu, pairs in _FARGATE.items() for size in pairs]
