"""Process that serves provider schema snapshots to Terraform: start and stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import devai_tasks.offline
from devai_tasks.offline import serving
from devai_tasks.system.errors import ToolError

SNAPSHOTS = Path(devai_tasks.offline.__file__).parent / "recordings"


def test_provider_runs_until_the_block_ends() -> None:
    with serving.serving([SNAPSHOTS / "tls.json"]) as reattach:
        ((source, provider),) = json.loads(reattach).items()
        assert source.endswith("hashicorp/tls")
        socket = Path(provider["Addr"]["String"])
        assert socket.is_socket()
        assert Path("/proc", str(provider["Pid"])).exists()
    assert not socket.exists()
    assert not Path("/proc", str(provider["Pid"])).exists()


def test_provider_that_does_not_start_is_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(ToolError, match=r"^the offline provider did not start; "),
        serving.serving([tmp_path / "none.json"]),
    ):
        pass
    assert "FileNotFoundError" in capfd.readouterr().err
