"""What `inv up` would change, on all targets of a stack, in one view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from devai_tasks.config import image_names, naming
from devai_tasks.config.configuration import Configuration, dotted, scalars
from devai_tasks.config.naming import LAB
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.images import Images
from devai_tasks.models import pulling
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.targets.compose import models as compose_models
from devai_tasks.targets.image import building
from devai_tasks.targets.terraform.saved_plan import CHANGED, CREATED, DESTROYED, REPLACED, Plan
from devai_tasks.workspace import secret_values, state
from devai_tasks.workspace.ownership import Claim, Owner

BUILT, PUSHED, BROUGHT, STARTED = "built", "pushed", "brought", "started"


@dataclass(frozen=True)
class Change:
    """What happens to one thing of a target."""

    target: str
    kind: str
    what: str
    detail: str = ""


@dataclass
class Overview:
    """All changes, and what can't be told yet."""

    stack: str
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Keys of the configuration that have another value than in the last `up`: that one, and the present one."""
    owner: str = ""
    """Whose the stack is, in words; empty where that is not known."""

    @property
    def sentence(self) -> str:
        """The same in a few words."""
        if not self.changes:
            return "nothing to change"
        targets = dict.fromkeys(change.target for change in self.changes)
        counts = [f"{sum(change.target == name for change in self.changes)} in {name}" for name in targets]
        return f"{len(self.changes)} change{'s' if len(self.changes) > 1 else ''}: {', '.join(counts)}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "stack": self.stack,
            "owner": self.owner,
            "empty": not self.changes,
            "changes": [asdict(change) for change in self.changes],
            "keys": {key: {"before": before, "now": now} for key, (before, now) in self.keys.items()},
            "notes": self.notes,
        }

    def markdown(self) -> str:
        """For the description of a pull request."""
        lines = [f"### {self.stack}: {self.sentence}", ""]
        if self.changes:
            lines += ["| target | | what | |", "| --- | --- | --- | --- |"]
            lines += [_row(one.target, one.kind, f"`{one.what}`", one.detail) for one in self.changes]
            lines.append("")
        if self.keys:
            lines += ["| key | before | now |", "| --- | --- | --- |"]
            lines += [_row(f"`{key}`", before, now) for key, (before, now) in self.keys.items()]
            lines.append("")
        return "\n".join([*lines, *(f"> {note}" for note in self.notes), *([""] if self.notes else [])])


def _row(*cells: str) -> str:
    """A row of a table in Markdown, whatever stands in its cells."""
    plain = [" ".join(cell.splitlines()).replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(plain)} |"


def of_owner(found: Overview, owner: Owner) -> None:
    """Add whose the stack is, and what that means for `up`."""
    found.owner = owner.words
    if owner.claim is Claim.FOREIGN:
        found.notes.append(f"`up` is refused: {owner.sentence}; {owner.hint}")
    if owner.claim is Claim.UNCLEAR:
        found.notes.append(f"`up` asks before it takes the stack over: {owner.sentence}")


def changed_keys(project: Project, configuration: Configuration) -> dict[str, tuple[str, str]]:
    """The keys whose values are not those of the last `up`."""
    before = state.remembered(project, configuration.settings.stack)
    if before is None:
        return {}
    old, new = (dict(scalars(tree, ())) for tree in (before, configuration.plain))
    differing = sorted((key for key in old.keys() | new.keys() if old.get(key, "") != new.get(key, "")), key=dotted)
    return {dotted(key): (old.get(key) or "-", new.get(key) or "-") for key in differing}


def of_image(project: Project, settings: Settings, *, to_push: bool, dry: bool = False) -> list[Change]:
    """Whether the lab's image is built, and pushed where a registry is to have it."""
    engine, name = Images(dry=dry), image_names.lab(settings)
    found = building.current(project, settings, engine)
    changes = []
    if not found:
        why = "of other inputs than now" if engine.has_image(name) else "not there yet"
        changes.append(Change("image", BUILT, name, why))
    if to_push and not (found and is_pushed(settings, found)):
        changes.append(
            Change("image", PUSHED, image_names.registry_repository(settings), "" if found else "what is built")
        )
    return changes


def is_pushed(settings: Settings, described: Any) -> bool:
    """Whether the stack's registry has this very image of the engine, by the digest that is recorded."""
    return image_names.pushed_lab(settings) in (described.get("RepoDigests") or ())


def running(containers: Sequence[Any]) -> list[dict[str, str]]:
    """Rows for the stack's containers, as Compose describes them."""
    return [
        {
            "target": "compose",
            "what": row["service"],
            "state": " ".join(filter(None, [row["state"], row["health"]])),
            "version": f"{row['image']} {row['image_id'].removeprefix('sha256:')[:12]}",
        }
        for row in containers
    ]


def of_compose(  # noqa: PLR0913 - what is known of the stack beside its settings
    found: Overview,
    project: Project,
    settings: Settings,
    docker: Docker,
    *,
    rebuilt: bool = False,
    unvisited: str = "",
) -> None:
    """Add what happens to the stack's containers on this machine, and to the models in them.

    `rebuilt` says that the lab's image will be another one by then; `unvisited`, why its Ollama is not contacted.
    """
    own = compose.compose(project, settings, docker)
    there = {row["service"]: row for row in own.containers()}
    wanted = own.config().get("services", {})
    ids = {name: docker.image_id(definition["image"]) for name, definition in wanted.items()}
    verbs = own.rehearse() if docker.dry or (there and all(ids.values())) else {}
    for name, image_id in ids.items():
        found.changes += _of_container(name, there.get(name), verbs, "" if rebuilt and name == naming.LAB else image_id)
    handover = secret_values.beside(project, settings, state.stored_secrets(project, settings.stack))
    if state.secrets_differ(project, settings.stack, handover.values) and naming.LAB in there:
        found.changes.append(Change("compose", "restarted", naming.LAB, "its secrets"))
    found.changes += [Change("compose", DESTROYED, name) for name in there if name not in wanted]
    if settings.models and unvisited:
        found.notes.append(f"models are not compared: {unvisited}")
    elif settings.models:
        running = there.get(naming.OLLAMA, {}).get("state") == "running"
        _of_models(found, project, settings, docker, running=running or docker.dry)


def _of_container(name: str, row: Any, verbs: Mapping[str, str], image_id: str) -> Iterator[Change]:
    """What happens to one; `image_id` is what it is to run, empty for an image that is still to be made."""
    if not row:
        yield Change("compose", CREATED, name)
    elif row["image_id"] != image_id:
        yield Change("compose", REPLACED, name, "its image")
    elif verbs.get(row["name"]) == "Recreate":
        yield Change("compose", REPLACED, name, "its definition")
    elif row["state"] != "running":
        yield Change("compose", STARTED, name, f"it is {row['state']}")


def _of_models(found: Overview, project: Project, settings: Settings, docker: Docker, *, running: bool) -> None:
    """Add the models that are brought, or that nobody can tell which there are."""
    # While the stack's own doesn't run, who answers at its port is another one.
    if settings.ollama.mode == "container" and not running:
        return found.notes.append("models are compared once the stack's Ollama runs")
    try:
        with compose_models.server(project, settings, docker) as server:
            there = server.models()
    except DevaiError as error:
        return found.notes.append(f"models are not compared: {error}")
    found.changes += [Change("models", BROUGHT, name) for name in settings.models if pulling.called(name) not in there]


def of_terraform(plan: Plan) -> list[Change]:
    """What Terraform's plan does."""
    return [
        Change("terraform", change.kind, change.address, ", ".join(change.attributes)) for change in plan.changes
    ] + [Change("terraform", CHANGED, f"output.{name}") for name in plan.outputs if not plan.changes]


def of_secrets(names: Sequence[str]) -> list[Change]:
    """What happens to the secrets of a cluster."""
    return [Change("kubernetes", CHANGED, f"secret/{LAB}", ", ".join(names))] if names else []


def of_cluster(diff: Sequence[tuple[str, str, Sequence[str]]]) -> list[Change]:
    """What a diff of manifests says."""
    kinds = {"+": CREATED, "-": DESTROYED, "~": CHANGED}
    return [Change("kubernetes", kinds[sign], name, ", ".join(fields)) for sign, name, fields in diff]
