"""A stack that a cloud's managed containers run: ECS on Fargate, Container Instances, Cloud Run."""

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
            Step("image", "build the lab's image, and push it", lambda: image_step.push(session.reloaded())),
            Step("service", "roll the image out", lambda: terraform_step.apply(session.reloaded(), replan=True)),
            self.wait_for_address(seconds=seconds),
        ]

    def down(self, *, data: bool) -> list[Step]:
        """Return the step that destroys everything."""
        return [terraform_step.destruction(self.session, data=data)]

    def stop(self) -> list[Step]:
        """Return the step that removes the service, and nothing else."""
        return [Step("service", "take the service away", lambda: terraform_step.apply(self.session, stopped=True))]

    def start(self, *, seconds: int) -> list[Step]:
        """Return the steps: the service, and the wait for its address."""
        return [Step("service", "bring the service back", self._start), self.wait_for_address(seconds=seconds)]

    def rotate(self, *, seconds: int) -> None:  # noqa: ARG002 - Terraform has limits of its own
        """Ask, replace the lab's token in the cloud's secret manager, and roll it out."""
        terraform_step.rotate(self.session)

    def compare(self, found: Overview) -> None:
        """Add what `up` would change: Terraform's resources and the image."""
        session = self.session
        found.changes += terraform_step.changes(session)
        session.docker.check()
        found.changes += overview.of_image(session.project, session.settings, to_push=True, dry=session.dry)
        if found.changes:
            found.notes.append("a pushed image is rolled out by Terraform, which then changes the service")

    def rows(self) -> Iterable[Row]:
        """Return the service."""
        session = self.session
        with terraform.work(session.project, session.settings, dry=session.dry, looking=True) as work:
            terraform.prepare(work)
            made = work.tool.outputs()
        if made:
            yield {
                "target": "terraform",
                "what": "service",
                "state": "rolled out" if made.get("image") else "stopped, or no image is pushed yet",
                "version": str(made.get("image") or ""),
            }

    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:  # noqa: ARG002 - refused
        """Raise DevaiError: logs are in the cloud."""
        command = clouds.terraform_of(self.session.settings).logs_command
        raise DevaiError(
            f"the logs of {self.session.stack} are in its cloud",
            hint=f"`{command}` shows them, for what `inv tf.output {self.session.stack.flags}` names",
        )

    def token(self) -> str:
        """Return the token that the cloud's secret manager has."""
        session = self.session if self.session.dry else terraform_step.informed(self.session)
        return clouds.terraform_of(session.settings).token(session.settings, dry=session.dry)

    def _start(self) -> None:
        """Roll out what ran. Raises UsageError where it is not known here which image that was."""
        session = terraform_step.informed(self.session)
        if not (session.dry or session.settings.is_image_pushed):
            raise UsageError(
                f"no image of {session.stack} is known here: which one ran, the machine knows that stopped it; nothing "
                "was changed",
                hint=f"`inv up {session.stack.flags}` builds one, and pushes it",
                code="DEVAI-IMAGE-010",
            )
        terraform_step.apply(session, replan=True)
