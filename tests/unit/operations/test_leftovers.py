"""Which images may go; tests/registry removes real ones."""

from __future__ import annotations

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.operations import leftovers
from devai_tasks.tools.images import Images


class Engine(Images):
    """Stands in for an engine with images."""

    def names(self, label: str) -> list[dict[str, str]]:
        """Rows of images, as it shows them."""
        assert label == "io.devai.project=devai"
        return [
            {"Repository": repository, "Tag": tag, "ID": f"sha256:{tag}" if repository != "<none>" else tag}
            for repository, tag in (
                ("devai-lab", "local-dev"), ("r.test/devai-lab", "0.1.0"), ("r.test/devai-lab", "older"),
                ("r.test/devai-lab", "running"), ("<none>", "sha256:forgotten"), ("<none>", "sha256:of-a-lab"),
            )
        ]  # fmt: skip

    def used(self) -> set[str]:
        """The images of containers."""
        return {"sha256:of-a-lab", "sha256:running"}


@pytest.mark.parametrize("registry", ["r.test", ""])
def test_what_a_container_is_of_stays_with_what_the_stacks_and_the_present_commit_name(
    shipped: Project, registry: str
) -> None:
    settings = load(shipped, Stack("dev", "local"), [f"image.registry={registry}"], environ={})
    found = leftovers.find(shipped, settings, Engine())
    assert found == (["r.test/devai-lab:older"] if registry else []) + ["sha256:forgotten"]
