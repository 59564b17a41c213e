"""A stack that runs in a cluster, as tests use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import testinfra
from testinfra.host import Host

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.targets.kubernetes.rendering import lab_image, namespace
from harness.cli import inv
from harness.jupyter import Jupyter
from harness.kubernetes.api import Cluster
from harness.kubernetes.cluster import LocalCluster
from harness.settings import load
from harness.stack import CANARY, RunningStack, command_lines, image_texts

ENVIRONMENT = "cluster"


@dataclass
class ClusterStack(RunningStack):
    """A stack that runs in a cluster."""

    project: Project
    cluster: Cluster
    environ: dict[str, str]
    _forward: list[subprocess.Popen[str]] = field(default_factory=list)

    @cached_property
    def settings(self) -> Settings:
        """The stack's settings."""
        return load(self.project, self.project.stack(ENVIRONMENT, "local"))

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return namespace(self.settings)

    @property
    def user(self) -> tuple[int, int]:
        """User ID and group ID of the account in the image; pods need no other account."""
        return 10001, 10001

    def visible_texts(self) -> dict[str, str]:
        """Return all texts that other users of the cluster may see, by source."""
        settings = load(self.project, self.settings.stack)  # reloaded for the image's current tag
        return {
            "the objects": self.kubectl("get", "all,configmaps,events", "--output=yaml"),
            "the log": self.inv("k8s.logs", "--service=devai").stdout,
            "the process list": command_lines(self.host("devai")),
            "artifacts": self.artifacts(),
            **image_texts(":".join(lab_image(settings))),
        }

    def inv(self, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a task on the stack."""
        return inv(
            *arguments, f"--env={ENVIRONMENT}", cwd=self.project.root, environ={**self.environ, **(environ or {})}
        )

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the stack's namespace; return its output."""
        result = self.cluster.kubectl(*arguments, f"--namespace={self.namespace}")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def pod(self, service: str) -> str:
        """Return the name of a ready pod of the service."""
        listed = self.cluster.get(
            "pods", f"--namespace={self.namespace}", f"--selector=app.kubernetes.io/name={service}"
        )
        ready = [
            item["metadata"]["name"]
            for item in listed["items"]
            if "deletionTimestamp" not in item["metadata"]
            and all(status["ready"] for status in item["status"].get("containerStatuses", ()))
        ]
        return str(ready[0])

    def host(self, service: str) -> Host:
        """Return testinfra's host of a service's container."""
        connection = f"kubectl://{self.pod(service)}?container={service}&namespace={self.namespace}"
        return testinfra.get_host(connection, kubeconfig=str(self.cluster.kubeconfig))

    @property
    def jupyter(self) -> Jupyter:
        """The stack's JupyterLab, forwarded to a free port; each access may reach a different pod."""
        return self.jupyter_on("0")

    def jupyter_on(self, port: str) -> Jupyter:
        """Return the stack's JupyterLab on a given port: Jupyter names its cookies after host and port."""
        self.close()
        program = str(Path(sys.executable).with_name("inv"))
        process = subprocess.Popen(
            [program, "k8s.port-forward", f"--env={ENVIRONMENT}", f"--port={port}"],
            cwd=self.project.root,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._forward.append(process)
        assert process.stdout
        url = process.stdout.readline().strip()
        assert re.match(r"http://127\.0\.0\.1:\d+/.*token=", url), process.communicate()[1]
        return Jupyter(url)

    def close(self) -> None:
        """Stop forwarding the port."""
        for process in self._forward:
            process.terminate()
            process.communicate()
        self._forward.clear()


@contextmanager
def running(project: Project, cluster: Cluster) -> Iterator[ClusterStack]:
    """Apply a stack with `k8s.apply`; delete the stack and its data afterwards."""
    node_command = cluster.node.inside if isinstance(cluster, LocalCluster) else None
    loader = " ".join(node_command("ctr", "--namespace=k8s.io", "images", "import", "-")) if node_command else "auto"
    (project.conf / "profiles" / f"{ENVIRONMENT}.yaml").write_text(
        "project: {name: devai-test}\n"
        f"kubernetes: {{context: {cluster.context}, image_loader: '{loader}'}}\n"
        "image: {packages: minimal}\n"
        f"storage: {{home: 1Gi, models: 1Gi, home_class: {cluster.storage_class}}}\n"
        "network: {base_url: /cluster/}\n"
        "ports: {lab: 8080}\n"
        "resources: {lab: {cpu: '1', memory: 1Gi}, ollama: {cpu: '2', memory: 2Gi}}\n"
        "env: {GREETING: 'costs $5 & up'}\n",
        encoding="utf-8",
    )
    stack = ClusterStack(project, cluster, {"KUBECONFIG": str(cluster.kubeconfig)})
    try:
        applied = stack.inv("k8s.apply", "--yes", environ={"OPENAI_API_KEY": CANARY})
        assert applied.returncode == 0, "\n".join(["inv k8s.apply failed", *applied.stderr.splitlines()[-40:]])
        yield stack
    finally:
        stack.close()
        stack.inv("k8s.delete", "--data", f"--confirm=devai-test-local-{ENVIRONMENT}")
