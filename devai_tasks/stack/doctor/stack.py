"""Checks of a stack itself: configuration, secrets, cloud, cluster."""

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


def invalid_configuration(error: ConfigError) -> Check:
    """Return the check of a configuration that can't be loaded."""
    count = len(error.problems)
    found = f"{count} problem{'s' if count != 1 else ''}"
    return Check("configuration", "conf/", State.FAILED, found, "none", "\n".join(map(str, error.problems)))


def configuration(project: Project, sources: Sources, loaded: Configuration) -> list[Check]:
    """Check for settings without effect, undecided keys, and outdated artifacts."""
    stale = configuration_report.stale(project, loaded)
    findings = [each for each in configuration_report.findings(sources, [loaded]) if each.place not in stale]
    checks = [Check("configuration", "conf/", State.OK, "valid")] if not (findings or loaded.undecided) else []
    checks += [Check("configuration", each.place, State.ADVICE, each.what, "", each.advice) for each in findings]
    for key in loaded.undecided:
        value, place = loaded.explain(key).value, loaded.origins(key)[0].place
        name, written = dotted(tuple(part for part in key if isinstance(part, str))), "[…]" if key[-1:] == (0,) else "…"
        hint = f"`inv config.set --cloud={loaded.settings.stack.cloud} --set='{name}={written}'`"
        # On this machine, only manifests use the key.
        state = State.ADVICE if loaded.settings.compute.uses_compose else State.FAILED
        checks.append(Check("configuration", name, state, f"{value} ({place})", "your own value", hint))
    return [*checks, rendered(project, loaded.settings, stale)]


def rendered(project: Project, settings: Settings, stale: Sequence[str]) -> Check:
    """Check that the artifacts are up to date. Tasks render what they use, but users may read outdated files."""
    if not stale:
        return Check("configuration", "artifacts", State.OK, "up to date, or not rendered yet")
    folder = f"generated/{settings.stack}/"
    fix = Fix(f"rendered {folder} again", lambda: artifacts.write(project, settings))
    hint = f"`inv config.render {settings.stack.flags}`"
    found = f"{len(stale)} in {folder} out of date"
    return Check("configuration", "artifacts", State.ADVICE, found, "up to date", hint, fix)


def private_files(project: Project) -> list[Check]:
    """Check that other users can't read private files."""
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


def credentials(loaded: Configuration) -> list[Check]:
    """Check that the active credentials are valid for the stack's account, subscription or project."""
    settings = loaded.settings
    cloud, account = clouds.WITH_TERRAFORM.get(settings.compute.provider), settings.terraform.account
    if not cloud:
        return []
    required = f"{cloud.account_kind} {account}"
    try:
        found = cloud.account(settings)
        cloud.check_terraform_login()
    except CloudError as error:
        hint = "\n".join(filter(None, [error.hint, error.output]))
        return [Check("cloud", "credentials", State.FAILED, error.message, required, hint)]
    except DevaiError as error:
        return [Check("cloud", "credentials", State.FAILED, error.message, required, error.hint)]
    hint = ""
    if ("terraform", "account") in loaded.undecided:
        hint = f"`inv config.set --cloud={settings.stack.cloud} --set=terraform.account={found}`, if this is intended"
    elif found != account:
        hint = f"{cloud.switch_hint.format(account)}, or change terraform.account"
    shown = f"{cloud.account_kind} {found or '(none selected)'}"
    return [Check("cloud", "credentials", State.FAILED if hint else State.OK, shown, required, hint)]


def deployment(loaded: Configuration) -> list[Check]:
    """Report the values that are known only after deployment; before, they are placeholders."""
    placeholders = loaded.placeholders
    if not placeholders and not loaded.settings.compute.uses_terraform:
        return []
    if not placeholders:
        return [Check("cloud", "deployment", State.OK, "all its values are recorded")]
    return [Check("cloud", "deployment", State.UNNEEDED, line) for line in placeholders]


def home(loaded: Configuration) -> list[Check]:
    """Warn of ReadWriteMany homes in an existing cluster: few default classes provide them, and pods stay pending."""
    settings = loaded.settings
    if (settings.compute.provider, settings.storage.access) != ("none", "ReadWriteMany") or settings.storage.home_class:
        return []
    hint = "set storage.home_class"
    if settings.compute.replicas.max == 1:
        hint += f", or run `inv config.set {settings.stack.flags} --set=storage.access=ReadWriteOnce`"
    found = "ReadWriteMany, with the cluster's default class"
    return [Check("cluster", "storage.access", State.ADVICE, found, "a storage class for several nodes", hint)]


def cluster(loaded: Configuration) -> list[Check]:
    """Check that kubectl knows the stack's context, that the context is current, and that the cluster answers."""
    settings = loaded.settings
    if "kubernetes" not in settings.targets or ("kubernetes", "context") in loaded.pending:
        return []
    context = settings.kubernetes.context
    # On this machine, a cluster is optional beside Compose.
    bad = State.UNNEEDED if settings.compute.uses_compose else State.FAILED
    try:
        known, current = kubectl.contexts(), kubectl.current_context()
    except MissingToolError:
        return [Check("cluster", "context", bad, "kubectl is not installed", context, "see tools above")]
    if context not in known:
        found = f"kubectl knows no context {context}"
        return [Check("cluster", "context", bad, found, "known", _context_hint(settings))]
    checks = [Check("cluster", "context", State.OK, context)]
    if context != current:
        hint = f"`kubectl config use-context {context}`"
        checks = [Check("cluster", "context", bad, f"the current context is {current or 'none'}", context, hint)]
    client = Kubectl(context, rendering.namespace(settings))
    try:
        answer = client.server_version()
    except DevaiError as error:
        return [*checks, Check("cluster", "API server", bad, error.message, "an answer", error.hint)]
    return [*checks, Check("cluster", "API server", State.OK, answer), *_owner(client, settings, bad)]


def _owner(client: Kubectl, settings: Settings, bad: State) -> list[Check]:
    """Check the owner of the stack in the cluster, where the user may read it."""
    try:
        owner = cluster_ownership.of_namespace(client, settings)
    except DevaiError:
        return []
    return [of_owner("cluster", owner, bad=bad, task="k8s.apply")]


def _context_hint(settings: Settings) -> str:
    """Return what adds the context of a stack to kubeconfig."""
    if cloud := clouds.WITH_TERRAFORM.get(settings.compute.provider):
        return f"`{shlex.join(cloud.kubeconfig_command(settings))}`"
    return "create the cluster, or set kubernetes.context to its context"
