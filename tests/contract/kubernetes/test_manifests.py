"""kubectl builds the manifests of every stack, the schemas of Kubernetes accept them, and what must hold does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from harness.manifests import Manifests, Object, Variant, base_variants, build
from harness.reachability import matches

from devai_tasks import clouds
from devai_tasks.config.project import Project
from devai_tasks.system.errors import ToolError
from devai_tasks.targets.kubernetes import kubectl

# The oldest minor that the three clouds support without a surcharge, and the newest of all.
VERSIONS = ("1.34", "1.37")
# Kinds of the clouds' own: their schemas are with the API server's tests.
OWN_KINDS = {"BackendConfig", "FrontendConfig", "ManagedCertificate", "ExternalSecret"}
CLUSTER_KINDS = {"Namespace", "PersistentVolume", "StorageClass", "IngressClass"}


def test_base_variants_have_distinct_manifests(stacks: dict[Variant, Manifests]) -> None:
    assert len(base_variants()) == 3 * 4 * 2
    assert len({built.text for kind, built in stacks.items() if kind in base_variants()}) == 24


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_match_schemas_of_supported_versions(stacks: dict[Variant, Manifests], version: str) -> None:
    every = {}
    for stack in stacks.values():
        for found in stack.objects:
            # Most objects are the same in all stacks, but for the stack's name.
            every[json.dumps(found).replace(str(stack.settings.stack), "stack")] = found
    unknown = set()
    for found in every.values():
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(found["kind"])
    assert unknown == OWN_KINDS


def test_names_are_unique_and_cluster_scoped_names_have_stack_prefix(stack: Manifests) -> None:
    names = [(found["kind"], found["metadata"]["name"]) for found in stack.objects]
    assert len(names) == len(set(names))
    own = f"{stack.settings.project.name}-{stack.settings.stack}"
    for found in stack.objects:
        metadata = found["metadata"]
        if found["kind"] in CLUSTER_KINDS:
            assert metadata["name"].startswith(own)
            assert "namespace" not in metadata
        else:
            assert metadata["namespace"] == own
        assert metadata["labels"]["devai.io/stack"] == own


def test_selectors_match_only_their_pods(stack: Manifests) -> None:
    labels = {name: template["metadata"]["labels"] for name, template in stack.pods.items()}

    def selected(selector: Object) -> set[str]:
        return {name for name, own in labels.items() if matches(selector, own)}

    for name, deployment in stack.of("Deployment").items():
        assert selected(deployment["spec"]["selector"]) == {name}
        # Labels may change; a selector may not.
        assert set(deployment["spec"]["selector"]["matchLabels"]) == {"app.kubernetes.io/name"}
    for name, service in stack.of("Service").items():
        assert selected({"matchLabels": service["spec"]["selector"]}) == {name}
    for name, budget in stack.of("PodDisruptionBudget").items():
        assert selected(budget["spec"]["selector"]) == {name}


def references(stack: Manifests) -> Iterator[tuple[str, str]]:
    """Kind and name of every object that another one refers to."""
    for template in stack.pods.values():
        spec = template["spec"]
        yield "ServiceAccount", spec["serviceAccountName"]
        volumes = {name: given for volume in spec["volumes"] for name, given in volume.items() if name != "name"}
        if "persistentVolumeClaim" in volumes:
            yield "PersistentVolumeClaim", volumes["persistentVolumeClaim"]["claimName"]
        if "configMap" in volumes:
            yield "ConfigMap", volumes["configMap"]["name"]
        for source in spec["containers"][0].get("envFrom", ()):
            yield "ConfigMap", source["configMapRef"]["name"]
    yield from references_between(stack)


def references_between(stack: Manifests) -> Iterator[tuple[str, str]]:
    """The same of objects that are no pods."""
    for scaler in stack.of("HorizontalPodAutoscaler").values():
        yield "Deployment", scaler["spec"]["scaleTargetRef"]["name"]
    for ingress in stack.of("Ingress").values():
        yield "Service", ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]
        own = f"devai-{stack.settings.stack}"
        if ingress["spec"].get("ingressClassName") == own:
            yield "IngressClass", own
    for claim in stack.of("PersistentVolumeClaim").values():
        if volume := claim["spec"].get("volumeName"):
            yield "PersistentVolume", volume
    for volume in stack.of("PersistentVolume").values():
        yield "PersistentVolumeClaim", volume["spec"]["claimRef"]["name"]


def test_referenced_objects_exist(stack: Manifests) -> None:
    for kind, name in references(stack):
        assert name in stack.of(kind), f"no {kind} {name}"
    for template in stack.pods.values():
        mounted = {mount["name"] for one in template["spec"]["containers"] for mount in one["volumeMounts"]}
        assert mounted == {volume["name"] for volume in template["spec"]["volumes"]}
    for service in stack.of("Service").values():
        ports = [port["name"] for port in stack.pods[service["metadata"]["name"]]["spec"]["containers"][0]["ports"]]
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ports == ["http"]


def test_images_have_tags_and_cloud_lab_image_has_digest(stack: Manifests) -> None:
    for name, container in stack.containers:
        image = container["image"]
        assert "@sha256:" in image or ":" in image.rpartition("/")[2]
        assert not image.endswith(":latest")
        if name == "devai" and stack.settings.compute.provider != "local":
            assert image.endswith(f"@{stack.settings.image_digest}")
        pulled = "IfNotPresent" if stack.settings.compute.provider == "local" else "Always"
        assert container["imagePullPolicy"] == pulled


def test_containers_have_limits_and_restricted_security_context(stack: Manifests) -> None:
    for _, container in stack.containers:
        assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()
        assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["requests"].keys()
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
    for template in stack.pods.values():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["runAsUser"] >= 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))


def test_probes_use_base_url_and_liveness_uses_no_http(stack: Manifests) -> None:
    for name, deployment in stack.of("Deployment").items():
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        start, ready, alive = (container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness"))
        assert "httpGet" in start
        assert "httpGet" in ready
        assert "httpGet" not in alive
        if name == "devai":
            assert start["httpGet"]["path"] == ready["httpGet"]["path"] == f"{stack.settings.network.base_url}api"


def test_replicas_are_set_by_deployment_or_autoscaler(stack: Manifests) -> None:
    replicas = stack.settings.compute.replicas
    given = stack.of("Deployment")["devai"]["spec"].get("replicas")
    scalers = stack.of("HorizontalPodAutoscaler")
    if replicas.max == replicas.min:
        assert given == replicas.min
        assert not scalers
        return
    assert given is None
    spec = scalers["devai"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (replicas.min, replicas.max)
    allowed = "Max" if stack.settings.kubernetes.scale_down else "Disabled"
    assert spec["behavior"]["scaleDown"]["selectPolicy"] == allowed


def test_prod_spreads_at_least_three_labs_over_nodes(stacks: dict[Variant, Manifests]) -> None:
    for kind in base_variants():
        spec = stacks[kind].of("Deployment")["devai"]["spec"]["template"]["spec"]
        spread = {constraint["topologyKey"] for constraint in spec.get("topologySpreadConstraints", ())}
        if kind.environment == "prod":
            assert stacks[kind].of("HorizontalPodAutoscaler")["devai"]["spec"]["minReplicas"] == 3
            assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        if kind.environment == "dev":
            assert stacks[kind].of("Deployment")["devai"]["spec"]["replicas"] == 1
            assert not spread


def test_home_volume_is_shared_and_retained(stack: Manifests) -> None:
    claim = stack.of("PersistentVolumeClaim")["home"]["spec"]
    assert claim["accessModes"] == [stack.settings.storage.access]
    if stack.settings.compute.provider != "local":
        assert claim["accessModes"] == ["ReadWriteMany"]
    for volume in stack.of("PersistentVolume").values():
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["spec"]["claimRef"]["namespace"] == stack.namespace


def test_fs_group_gives_home_to_group_of_lab(stacks: dict[Variant, Manifests]) -> None:
    """By the kubelet, whatever the driver of Filestore says of itself: it takes a type, and ReadWriteOnce beside."""
    for kind in base_variants():
        security = stacks[kind].pods["devai"]["spec"]["securityContext"]
        assert security["fsGroup"] == security["runAsGroup"]
        if kind.cloud == "gcp":
            (volume,) = stacks[kind].of("PersistentVolume").values()
            assert volume["spec"]["csi"]["fsType"] == "nfs"
            assert volume["spec"]["accessModes"] == ["ReadWriteMany", "ReadWriteOnce"]


# How each cloud's load balancer is told to keep a person on one pod, and how long it lets a kernel be quiet.
AFFINITY: Mapping[str, tuple[str, str]] = {
    "aws": ("stickiness.type=lb_cookie", "idle_timeout.timeout_seconds=4000"),
    "azure": ("cookie-based-affinity: 'true'", "request-timeout: '3600'"),
    "gcp": ("affinityType: GENERATED_COOKIE", "timeoutSec: 3600"),
    "local": ("nginx.ingress.kubernetes.io/affinity: cookie", "proxy-read-timeout: '3600'"),
}


def test_load_balancer_has_session_affinity_and_long_timeout(stack: Manifests) -> None:
    if not stack.of("Ingress"):
        assert stack.of("Service")["devai"]["spec"]["sessionAffinity"] == "ClientIP"
        return
    text = yaml.safe_dump([*stack.of("Ingress").values(), *stack.of("BackendConfig").values()], width=1000)
    for words in AFFINITY[stack.settings.compute.provider]:
        assert words in text


def test_eks_lab_is_not_disrupted_and_has_readiness_gate(stack: Manifests) -> None:
    (namespace,) = stack.of("Namespace").values()
    notes = {name: pod["metadata"].get("annotations", {}) for name, pod in stack.pods.items()}
    staying = [name for name, own in notes.items() if own.get("karpenter.sh/do-not-disrupt") == "true"]
    gated = namespace["metadata"]["labels"].get("eks.amazonaws.com/pod-readiness-gate-inject") == "enabled"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert (staying, gated) == ((["devai"], True) if stack.settings.compute.provider == "aws" else ([], False))


def test_ingress_has_host_and_health_check_under_base_url(stack: Manifests) -> None:
    base = stack.settings.network.base_url
    for ingress in stack.of("Ingress").values():
        for rule in ingress["spec"]["rules"]:
            assert rule.get("host", "") == stack.settings.ingress.host
            assert "*" not in rule.get("host", "")
            assert rule["http"]["paths"][0]["path"] == base
        annotations = ingress["metadata"]["annotations"]
        health = [value for name, value in annotations.items() if name.endswith(("healthcheck-path", "probe-path"))]
        assert health in ([], [f"{base}api"])
        assert "kubernetes.io/ingress.class" not in annotations
    for backend in stack.of("BackendConfig").values():
        assert backend["spec"]["healthCheck"]["requestPath"] == f"{base}api"
        assert backend["spec"]["securityPolicy"]["name"]  # who may connect is in force


def test_enabled_https_redirects_http(stacks: dict[Variant, Manifests]) -> None:
    for kind, stack in stacks.items():
        for ingress in stack.of("Ingress").values():
            notes = ingress["metadata"]["annotations"]
            redirects = [notes.get("alb.ingress.kubernetes.io/ssl-redirect") == "443"]
            redirects.append(notes.get("appgw.ingress.kubernetes.io/ssl-redirect") == "true")
            redirects += [front["spec"]["redirectToHttps"]["enabled"] for front in stack.of("FrontendConfig").values()]
            redirects.append(bool(ingress["spec"].get("tls")))
            assert any(redirects) == stack.settings.tls.enabled, kind


def test_gke_https_has_one_certificate_and_ssl_policy(stacks: dict[Variant, Manifests]) -> None:
    """For a host name the ingress has one made, unless one is named; else it is the one that Terraform made."""
    prefixes = ("networking.gke.io/managed-certificates", "ingress.gcp.kubernetes.io/pre-shared-cert")
    seen = set()
    for kind, stack in stacks.items():
        for front in stack.of("FrontendConfig").values():
            settings, spec = stack.settings, front["spec"]
            (ingress,) = stack.of("Ingress").values()
            managed, named = (ingress["metadata"]["annotations"].get(name) for name in prefixes)
            assert [found["metadata"]["name"] for found in stack.of("ManagedCertificate").values()] == (
                [managed] if managed else []
            )
            made = settings.tls.enabled and bool(settings.ingress.host) and not settings.terraform.certificate
            assert bool(managed) == made, kind
            assert named == (settings.tls.certificate if settings.tls.enabled and not made else None), kind
            assert spec["redirectToHttps"]["enabled"] == settings.tls.enabled, kind
            assert spec.get("sslPolicy") == (settings.ingress.address if settings.tls.enabled else None), kind
            seen.add((bool(managed), bool(named)))
    assert seen == {(True, False), (False, True), (False, False)}


def test_secrets_are_mounted_files_and_not_rendered(stack: Manifests) -> None:
    assert not stack.of("Secret")
    volumes = {volume["name"]: volume for volume in stack.pods["devai"]["spec"]["volumes"]}
    token, *others = (source["secret"] for source in volumes["secrets"]["projected"]["sources"])
    assert [item["key"] for item in token["items"]] == ["JUPYTER_TOKEN"]
    assert not token["optional"]
    assert [item["key"] for given in others for item in given["items"]] == sorted(stack.settings.secrets)
    for _, container in stack.containers:
        assert not any("secretKeyRef" in str(variable) for variable in container.get("env", ()))


def test_external_secret_contains_token_and_all_secrets(stacks: dict[Variant, Manifests]) -> None:
    for stack in stacks.values():
        external = stack.of("ExternalSecret")
        assert bool(external) == bool(stack.settings.kubernetes.secret_store)
        for found in external.values():
            texts = found["spec"]["target"]["template"]["data"]
            assert set(texts) == {"JUPYTER_TOKEN", *stack.settings.secrets}
            assert texts["OPENAI_API_KEY"] == "{{ .OPENAI_API_KEY }}"
            keys = [entry["remoteRef"]["key"] for entry in found["spec"]["data"]]
            assert clouds.of(stack.settings).secret_name(stack.settings, "OPENAI_API_KEY") in keys


def test_model_job_name_changes_with_models_and_image(lab: Project, stacks: dict[Variant, Manifests]) -> None:
    stack = stacks[Variant("local", "dev")]
    (name,) = stack.of("Job")
    assert {entry["name"]: entry["value"] for entry in stack.pods[name]["spec"]["containers"][0]["env"]}[
        "MODELS"
    ] == "smollm2:135m"
    for override in ("models=[llama3.2:1b]", "labels={a: b}", "ollama.image=ollama/ollama:0.18.0"):
        (other,) = build(lab, Variant("local", "dev", overrides=(override,))).of("Job")
        assert other != name


def test_ollama_gets_gpus_and_lab_only_if_configured(stacks: dict[Variant, Manifests]) -> None:
    for stack in stacks.values():
        gpus = {name: container["resources"]["limits"].get("nvidia.com/gpu") for name, container in stack.containers}
        wanted = stack.settings.gpu
        count = 1 if wanted.count == "all" else int(wanted.count)
        assert gpus["devai"] == (count if wanted.enabled and wanted.lab else None)
        if "ollama" in gpus:
            assert gpus["ollama"] == (count if wanted.enabled else None)
            spec = stack.pods["ollama"]["spec"]
            if wanted.enabled:
                assert spec.get("nodeSelector", {}) == stack.settings.kubernetes.gpu_nodes
                assert {entry["key"] for entry in spec["tolerations"]} == {"nvidia.com/gpu", "sku"}


def test_gke_lab_with_gpus_searches_driver_libraries(lab: Project) -> None:
    def searched(*overrides: str) -> str:
        built = build(lab, Variant("gcp", "dev", gpu=True, overrides=overrides))
        maps = [found["data"] for found in built.of("ConfigMap").values()]
        (own,) = (data for data in maps if "JUPYTER_BASE_URL" in data)
        return str(own.get("LD_LIBRARY_PATH", ""))

    assert searched() == ""
    assert searched("gpu.lab=true").startswith("/usr/local/nvidia/lib64:")


def test_custom_environment_uses_configured_overlay(lab: Project) -> None:
    profile = lab.conf / "profiles" / "demo.yaml"
    profile.write_text("protected: true\nkubernetes: {overlay: prod}\ningress: {host: demo.example.org}\n")
    cluster = lab.conf / "clouds" / "lan.yaml"
    cluster.write_text("compute: {provider: none}\nkubernetes: {context: lan}\ntls: {enabled: true}\n")
    try:
        stack = build(lab, Variant("lan", "demo"))
    finally:
        profile.unlink()
        cluster.unlink()
    assert "topologySpreadConstraints" in stack.pods["devai"]["spec"]
    assert list(stack.of("Namespace")) == ["devai-lan-demo"]
    assert stack.of("PersistentVolumeClaim")["home"]["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("program", ["on PATH", "of the extra"])
def test_kustomize_builds_linked_and_resolved_folder(lab: Project, program: str) -> None:
    """`kubectl apply -k` begins with this."""
    beside = Path(sys.executable).with_name("kubectl")
    found = beside if program == "of the extra" else shutil.which("kubectl")
    built = build(lab, Variant("aws", "prod"))
    folder = lab.root / "generated/aws-prod/kubernetes"
    assert folder.is_symlink()
    for path in (folder, folder.resolve()):
        done = subprocess.run([str(found), "kustomize", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert list(yaml.safe_load_all(done.stdout)) == built.objects


def test_build_is_reproducible(lab: Project) -> None:
    kind = Variant("gcp", "prod", gpu=True)
    assert build(lab, kind).text == build(lab, kind).text


def test_folder_without_kustomization_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"unable to find one of 'kustomization\.yaml'"):
        kubectl.build(tmp_path)
