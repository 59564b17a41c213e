"""Where the home of a lab is to be had, and what it can be given back; tests/smoke and tests/cluster do it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.errors import UsageError
from devai_tasks.operations import clouds, data, terraform
from devai_tasks.tools import site

MIB = 2**20
Asked = Callable[[str, dict[str, str]], str]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One of 40 MiB, which take no room."""
    file = tmp_path / "home.tar.gz"
    file.touch()
    os.truncate(file, 40 * MIB)
    return file


def test_cloud_run_is_given_no_more_than_it_takes_in_one_request(shipped: Project, archive: Path) -> None:
    settings = load(shipped, Stack("dev", "gcp"), ["compute.platform=simple"], environ={})
    with pytest.raises(UsageError, match=r"has 40 MiB.*32 MiB at once.*gcloud storage rsync .* gs://devaidev"):
        data.check(settings, archive)
    os.truncate(archive, 32 * MIB)
    data.check(settings, archive)


@pytest.mark.parametrize(("cloud", "platform"), [("gcp", "kubernetes"), ("aws", "simple"), ("local", "kubernetes")])
def test_others_take_homes_of_any_size(shipped: Project, archive: Path, cloud: str, platform: str) -> None:
    data.check(load(shipped, Stack("dev", cloud), [f"compute.platform={platform}"], environ={}), archive)


@pytest.fixture
def asked(shipped: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """What is asked for the home of a lab without a cluster, by its host name and the outputs that Terraform has."""

    def ask(host: str, outputs: dict[str, str]) -> str:
        urls: list[str] = []

        @contextmanager
        def work(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            yield SimpleNamespace(tool=SimpleNamespace(outputs=lambda: outputs))

        def download(server: site.Server, *_: object, **__: object) -> int:
            urls.append(server.url)
            return 0

        monkeypatch.setattr(terraform, "work", work)
        monkeypatch.setattr(terraform, "prepare", lambda _: None)
        monkeypatch.setattr(clouds, "token", lambda *_, **__: "token")
        monkeypatch.setattr(site, "download", download)
        settings = load(shipped, Stack("dev", "aws"), ["compute.platform=simple", f"ingress.host={host}"], environ={})
        data.backup(shipped, settings, tmp_path / "home.tar.gz")
        return "".join(urls)

    return ask


def test_a_lab_is_reached_by_its_host_name(asked: Asked) -> None:
    assert asked("lab.corp.test", {"url": "https://balancer.test/"}) == "https://lab.corp.test/devai/home.tar.gz"


def test_one_without_a_host_name_is_reached_by_its_load_balancer(asked: Asked) -> None:
    assert asked("", {"url": "https://balancer.test/lab/"}) == "https://balancer.test/lab/devai/home.tar.gz"
    with pytest.raises(UsageError, match="aws-dev has no address yet; `inv up"):
        asked("", {})
