"""What `inv k8s.apply` costs beside kubectl's own diff, apply and rollout status, on a cluster of the tests' own.

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
    """Measure, and say whether the goal is reached."""
    with tempfile.TemporaryDirectory() as folder, a_cluster() as own:
        root = Path(folder) / "lab"
        fresh(root)
        loader = " ".join(own.node.inside("ctr", "--namespace=k8s.io", "images", "import", "-"))
        (root / "conf/profiles/dev.yaml").write_text(
            "project: {name: devai-bench}\n"
            "image: {packages: minimal}\n"
            f"kubernetes: {{context: {own.context}, image_loader: '{loader}'}}\n"
            "storage: {home: 1Gi}\n"
            "resources: {lab: {cpu: '1', memory: 1Gi}}\n"
            "ollama: {mode: external, url: 'http://10.240.0.1:11434'}\n",
            encoding="utf-8",
        )
        os.environ["KUBECONFIG"] = str(own.kubeconfig)
        try:
            run([INV, "k8s.apply", "--yes"], root)
            pairs = paired(lambda: by_hand(root), lambda: ours(root), rounds=5)
        finally:
            run([INV, "k8s.delete", "--data", "--confirm=devai-bench-local-dev"], root)
        ratio = report("`kubectl diff`, `apply`, `rollout status`", "`inv k8s.apply`", pairs)
    print(f"\nGoal {GOAL}: {'reached' if ratio <= GOAL else 'missed'}.")


@contextmanager
def a_cluster() -> Iterator[cluster.LocalCluster]:
    """The one that `nox -s cluster -- up` started, else one for this run."""
    if kept := node.kept():
        yield cluster.of(kept)
        return
    with cluster.running() as own:
        yield own


def by_hand(root: Path) -> float:
    """Seconds from a changed artifact to a lab that runs with it."""
    run([INV, "config.render", f"--set=env.ROUND=hand-{next(NUMBERS)}"], root)
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


def ours(root: Path) -> float:
    """The same by the task, which renders as well."""
    return timed(lambda: run([INV, "k8s.apply", "--yes", f"--set=env.ROUND=ours-{next(NUMBERS)}"], root))


def run(command: list[str], folder: Path, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command; its output is shown only where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
