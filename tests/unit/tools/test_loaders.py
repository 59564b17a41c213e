"""How an image gets into a cluster of this machine: the commands, and what is said where there is no way."""

from __future__ import annotations

import pytest

from devai_tasks.errors import ToolFailed, ToolMissing
from devai_tasks.tools import loaders
from devai_tasks.tools.docker import Docker

IMAGE = "devai-lab:local-dev-1"


@pytest.mark.parametrize(
    ("loader", "context", "command"),
    [
        ("auto", "kind-own", f"kind load docker-image --name=own {IMAGE}"),
        ("auto", "k3d-own", f"k3d image import --cluster=own {IMAGE}"),
        ("auto", "minikube", f"minikube image load --profile=minikube {IMAGE}"),
        ("sudo ctr -n k8s.io images import -", "kind-own", f"docker save {IMAGE} | sudo ctr -n k8s.io images import -"),
        ("auto", "docker-desktop", ""),
    ],
)
def test_the_context_or_the_configuration_says_how(
    loader: str, context: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = loaders.find(loader, context)
    assert found
    found.load(Docker(dry=True), IMAGE)
    assert capsys.readouterr().err.strip() == command


def test_a_cluster_that_nobody_knows_has_no_way() -> None:
    assert loaders.find("auto", "prod-eu") is None


class Engine:
    """Stands in for the engine of this machine, which a unit test has none of."""

    dry = False

    def save(self, image: str, archive: object) -> None:
        """Write something."""
        from pathlib import Path

        Path(str(archive)).write_text(image, encoding="utf-8")


def test_a_command_reads_the_archive_and_its_failure_is_told() -> None:
    engine: Docker = Engine()  # type: ignore[assignment]
    reads = loaders.find(f"grep -q {IMAGE}", "own")
    assert reads
    reads.load(engine, IMAGE)
    fails = loaders.find("sh -c 'echo no room >&2; exit 3'", "own")
    assert fails
    with pytest.raises(ToolFailed, match=r"\(exit code 3\): no room"):
        fails.load(engine, IMAGE)
    absent = loaders.find("no-such-program", "own")
    assert absent
    with pytest.raises(ToolMissing, match="no-such-program is not installed"):
        absent.load(engine, IMAGE)
