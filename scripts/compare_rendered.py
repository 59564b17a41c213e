#!/usr/bin/env python3
"""Compare the artifacts that two commits render, for all shipped stacks and all switches: `compare_rendered.py BEFORE`.

Prints one line for each artifact that differs, and exits with 1 if there is one; `--diff` prints the differences. AFTER
defaults to the working tree. If a commit cannot render a stack, the invalid keys are compared instead. Run the script
in the project's environment (`.venv/bin/python scripts/compare_rendered.py …`).
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ("dev", "staging", "prod")
CLOUDS = ("local", "aws", "azure", "gcp")
# Overrides by name; each is rendered separately, for every stack.
SWITCHES: Mapping[str, Sequence[str]] = {
    "as shipped": (),
    "gpu": ("gpu.enabled=true",),
    "gpu of the lab": ("gpu.enabled=true", "gpu.lab=true", "gpu.count=2"),
    "gpu of amd": ("gpu.enabled=true", "gpu.vendor=amd"),
    "managed containers": ("compute.platform=simple", "protected=false"),
    "managed containers with two services": ("compute.platform=simple", "protected=false", "vector_store.kind=chroma"),
    "kubernetes": ("compute.platform=kubernetes",),
    "ollama of the host": ("ollama.mode=host",),
    "external ollama": ("ollama.mode=external", "ollama.url=http://192.0.2.7:11434"),
    "models from files": ("models=[local.gguf]",),
    "chroma": ("vector_store.kind=chroma",),
    "podman": ("engine.name=podman",),
    "root": ("engine.uid=0", "engine.gid=0"),
    "local tls": ("tls.local=true",),
    "no published ollama": ("ports.ollama=null",),
    "other ports and path": ("ports.lab=9000", "network.base_url=/lab/"),
    "labels and variables": ("labels={team: a}", "env={A: 'b c', D: \"it's\"}", "secrets={K: '${secret:K}'}"),
    "tools and compilers": ("image.tools=[claude]", "image.compilers=true"),
    "custom certificate": ("terraform.certificate=mine",),
    "no https": ("protected=false", "tls.enabled=false"),
    "no host name": ("protected=false", "ingress.host="),
    "secret store": ("kubernetes.secret_store=vault",),
    "several labs": ("compute.replicas.min=2", "compute.replicas.max=4", "kubernetes.scale_down=true"),
    "storage classes": ("storage.home_class=shared", "storage.models_class=fast"),
    "recorded digests": (f"image.digest=sha256:{'a' * 64}",),
    "state store": ("terraform.state.store=somewhere",),
    "proxy and authority": ("image.ca_file=conf/ca.pem", "network.egress_cidrs=[192.0.2.0/24]"),
}


def main() -> int:
    """Compare two commits; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="commit to compare with")
    parser.add_argument("after", nargs="?", help="other commit (default: the working tree)")
    parser.add_argument("--diff", action="store_true", help="print the differences")
    parser.add_argument("--switch", action="append", choices=SWITCHES, help="render only this switch; can be repeated")
    arguments = parser.parse_args()
    names = arguments.switch or list(SWITCHES)
    with tempfile.TemporaryDirectory(prefix="devai-rendered-") as folder:
        before = rendered(Path(folder) / "before", arguments.before, names)
        after = rendered(Path(folder) / "after", arguments.after, names)
    counts = report(before, after, with_diff=arguments.diff)
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    return int(counts.keys() != {"equal"})


def rendered(folder: Path, commit: str | None, names: Sequence[str]) -> dict[str, str]:
    """Return the artifacts of a commit or of the working tree (None), by `switch/stack/artifact`."""
    folder.mkdir()
    list_files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    command = ["git", "archive", "--format=tar", commit] if commit else list_files
    files = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    if commit:
        subprocess.run(["tar", "-x"], cwd=folder, input=files, check=True)
    else:
        for name in filter(None, files.decode().split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).exists():
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    (folder / "conf/ca.pem").write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", encoding="utf-8")
    texts: dict[str, str] = {}
    for name in names:
        print(f"{commit or 'working tree'}: {name}", file=sys.stderr)
        artifacts = render(folder, name, "--all")
        stacks = [f"{cloud}-{environment}" for cloud in CLOUDS for environment in ENVIRONMENTS]
        if "refused" in artifacts:
            artifacts = {
                f"{stack}/{path}": text for stack in stacks for path, text in of_stack(folder, stack, name).items()
            }
        texts |= {f"{name}/{path}": text for path, text in artifacts.items()}
    return texts


def of_stack(folder: Path, stack: str, switch: str) -> dict[str, str]:
    """Return the artifacts of a stack with a switch, by path."""
    cloud, _, environment = stack.partition("-")
    artifacts = render(folder, switch, f"--env={environment}", f"--cloud={cloud}")
    return {path.removeprefix(f"{stack}/"): text for path, text in artifacts.items()}


def render(folder: Path, switch: str, *flags: str) -> dict[str, str]:
    """Return the rendered artifacts by stack and path; if rendering fails, the invalid keys as `refused`."""
    overrides = [f"--set={override}" for override in SWITCHES[switch]]
    command = [sys.executable, "-m", "invoke", "config.render", *flags, *overrides]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DEVAI")}
    environ["PYTHONPATH"] = str(folder)
    result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    texts = {}
    for target in sorted((folder / "generated").glob("*/*")):  # a symbolic link to the current folder
        if not target.is_symlink():
            continue
        for file in sorted(path for path in target.rglob("*") if path.is_file()):
            texts[str(file.relative_to(folder / "generated"))] = file.read_text(encoding="utf-8")
    shutil.rmtree(folder / "generated", ignore_errors=True)
    if result.returncode:
        return {"refused": "\n".join(sorted(set(re.findall(r"^\S.*  ([\w.]+)", result.stderr, re.MULTILINE))))}
    return texts


def report(before: Mapping[str, str], after: Mapping[str, str], *, with_diff: bool) -> Counter[str]:
    """Print the artifacts that differ; return the number of artifacts by state."""
    counts: Counter[str] = Counter()
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        state = "equal" if old == new else "only after" if old is None else "only before" if new is None else "differs"
        counts[state] += 1
        if state != "equal":
            print(f"{state}: {path}")
        if old is not None and new is not None and old != new and with_diff:
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "before", "after", lineterm="", n=1)
            print("\n".join(lines))
    return counts


if __name__ == "__main__":
    sys.exit(main())
