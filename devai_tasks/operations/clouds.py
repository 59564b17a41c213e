"""What is to be asked or made in a cloud before Terraform can work there."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devai_tasks.config.schema import Settings
from devai_tasks.render import naming
from devai_tasks.render import terraform as definition
from devai_tasks.system.errors import DevaiError, ToolError, UsageError
from devai_tasks.tools import cloud

Command = Sequence[str]
# Stands in a command for who is logged in to Azure: that is asked only when the command is run.
_ME = "OBJECT-ID"


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
class Login:
    """How a cloud's command line says whose credentials these are."""

    what: str
    """What a stack belongs to there."""
    whose: Command
    login_hint: str
    switch_hint: str
    """How to go to the stack's own, with a place for its name."""
    proof: Command = ()
    """What fails without a valid login, where `whose` answers in any case. What it prints is nobody's to see."""
    region: str = ""
    """A flag with a place for the region, where the program refuses to ask anything without one."""


LOGINS: Mapping[str, Login] = {
    "aws": Login(
        "account",
        ["aws", "sts", "get-caller-identity", "--query=Account", "--output=text"],
        "`aws sso login`, or `export AWS_PROFILE=…`",
        "`export AWS_PROFILE=…`, with a profile of account {} (`aws configure list-profiles` shows yours)",
        region="--region={}",
    ),
    # `az account show` says who was logged in once; this needs a token that is valid now, and prints none.
    "azure": Login(
        "subscription",
        ["az", "account", "get-access-token", "--query=subscription", "--output=tsv"],
        "`az login`",
        "`az account set --subscription={}`",
    ),
    "gcp": Login(
        "project",
        ["gcloud", "config", "get-value", "project", "--quiet"],
        "`gcloud auth login`",
        "`gcloud config set project {}`",
        ["gcloud", "auth", "print-access-token", "--quiet"],
    ),
}


def account(settings: Settings) -> str:
    """The account, subscription or project that the credentials at hand are for; empty where none is chosen.

    Raises MissingToolError without the cloud's command line, NotAuthenticatedError without a valid login, CloudError
    where the cloud doesn't answer.
    """
    login = LOGINS[settings.compute.provider]
    try:
        if login.proof:
            cloud.ask(login.proof)
        return cloud.ask([*login.whose, *([login.region.format(settings.terraform.region)] if login.region else [])])
    except cloud.UnreachableError as error:
        raise CloudError(
            "the cloud can't be asked who is logged in",
            output=str(error),
            hint="is there a network?",
            code="DEVAI-CLOUD-002",
        ) from error
    except ToolError as error:
        raise NotAuthenticatedError(
            "nobody is logged in", output=str(error), hint=login.login_hint, code="DEVAI-CLOUD-001"
        ) from error


def check_account(settings: Settings, *, dry: bool = False) -> None:
    """Raise NotAuthenticatedError or WrongAccountError unless the credentials are for what the stack belongs to."""
    if dry:
        return
    login, wanted = LOGINS[settings.compute.provider], settings.terraform.account
    if (found := account(settings)) != wanted:
        raise WrongAccountError(
            f"the credentials are those of {login.what} {found or '(none chosen)'}, and {settings.stack} belongs to "
            f"{wanted}; nothing was changed",
            hint=f"{login.switch_hint.format(wanted)}, or another terraform.account",
            code="DEVAI-CLOUD-003",
        )


def join_cluster(settings: Settings, *, dry: bool = False) -> None:
    """Have kubectl know the cluster that Terraform made, by the cloud's own program, and make it the current one."""
    cloud.run(join_command(settings), dry=dry)


def join_command(settings: Settings) -> list[str]:
    """The command that does that.

    Contexts are called as those programs call them: an ARN, the cluster's name, gke_PROJECT_LOCATION_NAME. On Azure the
    resource group has the cluster's name.
    """
    context, account, region = settings.kubernetes.context, settings.terraform.account, settings.terraform.region
    match settings.compute.provider:
        case "aws":
            words = ["eks", "update-kubeconfig", f"--name={context.rpartition('/')[2]}", f"--region={region}"]
            return ["aws", *words]
        case "azure":
            of = [f"--name={context}", f"--resource-group={context}", f"--subscription={account}"]
            return ["az", "aks", "get-credentials", "--overwrite-existing", *of]
        case _:
            name = context.removeprefix(f"gke_{account}_{region}_")
            of = [f"--location={region}", f"--project={account}"]
            return ["gcloud", "container", "clusters", "get-credentials", name, *of]


def check_terraform_login(settings: Settings) -> None:
    """Raise NotAuthenticatedError where Terraform finds no credentials: Google's provider has a login of its own."""
    if settings.compute.provider == "gcp":
        try:
            cloud.ask(["gcloud", "auth", "application-default", "print-access-token", "--quiet"])
        except ToolError as error:
            raise NotAuthenticatedError(
                "Terraform has no login", hint="`gcloud auth application-default login`", code="DEVAI-CLOUD-001"
            ) from error


def token(settings: Settings, *, dry: bool = False) -> str:
    """What opens a lab that a cloud runs without a cluster, wherever it was made: its secret manager has it.

    Raises MissingToolError without the cloud's command line, CloudError where the cloud doesn't tell it. Under --dry
    the command is said.
    """
    if dry:
        cloud.run(token_command(settings), dry=True)
        return "…"
    try:
        return cloud.ask(token_command(settings))
    except ToolError as error:
        login_hint = LOGINS[settings.compute.provider].login_hint
        raise CloudError(
            f"the token of {settings.stack} is in its cloud's secret manager, which doesn't tell it",
            output=str(error),
            hint=f"is it up, and is your login allowed to read it ({login_hint})?",
            code="DEVAI-CLOUD-014",
        ) from error


def token_command(settings: Settings) -> list[str]:
    """The command that prints it."""
    name, region = naming.secret(settings, definition.TOKEN), settings.terraform.region
    match settings.compute.provider:
        case "aws":
            words = ["get-secret-value", f"--secret-id={name}", f"--region={region}"]
            return ["aws", "secretsmanager", *words, "--query=SecretString", "--output=text"]
        case "azure":
            words = ["show", f"--vault-name={naming.unique(settings)}", f"--name={name}"]
            return ["az", "keyvault", "secret", *words, "--query=value", "--output=tsv"]
        case _:
            of = [f"--secret={name}", f"--project={settings.terraform.account}"]
            return ["gcloud", "secrets", "versions", "access", "latest", *of]


@dataclass(frozen=True)
class Part:
    """One step towards a store: what takes it, and how to see whether that was done."""

    make: Command
    look: Command
    """Fails where the part lacks,"""
    found: str = ""
    """or answers something without this."""


@dataclass(frozen=True)
class Store:
    """Where a stack's state is kept, and what it is made of, in order."""

    name: str
    parts: tuple[Part, ...]


def state_store(settings: Settings) -> Store:
    """The store of the provider's backend: versioned, encrypted, closed to the public."""
    backend, region = definition.backend(settings), settings.terraform.region
    return {"aws": _s3, "azure": _storage_account, "gcp": _gcs}[settings.compute.provider](backend, region, settings)


def bootstrap(settings: Settings, *, dry: bool = False) -> bool:
    """Make what lacks of the store: all of it, or what a broken bootstrap left out. Returns whether anything did."""
    made = False
    for part in state_store(settings).parts:
        if dry or not cloud.finds(part.look, part.found):
            words = part.make if dry else [_principal(settings) if word == _ME else word for word in part.make]
            cloud.run(words, dry=dry)
            made = True
    return made


def _s3(backend: Mapping[str, str], region: str, settings: Settings) -> Store:
    bucket = backend["bucket"]
    of = [f"--bucket={bucket}", f"--expected-bucket-owner={settings.terraform.account}"]
    # us-east-1 is where buckets go that name no place, and the only one that may not be named ("CreateBucket").
    place = [] if region == "us-east-1" else [f"--create-bucket-configuration=LocationConstraint={region}"]
    public = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
    encryption = "Rules=[{ApplyServerSideEncryptionByDefault={SSEAlgorithm=aws:kms},BucketKeyEnabled=true}]"
    s3 = ["aws", "s3api"]
    return Store(
        bucket,
        (
            Part([*s3, "create-bucket", of[0], f"--region={region}", *place], [*s3, "head-bucket", *of]),
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
        ),
    )


def _storage_account(backend: Mapping[str, str], region: str, settings: Settings) -> Store:
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
    return Store(
        account,
        (
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
        ),
    )


def _principal(settings: Settings) -> str:
    """Who is logged in to Azure, by the id that roles are given to.

    The token has it, where Terraform's provider reads it, too; the directory would tell people, but not programs.
    """
    words = ["az", "account", "get-access-token", f"--subscription={settings.terraform.account}"]
    claims = cloud.ask([*words, "--query=accessToken", "--output=tsv"]).split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["oid"])


def _gcs(backend: Mapping[str, str], region: str, settings: Settings) -> Store:
    bucket, project = f"gs://{backend['bucket']}", f"--project={settings.terraform.account}"
    buckets = ["gcloud", "storage", "buckets"]
    closed = ["--uniform-bucket-level-access", "--public-access-prevention"]
    # What Terraform asks before it has switched on anything: who may do what, what is on, and which zones there are.
    asked = [f"{name}.googleapis.com" for name in ("cloudresourcemanager", "serviceusage", "compute")]
    listed = ["gcloud", "services", "list", "--enabled", project, "--format=value(config.name)"]
    look = [*buckets, "describe", bucket, project]
    return Store(
        backend["bucket"],
        (
            *(
                Part(["gcloud", "services", "enable", name, project], [*listed, f"--filter=config.name={name}"], name)
                for name in asked
            ),
            Part([*buckets, "create", bucket, project, f"--location={region}", *closed], look),
            Part(
                [*buckets, "update", bucket, project, "--versioning"],
                [*look, "--format=value(versioning_enabled)"],
                "True",
            ),
        ),
    )
