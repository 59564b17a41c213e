"""Run Nox sessions in parallel, and print a table of their times and results at the end.

Used by `make test` and `make check`: `run_sessions.py [--jobs N] SESSION…`. A session with several interpreters is one
job for each interpreter. The output of a session is printed when the session ends, so that outputs are not mixed. Exits
with 1 if a session failed.
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
    """The result of a session."""

    session: str
    seconds: float
    returncode: int

    @property
    def row(self) -> str:
        """The session's line of the table."""
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"{self.session:<16} {minutes:>4} min {seconds:>2} s  {'failed' if self.returncode else 'passed'}"


def expanded(names: Sequence[str]) -> list[str]:
    """Return the jobs of sessions: one for each interpreter of a session, such as tests-3.13."""
    command = [NOX, "--list", "--json", "--sessions", *names]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [job["session"] for name in names for job in listed if name in (job["name"], job["session"])]


def run(session: str, printing: Lock) -> Outcome:
    """Run a session, and print its output when it ends."""
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
    """Run the given sessions; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="number of parallel sessions (default: 2)")
    parser.add_argument("sessions", nargs="+", metavar="SESSION", help="sessions, in the order in which they start")
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
        print(f"failed: {', '.join(failed)}; to run one again: .venv/bin/nox -s {failed[0]}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
