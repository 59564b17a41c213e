"""Workload of a stack in a Kubernetes cluster: created by Terraform, existing, or local to this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from devai_tasks import clouds
from devai_tasks.config.naming import LAB
from devai_tasks.stack import cluster_images, consent, image_step, overview, owner_checks, terraform_step
from devai_tasks.stack.overview import Overview
from devai_tasks.stack.session import Session
from devai_tasks.stack.steps import Step
from devai_tasks.stack.terraform_step import NEEDED
from devai_tasks.stack.workload import Row, Workload, drift_of
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes import objects, ownership, rollout, scaling, secrets, status
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.kubernetes.secrets import SecretChanges
from devai_tasks.workspace import secret_values
from devai_tasks.workspace.ownership import Owner


class KubernetesWorkload(Workload):
    """Kubernetes."""

    def up(self, *, seconds: int) -> list[Step]:
        """Return the steps: Terraform where it creates the cluster, the image, the manifests, and the address."""
        session = self.session
        created = [terraform_step.creation(session)] if self._is_created else []
        if not created:
            check_owner(session)  # before the image is pushed
        return [
            *created,
            Step("image", "build and push the lab's image", lambda: image_step.push(session.reloaded())),
            Step(
                "kubernetes",
                "apply the manifests, and wait until the pods are ready",
                lambda: KubernetesWorkload(connected(session.reloaded())).deploy(seconds=seconds),
            ),
            self.wait_for_address(seconds=seconds),
        ]

    def down(self, *, data: bool) -> list[Step]:
        """Return the steps: the objects in the cluster, and what Terraform has created."""
        steps = [Step("kubernetes", "remove the lab from its cluster", lambda: self._remove(data=data))]
        if self._is_created:
            steps.append(terraform_step.destruction(self.session, data=data))
        return steps

    def stop(self) -> list[Step]:
        """Return the step that scales all pods to zero."""
        return [Step("kubernetes", "stop all pods", self._stop)]

    def start(self, *, seconds: int) -> list[Step]:
        """Return the steps: the pods, and the wait for the lab's address."""
        return [
            Step("kubernetes", "start the pods", lambda: self._start(seconds=seconds)),
            self.wait_for_address(seconds=seconds),
        ]

    def deploy(self, *, seconds: int = 600, undo: bool = True) -> Cluster:
        """Show the changes, ask, apply them, wait until all workloads are ready, and return the cluster.

        With `undo`, a failed rollout is rolled back.
        """
        session, cluster = self.session, owned_cluster(self.session, claim=True)
        if not cluster.settings.pulls_image and cluster_images.ensure_loaded(cluster, lambda: session.docker):
            cluster = session.reloaded().cluster  # with the recorded tag
        text, live = kubernetes.look(cluster)
        created = kubernetes.ensure_namespace(cluster, text, live)
        try:
            changes = kubernetes.changes(cluster, text, live)
            sending = None if cluster.settings.kubernetes.secret_store else secrets.compare(cluster, live)
            restarted = secrets.restarted(cluster, sending)
            shown = _shown(changes, sending, restarted)
            for part in shown:
                console.say(part)
            if shown:
                consent.allow(session, f"these changes are applied in {cluster.kubectl.context}")
        except BaseException:  # refused by the user or the server, or Ctrl-C
            if created:
                kubernetes.delete_namespace(cluster)
            raise
        if sending:
            send(session, cluster, sending, restarts=bool(restarted))
        if not (shown or session.dry):
            console.say("nothing to change")
        if changes or session.dry:
            kubernetes.apply(cluster, text, live, seconds=seconds, undo=undo)
        if not session.dry:
            kubernetes.restart(cluster, restarted)
            kubernetes.watch(cluster, seconds=seconds)
        kubernetes.pull_models(cluster, seconds=seconds)
        return cluster

    def remove(self, *, data: bool, destroys_cluster: bool = False) -> None:
        """Ask, and remove the stack from its cluster; without `data`, homes, models and secrets are kept.

        If the cluster is destroyed next (`destroys_cluster`), only a home on a file system of Terraform is kept. Raises
        UsageError if the home is a volume of the cluster.
        """
        session, cluster = self.session, owned_cluster(self.session)
        effect = f"it is deleted in {cluster.kubectl.context}, with running kernels"
        if destroys_cluster and not data:
            if not session.dry and kubernetes.is_home_created(cluster):
                flags = session.stack.flags
                raise UsageError(
                    "the home is a volume of the cluster (storage.home_class) and would be deleted with it; nothing "
                    "was changed",
                    hint=f"`inv data.backup --file=home.tar.gz {flags}` saves its files, `inv down --data {flags}` "
                    "continues without them",
                )
            models = ", and the next `inv up` pulls models again" if cluster.settings.ollama.is_bundled else ""
            effect += f"; the home is kept{models}"
        consent.allow(session, effect, loses="homes, models, secrets and everything else" if data else "")
        kubernetes.delete(cluster, data=data or destroys_cluster)

    def rotate(self, *, seconds: int) -> None:
        """Ask, replace the lab's token, and wait until its pods run with it."""
        session = connected(self.session)
        cluster = owned_cluster(session)
        consent.allow(session, consent.ROTATION)
        sending = secrets.renew(cluster)
        with consent.rotating(session):
            send(session, cluster, sending, restarts=True)
            kubernetes.restart(cluster, [LAB])
            if session.dry:
                return rollout.print_commands(cluster.kubectl, [LAB], seconds)
            return rollout.wait(cluster.kubectl, [LAB], seconds=seconds)

    def compare(self, result: Overview) -> None:
        """Add what `up` would change: Terraform's resources, the image, objects in the cluster, and secrets."""
        session = self.session
        if self._is_created:
            result.changes += terraform_step.changes(session)
        session.docker.check()
        result.changes += overview.of_image(session.project, session.settings, to_push=True, dry=session.dry)
        self._compare_objects(result)
        if not session.settings.kubernetes.secret_store and (session.dry or not self._missing):
            result.changes += overview.of_secrets(secrets.compare(session.cluster).changed)
        if owner := self.owner():
            overview.of_owner(result, owner)

    def rows(self) -> Iterable[Row]:
        """Return workloads and ingresses."""
        if ("kubernetes", "context") in self.session.configuration.pending and not self.session.dry:
            return
        for row in status.rows(self.session.cluster):
            if row["kind"] in ("Deployment", "Ingress"):
                yield {
                    "target": "kubernetes",
                    "what": f"{row['kind'].lower()}/{row['name']}",
                    "state": row["state"],
                    "version": row["image"],
                }

    def drift(self) -> str:
        """Return the number of changes in the cluster."""
        result = Overview(
            str(self.session.stack), notes=["only the cluster was compared; `inv plan` compares everything"]
        )
        self._compare_objects(result)
        return drift_of(result)

    def owner(self) -> Owner | None:
        """Return the project that the stack belongs to; None before the cluster is known."""
        if self.session.dry or self._missing:
            return None
        return ownership.of_namespace(self.session.cluster.kubectl, self.session.settings)

    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
        """Return the logs of the pods."""
        cluster = self.session.cluster
        selector = f"app.kubernetes.io/name in ({','.join(cluster.check_services(services))})"
        return cluster.kubectl.follow_logs(selector, follow=follow, tail=tail)

    def token(self) -> str:
        """Return the lab's token from the cluster."""
        session = self.session if self.session.dry else terraform_step.with_state(self.session)
        return kubernetes.token(session.cluster)

    @property
    def _is_created(self) -> bool:
        """Whether Terraform creates the cluster."""
        return self.session.settings.compute.uses_terraform

    @property
    def _missing(self) -> list[str]:
        """Return the keys whose values are unknown until the cluster exists and the image is pushed."""
        return [".".join(key) for key in self.session.configuration.unresolved if key in NEEDED]

    def _compare_objects(self, result: Overview) -> None:
        cluster = self.session.cluster
        if self._missing and not self.session.dry:
            result.changes += overview.of_cluster(objects.summary(objects.as_new(kubernetes.manifests(cluster))))
            verb = "is" if len(self._missing) == 1 else "are"
            result.notes.append(
                f"kubernetes: not compared, all objects count as new until {', '.join(self._missing)} {verb} known"
            )
            return
        result.changes += overview.of_cluster(objects.summary(kubernetes.diff(cluster)))

    def _stop(self) -> None:
        session = connected(self.session)
        cluster = owned_cluster(session)
        consent.allow(session, "its pods and kernels stop")
        scaling.stop(cluster)

    def _start(self, *, seconds: int) -> None:
        scaling.start(owned_cluster(connected(self.session)), seconds=seconds)

    def _remove(self, *, data: bool) -> None:
        """Remove the stack if its cluster exists: Terraform may not have created it yet, or have destroyed it."""
        session = terraform_step.with_state(self.session)
        unknown = ("kubernetes", "context") in session.configuration.pending
        if unknown or (self._is_created and not session.dry and not terraform_step.has_cluster(session)):
            return console.say("the cluster does not exist")
        KubernetesWorkload(connected(session)).remove(data=data, destroys_cluster=self._is_created)


def owned_cluster(session: Session, *, claim: bool = False) -> Cluster:
    """Return the stack's cluster for a change: its values are known, its context is current, its owner is checked.

    With `claim`, a stack that does not exist yet becomes this project's.
    """
    if session.settings.kubernetes.secret_store and clouds.of(session.settings).shares_secret_store:
        # Secrets in the store are found by the stack's deployed name, which Terraform's state has.
        session = terraform_step.with_state(session)
    if not session.dry:
        session.configuration.to_deploy()
    check_owner(session, claim=claim)
    return (session if session.settings.project.id else session.reloaded()).cluster


def check_owner(session: Session, *, claim: bool = False) -> None:
    """Raise UsageError unless the context is current, and the stack in its cluster belongs to this project."""
    cluster = session.cluster
    cluster.kubectl.check_current()
    owner_checks.check_cluster(session, cluster, claim=claim)


def connected(session: Session) -> Session:
    """Return the session after kubeconfig was updated for the cluster that Terraform has created.

    The update is repeated each time: a recreated cluster has another address under the same name, and so has, on Azure,
    a cluster of another subscription. For an existing cluster, kubeconfig is the user's responsibility.
    """
    if not session.settings.compute.uses_terraform:
        return session
    session = terraform_step.with_state(session)
    settings = session.settings if session.dry else session.configuration.to_deploy()
    kubectl = session.cluster.kubectl
    if not session.dry and kubectl.knows_context():
        kubectl.check_current()  # updating kubeconfig changes the current context
    clouds.terraform_of(settings).update_kubeconfig(settings, dry=session.dry)
    return session


def send(session: Session, cluster: Cluster, sending: SecretChanges, *, restarts: bool = False) -> None:
    """Copy secrets to the cluster, and print the command that makes running labs read them, unless they restart."""
    secret_values.report_kept(sending.kept)
    secrets.send(cluster, sending)
    if sending.changed and not session.dry:
        outdated = sending.present and not restarts
        later = f"; running labs see it after `inv {sending.restart_task} {session.stack.flags}`" if outdated else ""
        console.say(f"changed: {', '.join(sending.changed)}{later}")


def _shown(changes: str, sending: SecretChanges | None, restarted: Sequence[str]) -> list[str]:
    """Return the parts that are printed before the question."""
    effect = f"{' and '.join(restarted)} restart to read them, and kernels stop" if restarted else ""
    return [part for part in (changes, sending.shown if sending else "", effect) if part]
