"""Benchmark of `inv k8s.apply`, compared with kubectl's diff, apply and rollout status, on a test cluster.

`nox -s bench -- kubernetes` prints the table of docs/performance.md. Both change one variable of the same running lab.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.run import INV, paired, report, timed
from harness.kubernetes import cluster, node
from harness.kubernetes.api import kubectl_program
from harness.project import fresh

GOAL = 1.3
NUMBERS = itertools.count()


def main() -> None:
    """Run the benchmark, and report whether the goal is met."""
    with tempfile.TemporaryDirectory() as folder, test_cluster() as running:
        root = Path(folder) / "lab"
        fresh(root)
        loader = " ".join(running.node.inside("ctr", "--namespace=k8s.io", "images", "import", "-"))
        (root / "conf/profiles/dev.yaml").write_text(
            "project: {name: devai-bench}\n"
            "image: {packages: minimal}\n"
            f"kubernetes: {{context: {running.context}, image_loader: '{loader}'}}\n"
            "storage: {home: 1Gi}\n"
            "resources: {lab: {cpu: '1', memory: 1Gi}}\n"
            "ollama: {mode: external, url: 'http://10.240.0.1:11434'}\n",
            encoding="utf-8",
        )
        os.environ["KUBECONFIG"] = str(running.kubeconfig)
        try:
            run([INV, "k8s.apply", "--yes"], root)
            pairs = paired(lambda: apply_with_kubectl(root), lambda: apply_with_task(root), rounds=5)
        finally:
            run([INV, "k8s.delete", "--data", "--confirm=devai-bench-local-dev"], root)
        ratio = report("`kubectl diff`, `apply`, `rollout status`", "`inv k8s.apply`", pairs)
    print(f"\nGoal {GOAL}: {'met' if ratio <= GOAL else 'not met'}.")


@contextmanager
def test_cluster() -> Iterator[cluster.LocalCluster]:
    """Use the cluster that `nox -s cluster -- up` started, or else start one."""
    if kept := node.kept():
        yield cluster.of(kept)
        return
    with cluster.running() as running:
        yield running


def apply_with_kubectl(root: Path) -> float:
    """Return the seconds from a rendered change until the lab runs with it."""
    run([INV, "config.render", f"--set=env.ROUND=kubectl-{next(NUMBERS)}"], root)
    kubectl, folder = kubectl_program(), "generated/local-dev/kubernetes"
    namespace = "--namespace=devai-bench-local-dev"

    def commands() -> None:
        run(
            [kubectl, "diff", "--server-side", "--force-conflicts", "--field-manager=devai", "-k", folder],
            root,
            codes=(1,),
        )
        run([kubectl, "apply", "--server-side", "--force-conflicts", "--field-manager=devai", "-k", folder], root)
        run([kubectl, "rollout", "status", "deployment/devai", namespace], root)

    return timed(commands)


def apply_with_task(root: Path) -> float:
    """Return the seconds of the task, which also renders the change."""
    return timed(lambda: run([INV, "k8s.apply", "--yes", f"--set=env.ROUND=task-{next(NUMBERS)}"], root))


def run(command: list[str], folder: Path, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command; exit with its stderr if it fails."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode not in codes:
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr[-3000:]}")


if __name__ == "__main__":
    main()
