"""Benchmark of loading and rendering: one stack per process as users run it, and a thousand stacks in one process.

`nox -s bench -- configuration` prints the tables of docs/performance.md. The benchmark fails only if the time per stack
grows with the number of stacks.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.project import fresh

INV = str(Path(sys.executable).with_name("inv"))
# Median time per stack: second half of the stacks divided by the first half.
GROWTH_LIMIT = 1.3
PROFILES = 250  # on each of the four clouds


def main() -> None:
    """Run all benchmarks; exit with 1 if the time per stack grows."""
    if sys.argv[1:]:
        measure_many_stacks(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = fresh(Path(folder) / "lab").root
        measure_processes(root)
        for number in range(PROFILES):
            text = f"resources: {{lab: {{memory: {number % 30 + 1}Gi}}}}\nenv: {{NUMBER: '{number}'}}\n"
            (root / f"conf/profiles/p{number}.yaml").write_text(text, encoding="utf-8")
        # In a separate process, to measure its memory.
        sys.exit(subprocess.run([sys.executable, __file__, root], check=False).returncode)


def measure_processes(root: Path) -> None:
    """Measure whole processes, and Invoke's startup for comparison."""
    print("\n| whole process | median of 9 |\n| --- | --- |")
    for title, command in (
        ("`inv --list`", [INV, "--list"]),
        ("`inv config.render` of one stack for all its targets", [INV, "config.render"]),
        ("`inv config.render --cloud=aws`", [INV, "config.render", "--cloud=aws"]),
        ("`inv config.show`", [INV, "config.show"]),
        ("`inv config.check`, 12 stacks with and without GPU", [INV, "config.check"]),
    ):
        seconds = [timed(command, root) for _ in range(10)][1:]
        print(f"| {title} | {statistics.median(seconds):.2f} s |", flush=True)


def measure_many_stacks(root: Path) -> None:
    """Measure loading and rendering of each stack of a project in this process."""
    start = time.perf_counter()
    from harness.settings import Sources

    from devai_tasks.config.project import Project
    from devai_tasks.stack import artifacts

    project = Project(root)
    sources = Sources(project, {})
    imported = time.perf_counter() - start
    created = [stack for stack in project.stacks if stack.environment not in ("dev", "staging", "prod")]
    stacks = sorted(created, key=lambda stack: stack.environment)  # both halves contain all clouds
    seconds = []
    for stack in stacks:
        start = time.perf_counter()
        artifacts.render(project, sources.configuration(stack).settings)
        seconds.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    later = seconds[1:]
    half = len(later) // 2
    growth = statistics.median(later[half:]) / statistics.median(later[:half])
    print(f"\n| {len(stacks)} stacks in one process | |\n| --- | --- |")
    print(f"| imports | {imported:.2f} s |")
    print(f"| first stack | {seconds[0] * 1000:.0f} ms |")
    print(f"| each further stack, median | {statistics.median(later) * 1000:.1f} ms |")
    print(f"| all stacks | {sum(seconds):.1f} s |")
    print(f"| second half divided by first half; limit {GROWTH_LIMIT} | {growth:.2f} |")
    print(f"| maximum memory | {memory:.0f} MB |", flush=True)
    if growth > GROWTH_LIMIT:
        sys.exit(f"a stack takes {growth:.2f} times as long among many stacks; limit {GROWTH_LIMIT}")


def timed(command: list[str], root: Path) -> float:
    """Return the seconds that a command takes without previously rendered artifacts."""
    subprocess.run(["rm", "-rf", root / "generated"], check=True)
    start = time.perf_counter()
    subprocess.run(command, cwd=root, capture_output=True, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
