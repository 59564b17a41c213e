"""Benchmarks that compare the tasks with the tools they run, and the lab's image with a naive one.

`nox -s bench` prints the tables of docs/performance.md. The two sides of a comparison alternate, so that other load
slows both sides; the result is the median of the pairs' ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.registry import free_port
from harness.stack import ComposeStack

from devai_tasks.config.project import Project
from devai_tasks.engine.docker import Docker
from devai_tasks.targets.image import building
from devai_tasks.workspace import scaffold

REPOSITORY = Path(__file__).parents[2]
INV = str(Path(sys.executable).with_name("inv"))
# As on a user's machine, where Python caches the bytecode of imported modules.
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
# The only limit that fails the session: shell completion runs `inv --list` each time.
LIST_LIMIT = 1.3

ONE_TASK = """
from invoke import task

@task
def one(c):
    "The only task."
"""

PORTS = "ports: {lab: 18888, ollama: 18434}\nproject: {name: devai-bench}\n"


def main() -> None:
    """Run all benchmarks; exit with 1 if a ratio exceeds its limit."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Path(folder) / "lab"
        scaffold.write(lab)
        (lab / "conf/profiles/bench.yaml").write_text(PORTS, encoding="utf-8")
        listing = start_up(Path(folder), lab)
        stack = ComposeStack(Project(lab), "bench")
        try:
            compose_up(stack)
            image(stack)
        finally:
            stack.inv("compose.down", "--data", "--confirm=devai-bench-local-bench")
    if listing > LIST_LIMIT:
        sys.exit(f"inv --list takes {listing:.2f} times as long as in a project with one task; limit {LIST_LIMIT}")


def start_up(folder: Path, lab: Path) -> float:
    """Compare `inv --list` in a new project and in a project with a single task."""
    plain = folder / "plain"
    plain.mkdir()
    (plain / "tasks.py").write_text(ONE_TASK, encoding="utf-8")
    pairs = paired(lambda: run([INV, "--list"], plain), lambda: run([INV, "--list"], lab), rounds=15)
    return report("`inv --list`, one task", "`inv --list`, all tasks", pairs)


def compose_up(stack: ComposeStack) -> None:
    """Compare `docker compose up --wait` and `inv compose.up`, both with built images and without containers."""
    root = stack.project.root
    assert stack.inv("compose.up").returncode == 0
    plain = ["docker", "compose", "--env-file", "generated/local-bench/compose/.env"]

    def from_down(command: Sequence[str]) -> Callable[[], float]:
        def measure() -> float:
            run([*plain, "down"], root)
            return run(command, root)

        return measure

    task = from_down([INV, "compose.up", "--env=bench"])
    pairs = paired(from_down([*plain, "up", "--detach", "--wait"]), task, rounds=5)
    report("`docker compose up --wait`", "`inv compose.up`", pairs)


def image(stack: ComposeStack) -> None:
    """Compare the lab's image and a naive one with the same packages and base; measure a rebuild after a change."""
    base = building.base_image(stack.project, stack.settings, Docker()).name
    naive, lab_image, root = "devai-bench-naive", "devai-bench-lab:local-bench", stack.project.root
    arguments = {"BASE_IMAGE": base, "PACKAGES": stack.settings.image.packages}
    build = ["docker", "buildx", "build", "--no-cache", *(f"--build-arg={a}={b}" for a, b in arguments.items())]
    if stack.settings.image.ca_file:
        build.append(f"--secret=id=ca,src={stack.settings.image.ca_file}")
    naive_seconds = run([*build, f"--tag={naive}", f"--file={REPOSITORY}/tests/bench/naive.Dockerfile", "."], root)
    cold = run([*build, f"--tag={lab_image}", "."], root)
    warm = timed(lambda: stack.inv("image.build").check_returncode())
    (root / "requirements.txt").write_text(f"tomli-w # {time.time()}\n", encoding="utf-8")
    changed = timed(lambda: stack.inv("image.build").check_returncode())
    print("\n| image | size | built in |\n| --- | --- | --- |")
    print(f"| base image | {size(base) / 1e6:.0f} MB | |")
    print(f"| naive | {size(naive) / 1e6:.0f} MB | {naive_seconds:.0f} s |")
    print(f"| lab image | {size(lab_image) / 1e6:.0f} MB | {cold:.0f} s |")
    print(f"| ratio | {size(lab_image) / size(naive):.2f} | {cold / naive_seconds:.2f} |")
    print(f"\nRebuilt: {warm:.1f} s; with one line of requirements.txt changed: {changed:.1f} s.")
    pairs = paired(lambda: first_answer(naive), lambda: first_answer(lab_image), rounds=5)
    report("naive, from `docker run` to the first response of /api", "lab image", pairs)
    run(["docker", "rmi", "--force", naive, lab_image], root)


def first_answer(name: str) -> float:
    """Return the seconds from `docker run` with an empty home until JupyterLab answers."""
    address = f"127.0.0.1:{free_port()}"
    command = ["docker", "run", "--detach", "--env=JUPYTER_TOKEN=bench", f"--publish={address}:8888", name]
    start = time.perf_counter()
    container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        while time.perf_counter() < start + 120:
            try:
                urllib.request.urlopen(f"http://{address}/api", timeout=5).close()
                return time.perf_counter() - start
            except OSError:
                time.sleep(0.02)
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, check=True)
    raise TimeoutError(f"{name} does not answer")


def paired(left: Callable[[], float], right: Callable[[], float], *, rounds: int) -> list[tuple[float, float]]:
    """Measure both in turn, with the order swapped each round; the first round is a warm-up and not counted."""
    results = []
    for round_number in range(rounds + 1):
        if round_number % 2:
            second, first = right(), left()
        else:
            first, second = left(), right()
        results.append((first, second))
    return results[1:]


def report(left: str, right: str, pairs: Sequence[tuple[float, float]]) -> float:
    """Print a table; return the median ratio."""
    ratio = statistics.median(second / first for first, second in pairs)
    difference = statistics.median(second - first for first, second in pairs)
    print("\n| | median |\n| --- | --- |")
    print(f"| {left} | {statistics.median(first for first, _ in pairs):.2f} s |")
    print(f"| {right} | {statistics.median(second for _, second in pairs):.2f} s |")
    print(f"| ratio of pairs | {ratio:.2f} ({difference:+.2f} s) |", flush=True)
    return ratio


def run(command: Sequence[str], folder: Path) -> float:
    """Return the seconds that a command takes."""
    return timed(lambda: subprocess.run(command, cwd=folder, env=ENVIRON, capture_output=True, check=True))


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def size(name: str) -> int:
    """Return the size of an image in bytes."""
    output = subprocess.run(["docker", "inspect", name], capture_output=True, text=True, check=True).stdout
    return int(json.loads(output)[0]["Size"])


if __name__ == "__main__":
    main()
