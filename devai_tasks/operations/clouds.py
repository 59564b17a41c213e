"""What is to be asked or made in a cloud before Terraform can work there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devai_tasks.config.schema import Settings
from devai_tasks.errors import DevaiError, ToolFailed, UsageError
from devai_tasks.render import terraform as definition
from devai_tasks.tools import cloud

Command = Sequence[str]


class LoggedOut(DevaiError):  # noqa: N818 - reads as what happened
    """Nobody is logged in to the cloud, or the login has expired."""


class WrongAccount(UsageError):  # noqa: N818 - the same
    """Somebody is, but not to what the stack belongs to."""


@dataclass(frozen=True)
class Login:
    """How a cloud's command line says whose credentials these are."""

    what: str
    """What a stack belongs to there."""
    whose: Command
    way_in: str
    way_over: str
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
# How the command lines say that they have reached nobody who could know.
_UNREACHED = (
    "could not connect to the endpoint", "connection", "max retries exceeded", "failed to resolve", cloud.SILENT,
)  # fmt: skip


def account(settings: Settings) -> str:
    """The account, subscription or project that the credentials at hand are for; empty where none is chosen.

    Raises ToolMissing without the cloud's command line, LoggedOut without a valid login, DevaiError where the cloud
    doesn't answer.
    """
    login = LOGINS[settings.compute.provider]
    try:
        if login.proof:
            cloud.ask(login.proof)
        return cloud.ask([*login.whose, *([login.region.format(settings.terraform.region)] if login.region else [])])
    except ToolFailed as error:
        if any(words in str(error).lower() for words in _UNREACHED):
            raise DevaiError(f"the cloud can't be asked who is logged in; is there a network?\n{error}") from error
        raise LoggedOut(f"nobody is logged in: {login.way_in}\n{error}") from error


def check_account(settings: Settings, *, dry: bool = False) -> None:
    """Raise LoggedOut or WrongAccount unless the credentials at hand are those of what the stack belongs to."""
    if dry:
        return
    login, wanted = LOGINS[settings.compute.provider], settings.terraform.account
    if (found := account(settings)) != wanted:
        raise WrongAccount(
            f"the credentials are those of {login.what} {found or '(none chosen)'}, and {settings.stack} belongs to "
            f"{wanted}; nothing was changed. {login.way_over.format(wanted)}, or another terraform.account"
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
    """Raise LoggedOut where Terraform would find no credentials: Google's provider wants a login of its own."""
    if settings.compute.provider == "gcp":
        try:
            cloud.ask(["gcloud", "auth", "application-default", "print-access-token", "--quiet"])
        except ToolFailed as error:
            raise LoggedOut("Terraform has no login: `gcloud auth application-default login`") from error


@dataclass(frozen=True)
class Store:
    """Where a stack's state is kept: how to see whether it is there, and what makes it."""

    name: str
    look: Command
    make: tuple[Command, ...]


def state_store(settings: Settings) -> Store:
    """The store of the provider's backend: versioned, encrypted, closed to the public."""
    backend, region = definition.backend(settings), settings.terraform.region
    return {"aws": _s3, "azure": _storage_account, "gcp": _gcs}[settings.compute.provider](backend, region, settings)


def bootstrap(settings: Settings, *, dry: bool = False) -> bool:
    """Make the store where it lacks; returns whether it did."""
    store = state_store(settings)
    if not dry and cloud.succeeds(store.look):
        return False
    for command in store.make:
        cloud.run(command, dry=dry)
    return True


def _s3(backend: Mapping[str, str], region: str, settings: Settings) -> Store:
    bucket = backend["bucket"]
    of = [f"--bucket={bucket}", f"--expected-bucket-owner={settings.terraform.account}"]
    # us-east-1 is where buckets go that name no place, and the only one that may not be named ("CreateBucket").
    place = [] if region == "us-east-1" else [f"--create-bucket-configuration=LocationConstraint={region}"]
    public = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
    encryption = "Rules=[{ApplyServerSideEncryptionByDefault={SSEAlgorithm=aws:kms},BucketKeyEnabled=true}]"
    return Store(
        bucket,
        ["aws", "s3api", "head-bucket", *of],
        (
            ["aws", "s3api", "create-bucket", f"--bucket={bucket}", f"--region={region}", *place],
            ["aws", "s3api", "put-public-access-block", *of, f"--public-access-block-configuration={public}"],
            ["aws", "s3api", "put-bucket-versioning", *of, "--versioning-configuration=Status=Enabled"],
            ["aws", "s3api", "put-bucket-encryption", *of, f"--server-side-encryption-configuration={encryption}"],
        ),
    )


def _storage_account(backend: Mapping[str, str], region: str, settings: Settings) -> Store:
    group, account = backend["resource_group_name"], backend["storage_account_name"]
    subscription = f"--subscription={settings.terraform.account}"
    closed = ["--allow-blob-public-access=false", "--allow-shared-key-access=false", "--min-tls-version=TLS1_2"]
    container = ["--name=" + backend["container_name"], f"--account-name={account}", "--auth-mode=login"]
    versions = ["--enable-versioning=true", "--enable-delete-retention=true", "--delete-retention-days=30"]
    of = [f"--name={account}", f"--resource-group={group}", subscription]
    return Store(
        account,
        ["az", "storage", "account", "show", *of],
        (
            ["az", "group", "create", f"--name={group}", f"--location={region}", subscription],
            ["az", "storage", "account", "create", *of, f"--location={region}", "--sku=Standard_GRS", *closed],
            [
                *("az", "storage", "account", "blob-service-properties", "update"),
                *(f"--account-name={account}", f"--resource-group={group}", subscription, *versions),
            ],
            ["az", "storage", "container", "create", *container, subscription],
        ),
    )


def _gcs(backend: Mapping[str, str], region: str, settings: Settings) -> Store:
    bucket, project = f"gs://{backend['bucket']}", f"--project={settings.terraform.account}"
    closed = ["--uniform-bucket-level-access", "--public-access-prevention"]
    # What Terraform asks before it has switched on anything: who may do what, what is on, and which zones there are.
    asked = [f"{name}.googleapis.com" for name in ("cloudresourcemanager", "serviceusage", "compute")]
    return Store(
        backend["bucket"],
        ["gcloud", "storage", "buckets", "describe", bucket, project],
        (
            ["gcloud", "services", "enable", *asked, project],
            ["gcloud", "storage", "buckets", "create", bucket, project, f"--location={region}", *closed],
            ["gcloud", "storage", "buckets", "update", bucket, project, "--versioning"],
        ),
    )
