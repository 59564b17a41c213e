"""What loading and rendering cost: one stack as a person runs it, and a thousand in one process.

`nox -s bench -- configuration` prints the tables of docs/performance.md. Only the growth can fail: a thousand stacks
must not cost each more than the first hundreds do.
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
# The later half of the stacks, beside the earlier one.
GROWTH_LIMIT = 1.3
PROFILES = 250  # on each of the four clouds


def main() -> None:
    """Run all of it; exit code 1 where the cost of a stack grows with their number."""
    if sys.argv[1:]:
        many(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = fresh(Path(folder) / "lab").root
        one(root)
        for number in range(PROFILES):
            text = f"resources: {{lab: {{memory: {number % 30 + 1}Gi}}}}\nenv: {{NUMBER: '{number}'}}\n"
            (root / f"conf/profiles/p{number}.yaml").write_text(text, encoding="utf-8")
        # In a process of its own, whose memory is measured.
        sys.exit(subprocess.run([sys.executable, __file__, root], check=False).returncode)


def one(root: Path) -> None:
    """Each as a whole process, beside Invoke's own start."""
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


def many(root: Path) -> None:
    """All stacks of a project in this process: loaded and rendered, each timed."""
    start = time.perf_counter()
    from harness.settings import Sources

    from devai_tasks.config.project import Project
    from devai_tasks.stack import artifacts

    project = Project(root)
    sources = Sources(project, {})
    imported = time.perf_counter() - start
    made = [stack for stack in project.stacks if stack.environment not in ("dev", "staging", "prod")]
    stacks = sorted(made, key=lambda stack: stack.environment)  # so that both halves have all clouds
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
    print(f"| the first stack | {seconds[0] * 1000:.0f} ms |")
    print(f"| each further one, median | {statistics.median(later) * 1000:.1f} ms |")
    print(f"| all of them | {sum(seconds):.1f} s |")
    print(f"| the later half beside the earlier; limit {GROWTH_LIMIT} | {growth:.2f} |")
    print(f"| memory at most | {memory:.0f} MB |", flush=True)
    if growth > GROWTH_LIMIT:
        sys.exit(f"a stack costs {growth:.2f} times as much when there are many; limit {GROWTH_LIMIT}")


def timed(command: list[str], root: Path) -> float:
    """Seconds that a command takes; nothing is rendered before it."""
    subprocess.run(["rm", "-rf", root / "generated"], check=True)
    start = time.perf_counter()
    subprocess.run(command, cwd=root, capture_output=True, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
