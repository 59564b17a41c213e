"""The manifests of every stack variant: built by kubectl, valid by the schemas of Kubernetes, and consistent."""

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

# The oldest minor version that the three clouds support without a surcharge, and the newest version.
VERSIONS = ("1.34", "1.37")
# Kinds that clouds define; the API server's tests have their schemas.
CLOUD_KINDS = {"BackendConfig", "FrontendConfig", "ManagedCertificate", "ExternalSecret"}
CLUSTER_KINDS = {"Namespace", "PersistentVolume", "StorageClass", "IngressClass"}


def test_base_variants_have_distinct_manifests(stacks: dict[Variant, Manifests]) -> None:
    assert len(base_variants()) == 3 * 4 * 2
    assert len({built.text for variant, built in stacks.items() if variant in base_variants()}) == 24


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_match_schemas_of_supported_versions(stacks: dict[Variant, Manifests], version: str) -> None:
    distinct = {}
    for stack in stacks.values():
        for item in stack.objects:
            # Most objects differ between stacks only by the stack's name.
            distinct[json.dumps(item).replace(str(stack.settings.stack), "stack")] = item
    unknown = set()
    for item in distinct.values():
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(item["kind"])
    assert unknown == CLOUD_KINDS


def test_names_are_unique_and_cluster_scoped_names_have_stack_prefix(stack: Manifests) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in stack.objects]
    assert len(names) == len(set(names))
    stack_name = f"{stack.settings.project.name}-{stack.settings.stack}"
    for item in stack.objects:
        metadata = item["metadata"]
        if item["kind"] in CLUSTER_KINDS:
            assert metadata["name"].startswith(stack_name)
            assert "namespace" not in metadata
        else:
            assert metadata["namespace"] == stack_name
        assert metadata["labels"]["devai.io/stack"] == stack_name


def test_selectors_match_only_their_pods(stack: Manifests) -> None:
    labels = {name: template["metadata"]["labels"] for name, template in stack.pods.items()}

    def selected(selector: Object) -> set[str]:
        return {name for name, pod_labels in labels.items() if matches(selector, pod_labels)}

    for name, deployment in stack.of("Deployment").items():
        assert selected(deployment["spec"]["selector"]) == {name}
        # Labels may change; a Deployment's selector is immutable.
        assert set(deployment["spec"]["selector"]["matchLabels"]) == {"app.kubernetes.io/name"}
    for name, service in stack.of("Service").items():
        assert selected({"matchLabels": service["spec"]["selector"]}) == {name}
    for name, budget in stack.of("PodDisruptionBudget").items():
        assert selected(budget["spec"]["selector"]) == {name}


def references(stack: Manifests) -> Iterator[tuple[str, str]]:
    """Yield kind and name of every referenced object."""
    for template in stack.pods.values():
        spec = template["spec"]
        yield "ServiceAccount", spec["serviceAccountName"]
        volumes = {name: source for volume in spec["volumes"] for name, source in volume.items() if name != "name"}
        if "persistentVolumeClaim" in volumes:
            yield "PersistentVolumeClaim", volumes["persistentVolumeClaim"]["claimName"]
        if "configMap" in volumes:
            yield "ConfigMap", volumes["configMap"]["name"]
        for source in spec["containers"][0].get("envFrom", ()):
            yield "ConfigMap", source["configMapRef"]["name"]
    yield from references_between(stack)


def references_between(stack: Manifests) -> Iterator[tuple[str, str]]:
    """Yield kind and name of objects that objects other than pods reference."""
    for scaler in stack.of("HorizontalPodAutoscaler").values():
        yield "Deployment", scaler["spec"]["scaleTargetRef"]["name"]
    for ingress in stack.of("Ingress").values():
        yield "Service", ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]
        stack_name = f"devai-{stack.settings.stack}"
        if ingress["spec"].get("ingressClassName") == stack_name:
            yield "IngressClass", stack_name
    for claim in stack.of("PersistentVolumeClaim").values():
        if volume := claim["spec"].get("volumeName"):
            yield "PersistentVolume", volume
    for volume in stack.of("PersistentVolume").values():
        yield "PersistentVolumeClaim", volume["spec"]["claimRef"]["name"]


def test_referenced_objects_exist(stack: Manifests) -> None:
    for kind, name in references(stack):
        assert name in stack.of(kind), f"no {kind} {name}"
    for template in stack.pods.values():
        mounted = {mount["name"] for container in template["spec"]["containers"] for mount in container["volumeMounts"]}
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
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
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
    fixed = stack.of("Deployment")["devai"]["spec"].get("replicas")
    scalers = stack.of("HorizontalPodAutoscaler")
    if replicas.max == replicas.min:
        assert fixed == replicas.min
        assert not scalers
        return
    assert fixed is None
    spec = scalers["devai"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (replicas.min, replicas.max)
    allowed = "Max" if stack.settings.kubernetes.scale_down else "Disabled"
    assert spec["behavior"]["scaleDown"]["selectPolicy"] == allowed


def test_prod_spreads_at_least_three_labs_over_nodes(stacks: dict[Variant, Manifests]) -> None:
    for variant in base_variants():
        spec = stacks[variant].of("Deployment")["devai"]["spec"]["template"]["spec"]
        spread = {constraint["topologyKey"] for constraint in spec.get("topologySpreadConstraints", ())}
        if variant.environment == "prod":
            assert stacks[variant].of("HorizontalPodAutoscaler")["devai"]["spec"]["minReplicas"] == 3
            assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        if variant.environment == "dev":
            assert stacks[variant].of("Deployment")["devai"]["spec"]["replicas"] == 1
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
    """The kubelet applies fsGroup to Filestore's volume only with a fsType and the access mode ReadWriteOnce."""
    for variant in base_variants():
        security = stacks[variant].pods["devai"]["spec"]["securityContext"]
        assert security["fsGroup"] == security["runAsGroup"]
        if variant.cloud == "gcp":
            (volume,) = stacks[variant].of("PersistentVolume").values()
            assert volume["spec"]["csi"]["fsType"] == "nfs"
            assert volume["spec"]["accessModes"] == ["ReadWriteMany", "ReadWriteOnce"]


# The settings for session affinity and idle timeout of each cloud's load balancer.
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
    for setting in AFFINITY[stack.settings.compute.provider]:
        assert setting in text


def test_eks_lab_is_not_disrupted_and_has_readiness_gate(stack: Manifests) -> None:
    (namespace,) = stack.of("Namespace").values()
    annotations = {name: pod["metadata"].get("annotations", {}) for name, pod in stack.pods.items()}
    protected = [name for name, values in annotations.items() if values.get("karpenter.sh/do-not-disrupt") == "true"]
    gated = namespace["metadata"]["labels"].get("eks.amazonaws.com/pod-readiness-gate-inject") == "enabled"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert (protected, gated) == ((["devai"], True) if stack.settings.compute.provider == "aws" else ([], False))


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
        assert backend["spec"]["securityPolicy"]["name"]  # the policy that restricts clients is set


def test_enabled_https_redirects_http(stacks: dict[Variant, Manifests]) -> None:
    for variant, stack in stacks.items():
        for ingress in stack.of("Ingress").values():
            annotations = ingress["metadata"]["annotations"]
            redirects = [annotations.get("alb.ingress.kubernetes.io/ssl-redirect") == "443"]
            redirects.append(annotations.get("appgw.ingress.kubernetes.io/ssl-redirect") == "true")
            redirects += [front["spec"]["redirectToHttps"]["enabled"] for front in stack.of("FrontendConfig").values()]
            redirects.append(bool(ingress["spec"].get("tls")))
            assert any(redirects) == stack.settings.tls.enabled, variant


def test_gke_https_has_one_certificate_and_ssl_policy(stacks: dict[Variant, Manifests]) -> None:
    """Use the configured certificate, or one that GKE creates for the host name, or Terraform's."""
    prefixes = ("networking.gke.io/managed-certificates", "ingress.gcp.kubernetes.io/pre-shared-cert")
    seen = set()
    for variant, stack in stacks.items():
        for front in stack.of("FrontendConfig").values():
            settings, spec = stack.settings, front["spec"]
            (ingress,) = stack.of("Ingress").values()
            managed, named = (ingress["metadata"]["annotations"].get(name) for name in prefixes)
            assert [item["metadata"]["name"] for item in stack.of("ManagedCertificate").values()] == (
                [managed] if managed else []
            )
            gke_creates = settings.tls.enabled and bool(settings.ingress.host) and not settings.terraform.certificate
            assert bool(managed) == gke_creates, variant
            assert named == (settings.tls.certificate if settings.tls.enabled and not gke_creates else None), variant
            assert spec["redirectToHttps"]["enabled"] == settings.tls.enabled, variant
            assert spec.get("sslPolicy") == (settings.ingress.address if settings.tls.enabled else None), variant
            seen.add((bool(managed), bool(named)))
    assert seen == {(True, False), (False, True), (False, False)}


def test_secrets_are_mounted_files_and_not_rendered(stack: Manifests) -> None:
    assert not stack.of("Secret")
    volumes = {volume["name"]: volume for volume in stack.pods["devai"]["spec"]["volumes"]}
    token, *others = (source["secret"] for source in volumes["secrets"]["projected"]["sources"])
    assert [item["key"] for item in token["items"]] == ["JUPYTER_TOKEN"]
    assert not token["optional"]
    assert [item["key"] for source in others for item in source["items"]] == sorted(stack.settings.secrets)
    for _, container in stack.containers:
        assert not any("secretKeyRef" in str(variable) for variable in container.get("env", ()))


def test_external_secret_contains_token_and_all_secrets(stacks: dict[Variant, Manifests]) -> None:
    for stack in stacks.values():
        external = stack.of("ExternalSecret")
        assert bool(external) == bool(stack.settings.kubernetes.secret_store)
        for item in external.values():
            texts = item["spec"]["target"]["template"]["data"]
            assert set(texts) == {"JUPYTER_TOKEN", *stack.settings.secrets}
            assert texts["OPENAI_API_KEY"] == "{{ .OPENAI_API_KEY }}"
            keys = [entry["remoteRef"]["key"] for entry in item["spec"]["data"]]
            assert clouds.of(stack.settings).secret_name(stack.settings, "OPENAI_API_KEY") in keys


def test_model_job_name_changes_with_models_and_image(lab: Project, stacks: dict[Variant, Manifests]) -> None:
    stack = stacks[Variant("local", "dev")]
    (name,) = stack.of("Job")
    assert {entry["name"]: entry["value"] for entry in stack.pods[name]["spec"]["containers"][0]["env"]}[
        "MODELS"
    ] == "smollm2:135m"
    for override in ("models=[llama3.2:1b]", "labels={a: b}", "ollama.image=ollama/ollama:0.18.0"):
        (changed,) = build(lab, Variant("local", "dev", overrides=(override,))).of("Job")
        assert changed != name


def test_ollama_gets_gpus_and_lab_only_if_configured(stacks: dict[Variant, Manifests]) -> None:
    for stack in stacks.values():
        gpus = {name: container["resources"]["limits"].get("nvidia.com/gpu") for name, container in stack.containers}
        settings = stack.settings.gpu
        count = 1 if settings.count == "all" else int(settings.count)
        assert gpus["devai"] == (count if settings.enabled and settings.lab else None)
        if "ollama" in gpus:
            assert gpus["ollama"] == (count if settings.enabled else None)
            spec = stack.pods["ollama"]["spec"]
            if settings.enabled:
                assert spec.get("nodeSelector", {}) == stack.settings.kubernetes.gpu_nodes
                assert {entry["key"] for entry in spec["tolerations"]} == {"nvidia.com/gpu", "sku"}


def test_gke_lab_with_gpus_searches_driver_libraries(lab: Project) -> None:
    def library_path(*overrides: str) -> str:
        built = build(lab, Variant("gcp", "dev", gpu=True, overrides=overrides))
        maps = [item["data"] for item in built.of("ConfigMap").values()]
        (lab_data,) = (data for data in maps if "JUPYTER_BASE_URL" in data)
        return str(lab_data.get("LD_LIBRARY_PATH", ""))

    assert library_path() == ""
    assert library_path("gpu.lab=true").startswith("/usr/local/nvidia/lib64:")


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
    """Build the folder as `kubectl apply -k` does."""
    installed = Path(sys.executable).with_name("kubectl")
    kubectl_path = installed if program == "of the extra" else shutil.which("kubectl")
    built = build(lab, Variant("aws", "prod"))
    folder = lab.root / "generated/aws-prod/kubernetes"
    assert folder.is_symlink()
    for path in (folder, folder.resolve()):
        result = subprocess.run([str(kubectl_path), "kustomize", path], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        assert list(yaml.safe_load_all(result.stdout)) == built.objects


def test_build_is_reproducible(lab: Project) -> None:
    variant = Variant("gcp", "prod", gpu=True)
    assert build(lab, variant).text == build(lab, variant).text


def test_folder_without_kustomization_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"unable to find one of 'kustomization\.yaml'"):
        kubectl.build(tmp_path)
