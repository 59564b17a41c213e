"""The life of a whole stack, as steps: what comes up, goes down, stops and starts on each kind of target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devai_tasks.cli.collections import compose, image, kubernetes, terraform
from devai_tasks.stack.steps import Step
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError

if TYPE_CHECKING:
    from devai_tasks.cli.decorators import Request


def up(request: Request, *, seconds: int) -> list[Step]:
    """From whatever is there to a lab that answers."""
    settings = request.settings
    if settings.compute.provider == "local":
        return [
            Step("image", "build the lab's image", lambda: _build(request)),
            Step("lab", "start the lab, and wait until it is healthy", lambda: compose.roll_out(request)),
            Step("models", "bring the models", lambda: _models(request)),
        ]
    if settings.compute.provider == "none":
        kubernetes.check_owner(request)  # before an image is pushed
    # What a step has made known (the registry, an image's digest, the cluster) is in the configuration of the next.
    steps = [
        Step("image", "build the lab's image, and push it", lambda: image.roll_out(request.anew())),
        Step(
            "kubernetes",
            "apply the manifests, and wait until the pods are ready",
            lambda: kubernetes.roll_out(joined(request.anew()), seconds=seconds),
        )
        if settings.compute.platform == "kubernetes"
        else Step("service", "roll the image out", lambda: terraform.roll_out(request.anew(), anew=True)),
        Step("address", "wait until the lab answers", lambda: _answer(request.anew(), seconds=seconds)),
    ]
    if settings.compute.provider == "none":
        return steps
    return [
        Step("terraform", "make what the stack needs in its cloud", lambda: terraform.roll_out(request, anew=True)),
        *steps,
    ]


def down(request: Request, *, data: bool) -> list[Step]:
    """The other way round; without `data`, homes and models stay, of a cluster that goes the home."""
    from devai_tasks import clouds

    settings = request.settings
    if settings.compute.provider == "local":
        return [Step("lab", "stop the lab", lambda: compose.take_down(request, data=data))]
    steps = []
    if settings.compute.platform == "kubernetes":
        steps.append(Step("kubernetes", "remove the lab from its cluster", lambda: _leave_cluster(request, data=data)))
    if settings.compute.provider != "none":
        terraform.refuse_protected(request)  # while the lab is still there
        clouds.terraform_of(settings).check_account(settings, dry=request.dry)
        steps.append(
            Step(
                "terraform",
                "destroy what the stack has in its cloud",
                lambda: terraform.take_down(request, data=data, emptied=True),
            )
        )
    return steps


def stop(request: Request) -> list[Step]:
    """Compute to zero."""
    settings = request.settings
    if settings.compute.provider == "local":
        return [Step("lab", "stop the lab", lambda: compose.stop(request))]
    if settings.compute.platform == "kubernetes":
        return [Step("kubernetes", "end all pods", lambda: kubernetes.stop(joined(request)))]
    return [Step("service", "take the service away", lambda: terraform.roll_out(request, stopped=True))]


def start(request: Request, *, seconds: int) -> list[Step]:
    """And back, as it was."""
    settings = request.settings
    if settings.compute.provider == "local":
        return [Step("lab", "start the lab", lambda: compose.start(request))]
    if settings.compute.platform == "kubernetes":
        run = Step("kubernetes", "start the pods", lambda: kubernetes.start(joined(request), seconds=seconds))
    else:
        run = Step("service", "bring the service back", lambda: _bring_back(request))
    return [run, Step("address", "wait until the lab answers", lambda: _answer(request, seconds=seconds))]


def _build(request: Request) -> None:
    from devai_tasks.targets.image import building
    from devai_tasks.workspace import work_dir

    request.docker.check()
    work_dir.check(request.project, request.settings, request.docker)  # not after minutes of building
    building.provide(request.project, request.settings, request.docker)


def joined(request: Request) -> Request:
    """The request, once kubectl knows the cluster that Terraform made; others people know how to get to.

    Each time anew: a cluster that was made again has another address under the same name, and on Azure so has that of
    another subscription.
    """
    from devai_tasks import clouds
    from devai_tasks.targets.kubernetes.deployment import Cluster

    request = terraform.informed(request)
    settings = request.settings if request.dry else request.configuration.to_deploy()
    if settings.compute.provider == "none":
        return request
    kubectl = Cluster(request.project, settings, dry=request.dry).kubectl
    if not request.dry and kubectl.knows_context():
        kubectl.check_current()  # joining makes it the current one
    clouds.terraform_of(settings).update_kubeconfig(settings, dry=request.dry)
    return request


def _bring_back(request: Request) -> None:
    """Roll out what ran. Raises UsageError where nobody here knows which image that was: the cloud has forgotten."""
    request = terraform.informed(request)
    if not (request.dry or request.settings.is_image_pushed):
        raise UsageError(
            f"no image of {request.stack} is known here: which one ran, the machine knows that stopped it; nothing was "
            "changed",
            hint=f"`inv up {request.stack.flags}` builds one, and pushes it",
            code="DEVAI-IMAGE-010",
        )
    terraform.roll_out(request, anew=True)


def _models(request: Request) -> None:
    from devai_tasks.models import pulling
    from devai_tasks.targets.compose import models as compose_models

    with compose_models.server(request.project, request.settings, request.docker) as server:
        pulling.pull(request.project, request.settings, server)


def _answer(request: Request, *, seconds: int) -> None:
    from devai_tasks.targets import addresses

    addresses.wait(request.settings, seconds=seconds, dry=request.dry)


def _leave_cluster(request: Request, *, data: bool) -> None:
    """Nothing to do where Terraform has made no cluster, or has destroyed it before it broke off."""
    request = terraform.informed(request)
    cluster_goes = request.settings.compute.provider != "none"
    unknown = any(key == ("kubernetes", "context") for key in request.configuration.pending)
    if unknown or (cluster_goes and not request.dry and not terraform.has_cluster(request)):
        return console.say("there is no cluster")
    kubernetes.take_down(joined(request), data=data, cluster_goes=cluster_goes)
