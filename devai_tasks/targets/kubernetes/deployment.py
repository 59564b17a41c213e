"""A stack in a cluster: what is there, and how it comes, changes and goes."""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from devai_tasks import clouds
from devai_tasks.config import naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import TOKEN
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError, unknown
from devai_tasks.targets import addresses
from devai_tasks.targets.base import LAB_ENVIRONMENT
from devai_tasks.targets.kubernetes import kubectl, overlays, rendering, rollout
from devai_tasks.targets.kubernetes import objects as live
from devai_tasks.targets.kubernetes.kubectl import Kubectl
from devai_tasks.workspace import artifacts

Object = Mapping[str, Any]

# What pods call the port that they answer at.
_PORT = "http"
# A cloud takes a disk off its machine first.
_VOLUME_SECONDS = 600

# Deleted last and only with `--data`: people's files, what leads to them, and what opens the lab.
KEPT = ("Namespace", "PersistentVolumeClaim", "PersistentVolume", "StorageClass", "Secret")
# The kinds that a stack's objects are of, without those of the clouds' own.
KINDS = (
    "configmaps", "deployments.apps", "horizontalpodautoscalers.autoscaling", "ingressclasses.networking.k8s.io",
    "ingresses.networking.k8s.io", "jobs.batch", "namespaces", "networkpolicies.networking.k8s.io",
    "persistentvolumeclaims", "persistentvolumes", "poddisruptionbudgets.policy", "secrets", "serviceaccounts",
    "services", "storageclasses.storage.k8s.io",
)  # fmt: skip
EXTERNAL = "ExternalSecret"


@dataclass(frozen=True)
class Cluster:
    """A stack, and the cluster that it belongs to."""

    project: Project
    settings: Settings
    dry: bool = False

    @property
    def namespace(self) -> str:
        """The stack's own."""
        return rendering.namespace(self.settings)

    @cached_property
    def kubectl(self) -> Kubectl:
        """The stack's cluster and namespace."""
        return Kubectl(self.settings.kubernetes.context, self.namespace, dry=self.dry)

    @cached_property
    def system(self) -> Kubectl:
        """The namespace of the cluster itself."""
        return Kubectl(self.settings.kubernetes.context, "kube-system", dry=self.dry)

    @cached_property
    def shared(self) -> str:
        """What the cluster itself needs, once for all its stacks, and once for those with GPUs; empty for most."""
        folder, cloud = self.project.root / "deploy/kubernetes/clusters", self.settings.compute.provider
        names = [cloud, *([f"{cloud}-gpu"] if self.settings.gpu.enabled else [])]
        files = [file for file in (folder / f"{name}.yaml" for name in names) if file.is_file()]
        return "---\n".join(file.read_text(encoding="utf-8") for file in files)

    @property
    def deployments(self) -> list[str]:
        """What runs all the time."""
        return [naming.OLLAMA, naming.LAB] if self.settings.ollama.is_bundled else [naming.LAB]

    @property
    def selector(self) -> str:
        """What marks the stack's objects."""
        return f"--selector={rendering.STACK_LABEL}={self.namespace}"

    def check_services(self, names: Sequence[str]) -> list[str]:
        """The services that are meant, none named being all. Raises UsageError for one that the stack hasn't."""
        for name in names:
            if name not in self.deployments:
                raise UsageError(unknown("service", name, self.deployments))
        return list(names) or self.deployments


def manifests(cluster: Cluster) -> str:
    """Render the stack's leaf, and build it. Raises UsageError for an overlay that isn't there."""
    settings = cluster.settings
    if refusal := overlays.unknown_overlay(cluster.project, settings):
        raise UsageError(f"kubernetes.overlay: {refusal}", hint="deploy/kubernetes/overlays has them")
    folder = artifacts.provide(cluster.project, settings.stack, lambda _: rendering.render(settings))
    return kubectl.build((folder / "kubernetes").relative_to(cluster.project.root), dry=cluster.dry)


def look(cluster: Cluster) -> tuple[str, list[dict[str, Any]]]:
    """The stack's manifests, and everything of it in its cluster: what is wanted, and what is there."""
    if cluster.dry:
        return manifests(cluster), objects(cluster)
    # The server has time to answer while kubectl builds.
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(objects, cluster)
        return manifests(cluster), asked.result()


def diff(cluster: Cluster) -> str:
    """What applying would change; where the namespace isn't there yet, everything is new."""
    cluster.kubectl.check_context()
    text, there = look(cluster)
    if not cluster.dry and not live.of_kind(there, "Namespace"):
        return _shared_changes(cluster) + live.as_new(text)
    return changes(cluster, text, there)


def ensure_namespace(cluster: Cluster, text: str, there: Sequence[Object]) -> bool:
    """Have the stack's namespace, with the rules that it sets; says whether it was made just now."""
    if cluster.dry:
        cluster.kubectl.apply("")
        return False
    for found in live.of_kind(there, "Namespace").values():
        if found["status"].get("phase") == "Terminating":
            raise DevaiError(
                f"the namespace {cluster.namespace} is being deleted",
                hint="try again when it is gone",
                code="DEVAI-K8S-006",
            )
        return False
    cluster.kubectl.apply(live.only(text, "Namespace"))
    return True


def delete_namespace(cluster: Cluster) -> None:
    """Take back a namespace that has just been made."""
    cluster.kubectl.delete([f"namespace/{cluster.namespace}"], wait=False)


def changes(cluster: Cluster, text: str, there: Sequence[Object]) -> str:
    """What applying would change of what is there, for a namespace that is.

    Raises UsageError, before anything is sent, for what can't be changed in a stack that lives.
    """
    if cluster.dry:
        return _shared_changes(cluster) + cluster.kubectl.diff(text)
    wanted = live.parse(text)
    live.check(there, wanted)
    diff = _shared_changes(cluster) + cluster.kubectl.diff(live.with_replicas(there, text))
    for name in failed_jobs(cluster, there, wanted):
        diff += f"--- {name}\n+++ {name}\n@@ it has failed, and is created again @@\n"
    # Config maps come and go with the revisions that refer to them: nobody's decision.
    gone = [found for found in stale(there, wanted) if found["kind"] != "ConfigMap"]
    return diff + "".join(f"--- {live.reference(found)}\n+++ /dev/null\n" for found in gone)


def _shared_changes(cluster: Cluster) -> str:
    return cluster.system.diff(cluster.shared) if cluster.shared else ""


def send(cluster: Cluster, text: str, there: Sequence[Object]) -> list[str]:
    """Apply manifests, and before them what the cluster itself needs; returns what came of each object."""
    wanted = live.parse(text)
    live.hand_over_replicas(cluster.kubectl, wanted)
    # An autoscaler that is to go would take the number of pods back, every 15 s, for as long as it is there.
    scalers = [live.reference(found) for found in stale(there, wanted) if found["kind"] == "HorizontalPodAutoscaler"]
    # And a job that has failed would stay so: as it is the same one, applying it changes nothing.
    again = failed_jobs(cluster, there, wanted)
    gone = cluster.kubectl.delete([*scalers, *again], wait=False)  # they go at once, and a job's pods after it
    shared = cluster.system.apply(cluster.shared) if cluster.shared else []
    return [*gone, *shared, *cluster.kubectl.apply(text)]


def failed_jobs(cluster: Cluster, there: Sequence[Object], wanted: Sequence[Object]) -> list[str]:
    """The jobs that have failed and are made again; none in a cluster of this machine: it gets its models from here."""
    if cluster.settings.compute.uses_compose:
        return []
    names = live.of_kind(wanted, "Job")
    found = [job for name, job in live.of_kind(there, "Job").items() if name in names]
    return [live.reference(job) for job in found if rollout.job_state(job) == "failed"]


def apply(cluster: Cluster, text: str, there: Sequence[Object], *, seconds: int, undo: bool) -> None:
    """Apply manifests and wait until every workload runs, then remove what they no longer contain.

    Raises DevaiError with the reason where one doesn't; with `undo`, the one before runs then.
    """
    before = rollout.revisions(there, cluster.deployments)
    with console.step(f"applying {cluster.settings.stack}"):
        for line in send(cluster, text, there):
            console.say(f"  {line}")
    if cluster.dry:
        return rollout.print_commands(cluster.kubectl, cluster.deployments, seconds)
    rollout.wait(cluster.kubectl, cluster.deployments, seconds=seconds, before=before if undo else None)
    prune(cluster, live.parse(text), there)


def prune(cluster: Cluster, wanted: Sequence[Object], there: Sequence[Object]) -> None:
    """Remove what was there and the manifests no longer contain; never data or secrets, and nothing of a rollback's."""
    gone = stale(there, wanted)
    kept = rollout.config_maps(cluster.kubectl) if live.of_kind(gone, "ConfigMap") else set()
    names = [live.reference(found) for found in gone if found["metadata"]["name"] not in kept]
    for line in cluster.kubectl.delete(names, wait=False):
        console.say(f"  {line}")


def stale(there: Sequence[Object], wanted: Sequence[Object]) -> list[Object]:
    """The stack's objects that its manifests no longer contain, without those that are kept in any case."""
    names = {(found["kind"], found["metadata"]["name"]) for found in wanted}
    return [
        found
        for found in there
        if (found["kind"], found["metadata"]["name"]) not in names and found["kind"] not in KEPT
    ]


def objects(cluster: Cluster) -> list[dict[str, Any]]:
    """Everything of the stack in its cluster; under `--dry` nothing."""
    kinds = [*KINDS, *clouds.of(cluster.settings).kinds]
    found = cluster.kubectl.objects(",".join(kinds), cluster.selector)
    # Who owns the secret is there, and with it its kind.
    secrets = live.of_kind(found, "Secret").values()
    if any(owner["kind"] == EXTERNAL for item in secrets for owner in item["metadata"].get("ownerReferences", ())):
        found += cluster.kubectl.objects("externalsecrets.external-secrets.io", cluster.selector)
    return found


def home_is_made(cluster: Cluster) -> bool:
    """Whether the home is a volume that the cluster has made, and not the file system that Terraform did."""
    claim = cluster.kubectl.object("persistentvolumeclaim", "home") or {"spec": {}}
    return claim["spec"].get("volumeName", "") not in ("", f"{cluster.namespace}-home")


def _made_volumes(cluster: Cluster) -> list[str]:
    """The volumes that the cluster has made for the stack's claims, and takes away after these."""
    return [
        live.reference(volume)
        for volume in cluster.kubectl.objects("persistentvolumes")
        if volume["spec"].get("claimRef", {}).get("namespace") == cluster.namespace
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    ]


def delete(cluster: Cluster, *, data: bool) -> None:
    """Remove the stack: without `data`, homes, models and secrets stay; with it, return when their volumes are gone."""
    found = objects(cluster)
    if cluster.dry:
        cluster.kubectl.delete(["WHAT-THAT-FINDS", *([f"namespace/{cluster.namespace}"] if data else [])], wait=True)
        return None
    volumes = _made_volumes(cluster) if data else []
    if not (found or volumes):
        return console.say(f"{cluster.settings.stack} is not in {cluster.kubectl.context}")
    # Who makes pods first, so that nothing writes when its volume goes; and the ingress before its class: once that is
    # gone, AWS's webhook refuses to have it changed, even by the controller that is to let go of it.
    kept = [item for item in found if item["kind"] in KEPT]
    classes = [item for item in found if item["kind"] == "IngressClass"]
    first = [item for item in found if item["kind"] not in (*KEPT, "IngressClass")]
    deleted: list[str] = []
    with console.step(f"deleting {cluster.settings.stack}", silent=True):
        for part in (first, classes, kept if data else ()):
            deleted += cluster.kubectl.delete([live.reference(item) for item in part], wait=True)
        if volumes:  # while there is a cluster that does it: without one, a cloud's disks are nobody's
            cluster.kubectl.wait_for_deletion(*volumes, seconds=_VOLUME_SECONDS)
        for line in deleted:
            console.say(f"  {line}")


def restart(cluster: Cluster, names: Sequence[str]) -> None:
    """Restart workloads."""
    for name in names:
        cluster.kubectl.restart(name)


def watch(cluster: Cluster, *, seconds: int) -> None:
    """Wait until every workload runs. Raises DevaiError with the reason where one doesn't."""
    if cluster.dry:
        return rollout.print_commands(cluster.kubectl, cluster.deployments, seconds)
    cluster.kubectl.check_context()
    rollout.wait(cluster.kubectl, cluster.deployments, seconds=seconds)


def pull_models(cluster: Cluster, *, seconds: int) -> None:
    """Wait for the job that brings models; in a cluster of this machine without a hub, bring them from here.

    Raises DevaiError where they can't be had: the labs run, then, without them.
    """
    settings = cluster.settings
    if cluster.dry or not settings.ollama.is_bundled or not settings.models:
        return
    from devai_tasks.models import pulling
    from devai_tasks.models.ollama import Ollama

    with console.step("bringing models"):
        result, reasons = rollout.wait_for_models(cluster.kubectl, seconds=seconds)
        files = [name for name in settings.models if name not in settings.hub_models]
        if result == "done" and not files:
            return
        if result != "done" and not settings.compute.uses_compose:
            message = "\n".join([f"the job that brings models is {result}; labs run without:", *reasons])
            raise DevaiError(message, code="DEVAI-MODEL-004")
        if result != "done":
            console.say("\n".join([f"  the job that brings models is {result}; they are brought from here", *reasons]))
        with port_of(cluster, naming.OLLAMA) as port:
            hint = f"`inv k8s.logs --service=ollama {settings.stack.flags}` shows what it says"
            server = Ollama(f"http://127.0.0.1:{port}", hint)
            pulling.pull(cluster.project, settings, server, files if result == "done" else ())


def execute(cluster: Cluster, service: str, command: Sequence[str]) -> int:
    """Run a command in a pod of a service; returns its exit code. Raises DevaiError where none runs."""
    (name,) = cluster.check_services([service])
    cluster.kubectl.check_context()
    words = [*LAB_ENVIRONMENT, *command] if name == naming.LAB else list(command)
    return cluster.kubectl.execute(_pod(cluster, name), words)


def _pod(cluster: Cluster, name: str) -> str:
    """The pod of a workload to work with; under `--dry` the workload. Raises DevaiError where none runs.

    Left to choose, kubectl takes one that is ready, be it on its way out, and ends with it.
    """
    if cluster.dry:
        return f"deployment/{name}"
    pods = cluster.kubectl.objects("pods", f"--selector=app.kubernetes.io/name={name}")
    staying = [pod for pod in pods if pod["status"].get("phase") == "Running" and not live.is_terminating(pod)]
    if not staying:
        raise DevaiError(f"no pod of {name} runs", hint="`inv k8s.status` shows what is there")
    return f"pod/{max(staying, key=live.is_ready)['metadata']['name']}"


def port_of(cluster: Cluster, name: str, *, local: int = 0) -> AbstractContextManager[int]:
    """A port of this machine that leads to a pod of a workload; 0 is any that is free. Gives its number."""
    return cluster.kubectl.port_forward(_pod(cluster, name), _PORT, local=local)


def forward(cluster: Cluster, service: str, port: str) -> None:
    """Have a port of this machine lead to a service until Ctrl-C; prints the address."""
    (name,) = cluster.check_services([service])
    cluster.kubectl.check_context()
    ports = cluster.settings.ports
    local = ports.lab if name == naming.LAB else ports.ollama or 0
    with port_of(cluster, name, local=int(port or local)) as found:
        if cluster.dry:
            return
        address = f"http://127.0.0.1:{found}"
        if name == naming.LAB:
            address += f"{cluster.settings.network.base_url}lab?token={token(cluster)}"
        console.show(address)
        sys.stdout.flush()
        console.say("until Ctrl-C")
        cluster.kubectl.stay()


def token(cluster: Cluster) -> str:
    """What opens the lab; under `--dry` a stand-in. Raises DevaiError where the cluster has none."""
    found = cluster.kubectl.object("secret", naming.LAB)
    if cluster.dry:
        return "…"
    if not found or TOKEN not in found.get("data", {}):
        raise DevaiError(
            "the cluster has no token for the lab", hint="`inv k8s.secrets` sends one", code="DEVAI-K8S-007"
        )
    return base64.b64decode(found["data"][TOKEN]).decode()


def print_address(cluster: Cluster) -> None:
    """Print the lab's address, or how to get one."""
    url = addresses.url(cluster.settings)
    if not url:
        return console.say(addresses.detour(cluster.settings))
    console.show(f"{url}lab?token={token(cluster)}")
