"""The parts of a leaf that differ between clouds: volumes, ingress, identity."""

from __future__ import annotations

import json
from typing import Any

from devai_tasks.config import targets
from devai_tasks.config.schema import Settings
from devai_tasks.render import compose

Object = dict[str, Any]
"""An object of Kubernetes, or a patch of one."""


def named(version: str, kind: str, name: str) -> Object:
    """The head of an object."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def deleted(head: Object) -> Object:
    """A patch that takes an object out."""
    return {"$patch": "delete", **head}


def removals(settings: Settings) -> list[Object]:
    """Patches that take out objects of the whole cluster that the stack has no use for.

    One for each: the kustomize of kubectl 1.32 panics where something follows a removal in the same patch.
    """
    on_aws, unused = settings.compute.provider == "aws", []
    if targets.on_a_cloud_now(settings) and not targets.given_home(settings):
        unused.append(named("v1", "PersistentVolume", "home"))
    if on_aws and not targets.own_models_class(settings):
        unused.append(named("storage.k8s.io/v1", "StorageClass", "models"))
    if on_aws and not targets.own_ingress_class(settings):
        unused.append(named("networking.k8s.io/v1", "IngressClass", "alb"))
    return [{"patch": json.dumps(deleted(head))} for head in unused]


def renames(settings: Settings) -> list[Object]:
    """Patches that give the objects of the whole cluster the stack's name."""
    own = compose.project_name(settings)
    found: dict[tuple[str, str], str] = {}
    if targets.given_home(settings):
        found["PersistentVolume", "home"] = f"{own}-home"
    if targets.own_models_class(settings):
        found["StorageClass", "models"] = f"{own}-models"
    if targets.own_ingress_class(settings):
        found["IngressClass", "alb"] = own
    return [
        {
            "target": {"kind": kind, "name": name},
            "options": {"allowNameChange": True},
            "patch": json.dumps([{"op": "replace", "path": "/metadata/name", "value": value}]),
        }
        for (kind, name), value in found.items()
    ]


# Volumes.


def storage(settings: Settings) -> list[Object]:
    """Volumes and claims."""
    own, given = compose.project_name(settings), targets.given_home(settings)
    modes, home = [settings.storage.access], settings.storage.home.quantity
    claim = _claim("home", home, settings.storage.home_class or None)
    claim["spec"]["accessModes"] = modes
    found = [claim]
    if given:
        # Nothing is made for such a claim, so it asks for no more than the base does: the size is the file system's.
        claim["spec"] = {"accessModes": modes, "storageClassName": "", "volumeName": f"{own}-home"}
        # A new share of Filestore is root's. Its driver doesn't say in every version that owners can be changed, and
        # then the kubelet gives a volume to the lab's group only where one node may have it. Claims see the first mode.
        owned = modes if settings.compute.provider != "gcp" else [*dict.fromkeys([*modes, "ReadWriteOnce"])]
        spec = {
            "accessModes": owned,
            "capacity": {"storage": home},
            # Nobody else's claim gets it.
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": own, "name": "home"},
            "csi": _file_system(settings, own),
        }
        found.append(named("v1", "PersistentVolume", "home") | {"spec": spec})
    if targets.own_ollama(settings):
        own_class = f"{own}-models" if targets.own_models_class(settings) else None
        found.append(_claim("models", settings.storage.models.quantity, settings.storage.models_class or own_class))
    return found


def _claim(name: str, size: str, storage_class: str | None) -> Object:
    """A claim: without a class it gets the cluster's default one, with an empty one only its own volume."""
    spec: Object = {"resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return named("v1", "PersistentVolumeClaim", name) | {"spec": spec}


def _file_system(settings: Settings, own: str) -> Object:
    """The file system as the cloud's CSI driver knows it."""
    address = settings.storage.file_system
    match settings.compute.provider:
        case "aws":
            return {"volumeHandle": address}
        case "azure":
            account, _, share = address.partition("/")
            # The handle is any name that no other volume has.
            return {"volumeHandle": f"{own}-home", "volumeAttributes": {"storageAccount": account, "shareName": share}}
        case _:
            instance, _, ip = address.rpartition("@")
            share = instance.rpartition("/")[2]
            return {"volumeHandle": f"modeInstance/{instance}", "volumeAttributes": {"ip": ip, "volume": share}}


# The ingress.


def ingress(settings: Settings) -> list[Object]:
    """Host, path and certificate, and what the load balancer wants to know of them."""
    head = named("networking.k8s.io/v1", "Ingress", "devai")
    if not targets.with_ingress(settings):
        return [deleted(head)]
    own = compose.project_name(settings)
    path = settings.network.base_url
    backend = {"service": {"name": "devai", "port": {"name": "http"}}}
    rule: Object = {"http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}
    if settings.ingress.host:
        rule = {"host": settings.ingress.host, **rule}
    spec: Object = {"rules": [rule]}
    extra: list[Object] = []
    match settings.compute.provider:
        case "aws":
            annotations = _load_balancer(settings)
            spec["ingressClassName"] = settings.ingress.class_name or own
        case "azure":
            annotations = _application_gateway(settings)
            spec["ingressClassName"] = settings.ingress.class_name
        case "gcp":
            # The address that Terraform made, for the host name's record.
            annotations = {"kubernetes.io/ingress.global-static-ip-name": settings.ingress.address}
            if targets.googles_certificate(settings):
                annotations["networking.gke.io/managed-certificates"] = "devai"
            elif settings.tls.enabled:
                annotations["ingress.gcp.kubernetes.io/pre-shared-cert"] = settings.tls.certificate
            extra = _google(settings)
        case _:
            annotations = {}
            spec["ingressClassName"] = settings.ingress.class_name
            if settings.tls.enabled:
                spec["tls"] = [{"hosts": [settings.ingress.host], "secretName": settings.tls.certificate}]
    found = {**annotations, **settings.ingress.annotations}
    metadata = head["metadata"] | ({"annotations": found} if found else {})
    return [{**head, "metadata": metadata, "spec": spec}, *extra]


def _load_balancer(settings: Settings) -> dict[str, str]:
    """For the controller of Application Load Balancers."""
    prefix = "alb.ingress.kubernetes.io"
    listeners = [{"HTTP": 80}, {"HTTPS": 443}] if settings.tls.enabled else [{"HTTP": 80}]
    found = {
        f"{prefix}/healthcheck-path": f"{settings.network.base_url}api",
        f"{prefix}/listen-ports": json.dumps(listeners),
        # Terraform's: it lets the allowed networks in, and the lab's nodes let it in. The controller makes no other.
        f"{prefix}/security-groups": settings.ingress.firewall,
    }
    if settings.tls.enabled:
        found[f"{prefix}/certificate-arn"] = settings.tls.certificate
        found[f"{prefix}/ssl-policy"] = "ELBSecurityPolicy-TLS13-1-2-2021-06"
        found[f"{prefix}/ssl-redirect"] = "443"
    return found


def _application_gateway(settings: Settings) -> dict[str, str]:
    """For the ingress controller of Application Gateways."""
    prefix = "appgw.ingress.kubernetes.io"
    found = {f"{prefix}/health-probe-path": f"{settings.network.base_url}api"}
    if settings.tls.enabled:
        found[f"{prefix}/appgw-ssl-certificate"] = settings.tls.certificate
        found[f"{prefix}/ssl-redirect"] = "true"
    return found


def _google(settings: Settings) -> list[Object]:
    """Objects of GKE's own kinds, which are not merged in depth: what the component has of a list is replaced."""
    health = {"requestPath": f"{settings.network.base_url}api"}
    backend = named("cloud.google.com/v1", "BackendConfig", "devai") | {
        "spec": {"healthCheck": health, "securityPolicy": {"name": settings.ingress.firewall}}
    }
    # Terraform gives its policy for TLS the address's name.
    policy = {"sslPolicy": settings.ingress.address} if settings.tls.enabled else {}
    frontend = named("networking.gke.io/v1beta1", "FrontendConfig", "devai") | {
        "spec": {"redirectToHttps": {"enabled": settings.tls.enabled}, **policy}
    }
    certificate = named("networking.gke.io/v1", "ManagedCertificate", "devai")
    if targets.googles_certificate(settings):
        return [backend, frontend, certificate | {"spec": {"domains": [settings.ingress.host]}}]
    return [backend, frontend, deleted(certificate)]


# Identity.


def identity(settings: Settings) -> list[Object]:
    """Who the lab's service account is to its cloud."""
    name = {
        "azure": "azure.workload.identity/client-id",
        "gcp": "iam.gke.io/gcp-service-account",
    }[settings.compute.provider]
    account = named("v1", "ServiceAccount", "devai")
    account["metadata"]["annotations"] = {name: settings.kubernetes.identity}
    return [account]
