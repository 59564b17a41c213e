"""Images for a node's containerd."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

from harness.kubernetes.node import Node


def load(node: Node, image: str) -> None:
    """Load an image of the local Docker engine; raise subprocess.CalledProcessError with the output if this fails."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
        subprocess.run(_import(node), stdin=saving.stdout, check=True, capture_output=True)
    if saving.returncode != 0:
        raise subprocess.CalledProcessError(saving.returncode, saving.args)


def load_program(node: Node, image: str, program: Path) -> None:
    """Load an image that contains only one static program."""
    archive = single_program(image, program)
    subprocess.run(_import(node), input=archive, check=True, capture_output=True)


def _import(node: Node) -> list[str]:
    return node.inside("ctr", "--namespace=k8s.io", "images", "import", "-")


def single_program(image: str, program: Path) -> bytes:
    """Return an image that contains only one program, as an archive in the format of `docker save`.

    The image runs the program as user 65534. Format: https://github.com/moby/docker-image-spec.
    """
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    config = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": "65534:65534"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]).encode()
    return _tar({"manifest.json": manifest, "config.json": config, "layer.tar": layer}, mode=0o644)


def _architecture() -> str:
    import platform

    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
