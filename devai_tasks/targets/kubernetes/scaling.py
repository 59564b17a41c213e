"""A stack in a cluster that rests: nothing of it runs, and all that it has stays."""

from __future__ import annotations

from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes import objects, rollout
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.kubernetes.rendering import MODELS

# Pods end within the grace that their manifests give them: a minute for labs, with their kernels.
_END_SECONDS = 180


def stop(cluster: Cluster) -> None:
    """End the pods of all workloads and jobs, and wait until they are gone; volumes, secrets and addresses stay.

    An autoscaler leaves a workload alone that has none, and jobs go on when the stack starts. Raises DevaiError where
    the stack isn't there, ToolError where a pod doesn't end.
    """
    names = list(_replicas(cluster))
    with console.step(f"stopping {cluster.settings.stack}", silent=True):
        cluster.kubectl.scale(names, 0)
        cluster.kubectl.suspend(_jobs(cluster), suspended=True)
        chosen = f"--selector=app.kubernetes.io/name in ({','.join([*names, MODELS])})"
        # Pods that were evicted have ended, and stay listed: no workload counts them, so none deletes them either.
        running = "--field-selector=status.phase!=Failed,status.phase!=Succeeded"
        cluster.kubectl.wait_for_deletion("pods", chosen, running, seconds=_END_SECONDS)


def start(cluster: Cluster, *, seconds: int) -> None:
    """Have as many pods again as the manifests say, or at least an autoscaler, and wait until all workloads run.

    Workloads that have pods are left as they are. Raises DevaiError where the stack isn't there, or with the reason
    where a workload doesn't run.
    """
    now, numbers = _replicas(cluster), objects.replicas(objects.parse(kubernetes.manifests(cluster)))
    for name, number in now.items():
        if not number:
            cluster.kubectl.scale([name], numbers.get(name, 1))
    cluster.kubectl.suspend(_jobs(cluster), suspended=False)
    if cluster.dry:
        return rollout.print_commands(cluster.kubectl, list(now), seconds)
    rollout.wait(cluster.kubectl, list(now), seconds=seconds)


def _replicas(cluster: Cluster) -> dict[str, int]:
    """How many pods each of the workloads that are there is to have; under `--dry` none."""
    found = objects.of_kind(cluster.kubectl.objects("deployments.apps", cluster.selector), "Deployment")
    if cluster.dry:
        return dict.fromkeys(cluster.deployments, 0)
    if not found:
        raise DevaiError(
            f"{cluster.settings.stack} is not in {cluster.kubectl.context}", hint="`inv k8s.apply` brings it"
        )
    return {name: item["spec"]["replicas"] for name, item in found.items()}


def _jobs(cluster: Cluster) -> list[str]:
    """The jobs that have not ended."""
    found = objects.of_kind(cluster.kubectl.objects("jobs.batch", cluster.selector), "Job")
    return [name for name, job in found.items() if rollout.job_state(job) == "running"]
