"""What kubectl needs for one stack: the leaf of the manifests in deploy/kubernetes, a kustomization and its patches.

Structure stands in deploy/; here are values only, each file about one thing. `kubectl apply -k` takes the folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from devai_tasks import clouds
from devai_tasks.clouds.base import Object
from devai_tasks.config import image_names, naming
from devai_tasks.config.naming import LAB, OLLAMA
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import TOKEN
from devai_tasks.config.sections.lab import LabLimits, OllamaLimits
from devai_tasks.config.units import Cpu, Size
from devai_tasks.targets.base import LAB_PORT, Artifact, always, texts
from devai_tasks.targets.templating import yaml_documents
from devai_tasks.workspace.writer import Artifacts

# From generated/<stack>/kubernetes, and from the folder beside it that this is a link to.
FOLDER = "../../../deploy/kubernetes"
MODELS = "models"
# What marks the objects of a stack, in a cluster where others have theirs.
STACK_LABEL = "devai.io/stack"
# Whose the stack is: on its namespace only, for a label more in a pod's template would replace the pod.
PROJECT_LABEL = "devai.io/project-id"
MANAGED_BY = {"app.kubernetes.io/managed-by": "devai"}


def namespace(settings: Settings) -> str:
    """Return the stack's namespace, and the beginning of its names in the whole cluster."""
    return naming.stack(settings)


def named(version: str, kind: str, name: str) -> Object:
    """Return the head of an object."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def lab_image(settings: Settings) -> tuple[str, str]:
    """The lab's image, by name and tag or digest: what was pushed, or loaded into a cluster of this machine."""
    if settings.pulls_image:
        return image_names.registry_repository(settings), settings.image_digest
    name, _, tag = image_names.lab(settings).rpartition(":")
    return name, settings.image.loaded or tag


def labels(given: Mapping[str, str]) -> dict[str, str]:
    """Labels as Kubernetes allows them: 63 letters, digits, dots, hyphens and underscores at most, the last no sign."""
    return {_name(name): _value(value) for name, value in given.items()}


def _name(name: str) -> str:
    prefix, slash, rest = name.rpartition("/")
    return f"{re.sub(r'[^a-z0-9.-]', '-', prefix.lower())}{slash}{_value(rest)}"


def _value(value: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", value)[:63].strip("._-")


def _text(objects: Iterable[Object], settings: Settings) -> str:
    head = f"# Made from conf/ for the stack {settings.stack}: edit conf/, not this file.\n"
    # What is taken out comes last: see `_removals`.
    ordered = sorted(objects, key=lambda found: "$patch" in found)
    return head + yaml_documents(ordered)


def _kustomization(settings: Settings) -> list[Object]:
    patches = [artifact.path for artifact in _PATCHES if artifact.exists(settings)]
    marks = labels(settings.labels) | MANAGED_BY | {STACK_LABEL: namespace(settings)}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace(settings),
        "resources": [f"{FOLDER}/overlays/{settings.kubernetes.overlay}"],
        "components": [f"{FOLDER}/components/{name}" for name in _components(settings)],
        # Not in selectors, which can't be changed.
        "labels": [{"pairs": marks, "includeSelectors": False, "includeTemplates": True}],
        "images": _images(settings),
        # What is renamed last is found under its old name before.
        "patches": [
            *(_patch(path.partition("/")[2]) for path in sorted(patches)),
            *_removals(settings),
            *_renames(settings),
            *_owner(settings),
        ],
    }
    return [kustomization]


def _removals(settings: Settings) -> list[Object]:
    """Return patches that take out objects of the whole cluster that the stack has no use for.

    One for each: the kustomize of kubectl 1.32 panics where something follows a removal in the same patch.
    """
    unused = [found for found in clouds.of(settings).cluster_wide(settings) if not found.own_name]
    return [{"patch": json.dumps(_deleted(named(found.version, found.kind, found.name)))} for found in unused]


def _renames(settings: Settings) -> list[Object]:
    """Return patches that give the objects of the whole cluster the stack's name."""
    return [
        {
            "target": {"kind": found.kind, "name": found.name},
            "options": {"allowNameChange": True},
            "patch": json.dumps([{"op": "replace", "path": "/metadata/name", "value": found.own_name}]),
        }
        for found in clouds.of(settings).cluster_wide(settings)
        if found.own_name
    ]


def _deleted(head: Object) -> Object:
    """Return a patch that takes an object out."""
    return {"$patch": "delete", **head}


def _owner(settings: Settings) -> list[Object]:
    """The patch that marks the namespace, under the name that it has in the base."""
    if not settings.project.id:
        return []
    return [{"patch": json.dumps(_marked("devai", settings.project.id))}]


def mark(namespace: str, identity: str) -> str:
    """A stack's namespace with nothing but the mark of its project, to be applied."""
    return json.dumps(_marked(namespace, identity))


def _marked(namespace: str, identity: str) -> Object:
    head = named("v1", "Namespace", namespace)
    return {**head, "metadata": {**head["metadata"], "labels": {PROJECT_LABEL: identity}}}


def _components(settings: Settings) -> list[str]:
    gpus = _gpu_workloads(settings)
    chosen = {
        "autoscaling": True,
        clouds.of(settings).component(settings): True,
        "gpu": OLLAMA in gpus,
        "gpu-lab": LAB in gpus,
        "external-ollama": not settings.ollama.is_bundled,
        "external-secrets": bool(settings.kubernetes.secret_store),
    }
    return [name for name, wanted in chosen.items() if wanted]


def _patch(file: str) -> Object:
    renaming = {"target": {"kind": "Job", "name": MODELS}, "options": {"allowNameChange": True}}
    return {"path": file, **(renaming if file == "models.yaml" else {})}


def _images(settings: Settings) -> list[Object]:
    found = [_image("devai-lab", *lab_image(settings))]
    if settings.ollama.is_bundled:
        name, at, digest = ollama_image(settings).partition("@")
        repository, tag = name, ""
        if ":" in name.rpartition("/")[2]:
            repository, _, tag = name.rpartition(":")
        found.append(_image("ollama/ollama", repository, digest if at else tag or "latest"))
    return found


def ollama_image(settings: Settings) -> str:
    """The image of Ollama's pods: AMD's GPUs are for Compose only. One that was loaded has no digest of a registry."""
    official = settings.ollama.image
    return settings.ollama.built or (official if not settings.pulls_image else image_names.pinned(settings, official))


def _image(placeholder: str, name: str, version: str) -> Object:
    return {"name": placeholder, "newName": name, "digest" if version.startswith("sha256:") else "newTag": version}


def _environment(settings: Settings) -> list[Object]:
    own = {
        "JUPYTER_ALLOWED_HOSTS": " ".join(_hosts(settings)),
        "JUPYTER_BASE_URL": settings.network.base_url,
        "JUPYTER_IDLE_TIMEOUT": str(settings.compute.idle_timeout.seconds),
        "OLLAMA_HOST": settings.ollama.address,
    }
    found = [named("v1", "ConfigMap", LAB) | {"data": {**own, "XDG_CACHE_HOME": "/tmp/cache", **settings.env}}]  # noqa: S108
    if settings.ollama.is_bundled:
        data = {"OLLAMA_KEEP_ALIVE": f"{settings.ollama.keep_alive.seconds}s"}
        found.append(named("v1", "ConfigMap", OLLAMA) | {"data": data})
    return found


def _hosts(settings: Settings) -> list[str]:
    """The host names that the lab answers under: its own, those of its service, and where its load balancer has one."""
    service = f"{LAB}.{namespace(settings)}"
    cloud = clouds.of(settings)
    host = [settings.ingress.host] if cloud.has_ingress(settings) and settings.ingress.host else []
    names = (LAB, service, f"{service}.svc", f"{service}.svc.cluster.local")
    return [*settings.network.allowed_hosts, *host, *cloud.load_balancer_domains, *names]


def _lab(settings: Settings) -> list[Object]:
    port = {"port": settings.ports.lab, "name": "http", "targetPort": "http"}
    # By its number a list of ports is merged: the base's own one would stay.
    service = named("v1", "Service", LAB) | {"spec": {"ports": [{"$patch": "replace"}, port]}}
    path = {"httpGet": {"path": f"{settings.network.base_url}api"}}
    deployment = _sized(LAB, settings.resources.lab, settings)
    _container(deployment).update(startupProbe=path, readinessProbe=path)
    if clouds.of(settings).home_is_on_one_node(settings):
        # A new pod on another node could not have the home before the old one lets go.
        deployment["spec"]["strategy"] = {"type": "Recreate", "rollingUpdate": None}
    return [service, deployment]


def _deployment(name: str, container: Object, **pod: Any) -> Object:
    template = {"spec": {**pod, "containers": [{"name": name, **container}]}}
    return named("apps/v1", "Deployment", name) | {"spec": {"template": template}}


def _container(deployment: Object) -> Object:
    container: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def _sized(name: str, limits: LabLimits | OllamaLimits, settings: Settings) -> Object:
    share = settings.kubernetes.requests
    cpu, memory = max(1, limits.cpu.millicores * share // 100), max(1, limits.memory.mib * share // 100)
    requests = {"cpu": str(Cpu(cpu)), "memory": Size(memory * 2**20).quantity}
    most = {"cpu": str(limits.cpu), "memory": limits.memory.quantity}
    return _deployment(name, {"resources": {"requests": requests, "limits": most}})


def _ollama(settings: Settings) -> list[Object]:
    return [_sized(OLLAMA, settings.resources.ollama, settings)]


def _models(settings: Settings) -> list[Object]:
    """The job, named after all that is in it: a job can't be changed."""
    job = named("batch/v1", "Job", MODELS)
    names = settings.hub_models
    if not names:
        return [{"$patch": "delete", **job}]
    # Names are no secrets and no shell text: the script takes them as its arguments.
    content = [
        names,
        ollama_image(settings),
        labels(settings.labels),
        settings.pulls_image and not settings.compute.uses_terraform,
    ]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    environment = [{"name": "MODELS", "value": " ".join(names)}]
    template = {"spec": {"containers": [{"name": MODELS, "env": environment}]}}
    return [{**job, "metadata": {"name": f"{MODELS}-{digest}"}, "spec": {"template": template}}]


def _gpu_workloads(settings: Settings) -> list[str]:
    wanted = {OLLAMA: settings.ollama.is_bundled, LAB: settings.gpu.lab}
    return [name for name, has in wanted.items() if has and settings.gpu.enabled]


def _gpu(settings: Settings) -> list[Object]:
    """How many each has, and where; that others are kept from such nodes is in the components."""
    count = 1 if settings.gpu.count == "all" else int(settings.gpu.count)
    limits, nodes = {"resources": {"limits": {"nvidia.com/gpu": count}}}, dict(settings.kubernetes.gpu_nodes)
    return [_deployment(name, limits, nodeSelector=nodes) for name in _gpu_workloads(settings)]


def _storage(settings: Settings) -> list[Object]:
    """Return volumes and claims."""
    cloud, own = clouds.of(settings), namespace(settings)
    modes, home = [settings.storage.access], settings.storage.home.quantity
    claim = _claim("home", home, settings.storage.home_class or None)
    claim["spec"]["accessModes"] = modes
    found = [claim]
    if cloud.provides_home(settings):
        # Nothing is made for such a claim, so it asks for no more than the base does: the size is the file system's.
        claim["spec"] = {"accessModes": modes, "storageClassName": "", "volumeName": f"{own}-home"}
        spec = {
            "accessModes": cloud.home_access_modes(settings),
            "capacity": {"storage": home},
            # Nobody else's claim gets it.
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": own, "name": "home"},
            "csi": cloud.home_volume(settings),
        }
        found.append(named("v1", "PersistentVolume", "home") | {"spec": spec})
    if settings.ollama.is_bundled:
        found.append(_claim("models", settings.storage.models.quantity, cloud.models_class(settings)))
    return found


def _claim(name: str, size: str, storage_class: str | None) -> Object:
    """Return a claim: without a class it gets the cluster's default, with an empty one only its own volume."""
    spec: Object = {"resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return named("v1", "PersistentVolumeClaim", name) | {"spec": spec}


def _ingress(settings: Settings) -> list[Object]:
    """Return host, path and certificate, and what the load balancer wants to know of them."""
    head = named("networking.k8s.io/v1", "Ingress", LAB)
    cloud = clouds.of(settings)
    if not cloud.has_ingress(settings):
        return [_deleted(head)]
    backend = {"service": {"name": LAB, "port": {"name": "http"}}}
    rule: Object = {"http": {"paths": [{"path": settings.network.base_url, "pathType": "Prefix", "backend": backend}]}}
    if settings.ingress.host:
        rule = {"host": settings.ingress.host, **rule}
    routing = cloud.routing(settings)
    annotations = {**routing.annotations, **settings.ingress.annotations}
    metadata = head["metadata"] | ({"annotations": annotations} if annotations else {})
    return [{**head, "metadata": metadata, "spec": {"rules": [rule], **routing.spec}}, *routing.objects]


def _names_identity(settings: Settings) -> bool:
    return bool(clouds.of(settings).identity_annotation)


def _identity(settings: Settings) -> list[Object]:
    """Return the lab's service account with the identity that it has in its cloud."""
    account = named("v1", "ServiceAccount", LAB)
    account["metadata"]["annotations"] = {clouds.of(settings).identity_annotation: settings.kubernetes.identity}
    return [account]


def _network(settings: Settings) -> list[Object]:
    """Who may connect to the lab, and where it and its Ollama may connect to beside the public internet."""
    sources: list[Object] = [{"ipBlock": {"cidr": cidr}} for cidr in settings.network.load_balancers]
    if settings.ingress.controller:
        match = {"matchLabels": {"kubernetes.io/metadata.name": settings.ingress.controller}}
        sources.append({"namespaceSelector": match})
    # A rule without sources would be one for everybody, and no rule is one for nobody.
    rules = {"ingress": [{"from": sources, "ports": [{"protocol": "TCP", "port": LAB_PORT}]}]} if sources else {}
    policy = named("networking.k8s.io/v1", "NetworkPolicy", "lab-from-ingress")
    found = [policy | {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/name": LAB}}, **rules}}]
    if settings.network.egress_cidrs:
        peers = [{"ipBlock": {"cidr": cidr}} for cidr in settings.network.egress_cidrs]
        own = named("networking.k8s.io/v1", "NetworkPolicy", "own-networks")
        found.append(own | {"spec": {"egress": [{"to": peers}]}})
    return found


def _scaling(settings: Settings) -> list[Object]:
    replicas, autoscaler = settings.compute.replicas, named("autoscaling/v2", "HorizontalPodAutoscaler", LAB)
    if not settings.compute.replicas.are_autoscaled:
        fixed = named("apps/v1", "Deployment", LAB) | {"spec": {"replicas": replicas.min}}
        return [fixed, {"$patch": "delete", **autoscaler}]
    target = {"type": "Utilization", "averageUtilization": settings.kubernetes.cpu_target}
    spec = {
        "minReplicas": replicas.min,
        "maxReplicas": replicas.max,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"selectPolicy": "Max" if settings.kubernetes.scale_down else "Disabled"}},
    }
    return [autoscaler | {"spec": spec}]


def _secrets(settings: Settings) -> list[Object]:
    """Which keys of the secret become files; all but the token may be absent."""
    sources = [_source([TOKEN], optional=False)]
    if settings.secrets:
        sources.append(_source(sorted(settings.secrets), optional=True))
    volume = {"name": "secrets", "secret": None, "projected": {"defaultMode": 0o440, "sources": sources}}
    pod = {"spec": {"volumes": [volume]}}
    found = [named("apps/v1", "Deployment", LAB) | {"spec": {"template": pod}}]
    if settings.kubernetes.secret_store:
        found.append(_external(settings))
    return found


def _source(keys: list[str], *, optional: bool) -> Object:
    return {"secret": {"name": LAB, "optional": optional, "items": [{"key": key, "path": key} for key in keys]}}


def _external(settings: Settings) -> Object:
    """What the External Secrets Operator takes from the store."""
    names = {TOKEN, *(name for secret in settings.secrets.values() for name in secret.names)}
    cloud = clouds.of(settings)
    data = [{"secretKey": name, "remoteRef": {"key": cloud.secret_name(settings, name)}} for name in sorted(names)]
    texts = {
        name: secret.reveal({inner: f"{{{{ .{inner} }}}}" for inner in secret.names})
        for name, secret in settings.secrets.items()
    }
    spec = {
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": settings.kubernetes.secret_store},
        "target": {"template": {"data": {TOKEN: f"{{{{ .{TOKEN} }}}}", **texts}}},
        "data": data,
    }
    return named("external-secrets.io/v1", "ExternalSecret", LAB) | {"spec": spec}


def _file(
    path: str, objects: Callable[[Settings], Iterable[Object]], exists: Callable[[Settings], bool] = always
) -> Artifact:
    return Artifact(f"kubernetes/{path}", lambda settings: _text(objects(settings), settings), exists)


_PATCHES = (
    _file("environment.yaml", _environment),  # variables of the lab and of Ollama
    _file("lab.yaml", _lab),  # the lab's size, port and probes
    _file("storage.yaml", _storage),  # volumes and claims
    _file("ingress.yaml", _ingress),
    _file("network.yaml", _network),  # NetworkPolicies
    _file("scaling.yaml", _scaling),  # the autoscaler
    _file("secrets.yaml", _secrets),  # which secrets the lab gets
    _file("ollama.yaml", _ollama, lambda settings: settings.ollama.is_bundled),  # Ollama's size
    _file("models.yaml", _models, lambda settings: settings.ollama.is_bundled),  # the job that pulls models
    _file("gpu.yaml", _gpu, lambda settings: settings.has_gpu_pods),
    _file("identity.yaml", _identity, _names_identity),  # the lab's identity in its cloud
)
ARTIFACTS = (_file("kustomization.yaml", _kustomization), *_PATCHES)


def render(settings: Settings) -> Artifacts:
    """Return the generated overlay: a kustomization and its patches."""
    return texts(ARTIFACTS, settings)
