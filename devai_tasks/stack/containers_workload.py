"""Workload of a stack on a cloud's managed containers: ECS on Fargate, Container Instances, Cloud Run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from devai_tasks import clouds
from devai_tasks.stack import image_step, overview, terraform_step
from devai_tasks.stack.overview import Overview
from devai_tasks.stack.steps import Step
from devai_tasks.stack.workload import Row, Workload
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets.terraform import deployment as terraform


class ContainersWorkload(Workload):
    """Managed containers, which Terraform creates and updates."""

    def up(self, *, seconds: int) -> list[Step]:
        """Return the steps: Terraform, the image, the service, and the wait for its address."""
        session = self.session
        return [
            terraform_step.creation(session),
            Step("image", "build and push the lab's image", lambda: image_step.push(session.reloaded())),
            Step("service", "roll the image out", lambda: terraform_step.apply(session.reloaded(), replan=True)),
            self.wait_for_address(seconds=seconds),
        ]

    def down(self, *, data: bool) -> list[Step]:
        """Return the step that destroys everything."""
        return [terraform_step.destruction(self.session, data=data)]

    def stop(self) -> list[Step]:
        """Return the step that removes only the service."""
        return [Step("service", "remove the service", lambda: terraform_step.apply(self.session, stopped=True))]

    def start(self, *, seconds: int) -> list[Step]:
        """Return the steps: the service, and the wait for its address."""
        return [Step("service", "create the service again", self._start), self.wait_for_address(seconds=seconds)]

    def rotate(self, *, seconds: int) -> None:  # noqa: ARG002 - Terraform has its own timeouts
        """Ask, replace the lab's token in the cloud's secret manager, and roll it out."""
        terraform_step.rotate(self.session)

    def compare(self, result: Overview) -> None:
        """Add what `up` would change: Terraform's resources and the image."""
        session = self.session
        result.changes += terraform_step.changes(session)
        session.docker.check()
        result.changes += overview.of_image(session.project, session.settings, to_push=True, dry=session.dry)
        if result.changes:
            result.notes.append("Terraform rolls out a pushed image by changing the service")

    def rows(self) -> Iterable[Row]:
        """Return the service."""
        session = self.session
        with terraform.work(session.project, session.settings, dry=session.dry, looking=True) as work:
            terraform.prepare(work)
            values = work.tool.outputs()
        if values:
            yield {
                "target": "terraform",
                "what": "service",
                "state": "rolled out" if values.get("image") else "stopped, or no image is pushed yet",
                "version": str(values.get("image") or ""),
            }

    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:  # noqa: ARG002 - not supported
        """Raise DevaiError with the command that shows the logs in the cloud."""
        command = clouds.terraform_of(self.session.settings).logs_command
        raise DevaiError(
            f"the logs of {self.session.stack} are in its cloud",
            hint=f"`{command}` shows them; `inv tf.output {self.session.stack.flags}` prints the names",
        )

    def token(self) -> str:
        """Return the lab's token from the cloud's secret manager."""
        session = self.session if self.session.dry else terraform_step.with_state(self.session)
        return clouds.terraform_of(session.settings).token(session.settings, dry=session.dry)

    def _start(self) -> None:
        """Roll out the previous image. Raises UsageError where this machine does not know which image that was."""
        session = terraform_step.with_state(self.session)
        if not (session.dry or session.settings.is_image_pushed):
            raise UsageError(
                f"no image of {session.stack} is recorded here, only on the machine that stopped the stack; nothing "
                "was changed",
                hint=f"`inv up {session.stack.flags}` builds and pushes one",
                code="DEVAI-IMAGE-010",
            )
        terraform_step.apply(session, replan=True)
