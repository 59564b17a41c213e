"""The generated overlay for one stack: a kustomization and its patches, based on the manifests in deploy/kubernetes.

deploy/ defines the structure; the overlay contains only values, one topic per file. `kubectl apply -k` accepts it.
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

# Relative path from generated/<stack>/kubernetes, and from the folder that it links to.
FOLDER = "../../../deploy/kubernetes"
MODELS = "models"
# Identifies the objects of a stack in a shared cluster.
STACK_LABEL = "devai.io/stack"
# The owner of the stack. Set on the namespace only, because a new label in a pod's template would replace the pod.
PROJECT_LABEL = "devai.io/project-id"
MANAGED_BY = {"app.kubernetes.io/managed-by": "devai"}


def namespace(settings: Settings) -> str:
    """Return the stack's namespace, which is also the prefix of its cluster-wide names."""
    return naming.stack(settings)


def named(version: str, kind: str, name: str) -> Object:
    """Return the version, kind and name of an object."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def lab_image(settings: Settings) -> tuple[str, str]:
    """Return the lab's image as name and digest if it was pushed, or as name and tag in a local cluster."""
    if settings.pulls_image:
        return image_names.registry_repository(settings), settings.image_digest
    name, _, tag = image_names.lab(settings).rpartition(":")
    return name, settings.image.loaded or tag


def labels(configured: Mapping[str, str]) -> dict[str, str]:
    """Return labels with valid names and values for Kubernetes.

    They have at most 63 letters, digits, `.`, `-` and `_`, with a letter or digit at both ends
    (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
    """
    return {_name(name): _value(value) for name, value in configured.items()}


def _name(name: str) -> str:
    prefix, slash, rest = name.rpartition("/")
    return f"{re.sub(r'[^a-z0-9.-]', '-', prefix.lower())}{slash}{_value(rest)}"


def _value(value: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", value)[:63].strip("._-")


def _text(objects: Iterable[Object], settings: Settings) -> str:
    head = f"# Made from conf/ for the stack {settings.stack}: edit conf/, not this file.\n"
    # Removals come last: see `_removals`.
    ordered = sorted(objects, key=lambda item: "$patch" in item)
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
        # Not in selectors, which are immutable.
        "labels": [{"pairs": marks, "includeSelectors": False, "includeTemplates": True}],
        "images": _images(settings),
        # Renames come last, because the patches before them refer to the old names.
        "patches": [
            *(_patch(path.partition("/")[2]) for path in sorted(patches)),
            *_removals(settings),
            *_renames(settings),
            *_owner(settings),
        ],
    }
    return [kustomization]


def _removals(settings: Settings) -> list[Object]:
    """Return patches that remove cluster-wide objects that the stack does not need.

    Each removal has its own patch: the kustomize of kubectl 1.32 panics if another document follows a removal in the
    same patch.
    """
    unused = [item for item in clouds.of(settings).cluster_wide(settings) if not item.own_name]
    return [{"patch": json.dumps(_deleted(named(item.version, item.kind, item.name)))} for item in unused]


def _renames(settings: Settings) -> list[Object]:
    """Return patches that rename cluster-wide objects to the stack's names."""
    return [
        {
            "target": {"kind": item.kind, "name": item.name},
            "options": {"allowNameChange": True},
            "patch": json.dumps([{"op": "replace", "path": "/metadata/name", "value": item.own_name}]),
        }
        for item in clouds.of(settings).cluster_wide(settings)
        if item.own_name
    ]


def _deleted(head: Object) -> Object:
    """Return a patch that removes an object."""
    return {"$patch": "delete", **head}


def _owner(settings: Settings) -> list[Object]:
    """Return the patch that labels the namespace with the project; it refers to the namespace's name in the base."""
    if not settings.project.id:
        return []
    return [{"patch": json.dumps(_marked("devai", settings.project.id))}]


def mark(namespace: str, identity: str) -> str:
    """Return a manifest of a stack's namespace that only has the label of its project."""
    return json.dumps(_marked(namespace, identity))


def _marked(namespace: str, identity: str) -> Object:
    head = named("v1", "Namespace", namespace)
    return {**head, "metadata": {**head["metadata"], "labels": {PROJECT_LABEL: identity}}}


def _components(settings: Settings) -> list[str]:
    gpus = _gpu_workloads(settings)
    components = {
        "autoscaling": True,
        clouds.of(settings).component(settings): True,
        "gpu": OLLAMA in gpus,
        "gpu-lab": LAB in gpus,
        "external-ollama": not settings.ollama.is_bundled,
        "external-secrets": bool(settings.kubernetes.secret_store),
    }
    return [name for name, enabled in components.items() if enabled]


def _patch(file: str) -> Object:
    renaming = {"target": {"kind": "Job", "name": MODELS}, "options": {"allowNameChange": True}}
    return {"path": file, **(renaming if file == "models.yaml" else {})}


def _images(settings: Settings) -> list[Object]:
    images = [_image("devai-lab", *lab_image(settings))]
    if settings.ollama.is_bundled:
        name, has_digest, digest = ollama_image(settings).partition("@")
        repository, tag = name, ""
        if ":" in name.rpartition("/")[2]:
            repository, _, tag = name.rpartition(":")
        images.append(_image("ollama/ollama", repository, digest if has_digest else tag or "latest"))
    return images


def ollama_image(settings: Settings) -> str:
    """Return the image of Ollama's pods, which is never the one for AMD GPUs; those are supported by Compose only.

    An image that was loaded into a local cluster has no registry digest.
    """
    official = settings.ollama.image
    return settings.ollama.built or (official if not settings.pulls_image else image_names.pinned(settings, official))


def _image(placeholder: str, name: str, version: str) -> Object:
    return {"name": placeholder, "newName": name, "digest" if version.startswith("sha256:") else "newTag": version}


def _environment(settings: Settings) -> list[Object]:
    variables = {
        "JUPYTER_ALLOWED_HOSTS": " ".join(_hosts(settings)),
        "JUPYTER_BASE_URL": settings.network.base_url,
        "JUPYTER_IDLE_TIMEOUT": str(settings.compute.idle_timeout.seconds),
        "OLLAMA_HOST": settings.ollama.address,
    }
    maps = [named("v1", "ConfigMap", LAB) | {"data": {**variables, "XDG_CACHE_HOME": "/tmp/cache", **settings.env}}]  # noqa: S108
    if settings.ollama.is_bundled:
        data = {"OLLAMA_KEEP_ALIVE": f"{settings.ollama.keep_alive.seconds}s"}
        maps.append(named("v1", "ConfigMap", OLLAMA) | {"data": data})
    return maps


def _hosts(settings: Settings) -> list[str]:
    """Return the host names that the lab accepts: configured ones, its service's, and its load balancer's if any."""
    service = f"{LAB}.{namespace(settings)}"
    cloud = clouds.of(settings)
    host = [settings.ingress.host] if cloud.has_ingress(settings) and settings.ingress.host else []
    names = (LAB, service, f"{service}.svc", f"{service}.svc.cluster.local")
    return [*settings.network.allowed_hosts, *host, *cloud.load_balancer_domains, *names]


def _lab(settings: Settings) -> list[Object]:
    port = {"port": settings.ports.lab, "name": "http", "targetPort": "http"}
    # Strategic merge identifies ports by number, so that the base's port would be kept without `replace`.
    service = named("v1", "Service", LAB) | {"spec": {"ports": [{"$patch": "replace"}, port]}}
    path = {"httpGet": {"path": f"{settings.network.base_url}api"}}
    deployment = _sized(LAB, settings.resources.lab, settings)
    _container(deployment).update(startupProbe=path, readinessProbe=path)
    if clouds.of(settings).home_is_on_one_node(settings):
        # A new pod on another node could not mount the home before the old pod has released it.
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


# Revision of the job's pod template in deploy/kubernetes/base/models.yaml, increased with each change of the template.
JOB_REVISION = 2


def _models(settings: Settings) -> list[Object]:
    """Return the job that pulls models, with a hash of its content in its name, because jobs are immutable."""
    job = named("batch/v1", "Job", MODELS)
    names = settings.hub_models
    if not names:
        return [{"$patch": "delete", **job}]
    # Model names are neither secret nor interpreted by a shell: the script gets them as arguments.
    content = [
        JOB_REVISION,
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
    workloads = {OLLAMA: settings.ollama.is_bundled, LAB: settings.gpu.lab}
    return [name for name, is_eligible in workloads.items() if is_eligible and settings.gpu.enabled]


def _gpu(settings: Settings) -> list[Object]:
    """Return GPU limits and node selectors; the components contain the tolerations for GPU nodes."""
    count = 1 if settings.gpu.count == "all" else int(settings.gpu.count)
    limits, nodes = {"resources": {"limits": {"nvidia.com/gpu": count}}}, dict(settings.kubernetes.gpu_nodes)
    return [_deployment(name, limits, nodeSelector=nodes) for name in _gpu_workloads(settings)]


def _storage(settings: Settings) -> list[Object]:
    """Return volumes and claims."""
    cloud, stack_namespace = clouds.of(settings), namespace(settings)
    modes, home = [settings.storage.access], settings.storage.home.quantity
    claim = _claim("home", home, settings.storage.home_class or None)
    claim["spec"]["accessModes"] = modes
    objects = [claim]
    if cloud.provides_home(settings):
        # No volume is created for this claim, so it requests no more than the base: the file system has the size.
        claim["spec"] = {"accessModes": modes, "storageClassName": "", "volumeName": f"{stack_namespace}-home"}
        spec = {
            "accessModes": cloud.home_access_modes(settings),
            "capacity": {"storage": home},
            # Reserves the volume for this claim.
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": stack_namespace,
                "name": "home",
            },
            "csi": cloud.home_volume(settings),
        }
        objects.append(named("v1", "PersistentVolume", "home") | {"spec": spec})
    if settings.ollama.is_bundled:
        objects.append(_claim("models", settings.storage.models.quantity, cloud.models_class(settings)))
    return objects


def _claim(name: str, size: str, storage_class: str | None) -> Object:
    """Return a claim; without a class it gets the cluster's default class, with an empty one only a named volume."""
    spec: Object = {"resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return named("v1", "PersistentVolumeClaim", name) | {"spec": spec}


def _ingress(settings: Settings) -> list[Object]:
    """Return the ingress with host, path and certificate, and the objects that the load balancer needs for it."""
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
    """Return the lab's service account with its identity in the cloud."""
    account = named("v1", "ServiceAccount", LAB)
    account["metadata"]["annotations"] = {clouds.of(settings).identity_annotation: settings.kubernetes.identity}
    return [account]


def _network(settings: Settings) -> list[Object]:
    """Return network policies: allowed sources for the lab, and allowed private networks for the lab and Ollama."""
    sources: list[Object] = [{"ipBlock": {"cidr": cidr}} for cidr in settings.network.load_balancers]
    if settings.ingress.controller:
        match = {"matchLabels": {"kubernetes.io/metadata.name": settings.ingress.controller}}
        sources.append({"namespaceSelector": match})
    # A rule without sources would allow all, and a policy without rules allows none.
    rules = {"ingress": [{"from": sources, "ports": [{"protocol": "TCP", "port": LAB_PORT}]}]} if sources else {}
    policy = named("networking.k8s.io/v1", "NetworkPolicy", "lab-from-ingress")
    policies = [policy | {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/name": LAB}}, **rules}}]
    if settings.network.egress_cidrs:
        peers = [{"ipBlock": {"cidr": cidr}} for cidr in settings.network.egress_cidrs]
        egress = named("networking.k8s.io/v1", "NetworkPolicy", "own-networks")
        policies.append(egress | {"spec": {"egress": [{"to": peers}]}})
    return policies


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
    """Return which keys of the secret are mounted as files; all except the token are optional."""
    sources = [_source([TOKEN], optional=False)]
    if settings.secrets:
        sources.append(_source(sorted(settings.secrets), optional=True))
    volume = {"name": "secrets", "secret": None, "projected": {"defaultMode": 0o440, "sources": sources}}
    pod = {"spec": {"volumes": [volume]}}
    objects = [named("apps/v1", "Deployment", LAB) | {"spec": {"template": pod}}]
    if settings.kubernetes.secret_store:
        objects.append(_external(settings))
    return objects


def _source(keys: list[str], *, optional: bool) -> Object:
    return {"secret": {"name": LAB, "optional": optional, "items": [{"key": key, "path": key} for key in keys]}}


def _external(settings: Settings) -> Object:
    """Return the object by which the External Secrets Operator reads secrets from the store."""
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
