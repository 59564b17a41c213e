"""A stack of a cloud on this machine: real tasks, Terraform, registry and pods on a simulated cloud.

Simulated are what `harness.simulated_cloud` lists, the cloud's command line (`harness.cloud_cli`), the cloud's load
balancer, and the cloud's shared file system: volumes of the cluster's storage class.
"""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.engine.docker import Docker
from devai_tasks.targets.image import building
from harness import cloud_cli, engine
from harness.cloud_crds import DEFINITIONS
from harness.kubernetes import crds
from harness.kubernetes.cluster import LocalCluster
from harness.load_balancer import load_balancer
from harness.port_forwarder import forwarded
from harness.registry import Registry, registry
from harness.repository import commit, committed
from harness.settings import load

HOST = "lab.simulated-cloud.test"
# Named like a company's base image: stacks of clouds are not built on a base that was built on this machine in place of
# an official image.
BASE = "simulated-cloud.test/debian:trixie"
TESTS = Path(__file__).parents[1]
_PROGRAM = {"aws": "aws", "azure": "az", "gcp": "gcloud"}


@dataclass(frozen=True)
class CloudStack:
    """The protected stack of a cloud, and its command line."""

    cloud: str
    project: Project
    cluster: LocalCluster
    environ: Mapping[str, str]
    authority: Path
    load_balancer: str
    registry: Registry

    @property
    def name(self) -> str:
        """The name to type for confirmation."""
        return f"{self.cloud}-prod"

    @property
    def file(self) -> Path:
        """The stack's file in `conf/stacks`."""
        return self.project.conf / "stacks" / f"{self.name}.yaml"

    def edit(self, values: Mapping[str, Any]) -> None:
        """Overwrite the stack's file and commit it."""
        self.file.write_text(json.dumps(values), encoding="utf-8")
        commit(self.project.root)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a task on the stack in the background, with stdout and stderr in one stream."""
        return subprocess.Popen(
            [sys.executable, "-m", "harness.simulated_cloud", *arguments, "--env=prod", f"--cloud={self.cloud}"],
            cwd=self.project.root,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def inv(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a task on the stack."""
        return subprocess.run(
            [sys.executable, "-m", "harness.simulated_cloud", *arguments, "--env=prod", f"--cloud={self.cloud}"],
            cwd=self.project.root,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def kill_at(self, mark: str, *arguments: str) -> str:
        """Kill a task as soon as it prints a line with `mark`; return all of its output."""
        output = ""
        with self.start(*arguments) as process:
            assert process.stdout
            for line in process.stdout:
                output += line
                if mark in line:
                    process.send_signal(signal.SIGKILL)
                    break
        return output

    def get(self, path: str, token: str = "") -> int:
        """Return the HTTP status of a page that is requested from the load balancer as a browser does."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.check_hostname = False  # the URL has the address; the host name is in a header
        request = urllib.request.Request(f"https://{self.load_balancer}/{path}", headers={"Host": HOST})
        if token:
            request.add_header("Authorization", f"token {token}")
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def plan(self) -> dict[str, Any]:
        """Return what `up` would change."""
        result = self.inv("plan", "--json")
        assert result.returncode == 0, result.stderr
        changes: dict[str, Any] = json.loads(result.stdout)
        return changes


@contextmanager
def cloud_stack(cloud: str, cluster: LocalCluster, folder: Path) -> Iterator[CloudStack]:
    """Prepare the stack of a cloud; none of its resources exists yet."""
    crds.install(cluster, *DEFINITIONS)
    project = committed(folder / "lab")
    with ExitStack() as stack:
        (folder / "registry").mkdir()
        images = stack.enter_context(registry(folder / "registry"))
        _forward_from_node(stack, cluster, images.address)
        address, authority = stack.enter_context(load_balancer(cluster, HOST, folder / "site"))
        log = folder / "cloud.log"
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
        environ = {
            **cloud_cli.install(folder / "bin", log),
            "DEVAI_TEST_AUTHORITY": str(authority),
            "DEVAI_TEST_LOAD_BALANCER": f"{HOST}={address}",
            # Overrides the registry of Terraform's outputs, which cannot be on this machine.
            "DEVAI__IMAGE__REGISTRY": f"{images.address}/lab",
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(TESTS),
        }
        created = CloudStack(cloud, project, cluster, environ, authority, address, images)
        created.edit(values(cloud, cluster, images.address))
        _prepare_images(project, images.address)
        _clean_up(cluster, created)  # a killed test leaves its resources
        stack.callback(_clean_up, cluster, created)
        yield created


def _clean_up(cluster: LocalCluster, created: CloudStack) -> None:
    """Remove the pods of a failed test, and its image: `up` would not build the image again."""
    cluster.kubectl("delete", "namespace", f"devai-{created.name}", "--ignore-not-found")
    engine.docker("rmi", "--force", f"devai-lab:{created.name}")


def values(cloud: str, cluster: LocalCluster, registry_address: str) -> dict[str, Any]:
    """Return the values that replace the placeholders of the documentation.

    The resources let three labs and another stack run on two CPU cores.
    """
    terraform = {"account": cloud_cli.ACCOUNT[_PROGRAM[cloud]]}
    if cloud == "azure":
        terraform["certificate"] = "https://lab.vault.azure.net/secrets/lab"
    return {
        "image": {"packages": "minimal", "base": {"name": BASE}},
        "ingress": {"host": HOST},
        "kubernetes": {"requests": 50},
        "models": [],
        "network": {"allowed_cidrs": ["198.18.0.0/16"]},
        "ollama": {"image": f"{registry_address}/ollama:test"},
        "resources": {"lab": {"cpu": "400m", "memory": "512Mi"}, "ollama": {"cpu": "200m", "memory": "512Mi"}},
        "storage": {"home_class": cluster.storage_class, "models_class": cluster.storage_class},
        "terraform": terraform,
    }


def _forward_from_node(stack: ExitStack, cluster: LocalCluster, address: str) -> None:
    """Forward the registry's port on the node's loopback to the registry.

    Image names contain the registry's address, 127.0.0.1, which is the node's own loopback in a node.
    """
    port = int(address.rpartition(":")[2])
    stack.enter_context(forwarded(cluster.node.machine_address, port, ("127.0.0.1", port)))
    program = str(Path(__file__).with_name("port_forwarder.py"))
    arguments = [sys.executable, program, address, f"{cluster.node.machine_address}:{port}"]
    forwarder = cluster.node.start("port-forwarder", arguments)
    stack.callback(forwarder.process.terminate)


def _prepare_images(project: Project, address: str) -> None:
    """Tag a base image in the engine as BASE, and push Ollama's image to the registry."""
    local = load(project, project.stack("dev", "local"))
    engine.docker("tag", building.base_image(project, local, Docker()).name, BASE)
    provided = building.ensure_ollama(project, local, Docker())
    name = f"{address}/ollama:test"
    engine.docker("tag", image_names.ollama(provided), name)
    engine.docker("push", "--quiet", name)
    engine.docker("rmi", name)


def token_in(output: str) -> str:
    """Return the token of the URL in the last line that `up` printed."""
    match = re.search(r"token=(\w+)", output.splitlines()[-1])
    assert match, output
    return match[1]
