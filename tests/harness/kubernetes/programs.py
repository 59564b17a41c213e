"""Programs that run until they are stopped."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class StartError(Exception):
    """A part of Kubernetes ended or gave no sign of life; carries the end of its log."""


def kill_with_parent() -> list[str]:
    """What to put before a command so that it ends when the process that started it does, even when that is killed."""
    return [setpriv, "--pdeathsig=KILL"] if (setpriv := shutil.which("setpriv")) else []


class Program:
    """A running program whose output is in a file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 60) -> None:
        """Return when something holds that the program brings about; raises StartError."""
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                what = "was not ready in time" if ended is None else f"ended with code {ended}"
                last = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
                raise StartError(f"{self.log.stem} {what}; the end of its log:\n{last}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End the program, gently first."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
