"""Overview of what `inv up` would change in all targets of a stack."""

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

BUILT, PUSHED, PULLED, STARTED = "built", "pushed", "pulled", "started"


@dataclass(frozen=True)
class PlannedChange:
    """A change to one object of a target."""

    target: str
    kind: str
    what: str
    detail: str = ""


@dataclass
class Overview:
    """All changes, and notes on what was not compared."""

    stack: str
    changes: list[PlannedChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Keys whose values have changed since the last `up`: previous and current value."""
    owner: str = ""
    """The owner of the stack, as text; empty where it is unknown."""

    @property
    def sentence(self) -> str:
        """Return a summary of the changes."""
        if not self.changes:
            return "nothing to change"
        targets = dict.fromkeys(change.target for change in self.changes)
        counts = [f"{sum(change.target == name for change in self.changes)} in {name}" for name in targets]
        return f"{len(self.changes)} change{'s' if len(self.changes) > 1 else ''}: {', '.join(counts)}"

    def as_json(self) -> dict[str, Any]:
        """Return the overview as plain values, for `--json`."""
        return {
            "stack": self.stack,
            "owner": self.owner,
            "empty": not self.changes,
            "changes": [asdict(change) for change in self.changes],
            "keys": {key: {"before": before, "now": now} for key, (before, now) in self.keys.items()},
            "notes": self.notes,
        }

    def markdown(self) -> str:
        """Return the overview as Markdown, for the description of a pull request."""
        lines = [f"### {self.stack}: {self.sentence}", ""]
        if self.changes:
            lines += ["| target | | what | |", "| --- | --- | --- | --- |"]
            lines += [_row(change.target, change.kind, f"`{change.what}`", change.detail) for change in self.changes]
            lines.append("")
        if self.keys:
            lines += ["| key | before | now |", "| --- | --- | --- |"]
            lines += [_row(f"`{key}`", before, now) for key, (before, now) in self.keys.items()]
            lines.append("")
        return "\n".join([*lines, *(f"> {note}" for note in self.notes), *([""] if self.notes else [])])


def _row(*cells: str) -> str:
    """Return a row of a Markdown table, with line breaks and pipes in its cells escaped."""
    plain = [" ".join(cell.splitlines()).replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(plain)} |"


def of_owner(result: Overview, owner: Owner) -> None:
    """Add the owner of the stack, and what the owner means for `up`."""
    result.owner = owner.summary
    if owner.claim is Claim.FOREIGN:
        result.notes.append(f"`up` is refused: {owner.sentence}; {owner.hint}")
    if owner.claim is Claim.UNCLEAR:
        result.notes.append(f"`up` asks before it takes the stack over: {owner.sentence}")


def changed_keys(project: Project, configuration: Configuration) -> dict[str, tuple[str, str]]:
    """Return the keys whose values have changed since the last `up`, with previous and current value."""
    before = state.remembered(project, configuration.settings.stack)
    if before is None:
        return {}
    old, new = (dict(scalars(tree, ())) for tree in (before, configuration.plain))
    differing = sorted((key for key in old.keys() | new.keys() if old.get(key, "") != new.get(key, "")), key=dotted)
    return {dotted(key): (old.get(key) or "-", new.get(key) or "-") for key in differing}


def of_image(project: Project, settings: Settings, *, to_push: bool, dry: bool = False) -> list[PlannedChange]:
    """Return whether `up` would build the lab's image, and push it if `to_push`."""
    engine, name = Images(dry=dry), image_names.lab(settings)
    current = building.current(project, settings, engine)
    changes = []
    if not current:
        why = "outdated" if engine.has_image(name) else "missing"
        changes.append(PlannedChange("image", BUILT, name, why))
    if to_push and not (current and is_pushed(settings, current)):
        changes.append(
            PlannedChange(
                "image", PUSHED, image_names.registry_repository(settings), "" if current else "after the build"
            )
        )
    return changes


def is_pushed(settings: Settings, described: Any) -> bool:
    """Whether the stack's registry has this image of the engine, by its recorded digest."""
    return image_names.pushed_lab(settings) in (described.get("RepoDigests") or ())


def running(containers: Sequence[Any]) -> list[dict[str, str]]:
    """Return rows for the stack's containers, from Compose's description of them."""
    return [
        {
            "target": "compose",
            "what": row["service"],
            "state": " ".join(filter(None, [row["state"], row["health"]])),
            "version": f"{row['image']} {row['image_id'].removeprefix('sha256:')[:12]}",
        }
        for row in containers
    ]


def of_compose(  # noqa: PLR0913 - the stack, and what is known about it
    result: Overview,
    project: Project,
    settings: Settings,
    docker: Docker,
    *,
    rebuilt: bool = False,
    unvisited: str = "",
) -> None:
    """Add what happens to the stack's containers on this machine, and to the models in them.

    Args:
        result: the overview to add to.
        project: the project.
        settings: the settings of the stack.
        docker: the engine.
        rebuilt: whether the lab's image will be rebuilt first.
        unvisited: why Ollama is not contacted; empty where it is.
    """
    containers = compose.compose(project, settings, docker)
    actual = {row["service"]: row for row in containers.containers()}
    desired = containers.config().get("services", {})
    ids = {name: docker.image_id(definition["image"]) for name, definition in desired.items()}
    verbs = containers.planned_actions() if docker.dry or (actual and all(ids.values())) else {}
    for name, image_id in ids.items():
        result.changes += _of_container(
            name, actual.get(name), verbs, "" if rebuilt and name == naming.LAB else image_id
        )
    handover = secret_values.beside(project, settings, state.stored_secrets(project, settings.stack))
    if state.secrets_differ(project, settings.stack, handover.values) and naming.LAB in actual:
        result.changes.append(PlannedChange("compose", "restarted", naming.LAB, "its secrets"))
    result.changes += [PlannedChange("compose", DESTROYED, name) for name in actual if name not in desired]
    if settings.models and unvisited:
        result.notes.append(f"models are not compared: {unvisited}")
    elif settings.models:
        running = actual.get(naming.OLLAMA, {}).get("state") == "running"
        _of_models(result, project, settings, docker, running=running or docker.dry)


def _of_container(name: str, row: Any, verbs: Mapping[str, str], image_id: str) -> Iterator[PlannedChange]:
    """Yield the change to one container; `image_id` is its desired image, empty for an image that is not built yet."""
    if not row:
        yield PlannedChange("compose", CREATED, name)
    elif row["image_id"] != image_id:
        yield PlannedChange("compose", REPLACED, name, "its image")
    elif verbs.get(row["name"]) == "Recreate":
        yield PlannedChange("compose", REPLACED, name, "its definition")
    elif row["state"] != "running":
        yield PlannedChange("compose", STARTED, name, f"it is {row['state']}")


def _of_models(result: Overview, project: Project, settings: Settings, docker: Docker, *, running: bool) -> None:
    """Add the models that are pulled, or a note where they can't be compared."""
    # While the stack's Ollama is stopped, another server may answer at its port.
    if settings.ollama.mode == "container" and not running:
        return result.notes.append("models are not compared until the stack's Ollama runs")
    try:
        with compose_models.server(project, settings, docker) as server:
            models = server.models()
    except DevaiError as error:
        return result.notes.append(f"models are not compared: {error}")
    result.changes += [
        PlannedChange("models", PULLED, name) for name in settings.models if pulling.model_name(name) not in models
    ]


def of_terraform(plan: Plan) -> list[PlannedChange]:
    """Return the changes in a Terraform plan."""
    return [
        PlannedChange("terraform", change.kind, change.address, ", ".join(change.attributes)) for change in plan.changes
    ] + [PlannedChange("terraform", CHANGED, f"output.{name}") for name in plan.outputs if not plan.changes]


def of_secrets(names: Sequence[str]) -> list[PlannedChange]:
    """Return the change to the secrets in a cluster."""
    return [PlannedChange("kubernetes", CHANGED, f"secret/{LAB}", ", ".join(names))] if names else []


def of_cluster(diff: Sequence[tuple[str, str, Sequence[str]]]) -> list[PlannedChange]:
    """Return the changes in a diff of manifests."""
    kinds = {"+": CREATED, "-": DESTROYED, "~": CHANGED}
    return [PlannedChange("kubernetes", kinds[sign], name, ", ".join(fields)) for sign, name, fields in diff]
