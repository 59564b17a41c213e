"""Workload of a stack that Docker Compose runs on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from devai_tasks.models import pulling
from devai_tasks.stack import consent, image_step, overview
from devai_tasks.stack.overview import Overview
from devai_tasks.stack.steps import Step
from devai_tasks.stack.workload import Row, Workload, drift_of
from devai_tasks.system import console
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.targets.compose import models as compose_models
from devai_tasks.targets.compose import ownership, rendering
from devai_tasks.targets.image import building
from devai_tasks.workspace import state
from devai_tasks.workspace.ownership import Owner


class ComposeWorkload(Workload):
    """Docker Compose on this machine."""

    def up(self, *, seconds: int) -> list[Step]:  # noqa: ARG002 - Compose has its own timeout
        """Return the steps: the lab's image, all services, and the models."""
        return [
            Step("image", "build the lab's image", lambda: image_step.build(self.session)),
            Step("lab", "start the lab, and wait until it is healthy", self.deploy),
            Step("models", "pull the models", self._pull_models),
        ]

    def down(self, *, data: bool) -> list[Step]:
        """Return the step that removes the containers."""
        return [Step("lab", "remove the lab's containers", lambda: self.remove(data=data))]

    def stop(self) -> list[Step]:
        """Return the step that stops the containers without removing them."""
        return [Step("lab", "stop the lab", self._stop)]

    def start(self, *, seconds: int) -> list[Step]:  # noqa: ARG002 - Compose has its own timeout
        """Return the step that starts the containers without applying changes."""
        return [Step("lab", "start the lab", lambda: compose.start(*self._parts))]

    def deploy(self) -> None:
        """Start the lab and wait until it is healthy; ask first if the stack is protected."""
        if self.session.settings.protected:
            consent.allow(self.session, "changed containers are replaced, and their kernels stop")
        self._deploy()

    def remove(self, *, data: bool) -> None:
        """Remove the containers, and with `data` the volumes; ask first if data is lost or the stack is protected."""
        if data or self.session.settings.protected:
            loses = "all notebooks in its home and all its models" if data else ""
            consent.allow(self.session, "the lab stops", loses=loses)
        compose.compose(*self._parts).down(volumes=data)
        if data and not self.session.dry:
            ownership.unmark_folder(self.session.settings)

    def rotate(self, *, seconds: int) -> None:  # noqa: ARG002 - Compose has its own timeout
        """Ask, replace the lab's token, and recreate running containers with the new token."""
        consent.allow(self.session, consent.ROTATION)
        project, settings, docker = self._parts
        running = any(container["state"] == "running" for container in compose.compose(*self._parts).containers())
        if running:
            compose.check(*self._parts)  # before the token is replaced: a lab that can't start keeps the old token
        if not docker.dry:
            state.write(state.restart_due(project, settings.stack), "")
            state.renew_token(project, settings.stack)
        if not (running or docker.dry):
            return console.say(
                f"{settings.stack} is not running; the next `inv up {settings.stack.flags}` uses the new token"
            )
        try:
            return self._deploy(recreate_all=True)
        except BaseException as error:
            error.add_note(f"the old token may still be valid; run `inv up {settings.stack.flags}` to revoke it")
            raise

    def compare(self, result: Overview) -> None:
        """Add what `up` would change: the image, containers and models."""
        session = self.session
        session.docker.check()
        result.changes += overview.of_image(session.project, session.settings, to_push=False, dry=session.dry)
        rebuilt = bool(result.changes)
        unvisited = session.configuration.why_unvisited(("ollama", "url"))
        overview.of_compose(result, *self._parts, rebuilt=rebuilt, unvisited=unvisited)
        if owner := self.owner():
            overview.of_owner(result, owner)

    def rows(self) -> Iterable[Row]:
        """Return the containers."""
        self.session.docker.check()
        return overview.running(compose.compose(*self._parts).containers())

    def drift(self) -> str:
        """Return the number of changes that `up` would make."""
        result = Overview(str(self.session.stack))
        self.compare(result)
        return drift_of(result)

    def owner(self) -> Owner | None:
        """Return the folder that the stack belongs to."""
        return None if self.session.dry else ownership.of_folder(self.session.project, self.session.settings)

    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
        """Return the logs of the containers."""
        compose.check_services(services)
        return compose.compose(*self._parts).logs(services, follow=follow, tail=tail)

    def address(self) -> str:
        """Return the lab's address on this machine."""
        return rendering.url(self.session.settings)

    def token(self) -> str:
        """Return the lab's token."""
        return state.token(self.session.project, self.session.stack)

    def link(self) -> str:
        """Return the lab's address with its token, after a check that the stack's own container serves the address."""
        return compose.link(*self._parts)

    def opened(self) -> str:
        """Return the link after a check that the lab answers; under `--dry` without its token."""
        if self.session.dry:
            return self.address()
        link = self.link()
        compose.check_answers(self.session.settings)
        return link

    @property
    def _parts(self) -> compose.Parts:
        return self.session.project, self.session.settings, self.session.docker

    def _deploy(self, *, recreate_all: bool = False) -> None:
        """Ensure that the images exist, and start the containers.

        With `recreate_all`, all containers are replaced, even with an unchanged definition, and keep their images.
        """
        project, _, docker = self._parts
        settings = compose.check(*self._parts)
        running = compose.running_image(project, settings, docker) if recreate_all else ""
        settings = building.ensure_all(project, settings, docker, running=running)
        compose.up(project, settings, docker, recreate_all=recreate_all)

    def _stop(self) -> None:
        if self.session.settings.protected:
            consent.allow(self.session, "the lab and its kernels stop")
        compose.compose(*self._parts).stop()

    def _pull_models(self) -> None:
        project, settings, _ = self._parts
        with compose_models.server(*self._parts) as server:
            pulling.pull(project, settings, server)
