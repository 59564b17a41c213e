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
# What a company's own base would be called: clouds get none that was made here in an official one's place.
BASE = "simulated-cloud.test/debian:trixie"
TESTS = Path(__file__).parents[1]
_PROGRAM = {"aws": "aws", "azure": "az", "gcp": "gcloud"}


@dataclass(frozen=True)
class CloudStack:
    """The protected stack of a cloud, and the command line that works on it."""

    cloud: str
    project: Project
    cluster: LocalCluster
    environ: Mapping[str, str]
    authority: Path
    load_balancer: str
    registry: Registry

    @property
    def name(self) -> str:
        """What has to be typed."""
        return f"{self.cloud}-prod"

    @property
    def file(self) -> Path:
        """What the stack has of its own in `conf/`."""
        return self.project.conf / "stacks" / f"{self.name}.yaml"

    def edit(self, values: Mapping[str, Any]) -> None:
        """Write that again, and commit it."""
        self.file.write_text(json.dumps(values), encoding="utf-8")
        commit(self.project.root)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A task on the stack that goes on while the caller looks at it; all that it says is one stream."""
        return subprocess.Popen(
            [sys.executable, "-m", "harness.simulated_cloud", *words, "--env=prod", f"--cloud={self.cloud}"],
            cwd=self.project.root,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def inv(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A task on the stack."""
        return subprocess.run(
            [sys.executable, "-m", "harness.simulated_cloud", *words, "--env=prod", f"--cloud={self.cloud}"],
            cwd=self.project.root,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def kill_at(self, mark: str, *words: str) -> str:
        """Kill a task as soon as it prints a text; returns all that it has printed."""
        said = ""
        with self.start(*words) as process:
            assert process.stdout
            for line in process.stdout:
                said += line
                if mark in line:
                    process.send_signal(signal.SIGKILL)
                    break
        return said

    def get(self, path: str, token: str = "") -> int:
        """The status of a page, asked of the load balancer as a browser does."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.check_hostname = False  # it is asked by its address; the name is in the request
        request = urllib.request.Request(f"https://{self.load_balancer}/{path}", headers={"Host": HOST})
        if token:
            request.add_header("Authorization", f"token {token}")
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def plan(self) -> dict[str, Any]:
        """What `up` would change."""
        done = self.inv("plan", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def cloud_stack(cloud: str, cluster: LocalCluster, folder: Path) -> Iterator[CloudStack]:
    """The stack of a cloud, with nothing made of it yet."""
    crds.install(cluster, *DEFINITIONS)
    project = committed(folder / "lab")
    with ExitStack() as stack:
        (folder / "registry").mkdir()
        own = stack.enter_context(registry(folder / "registry"))
        _reach_from_node(stack, cluster, own.address)
        at, authority = stack.enter_context(load_balancer(cluster, HOST, folder / "site"))
        log = folder / "cloud.log"
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
        environ = {
            **cloud_cli.install(folder / "bin", log),
            "DEVAI_TEST_AUTHORITY": str(authority),
            "DEVAI_TEST_LOAD_BALANCER": f"{HOST}={at}",
            # Stronger than what Terraform's outputs say: the registry of a cloud can't be on this machine.
            "DEVAI__IMAGE__REGISTRY": f"{own.address}/lab",
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(TESTS),
        }
        made = CloudStack(cloud, project, cluster, environ, authority, at, own)
        made.edit(values(cloud, cluster, own.address))
        _play_images(project, own.address)
        _clear(cluster, made)  # a test that was killed had no time to
        stack.callback(_clear, cluster, made)
        yield made


def _clear(cluster: LocalCluster, made: CloudStack) -> None:
    """Leave no pods of a test that failed to the next one, and no image: `up` would have nothing to build."""
    cluster.kubectl("delete", "namespace", f"devai-{made.name}", "--ignore-not-found")
    engine.docker("rmi", "--force", f"devai-lab:{made.name}")


def values(cloud: str, cluster: LocalCluster, registry_address: str) -> dict[str, Any]:
    """What a person would put in place of the documentation's values.

    And what makes three labs fit on two cores, beside another stack.
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


def _reach_from_node(stack: ExitStack, cluster: LocalCluster, address: str) -> None:
    """Let the node reach the registry by the name that the machine has it by: 127.0.0.1, which each has of its own."""
    port = int(address.rpartition(":")[2])
    stack.enter_context(forwarded(cluster.node.machine_address, port, ("127.0.0.1", port)))
    program = str(Path(__file__).with_name("port_forwarder.py"))
    words = [sys.executable, program, address, f"{cluster.node.machine_address}:{port}"]
    inside = cluster.node.start("port-forwarder", words)
    stack.callback(inside.process.terminate)


def _play_images(project: Project, address: str) -> None:
    """Have a base of one's own in the engine, and Ollama's image in the registry, as it is in the public one."""
    local = load(project, project.stack("dev", "local"))
    engine.docker("tag", building.base_image(project, local, Docker()).name, BASE)
    provided = building.ensure_ollama(project, local, Docker())
    name = f"{address}/ollama:test"
    engine.docker("tag", image_names.ollama(provided), name)
    engine.docker("push", "--quiet", name)
    engine.docker("rmi", name)


def token_in(output: str) -> str:
    """The token of the address that `up` printed last."""
    found = re.search(r"token=(\w+)", output.splitlines()[-1])
    assert found, output
    return found[1]
