"""A stack in a cluster: its live objects, and how it is deployed, changed and deleted."""

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

# The name of the container port in pods.
_PORT = "http"
# Seconds until volumes are deleted; a cloud detaches a disk from its machine first.
_VOLUME_SECONDS = 600

# Deleted last and only with `--data`: the users' files, the objects that refer to them, and the lab's token.
KEPT = ("Namespace", "PersistentVolumeClaim", "PersistentVolume", "StorageClass", "Secret")
# The kinds of a stack's objects, without the kinds of clouds.
KINDS = (
    "configmaps", "deployments.apps", "horizontalpodautoscalers.autoscaling", "ingressclasses.networking.k8s.io",
    "ingresses.networking.k8s.io", "jobs.batch", "namespaces", "networkpolicies.networking.k8s.io",
    "persistentvolumeclaims", "persistentvolumes", "poddisruptionbudgets.policy", "secrets", "serviceaccounts",
    "services", "storageclasses.storage.k8s.io",
)  # fmt: skip
EXTERNAL = "ExternalSecret"


@dataclass(frozen=True)
class Cluster:
    """A stack and its cluster."""

    project: Project
    settings: Settings
    dry: bool = False

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return rendering.namespace(self.settings)

    @cached_property
    def kubectl(self) -> Kubectl:
        """Access to the stack's namespace."""
        return Kubectl(self.settings.kubernetes.context, self.namespace, dry=self.dry)

    @cached_property
    def system(self) -> Kubectl:
        """Access to the namespace kube-system."""
        return Kubectl(self.settings.kubernetes.context, "kube-system", dry=self.dry)

    @cached_property
    def shared(self) -> str:
        """Manifests that the cluster needs once for all stacks, and once for those with GPUs; empty for most clouds."""
        folder, cloud = self.project.root / "deploy/kubernetes/clusters", self.settings.compute.provider
        names = [cloud, *([f"{cloud}-gpu"] if self.settings.gpu.enabled else [])]
        files = [file for file in (folder / f"{name}.yaml" for name in names) if file.is_file()]
        return "---\n".join(file.read_text(encoding="utf-8") for file in files)

    @property
    def deployments(self) -> list[str]:
        """The names of the stack's Deployments."""
        return [naming.OLLAMA, naming.LAB] if self.settings.ollama.is_bundled else [naming.LAB]

    @property
    def selector(self) -> str:
        """The option of kubectl that selects the stack's objects."""
        return f"--selector={rendering.STACK_LABEL}={self.namespace}"

    def check_services(self, names: Sequence[str]) -> list[str]:
        """Return the named services; all if none is named.

        Raises:
            UsageError: the stack has no such service.
        """
        for name in names:
            if name not in self.deployments:
                raise UsageError(unknown("service", name, self.deployments))
        return list(names) or self.deployments


def manifests(cluster: Cluster) -> str:
    """Render the stack's generated overlay, and build its manifests.

    Raises:
        UsageError: the configured overlay does not exist.
    """
    settings = cluster.settings
    if problem := overlays.unknown_overlay(cluster.project, settings):
        raise UsageError(f"kubernetes.overlay: {problem}", hint="overlays are folders in deploy/kubernetes/overlays")
    folder = artifacts.provide(cluster.project, settings.stack, lambda _: rendering.render(settings))
    return kubectl.build((folder / "kubernetes").relative_to(cluster.project.root), dry=cluster.dry)


def look(cluster: Cluster) -> tuple[str, list[dict[str, Any]]]:
    """Return the stack's manifests and its live objects: the desired and the actual state."""
    if cluster.dry:
        return manifests(cluster), objects(cluster)
    # The objects are read while kubectl builds the manifests.
    with ThreadPoolExecutor(1) as executor:
        reading = executor.submit(objects, cluster)
        return manifests(cluster), reading.result()


def diff(cluster: Cluster) -> str:
    """Return what applying would change as a diff; without a namespace, everything is new."""
    cluster.kubectl.check_context()
    text, live_objects = look(cluster)
    if not cluster.dry and not live.of_kind(live_objects, "Namespace"):
        return _shared_changes(cluster) + live.as_new(text)
    return changes(cluster, text, live_objects)


def ensure_namespace(cluster: Cluster, text: str, live_objects: Sequence[Object]) -> bool:
    """Create the stack's namespace, with its labels, unless it exists; return whether it was created."""
    if cluster.dry:
        cluster.kubectl.apply("")
        return False
    for item in live.of_kind(live_objects, "Namespace").values():
        if item["status"].get("phase") == "Terminating":
            raise DevaiError(
                f"the namespace {cluster.namespace} is being deleted",
                hint="try again after it is deleted",
                code="DEVAI-K8S-006",
            )
        return False
    cluster.kubectl.apply(live.only(text, "Namespace"))
    return True


def delete_namespace(cluster: Cluster) -> None:
    """Delete a namespace that has just been created."""
    cluster.kubectl.delete([f"namespace/{cluster.namespace}"], wait=False)


def changes(cluster: Cluster, text: str, live_objects: Sequence[Object]) -> str:
    """Return what applying would change as a diff, if the namespace exists.

    Raises:
        UsageError: immutable fields would change; nothing has been sent then.
    """
    if cluster.dry:
        return _shared_changes(cluster) + cluster.kubectl.diff(text)
    desired = live.parse(text)
    live.check(live_objects, desired)
    diff = _shared_changes(cluster) + cluster.kubectl.diff(live.with_replicas(live_objects, text))
    for name in failed_jobs(cluster, live_objects, desired):
        diff += f"--- {name}\n+++ {name}\n@@ the job has failed and is created again @@\n"
    # Config maps are created and deleted with the revisions that refer to them, so they are not shown.
    removed = [item for item in stale(live_objects, desired) if item["kind"] != "ConfigMap"]
    return diff + "".join(f"--- {live.reference(item)}\n+++ /dev/null\n" for item in removed)


def _shared_changes(cluster: Cluster) -> str:
    return cluster.system.diff(cluster.shared) if cluster.shared else ""


def send(cluster: Cluster, text: str, live_objects: Sequence[Object]) -> list[str]:
    """Apply what the cluster needs for all stacks, then the stack's manifests; return a line for each object."""
    desired = live.parse(text)
    live.hand_over_replicas(cluster.kubectl, desired)
    # An obsolete autoscaler would reset the replicas every 15 s until it is deleted.
    scalers = [
        live.reference(item) for item in stale(live_objects, desired) if item["kind"] == "HorizontalPodAutoscaler"
    ]
    # Applying the same manifest again would not restart a failed job, so it is deleted first.
    again = failed_jobs(cluster, live_objects, desired)
    deleted = cluster.kubectl.delete([*scalers, *again], wait=False)  # a job's pods are deleted after the job
    shared = cluster.system.apply(cluster.shared) if cluster.shared else []
    return [*deleted, *shared, *cluster.kubectl.apply(text)]


def failed_jobs(cluster: Cluster, live_objects: Sequence[Object], desired: Sequence[Object]) -> list[str]:
    """Return the failed jobs that are created again; none in a local cluster, for which this machine pulls models."""
    if cluster.settings.compute.uses_compose:
        return []
    names = live.of_kind(desired, "Job")
    jobs = [job for name, job in live.of_kind(live_objects, "Job").items() if name in names]
    return [live.reference(job) for job in jobs if rollout.job_state(job) == "failed"]


def apply(cluster: Cluster, text: str, live_objects: Sequence[Object], *, seconds: int, undo: bool) -> None:
    """Apply manifests, wait until every workload is available, and delete objects that are no longer in the manifests.

    With `undo`, a failed rollout is rolled back.

    Raises:
        DevaiError: a workload is not available; the message has the reason.
    """
    before = rollout.revisions(live_objects, cluster.deployments)
    with console.step(f"applying {cluster.settings.stack}"):
        for line in send(cluster, text, live_objects):
            console.say(f"  {line}")
    if cluster.dry:
        return rollout.print_commands(cluster.kubectl, cluster.deployments, seconds)
    rollout.wait(cluster.kubectl, cluster.deployments, seconds=seconds, before=before if undo else None)
    prune(cluster, live.parse(text), live_objects)


def prune(cluster: Cluster, desired: Sequence[Object], live_objects: Sequence[Object]) -> None:
    """Delete objects that are no longer in the manifests, except data, secrets, and what a rollback would need."""
    removed = stale(live_objects, desired)
    kept = rollout.config_maps(cluster.kubectl) if live.of_kind(removed, "ConfigMap") else set()
    names = [live.reference(item) for item in removed if item["metadata"]["name"] not in kept]
    for line in cluster.kubectl.delete(names, wait=False):
        console.say(f"  {line}")


def stale(live_objects: Sequence[Object], desired: Sequence[Object]) -> list[Object]:
    """Return the stack's objects that are no longer in its manifests, without the kinds that are always kept."""
    names = {(item["kind"], item["metadata"]["name"]) for item in desired}
    return [
        item
        for item in live_objects
        if (item["kind"], item["metadata"]["name"]) not in names and item["kind"] not in KEPT
    ]


def objects(cluster: Cluster) -> list[dict[str, Any]]:
    """Return all live objects of the stack; under `--dry` none."""
    kinds = [*KINDS, *clouds.of(cluster.settings).kinds]
    live_objects = cluster.kubectl.objects(",".join(kinds), cluster.selector)
    # The kind ExternalSecret exists in the cluster if such an object owns the secret.
    secrets = live.of_kind(live_objects, "Secret").values()
    if any(owner["kind"] == EXTERNAL for item in secrets for owner in item["metadata"].get("ownerReferences", ())):
        live_objects += cluster.kubectl.objects("externalsecrets.external-secrets.io", cluster.selector)
    return live_objects


def is_home_created(cluster: Cluster) -> bool:
    """Whether the home is on a volume created by the cluster, and not on the file system created by Terraform."""
    claim = cluster.kubectl.object("persistentvolumeclaim", "home") or {"spec": {}}
    return claim["spec"].get("volumeName", "") not in ("", f"{cluster.namespace}-home")


def _made_volumes(cluster: Cluster) -> list[str]:
    """Return the volumes that the cluster has created for the stack's claims, and deletes with them."""
    return [
        live.reference(volume)
        for volume in cluster.kubectl.objects("persistentvolumes")
        if volume["spec"].get("claimRef", {}).get("namespace") == cluster.namespace
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    ]


def delete(cluster: Cluster, *, data: bool) -> None:
    """Delete the stack; with `data` also homes, models and secrets, and wait until their volumes are deleted."""
    live_objects = objects(cluster)
    if cluster.dry:
        cluster.kubectl.delete(["WHAT-THAT-FINDS", *([f"namespace/{cluster.namespace}"] if data else [])], wait=True)
        return None
    volumes = _made_volumes(cluster) if data else []
    if not (live_objects or volumes):
        return console.say(f"{cluster.settings.stack} is not deployed in {cluster.kubectl.context}")
    # Workloads first, so that no pod writes to a volume that is deleted. The ingress before its class: without the
    # class, AWS's webhook refuses changes of the ingress, even by the controller that removes its finalizer.
    kept = [item for item in live_objects if item["kind"] in KEPT]
    classes = [item for item in live_objects if item["kind"] == "IngressClass"]
    workloads = [item for item in live_objects if item["kind"] not in (*KEPT, "IngressClass")]
    deleted: list[str] = []
    with console.step(f"deleting {cluster.settings.stack}", silent=True):
        for part in (workloads, classes, kept if data else ()):
            deleted += cluster.kubectl.delete([live.reference(item) for item in part], wait=True)
        if volumes:  # while the cluster exists, because only the cluster deletes its disks in the cloud
            cluster.kubectl.wait_for_deletion(*volumes, seconds=_VOLUME_SECONDS)
        for line in deleted:
            console.say(f"  {line}")


def restart(cluster: Cluster, names: Sequence[str]) -> None:
    """Restart workloads."""
    for name in names:
        cluster.kubectl.restart(name)


def watch(cluster: Cluster, *, seconds: int) -> None:
    """Wait until every workload is available.

    Raises:
        DevaiError: a workload is not available; the message has the reason.
    """
    if cluster.dry:
        return rollout.print_commands(cluster.kubectl, cluster.deployments, seconds)
    cluster.kubectl.check_context()
    rollout.wait(cluster.kubectl, cluster.deployments, seconds=seconds)


def pull_models(cluster: Cluster, *, seconds: int) -> None:
    """Wait for the job that pulls models; if it fails in a local cluster, pull them from this machine.

    Raises:
        DevaiError: models can't be pulled; the labs run without them.
    """
    settings = cluster.settings
    if cluster.dry or not settings.ollama.is_bundled or not settings.models:
        return
    from devai_tasks.models import pulling
    from devai_tasks.models.ollama import Ollama

    with console.step("pulling models"):
        result, reasons = rollout.wait_for_models(cluster.kubectl, seconds=seconds)
        files = [name for name in settings.models if name not in settings.hub_models]
        if result == "done" and not files:
            return
        if result != "done" and not settings.compute.uses_compose:
            message = "\n".join([f"the job that pulls models is {result}; the labs run without models:", *reasons])
            raise DevaiError(message, code="DEVAI-MODEL-004")
        if result != "done":
            console.say(
                "\n".join([f"  the job that pulls models is {result}; models are pulled from this machine", *reasons])
            )
        with port_of(cluster, naming.OLLAMA) as port:
            hint = f"`inv k8s.logs --service=ollama {settings.stack.flags}` shows its log"
            server = Ollama(f"http://127.0.0.1:{port}", hint)
            pulling.pull(cluster.project, settings, server, files if result == "done" else ())


def execute(cluster: Cluster, service: str, command: Sequence[str]) -> int:
    """Run a command in a pod of a service; return its exit code.

    Raises:
        DevaiError: no pod of the service is running.
    """
    (name,) = cluster.check_services([service])
    cluster.kubectl.check_context()
    argv = [*LAB_ENVIRONMENT, *command] if name == naming.LAB else list(command)
    return cluster.kubectl.execute(_pod(cluster, name), argv)


def _pod(cluster: Cluster, name: str) -> str:
    """Return a running pod of a workload; under `--dry` the workload.

    kubectl's own choice could be a terminating pod that is still ready, and the connection would end with that pod.

    Raises:
        DevaiError: no pod of the workload is running.
    """
    if cluster.dry:
        return f"deployment/{name}"
    pods = cluster.kubectl.objects("pods", f"--selector=app.kubernetes.io/name={name}")
    running = [pod for pod in pods if pod["status"].get("phase") == "Running" and not live.is_terminating(pod)]
    if not running:
        raise DevaiError(f"no pod of {name} is running", hint="`inv k8s.status` shows the stack's pods")
    return f"pod/{max(running, key=live.is_ready)['metadata']['name']}"


def port_of(cluster: Cluster, name: str, *, local: int = 0) -> AbstractContextManager[int]:
    """Forward a local port to a pod of a workload, and yield its number; 0 chooses a free port."""
    return cluster.kubectl.port_forward(_pod(cluster, name), _PORT, local=local)


def forward(cluster: Cluster, service: str, port: str) -> None:
    """Forward a local port to a service until Ctrl-C, and print the address."""
    (name,) = cluster.check_services([service])
    cluster.kubectl.check_context()
    ports = cluster.settings.ports
    local = ports.lab if name == naming.LAB else ports.ollama or 0
    with port_of(cluster, name, local=int(port or local)) as number:
        if cluster.dry:
            return
        address = f"http://127.0.0.1:{number}"
        if name == naming.LAB:
            address += f"{cluster.settings.network.base_url}lab?token={token(cluster)}"
        console.show(address)
        sys.stdout.flush()
        console.say("press Ctrl-C to stop")
        cluster.kubectl.stay()


def token(cluster: Cluster) -> str:
    """Return the lab's token; under `--dry` a placeholder.

    Raises:
        DevaiError: the cluster has no token.
    """
    secret = cluster.kubectl.object("secret", naming.LAB)
    if cluster.dry:
        return "…"
    if not secret or TOKEN not in secret.get("data", {}):
        raise DevaiError(
            "the cluster has no token for the lab", hint="`inv k8s.secrets` sends one", code="DEVAI-K8S-007"
        )
    return base64.b64decode(secret["data"][TOKEN]).decode()


def print_address(cluster: Cluster) -> None:
    """Print the lab's URL with its token, or how to reach the lab without a host name."""
    url = addresses.url(cluster.settings)
    if not url:
        return console.say(addresses.access_hint(cluster.settings))
    console.show(f"{url}lab?token={token(cluster)}")
