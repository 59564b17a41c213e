"""Kubernetes objects: parsing, references, diffs, and checks for immutable fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from devai_tasks.system.errors import UsageError
from devai_tasks.targets.kubernetes.kubectl import Kubectl
from devai_tasks.targets.templating import yaml_documents

if TYPE_CHECKING:
    import yaml

Object = Mapping[str, Any]

AUTOSCALER = "devai-autoscaler"
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def parse(text: str) -> list[dict[str, Any]]:
    """Return the objects of a manifest."""
    import yaml

    return [dict(item) for item in yaml.load_all(text, Loader=_loader()) if item]


@cache
def _loader() -> type[yaml.CSafeLoader]:
    import yaml

    class Loader(yaml.CSafeLoader):
        """Reads `=` and `<<` as strings, because Go's YAML does not quote them."""

    for tag in ("value", "merge"):
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", lambda _, node: str(node.value))
    return Loader


def only(text: str, kind: str) -> str:
    """Return the manifests of the objects of one kind."""
    return yaml_documents(item for item in parse(text) if item["kind"] == kind)


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind by name."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def is_terminating(pod: Object) -> bool:
    """Whether a pod is terminating; it may be ready meanwhile."""
    return "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Object) -> bool:
    """Whether all containers of a pod are ready."""
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions(pod))


def conditions(item: Object) -> Sequence[Object]:
    """Return the conditions in an object's status."""
    return item.get("status", {}).get("conditions", ())  # type: ignore[no-any-return] # the server's own


_DIFFED = re.compile(r"(?:(?P<group>[a-z0-9.-]+)\.)?v\w+\.(?P<kind>[A-Z]\w*)\.[^.]*\.(?P<name>.+)")
_FIELD = re.compile(r"[+-]\s*(?:- )?([A-Za-z][\w./-]*):")


def summary(diff: str) -> list[tuple[str, str, list[str]]]:
    """Return for each object in a diff a sign (`+` new, `~` changed, `-` removed), its name and its changed fields."""
    entries: list[tuple[str, str, list[str]]] = []
    lines = diff.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("--- ") and lines[number + 1 : number + 2] and lines[number + 1].startswith("+++ "):
            old, new = line[4:], lines[number + 1][4:]
            following = "".join(lines[number + 2 : number + 3])
            sign = "-" if new == "/dev/null" else "+" if following.startswith("@@ -0,0 ") else "~"
            entries.append((sign, _named(old if sign == "-" else new), []))
        elif (match := _FIELD.match(line)) and not line.startswith("+++ ") and entries and entries[-1][0] == "~":
            fields = entries[-1][2]
            if match[1] not in (*fields, "generation"):
                fields.append(match[1])
    return entries


def _named(name: str) -> str:
    """Return deployment.apps/devai for apps.v1.Deployment.NAMESPACE.devai, kubectl's name of an object in a diff."""
    match = _DIFFED.fullmatch(name)
    if not match:
        return name
    return f"{match['kind'].lower()}{f'.{group}' if (group := match['group']) else ''}/{match['name']}"


def as_new(text: str) -> str:
    """Return manifests as a diff in which every object is new."""
    documents = re.split(r"^---\n", text, flags=re.MULTILINE)
    shown = []
    for document, item in zip(documents, parse(text), strict=True):
        lines = document.splitlines()
        shown += [
            "--- /dev/null",
            f"+++ {reference(item)}",
            f"@@ -0,0 +1,{len(lines)} @@",
            *(f"+{line}" for line in lines),
        ]
    return "\n".join(shown) + "\n"


def reference(item: Object) -> str:
    """Return an object's name in kubectl's notation, such as deployment.apps/devai."""
    group = item["apiVersion"].rpartition("/")[0]
    kind = item["kind"].lower()
    return f"{kind}.{group}/{item['metadata']['name']}" if group else f"{kind}/{item['metadata']['name']}"


def check(live: Sequence[Object], desired: Sequence[Object]) -> None:
    """Raise UsageError for changes of immutable fields, with alternatives as hint."""
    live_by_name = {(item["kind"], item["metadata"]["name"]): item for item in live}
    problems = [
        problem
        for item in desired
        if (old := live_by_name.get((item["kind"], item["metadata"]["name"])))
        for problem in _unchangeable(old, item)
    ]
    if problems:
        hints = dict.fromkeys(hint for _, hint in problems)
        raise UsageError("\n".join([*(what for what, _ in problems), "nothing was changed"]), hint="\n".join(hints))


# With an autoscaler, manifests have no `replicas`. When a field manager stops applying the field and no other manager
# owns it, the API server resets it to the default of 1 (server-side apply). So another manager takes ownership first:
# https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership


def with_replicas(live: Sequence[Object], text: str) -> str:
    """Return manifests in which Deployments without `replicas` get the live number."""
    objects = parse(text)
    numbers = _scaled(live, objects)
    for item in objects:
        if item["kind"] == "Deployment" and item["metadata"]["name"] in numbers:
            item["spec"]["replicas"] = numbers[item["metadata"]["name"]]
    return yaml_documents(objects) if numbers else text


def hand_over_replicas(kubectl: Kubectl, desired: Sequence[Object]) -> None:
    """Make another field manager own `replicas` of Deployments whose manifests have none.

    The current number is read again, because an autoscaler may have changed it while the user reviewed the changes.
    """
    live = kubectl.objects("deployments.apps") if _unnumbered(desired) else []
    for name, number in _scaled(live, desired).items():
        patch = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"replicas": number},
        }
        kubectl.apply(json.dumps(patch), manager=AUTOSCALER)


def _scaled(live: Sequence[Object], desired: Sequence[Object]) -> dict[str, int]:
    """Return the live `replicas` of existing Deployments whose manifests have none.

    For a Deployment scaled to zero it is the number to start with, because autoscalers ignore zero replicas.
    """
    deployments, minimum = of_kind(live, "Deployment"), replicas(desired)
    return {
        name: deployments[name]["spec"]["replicas"] or minimum[name]
        for name in _unnumbered(desired)
        if name in deployments
    }


def _unnumbered(desired: Sequence[Object]) -> list[str]:
    """Return the names of Deployments whose manifests have no `replicas`."""
    return [name for name, item in of_kind(desired, "Deployment").items() if "replicas" not in item["spec"]]


def replicas(desired: Sequence[Object]) -> dict[str, int]:
    """Return the desired replicas of each Deployment: its `replicas`, else its autoscaler's minimum, else 1."""
    scalers = [item["spec"] for item in of_kind(desired, "HorizontalPodAutoscaler").values()]
    minimum = {spec["scaleTargetRef"]["name"]: int(spec["minReplicas"]) for spec in scalers}
    return {
        name: int(item["spec"].get("replicas", minimum.get(name, 1)))
        for name, item in of_kind(desired, "Deployment").items()
    }


def _unchangeable(old: Object, new: Object) -> Iterator[tuple[str, str]]:
    """Yield a message and a hint for each immutable field of an object that would change."""
    name = new["metadata"]["name"]
    match new["kind"]:
        case "PersistentVolumeClaim":
            yield from _claim(name, old["spec"], new["spec"])
        case "PersistentVolume":
            current, desired = old["spec"].get("csi", {}), new["spec"]["csi"]
            if any(current.get(key) != desired.get(key) for key in ("driver", "volumeHandle", "volumeAttributes")):
                yield (
                    f"storage.file_system: the volume {name} is {current.get('volumeHandle')} and can't be changed",
                    "to move to another volume, copy its files, then run `inv k8s.delete --data` and `inv k8s.apply`",
                )
        case "StorageClass":
            if (old["provisioner"], old.get("parameters")) != (new["provisioner"], new.get("parameters")):
                yield (
                    f"the storage class {name} can't be changed",
                    "set another class in storage.models_class for a new stack, or run `inv k8s.delete --data` first",
                )


def _claim(name: str, old: Object, new: Object) -> Iterator[tuple[str, str]]:
    hint = f"to start over: `inv k8s.delete --data` (deletes the {name} of the stack), then `inv k8s.apply`"
    class_key = f"storage.{name}_class"
    desired, current = new.get("storageClassName"), old.get("storageClassName")
    if desired is not None and desired != current:
        yield (
            f"{class_key}: {name} has the class {current or 'none'}, which can't be changed to {desired or 'none'}",
            hint,
        )
    if new["accessModes"] != old["accessModes"]:
        modes = "/".join(old["accessModes"])
        yield f"storage.access: {name} is {modes}, which can't be changed to {'/'.join(new['accessModes'])}", hint
    if desired in (None, current) and new.get("volumeName") not in (None, old.get("volumeName")):
        yield f"{class_key}: {name} is bound to the volume {old.get('volumeName') or 'that is pending'}", hint
    size, requested = (spec["resources"]["requests"]["storage"] for spec in (old, new))
    if quantity(requested) < quantity(size):
        yield f"storage.{name}: {name} has {size} and can't be reduced to {requested}", hint


def quantity(text: str) -> int:
    """Return a Kubernetes quantity, such as 50Gi, as a number without unit."""
    number, unit = re.fullmatch(r"([\d.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr] # the server's own
    return int(float(number) * _FACTORS[unit])
