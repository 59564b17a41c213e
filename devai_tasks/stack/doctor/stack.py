"""What a stack itself lacks: in its configuration, its secrets, its cloud, its cluster."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Sequence

from devai_tasks import clouds
from devai_tasks.clouds.terraform import CloudError
from devai_tasks.config.configuration import Configuration, dotted
from devai_tasks.config.load import Sources
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import FILE as SECRETS_FILE
from devai_tasks.stack import artifacts, configuration_report
from devai_tasks.stack.doctor.checks import Check, Fix, State, of_owner
from devai_tasks.system.errors import ConfigError, DevaiError, MissingToolError
from devai_tasks.targets.kubernetes import kubectl, rendering
from devai_tasks.targets.kubernetes import ownership as cluster_ownership
from devai_tasks.targets.kubernetes.kubectl import Kubectl


def mistakes(error: ConfigError) -> Check:
    """The configuration where it can't be loaded."""
    count = len(error.problems)
    found = f"{count} problem{'s' if count != 1 else ''}"
    return Check("configuration", "conf/", State.FAILED, found, "none", "\n".join(map(str, error.problems)))


def configuration(project: Project, sources: Sources, own: Configuration) -> list[Check]:
    """What is in vain, what was never decided, what is out of date."""
    stale = configuration_report.stale(project, own)
    vain = [found for found in configuration_report.findings(sources, [own]) if found.place not in stale]
    checks = [Check("configuration", "conf/", State.OK, "valid")] if not (vain or own.undecided) else []
    checks += [Check("configuration", one.place, State.ADVICE, one.what, "", one.advice) for one in vain]
    for key in own.undecided:
        value, place = own.explain(key).value, own.origins(key)[0].place
        name, written = dotted(tuple(part for part in key if isinstance(part, str))), "[…]" if key[-1:] == (0,) else "…"
        hint = f"`inv config.set --cloud={own.settings.stack.cloud} --set='{name}={written}'`"
        # On this machine nothing is made of it but manifests.
        state = State.ADVICE if own.settings.compute.uses_compose else State.FAILED
        checks.append(Check("configuration", name, state, f"{value} ({place})", "a value of yours", hint))
    return [*checks, rendered(project, own.settings, stale)]


def rendered(project: Project, settings: Settings, stale: Sequence[str]) -> Check:
    """Whether the artifacts are what would be rendered now. Tasks render what they use: it is people who may not."""
    if not stale:
        return Check("configuration", "artifacts", State.OK, "as rendered now, or not rendered yet")
    folder = f"generated/{settings.stack}/"
    fix = Fix(f"rendered {folder} again", lambda: artifacts.write(project, settings))
    hint = f"`inv config.render {settings.stack.flags}`"
    found = f"{len(stale)} of {folder} out of date"
    return Check("configuration", "artifacts", State.ADVICE, found, "as rendered now", hint, fix)


def private_files(project: Project) -> list[Check]:
    """Whether what is for its owner only can be read by others."""
    checks = []
    for name, mode in ((SECRETS_FILE, 0o600), (".devai", 0o700)):
        file = project.root / name
        if not file.exists():
            continue
        found = stat.S_IMODE(file.stat().st_mode)
        fix = Fix(f"chmod {mode:o} {name}", lambda file=file, mode=mode: file.chmod(mode))  # type: ignore[misc] # mypy#12557
        if found & 0o077:
            hint = f"`chmod {mode:o} {name}`"
            checks.append(Check("configuration", name, State.FAILED, f"mode {found:o}", f"{mode:o}", hint, fix))
        else:
            checks.append(Check("configuration", name, State.OK, f"mode {found:o}"))
    return checks


def credentials(own: Configuration) -> list[Check]:
    """Whether the credentials at hand are valid, and those of the stack's account, subscription or project."""
    settings = own.settings
    cloud, account = clouds.WITH_TERRAFORM.get(settings.compute.provider), settings.terraform.account
    if not cloud:
        return []
    wanted = f"{cloud.account_kind} {account}"
    try:
        found = cloud.account(settings)
        cloud.check_terraform_login()
    except CloudError as error:
        hint = "\n".join(filter(None, [error.hint, error.output]))
        return [Check("cloud", "credentials", State.FAILED, error.message, wanted, hint)]
    except DevaiError as error:
        return [Check("cloud", "credentials", State.FAILED, error.message, wanted, error.hint)]
    hint = ""
    if ("terraform", "account") in own.undecided:
        hint = f"`inv config.set --cloud={settings.stack.cloud} --set=terraform.account={found}`, if it is that one"
    elif found != account:
        hint = f"{cloud.switch_hint.format(account)}, or another terraform.account"
    shown = f"{cloud.account_kind} {found or '(none chosen)'}"
    return [Check("cloud", "credentials", State.FAILED if hint else State.OK, shown, wanted, hint)]


def deployment(own: Configuration) -> list[Check]:
    """What only a deployment knows: nothing that is missed before there is one."""
    waiting = own.stand_ins
    if not waiting and not own.settings.compute.uses_terraform:
        return []
    if not waiting:
        return [Check("cloud", "deployment", State.OK, "all that it knows is noted")]
    return [Check("cloud", "deployment", State.UNNEEDED, line) for line in waiting]


def home(own: Configuration) -> list[Check]:
    """Whether a cluster of one's own is asked for a home that few of them make: pods wait for such a one for ever."""
    settings = own.settings
    if (settings.compute.provider, settings.storage.access) != ("none", "ReadWriteMany") or settings.storage.home_class:
        return []
    hint = "name one in storage.home_class"
    if settings.compute.replicas.max == 1:
        hint += f", or `inv config.set {settings.stack.flags} --set=storage.access=ReadWriteOnce`"
    found = "ReadWriteMany, of the cluster's default class"
    return [Check("cluster", "storage.access", State.ADVICE, found, "a class that several nodes share", hint)]


def cluster(own: Configuration) -> list[Check]:
    """Whether kubectl knows the stack's context, whether it is the current one, and whether the cluster answers."""
    settings = own.settings
    if "kubernetes" not in settings.targets or ("kubernetes", "context") in own.pending:
        return []
    context = settings.kubernetes.context
    # On this machine a cluster is beside Compose, for who wants one.
    bad = State.UNNEEDED if settings.compute.uses_compose else State.FAILED
    try:
        known, current = kubectl.contexts(), kubectl.current_context()
    except MissingToolError:
        return [Check("cluster", "context", bad, "kubectl is not installed", context, "see above")]
    if context not in known:
        found = f"kubectl knows no context {context}"
        return [Check("cluster", "context", bad, found, "known", _context_hint(settings))]
    checks = [Check("cluster", "context", State.OK, context)]
    if context != current:
        hint = f"`kubectl config use-context {context}`"
        checks = [Check("cluster", "context", bad, f"current is {current or 'none'}", context, hint)]
    client = Kubectl(context, rendering.namespace(settings))
    try:
        answer = client.server_version()
    except DevaiError as error:
        return [*checks, Check("cluster", "API server", bad, error.message, "an answer", error.hint)]
    return [*checks, Check("cluster", "API server", State.OK, answer), *_owner(client, settings, bad)]


def _owner(client: Kubectl, settings: Settings, bad: State) -> list[Check]:
    """Whose the stack in the cluster is, as far as the caller may see that."""
    try:
        found = cluster_ownership.of_namespace(client, settings)
    except DevaiError:
        return []
    return [of_owner("cluster", found, bad=bad, task="k8s.apply")]


def _context_hint(settings: Settings) -> str:
    """What puts the context of a stack into kubectl's configuration."""
    if cloud := clouds.WITH_TERRAFORM.get(settings.compute.provider):
        return f"`{shlex.join(cloud.kubeconfig_command(settings))}`"
    return "make the cluster, or name its context in kubernetes.context"
