"""Run the lab's image with a user ID that has no account in the image, on any engine."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

# A user ID as OpenShift assigns them: without an account, in group 0.
OPENSHIFT_UID = 1000680000
_SCRIPT = """
    jupyter lab >/tmp/log 2>&1 &
    until healthcheck 2>/dev/null; do sleep 0.3; done
    pip install --quiet --no-index work/*.whl
    python -c 'import greeting; print(greeting.TEXT)'
    touch file-in-home work/file-in-work
    id --user
    id --group
"""


def package(folder: Path) -> None:
    """Write a Python package into the folder, for `pip install` without a network."""
    info = "greeting-1.dist-info"
    with zipfile.ZipFile(folder / "greeting-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "TEXT = 'installed'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def run(image: str, *options: str, command: tuple[str, ...], engine: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command instead of Jupyter in a container of the image, without a network."""
    host = [f"--host={engine}"] if engine else []
    return subprocess.run(
        ["docker", *host, "run", "--rm", "--network=none", *options, image, *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def assert_lab_runs_as_arbitrary_uid(image: str, work: Path, *options: str, engine: str = "") -> None:
    """Assert that the lab runs as on OpenShift and other clusters that assign user IDs.

    `work` contains the package that `package` writes.
    """
    work.chmod(0o770)
    os.chown(work, 0, 0)
    result = run(
        image, f"--user={OPENSHIFT_UID}:0", "--cap-drop=ALL", "--env=JUPYTER_TOKEN=any",
        f"--volume={work}:/home/devai/work", *options,
        command=("timeout", "60", "bash", "-euc", _SCRIPT), engine=engine,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["installed", str(OPENSHIFT_UID), "0"]
    created = (work / "file-in-work").stat()
    assert (created.st_uid, created.st_gid) == (OPENSHIFT_UID, 0)
