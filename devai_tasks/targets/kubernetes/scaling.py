"""Scaling of a stack in a cluster to zero and back; its data and addresses are kept."""

from __future__ import annotations

from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes import objects, rollout
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.kubernetes.rendering import MODELS

# Pods stop within the grace period in their manifests: a minute for labs, including their kernels.
_END_SECONDS = 180


def stop(cluster: Cluster) -> None:
    """Stop the pods of all workloads and jobs, and wait until they are deleted; volumes, secrets and addresses stay.

    Autoscalers ignore workloads with zero replicas, and jobs continue when the stack is started.

    Raises:
        DevaiError: the stack is not in the cluster.
        ToolError: a pod did not stop in time.
    """
    names = list(_replicas(cluster))
    with console.step(f"stopping {cluster.settings.stack}", silent=True):
        cluster.kubectl.scale(names, 0)
        cluster.kubectl.suspend(_jobs(cluster), suspended=True)
        chosen = f"--selector=app.kubernetes.io/name in ({','.join([*names, MODELS])})"
        # Evicted pods have stopped but stay listed: no workload counts or deletes them.
        running = "--field-selector=status.phase!=Failed,status.phase!=Succeeded"
        cluster.kubectl.wait_for_deletion("pods", chosen, running, seconds=_END_SECONDS)


def start(cluster: Cluster, *, seconds: int) -> None:
    """Scale to the replicas in the manifests, or to an autoscaler's minimum, and wait until all workloads are ready.

    Workloads that have replicas are left unchanged.

    Raises:
        DevaiError: the stack is not in the cluster, or a workload is not ready; the message has the reason.
    """
    current, desired = _replicas(cluster), objects.replicas(objects.parse(kubernetes.manifests(cluster)))
    for name, number in current.items():
        if not number:
            cluster.kubectl.scale([name], desired.get(name, 1))
    cluster.kubectl.suspend(_jobs(cluster), suspended=False)
    if cluster.dry:
        return rollout.print_commands(cluster.kubectl, list(current), seconds)
    rollout.wait(cluster.kubectl, list(current), seconds=seconds)


def _replicas(cluster: Cluster) -> dict[str, int]:
    """Return the desired replicas of each existing workload; 0 under `--dry`."""
    live = objects.of_kind(cluster.kubectl.objects("deployments.apps", cluster.selector), "Deployment")
    if cluster.dry:
        return dict.fromkeys(cluster.deployments, 0)
    if not live:
        raise DevaiError(
            f"{cluster.settings.stack} is not deployed in {cluster.kubectl.context}", hint="`inv k8s.apply` deploys it"
        )
    return {name: item["spec"]["replicas"] for name, item in live.items()}


def _jobs(cluster: Cluster) -> list[str]:
    """Return the names of the unfinished jobs."""
    live = objects.of_kind(cluster.kubectl.objects("jobs.batch", cluster.selector), "Job")
    return [name for name, job in live.items() if rollout.job_state(job) == "running"]
