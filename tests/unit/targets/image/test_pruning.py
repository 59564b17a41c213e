"""Selection of unused images; tests/registry removes real images."""

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
    """Fake of an engine with images."""

    def names(self, label: str) -> list[dict[str, str]]:
        """Return rows of images, as the engine lists them."""
        assert label == "io.devai.project=devai"
        return [
            {"Repository": repository, "Tag": tag, "ID": f"sha256:{tag}" if repository != "<none>" else tag}
            for repository, tag in (
                ("devai-lab", "local-dev"), ("r.test/devai-lab", "0.1.0"), ("r.test/devai-lab", "older"),
                ("r.test/devai-lab", "running"), ("<none>", "sha256:unused"), ("<none>", "sha256:of-a-lab"),
            )
        ]  # fmt: skip

    def used(self) -> set[str]:
        """Return the IDs of the images of containers."""
        return {"sha256:of-a-lab", "sha256:running"}


@pytest.mark.parametrize("registry", ["r.test", ""])
def test_images_of_containers_stacks_and_the_current_commit_are_kept(shipped: Project, registry: str) -> None:
    settings = load(shipped, Stack("dev", "local"), [f"image.registry={registry}"], environ={})
    unused = pruning.find(shipped, settings, Engine())
    assert unused == (["r.test/devai-lab:older"] if registry else []) + ["sha256:unused"]


def test_pruning_is_refused_while_a_stack_belongs_to_another_folder(
    shipped: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack may have no profile in this folder."""
    settings = load(shipped, Stack("staging", "local"), environ={})
    checked: list[str] = []

    def of(_: Project, name: str) -> Owner:
        checked.append(name)
        return Owner(claim, f"the stack {name}", "the folder /here", "the folder /there")

    monkeypatch.setattr(folder_ownership, "of_compose_project", of)
    claim = Claim.OWN
    folder_ownership.check_images(shipped, settings, Engine())
    assert checked == ["devai-local-dev"]
    claim = Claim.FOREIGN
    with pytest.raises(UsageError, match=r"the stack devai-local-dev belongs to .*/there.* nothing was changed"):
        folder_ownership.check_images(shipped, settings, Engine())
