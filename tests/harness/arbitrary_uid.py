"""The lab's image as somebody whom no account of it knows, by whichever engine."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

# As OpenShift gives them: a number that no account has, in group 0.
OPENSHIFT_UID = 1000680000
_SCRIPT = """
    jupyter lab >/tmp/log 2>&1 &
    until healthcheck 2>/dev/null; do sleep 0.3; done
    pip install --quiet --no-index work/*.whl
    python -c 'import greeting; print(greeting.TEXT)'
    touch made-at-home work/made-by-a-number
    id --user
    id --group
"""


def package(folder: Path) -> None:
    """Put a Python package there, for `pip install` without a network."""
    info = "greeting-1.dist-info"
    with zipfile.ZipFile(folder / "greeting-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "TEXT = 'installed'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def run(image: str, *options: str, command: tuple[str, ...], engine: str = "") -> subprocess.CompletedProcess[str]:
    """A container of an image without a network, with another command in Jupyter's place."""
    host = [f"--host={engine}"] if engine else []
    return subprocess.run(
        ["docker", *host, "run", "--rm", "--network=none", *options, image, *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def assert_lab_runs_as_arbitrary_uid(image: str, work: Path, *options: str, engine: str = "") -> None:
    """The way of OpenShift, and of every cluster that gives out user ids; `work` has the package."""
    work.chmod(0o770)
    os.chown(work, 0, 0)
    ran = run(
        image, f"--user={OPENSHIFT_UID}:0", "--cap-drop=ALL", "--env=JUPYTER_TOKEN=any",
        f"--volume={work}:/home/devai/work", *options,
        command=("timeout", "60", "bash", "-euc", _SCRIPT), engine=engine,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["installed", str(OPENSHIFT_UID), "0"]
    made = work / "made-by-a-number"
    assert (made.stat().st_uid, made.stat().st_gid) == (OPENSHIFT_UID, 0)
