"""Which images may go; tests/registry removes real ones."""

from __future__ import annotations

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.engine.images import Images
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.compose import ownership as folder_ownership
from devai_tasks.targets.image import pruning
from devai_tasks.workspace.ownership import Claim, Owner


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
    found = pruning.find(shipped, settings, Engine())
    assert found == (["r.test/devai-lab:older"] if registry else []) + ["sha256:forgotten"]


def test_nothing_goes_while_a_stack_of_the_same_project_is_another_folders(
    shipped: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that this folder has no profile of."""
    settings = load(shipped, Stack("staging", "local"), environ={})
    asked: list[str] = []

    def of(_: Project, name: str) -> Owner:
        asked.append(name)
        return Owner(claim, f"the stack {name}", "the folder /here", "the folder /there")

    monkeypatch.setattr(folder_ownership, "of_compose_project", of)
    claim = Claim.OWN
    folder_ownership.check_images(shipped, settings, Engine())
    assert asked == ["devai-local-dev"]
    claim = Claim.FOREIGN
    with pytest.raises(UsageError, match=r"the stack devai-local-dev belongs to .*/there.* nothing was changed"):
        folder_ownership.check_images(shipped, settings, Engine())
