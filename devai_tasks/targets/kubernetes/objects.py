"""Objects of Kubernetes: as texts, as references, and as what can't be changed once they live."""

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
    """The objects of a manifest."""
    import yaml

    return [dict(found) for found in yaml.load_all(text, Loader=_loader()) if found]


@cache
def _loader() -> type[yaml.CSafeLoader]:
    import yaml

    class Loader(yaml.CSafeLoader):
        """Takes `=` and `<<` for texts as Go does, which doesn't quote them."""

    for tag in ("value", "merge"):
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", lambda _, node: str(node.value))
    return Loader


def only(text: str, kind: str) -> str:
    """The objects of one kind."""
    return yaml_documents(found for found in parse(text) if found["kind"] == kind)


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind, by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def is_terminating(pod: Object) -> bool:
    """Whether a pod is on its way out; it may be ready until then."""
    return "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Object) -> bool:
    """Whether all that runs in a pod answers."""
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions(pod))


def conditions(item: Object) -> Sequence[Object]:
    """What the server says that an object is, or is not."""
    return item.get("status", {}).get("conditions", ())  # type: ignore[no-any-return] # the server's own


_DIFFED = re.compile(r"(?:(?P<group>[a-z0-9.-]+)\.)?v\w+\.(?P<kind>[A-Z]\w*)\.[^.]*\.(?P<name>.+)")
_FIELD = re.compile(r"[+-]\s*(?:- )?([A-Za-z][\w./-]*):")


def summary(diff: str) -> list[tuple[str, str, list[str]]]:
    """What a diff says of each object: `+` new, `~` changed or `-` gone, its name, and the fields that change."""
    found: list[tuple[str, str, list[str]]] = []
    lines = diff.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("--- ") and lines[number + 1 : number + 2] and lines[number + 1].startswith("+++ "):
            old, new = line[4:], lines[number + 1][4:]
            following = "".join(lines[number + 2 : number + 3])
            sign = "-" if new == "/dev/null" else "+" if following.startswith("@@ -0,0 ") else "~"
            found.append((sign, _named(old if sign == "-" else new), []))
        elif (match := _FIELD.match(line)) and not line.startswith("+++ ") and found and found[-1][0] == "~":
            fields = found[-1][2]
            if match[1] not in (*fields, "generation"):
                fields.append(match[1])
    return found


def _named(name: str) -> str:
    """An object of a diff, where kubectl calls it apps.v1.Deployment.NAMESPACE.devai, as deployment.apps/devai."""
    match = _DIFFED.fullmatch(name)
    if not match:
        return name
    return f"{match['kind'].lower()}{f'.{group}' if (group := match['group']) else ''}/{match['name']}"


def as_new(text: str) -> str:
    """Manifests as a diff against nothing."""
    documents = re.split(r"^---\n", text, flags=re.MULTILINE)
    shown = []
    for document, found in zip(documents, parse(text), strict=True):
        lines = document.splitlines()
        shown += [
            "--- /dev/null",
            f"+++ {reference(found)}",
            f"@@ -0,0 +1,{len(lines)} @@",
            *(f"+{line}" for line in lines),
        ]
    return "\n".join(shown) + "\n"


def reference(found: Object) -> str:
    """An object as kubectl names it: deployment.apps/devai."""
    group = found["apiVersion"].rpartition("/")[0]
    kind = found["kind"].lower()
    return f"{kind}.{group}/{found['metadata']['name']}" if group else f"{kind}/{found['metadata']['name']}"


def check(there: Sequence[Object], wanted: Sequence[Object]) -> None:
    """Raise UsageError for changes that Kubernetes knows no way to make, with the ways that there are."""
    present = {(found["kind"], found["metadata"]["name"]): found for found in there}
    problems = [
        problem
        for found in wanted
        if (old := present.get((found["kind"], found["metadata"]["name"])))
        for problem in _unchangeable(old, found)
    ]
    if problems:
        hints = dict.fromkeys(hint for _, hint in problems)
        raise UsageError("\n".join([*(what for what, _ in problems), "nothing was changed"]), hint="\n".join(hints))


# An autoscaler owns the number of pods, and a manifest says none. But whoever stops saying one lets go of it, and where
# nobody else holds it the server falls back to 1: so somebody else gets hold of it first.


def with_replicas(there: Sequence[Object], text: str) -> str:
    """Manifests with the number of pods that live, where they say none."""
    objects = parse(text)
    numbers = _scaled(there, objects)
    for found in objects:
        if found["kind"] == "Deployment" and found["metadata"]["name"] in numbers:
            found["spec"]["replicas"] = numbers[found["metadata"]["name"]]
    return yaml_documents(objects) if numbers else text


def hand_over_replicas(kubectl: Kubectl, wanted: Sequence[Object]) -> None:
    """Have the number of pods held by another manager than that of the manifests, where these say none.

    The number of this moment: an autoscaler doesn't wait while a person reads what would change.
    """
    there = kubectl.objects("deployments.apps") if _unnumbered(wanted) else []
    for name, number in _scaled(there, wanted).items():
        held = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": number}}
        kubectl.apply(json.dumps(held), manager=AUTOSCALER)


def _scaled(there: Sequence[Object], wanted: Sequence[Object]) -> dict[str, int]:
    """The Deployments whose manifests say no number of pods, and that number as it is there.

    Of one that was stopped, the number to start it with: an autoscaler doesn't look at what has none.
    """
    present, least = of_kind(there, "Deployment"), replicas(wanted)
    return {name: present[name]["spec"]["replicas"] or least[name] for name in _unnumbered(wanted) if name in present}


def _unnumbered(wanted: Sequence[Object]) -> list[str]:
    """The Deployments whose manifests say no number of pods."""
    return [name for name, found in of_kind(wanted, "Deployment").items() if "replicas" not in found["spec"]]


def replicas(wanted: Sequence[Object]) -> dict[str, int]:
    """How many pods the manifests want of each Deployment: their number, the autoscaler's least, or 1."""
    scalers = [found["spec"] for found in of_kind(wanted, "HorizontalPodAutoscaler").values()]
    least = {spec["scaleTargetRef"]["name"]: int(spec["minReplicas"]) for spec in scalers}
    return {
        name: int(found["spec"].get("replicas", least.get(name, 1)))
        for name, found in of_kind(wanted, "Deployment").items()
    }


def _unchangeable(old: Object, new: Object) -> Iterator[tuple[str, str]]:
    """Yield what can't be changed of an object, each with a hint."""
    name = new["metadata"]["name"]
    match new["kind"]:
        case "PersistentVolumeClaim":
            yield from _claim(name, old["spec"], new["spec"])
        case "PersistentVolume":
            was, wanted = old["spec"].get("csi", {}), new["spec"]["csi"]
            if any(was.get(key) != wanted.get(key) for key in ("driver", "volumeHandle", "volumeAttributes")):
                yield (
                    f"storage.file_system: the volume {name} is {was.get('volumeHandle')}, for good",
                    "to move to another volume, copy its files, then `inv k8s.delete --data` and `inv k8s.apply`",
                )
        case "StorageClass":
            if (old["provisioner"], old.get("parameters")) != (new["provisioner"], new.get("parameters")):
                yield (
                    f"the storage class {name} can't be changed",
                    "name another in storage.models_class for a new stack, or `inv k8s.delete --data` first",
                )


def _claim(name: str, old: Object, new: Object) -> Iterator[tuple[str, str]]:
    hint = f"to start over with it: `inv k8s.delete --data` (the {name} of the stack goes), then `inv k8s.apply`"
    class_key = f"storage.{name}_class"
    wanted, was = new.get("storageClassName"), old.get("storageClassName")
    if wanted is not None and wanted != was:
        yield f"{class_key}: {name} is of the class {was or 'none'}, for good, and not of {wanted or 'none'}", hint
    if new["accessModes"] != old["accessModes"]:
        modes = "/".join(old["accessModes"])
        yield f"storage.access: {name} is {modes}, for good, and not {'/'.join(new['accessModes'])}", hint
    if wanted in (None, was) and new.get("volumeName") not in (None, old.get("volumeName")):
        yield f"{class_key}: {name} is on the volume {old.get('volumeName') or 'that it waits for'}", hint
    size, requested = (spec["resources"]["requests"]["storage"] for spec in (old, new))
    if quantity(requested) < quantity(size):
        yield f"storage.{name}: {name} has {size}, and volumes only grow; {requested} is less", hint


def quantity(text: str) -> int:
    """A quantity of Kubernetes, such as 50Gi, in its unit."""
    number, unit = re.fullmatch(r"([\d.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr] # the server's own
    return int(float(number) * _FACTORS[unit])
