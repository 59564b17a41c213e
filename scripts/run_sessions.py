"""Run Nox sessions side by side, and print a table of their times and results at the end.

Used by `make test` and `make check`: `run_sessions.py [--jobs N] SESSION…`. A session with several interpreters is one
job each. The output of a session is printed when it ends, so that it stays together. Exits with 1 where one failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

NOX = str(Path(sys.executable).with_name("nox"))


@dataclass(frozen=True)
class Outcome:
    """How a session ended."""

    session: str
    seconds: float
    returncode: int

    @property
    def row(self) -> str:
        """Return its line of the table."""
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"{self.session:<16} {minutes:>4} min {seconds:>2} s  {'failed' if self.returncode else 'passed'}"


def expanded(names: Sequence[str]) -> list[str]:
    """Return the jobs of sessions: for one with several interpreters, each of them, such as tests-3.13."""
    command = [NOX, "--list", "--json", "--sessions", *names]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [job["session"] for name in names for job in listed if name in (job["name"], job["session"])]


def run(session: str, printing: Lock) -> Outcome:
    """Run a session, and print its output when it has ended."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        command = [NOX, "--sessions", session]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False).returncode
        output.seek(0)
        with printing:
            sys.stdout.buffer.write(output.read())
            sys.stdout.buffer.flush()
    return Outcome(session, time.monotonic() - begin, code)


def main() -> int:
    """Run the sessions that are named, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time (default: 2)")
    parser.add_argument("sessions", nargs="+", metavar="SESSION", help="in the order in which they start")
    arguments = parser.parse_args()
    begin, printing = time.monotonic(), Lock()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(lambda session: run(session, printing), expanded(arguments.sessions)))
    print()
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.seconds):
        print(outcome.row)
    print(Outcome("all", time.monotonic() - begin, any(outcome.returncode for outcome in outcomes)).row)
    failed = [outcome.session for outcome in outcomes if outcome.returncode]
    if failed:
        print(f"failed: {', '.join(failed)}; one of them again: .venv/bin/nox -s {failed[0]}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
