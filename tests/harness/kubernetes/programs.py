"""Background programs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class StartError(Exception):
    """A component of Kubernetes exited or did not become ready; the message contains the last lines of its log."""


def kill_with_parent() -> list[str]:
    """Return the command prefix that kills a program when its parent process ends, even if the parent is killed."""
    return [setpriv, "--pdeathsig=KILL"] if (setpriv := shutil.which("setpriv")) else []


class Program:
    """A running program that writes its output to a file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 60) -> None:
        """Wait until a condition holds.

        Raises:
            StartError: the program exited, or the condition did not hold in time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                reason = "was not ready in time" if code is None else f"exited with code {code}"
                tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
                raise StartError(f"{self.log.stem} {reason}; the last lines of its log:\n{tail}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the program: SIGTERM, then SIGKILL after 10 seconds."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
