"""Loading of images into local clusters: the commands, and errors of missing or failing programs."""

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
        ("auto", "kind-dev", "kind load image-archive --name=dev image.tar"),
        ("auto", "k3d-dev", "k3d image import --cluster=dev image.tar"),
        ("auto", "minikube", "minikube image load --profile=minikube image.tar"),
        ("sudo ctr -n k8s.io images import -", "kind-dev", "sudo ctr -n k8s.io images import - <image.tar"),
        ("auto", "docker-desktop", ""),
    ],
)
def test_loader_depends_on_context_and_configuration(
    loader: str, context: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    selected = image_loaders.find(loader, context)
    assert selected
    selected.load(Docker(dry=True), IMAGE)
    assert capsys.readouterr().err.splitlines() == (
        [f"docker save --output=image.tar {IMAGE}", command] if command else []
    )


def test_unknown_cluster_has_no_loader() -> None:
    assert image_loaders.find("auto", "prod-eu") is None


class Engine:
    """Fake of the engine of this machine: saves the name of the image as its archive."""

    dry = False

    def save(self, image: str, archive: object) -> None:
        """Write the archive."""
        Path(str(archive)).write_text(image, encoding="utf-8")


def test_program_of_the_cluster_gets_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Docker = Engine()  # type: ignore[assignment]
    kind = tmp_path / "kind"
    kind.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/arguments\ncat "$4" >{tmp_path}/loaded\n', encoding="utf-8")
    kind.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    loader = image_loaders.find("auto", "kind-dev")
    assert loader
    loader.load(engine, IMAGE)
    assert (tmp_path / "arguments").read_text(encoding="utf-8").startswith("load image-archive --name=dev /var/tmp/")
    assert (tmp_path / "loaded").read_text(encoding="utf-8") == IMAGE


# Fake of Docker with containerd's image store, which is newer than the engines of the tests.
DOCKER = """#!/bin/sh
case "$*" in
    *version*) echo "$FAKE_API_VERSION" ;;
    *inspect*) echo '[{"Id": "sha256:1", "Os": "linux", "Architecture": "arm64"}]' ;;
    *) echo "$*" >"$FAKE_LOG" ;;
esac
"""


@pytest.mark.parametrize(("api_version", "platform"), [("1.47", ""), ("1.48", " --platform=linux/arm64"), ("1.41", "")])
def test_archive_has_one_platform_if_the_engine_supports_it(
    api_version: str, platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text(DOCKER, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("FAKE_API_VERSION", api_version)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    Docker().save(IMAGE, tmp_path / "image.tar")
    command = (tmp_path / "log").read_text(encoding="utf-8")
    assert command == f"image save --output={tmp_path}/image.tar{platform} {IMAGE}\n"


def test_configured_command_reads_the_archive_and_its_failure_is_reported() -> None:
    engine: Docker = Engine()  # type: ignore[assignment]
    reading = image_loaders.find(f"grep -q {IMAGE}", "dev")
    assert reading
    reading.load(engine, IMAGE)
    failing = image_loaders.find("sh -c 'echo no space >&2; exit 3'", "dev")
    assert failing
    with pytest.raises(ToolError, match=r"\(exit code 3\): no space"):
        failing.load(engine, IMAGE)
    missing = image_loaders.find("no-such-program", "dev")
    assert missing
    with pytest.raises(MissingToolError, match="no-such-program is not installed"):
        missing.load(engine, IMAGE)
