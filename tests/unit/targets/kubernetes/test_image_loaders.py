"""How an image gets into a cluster of this machine: the commands, and what is said where there is no way."""

from __future__ import annotations

from pathlib import Path

import pytest

from devai_tasks.engine.docker import Docker
from devai_tasks.system.errors import MissingToolError, ToolError
from devai_tasks.targets.kubernetes import image_loaders

IMAGE = "devai-lab:local-dev-1"


@pytest.mark.parametrize(
    ("loader", "context", "command"),
    [
        ("auto", "kind-own", "kind load image-archive --name=own image.tar"),
        ("auto", "k3d-own", "k3d image import --cluster=own image.tar"),
        ("auto", "minikube", "minikube image load --profile=minikube image.tar"),
        ("sudo ctr -n k8s.io images import -", "kind-own", "sudo ctr -n k8s.io images import - <image.tar"),
        ("auto", "docker-desktop", ""),
    ],
)
def test_the_context_or_the_configuration_says_how(
    loader: str, context: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = image_loaders.find(loader, context)
    assert found
    found.load(Docker(dry=True), IMAGE)
    assert capsys.readouterr().err.splitlines() == (
        [f"docker save --output=image.tar {IMAGE}", command] if command else []
    )


def test_a_cluster_that_nobody_knows_has_no_way() -> None:
    assert image_loaders.find("auto", "prod-eu") is None


class Engine:
    """Stands in for the engine of this machine, which a unit test has none of."""

    dry = False

    def save(self, image: str, archive: object) -> None:
        """Write something."""
        Path(str(archive)).write_text(image, encoding="utf-8")


def test_a_clusters_own_program_is_given_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Docker = Engine()  # type: ignore[assignment]
    kind = tmp_path / "kind"
    kind.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/words\ncat "$4" >{tmp_path}/loaded\n', encoding="utf-8")
    kind.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = image_loaders.find("auto", "kind-own")
    assert found
    found.load(engine, IMAGE)
    assert (tmp_path / "words").read_text(encoding="utf-8").startswith("load image-archive --name=own /var/tmp/")
    assert (tmp_path / "loaded").read_text(encoding="utf-8") == IMAGE


# In the place of an engine that keeps images in containerd, which is newer than what the tests can have.
DOCKER = """#!/bin/sh
case "$*" in
    *version*) echo "$DOCKER_SPEAKS" ;;
    *inspect*) echo '[{"Id": "sha256:1", "Os": "linux", "Architecture": "arm64"}]' ;;
    *) echo "$*" >"$DOCKER_WORDS" ;;
esac
"""


@pytest.mark.parametrize(("speaks", "platform"), [("1.47", ""), ("1.48", " --platform=linux/arm64"), ("1.41", "")])
def test_an_archive_has_one_platform_where_the_engine_can_tell_them_apart(
    speaks: str, platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text(DOCKER, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DOCKER_SPEAKS", speaks)
    monkeypatch.setenv("DOCKER_WORDS", str(tmp_path / "words"))
    Docker().save(IMAGE, tmp_path / "image.tar")
    words = (tmp_path / "words").read_text(encoding="utf-8")
    assert words == f"image save --output={tmp_path}/image.tar{platform} {IMAGE}\n"


def test_a_command_reads_the_archive_and_its_failure_is_told() -> None:
    engine: Docker = Engine()  # type: ignore[assignment]
    reads = image_loaders.find(f"grep -q {IMAGE}", "own")
    assert reads
    reads.load(engine, IMAGE)
    fails = image_loaders.find("sh -c 'echo no room >&2; exit 3'", "own")
    assert fails
    with pytest.raises(ToolError, match=r"\(exit code 3\): no room"):
        fails.load(engine, IMAGE)
    absent = image_loaders.find("no-such-program", "own")
    assert absent
    with pytest.raises(MissingToolError, match="no-such-program is not installed"):
        absent.load(engine, IMAGE)
