"""Provenance of values: origins, overridden values, references, affected files and placeholders."""

from __future__ import annotations

import pytest
from harness.project import declare
from harness.settings import Sources

from devai_tasks.config.configuration import Configuration, Explanation, dotted
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import UsageError

# Within the limits of Container Instances.
SMALL = {"DEVAI__RESOURCES__LAB__CPU": "1", "DEVAI__RESOURCES__OLLAMA__CPU": "2"}


def configured(project: Project, *overrides: str, stack: str = "local-dev", **variables: str) -> Configuration:
    cloud, _, environment = stack.partition("-")
    return Sources(project, variables).configuration(Stack(environment, cloud), overrides)


def explained(configuration: Configuration, name: str) -> Explanation:
    (key,) = configuration.keys(name)
    return configuration.explain(key)


def origins(explanation: Explanation) -> list[tuple[str, str]]:
    return [(origin.place, origin.written) for origin in explanation.origins]


def test_explanation_lists_effective_layer_and_overridden_layers(project: Project) -> None:
    (project.conf / "personal.yaml").write_text("gpu:\n  count: 2\n", encoding="utf-8")
    configuration = configured(project, "gpu.count=4", DEVAI__GPU__COUNT="3")
    assert explained(configuration, "gpu.count").value == "4"
    assert origins(explained(configuration, "gpu.count")) == [
        ("--set gpu.count=4", "4"),
        ("DEVAI__GPU__COUNT", "3"),
        ("conf/personal.yaml:2:10", "2"),
        ("default", "all"),
    ]


def test_interpolated_value_is_explained_through_all_references(project: Project) -> None:
    configuration = configured(project, "env.A=${env.B}/x", "env.B=v${ollama.version}")
    explanation = explained(configuration, "env.A")
    assert explanation.value == "v0.35.1/x"
    (second,) = explanation.takes
    assert (second.key, second.value, second.origins[0].written) == ("env.B", "v0.35.1", "v${ollama.version}")
    (third,) = second.takes
    assert (third.key, third.origins[0].place) == ("ollama.version", "conf/common/ollama.yaml:5:12")


def test_relative_interpolation_is_followed(project: Project) -> None:
    configuration = configured(project, "env.A=${.B}", "env.B=x", "ports.ollama=9${..gpu.count}", "gpu.count=1")
    assert [reference.key for reference in explained(configuration, "env.A").takes] == ["env.B"]
    assert [reference.key for reference in explained(configuration, "ports.ollama").takes] == ["gpu.count"]


def test_reference_to_a_section_is_explained_as_its_keys(project: Project) -> None:
    explanation = explained(configured(project, "resources.ollama=${resources.lab}"), "resources.ollama.cpu")
    assert origins(explanation)[0] == ("--set resources.ollama=${resources.lab}", "${resources.lab}")
    assert [reference.key for reference in explanation.takes] == [
        "resources.lab.cpu",
        "resources.lab.memory",
        "resources.lab.pids",
    ]


def test_external_references_are_named_and_secrets_are_masked(project: Project) -> None:
    declare(project, "HOME")
    configuration = configured(project, "storage.work_dir=${oc.env:HOME,/tmp}", OPENAI_API_KEY="c4n4ry")
    assert explained(configuration, "storage.work_dir").outside == ("environment variable HOME",)
    secret = explained(configuration, "secrets.OPENAI_API_KEY")
    assert (secret.value, secret.outside) == ("***", ("secret OPENAI_API_KEY",))
    assert explained(configuration, "env.DEVAI_STACK").outside[0].startswith("stack, from --env")


def test_overridden_secret_is_masked(project: Project) -> None:
    weaker = {"DEVAI__SECRETS__A": "c4n4ry-${secret:A}", "DEVAI__SECRETS__B": "${secret:c4n4ry}"}
    configuration = configured(project, "secrets.A=${secret:C}", "secrets.B=${secret:C}", **weaker)
    assert [written for _, written in origins(explained(configuration, "secrets.A"))] == [
        "${secret:C}",
        "***${secret:A}",
    ]
    assert [written for _, written in origins(explained(configuration, "secrets.B"))] == ["${secret:C}", "***"]


def test_list_and_empty_map_are_one_key_each(project: Project) -> None:
    configuration = configured(project, "models=[one, two]", "network.allowed_cidrs=[]")
    assert explained(configuration, "models").value == "[one, two]"
    assert explained(configuration, "network.allowed_cidrs").value == "[]"


def test_section_selects_its_keys_and_empty_name_selects_all_keys(project: Project) -> None:
    configuration = configured(project)
    assert [dotted(key) for key in configuration.keys("ports")] == ["ports.lab", "ports.ollama"]
    assert [dotted(key) for key in configuration.keys("labels.app.kubernetes.io/part-of")] == [
        "labels.app.kubernetes.io/part-of"
    ]
    assert len(configuration.keys("")) > 50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prots", "unknown key 'prots'; did you mean ports?"),
        ("ports.labb", "did you mean ports.lab? (there are: ports.lab, ports.ollama)"),
        ("resources.lab.cpus", "did you mean resources.lab.cpu?"),
        ("env.UNKNOWN", "there are: env.DEVAI_STACK"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_name(project: Project, name: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        configured(project).keys(name)
    assert message in str(refusal.value)


def test_key_also_affects_the_artifacts_of_keys_that_refer_to_it(project: Project) -> None:
    plain = configured(project)
    direct = {"compose/.env", "compose/docker-compose.stack.yml"}  # the latter: whether the port is published
    assert plain.affected(("ports", "ollama")) == direct
    referenced = configured(project, "env.PORT=${ports.ollama}")
    assert referenced.affected(("ports", "ollama")) == {*direct, "kubernetes/environment.yaml"}


def test_key_affects_only_artifacts_of_its_stack(project: Project) -> None:
    containers = configured(project, "compute.platform=simple", stack="azure-dev", **SMALL)
    assert containers.affected(("ports", "lab")) == {"terraform/azure.tfvars.json"}
    assert configured(project, stack="azure-dev").affected(("ports", "lab")) == {"kubernetes/lab.yaml"}
    artifacts = {"terraform/azure.tfvars.json", "kubernetes/lab.yaml"}
    assert configured(project, stack="azure-dev").affected(("resources", "lab", "cpu")) == artifacts
    assert configured(project).affected(("gpu", "count")) == frozenset()
    assert configured(project, "gpu.enabled=true").affected(("gpu", "count")) == {"compose/.env", "kubernetes/gpu.yaml"}


def test_cloud_stack_with_placeholders_cannot_be_deployed(project: Project) -> None:
    configuration = configured(project, stack="aws-dev")
    assert configuration.settings.image.registry.endswith(".invalid/lab")
    assert origins(explained(configuration, "image.digest"))[0][0] == "`inv image.push` sets the value"
    with pytest.raises(UsageError) as refusal:
        configuration.to_deploy()
    message = str(refusal.value)
    assert "image.registry is not known before `inv tf.apply`" in message
    assert "image.digest is not known before `inv image.push`" in message
    assert "terraform.account = 123456789012 is an example; set your own value (conf/clouds/aws.yaml:" in message
    assert "ingress.host = dev.lab.example.com is an example; set your own value" in message
    assert message.endswith("aws-dev cannot be deployed; nothing was changed")
    assert refusal.value.code == "DEVAI-CONFIG-003"
    with pytest.raises(UsageError, match=r"image.digest is not known before `inv image.push`") as missing:
        configuration.to_deploy(("image", "digest"))
    assert missing.value.code == "DEVAI-CONFIG-002"


def test_existing_cluster_needs_a_push_only_with_a_registry(project: Project) -> None:
    (project.conf / "clouds/lan.yaml").write_text(
        "compute: {provider: none}\nkubernetes: {context: lan}\n", encoding="utf-8"
    )
    decided = ("ingress.host=lab.test.dev", "network.allowed_cidrs=[198.18.0.0/15]")
    configured(project, *decided, stack="lan-dev").to_deploy()
    with_registry = configured(project, "image.registry=registry.test.dev/lab", *decided, stack="lan-dev")
    with_registry.to_deploy(("image", "registry"))  # what a push needs
    with pytest.raises(UsageError, match=r"image\.digest is not known before `inv image\.push`"):
        with_registry.to_deploy()


def test_image_pushed_for_gpus_is_not_deployed_without_gpus(project: Project) -> None:
    image = ("image.registry=registry.test.dev/lab", f"image.gpu.digest=sha256:{'a' * 64}")
    with_gpus = configured(project, *image, "gpu.enabled=true", stack="aws-dev")
    assert ("image", "digest") not in with_gpus.unresolved
    assert with_gpus.affected(("image", "digest")) == frozenset()
    without = configured(project, *image, stack="aws-dev")
    with pytest.raises(UsageError, match=r"^image\.digest is not known before `inv image\.push`\n[^\n]*$"):
        without.to_deploy(("image", "digest"), ("image", "gpu", "digest"))
    pushed_without = configured(
        project, image[0], f"image.digest=sha256:{'a' * 64}", "gpu.enabled=true", stack="aws-dev"
    )
    with pytest.raises(UsageError, match=r"image\.gpu\.digest is not known before `inv image\.push --gpu`"):
        pushed_without.to_deploy()


def test_push_needs_the_registry_even_if_no_artifact_contains_it(project: Project) -> None:
    containers = configured(project, "compute.platform=simple", stack="aws-dev")
    assert containers.affected(("image", "registry")) == frozenset()
    with pytest.raises(UsageError, match=r"image\.registry is not known before `inv tf\.apply`"):
        containers.to_deploy(("image", "registry"))


def test_configured_values_are_not_placeholders(project: Project) -> None:
    decided = (
        f"image.digest=sha256:{'a' * 64}", "image.registry=registry.test/lab", "terraform.account=210987654321",
        "network.allowed_cidrs=[198.18.0.0/15]", "ingress.host=lab.test.dev", "kubernetes.context=lan",
        "storage.file_system=fs-1::fsap-1", "ingress.firewall=sg-0123456789abcdef0",
        "tls.certificate=arn:aws:acm:eu-central-1:210987654321:certificate/1",
    )  # fmt: skip
    configuration = configured(project, *decided, stack="aws-dev")
    assert configuration.to_deploy() is configuration.settings


def test_flag_overrides_recorded_deployment_value(project: Project) -> None:
    file = project.root / ".devai/aws-dev/deployment.yaml"
    file.parent.mkdir(parents=True)
    file.write_text('{"image": {"registry": "recorded.test"}}', encoding="utf-8")
    assert configured(project, stack="aws-dev").settings.image.registry == "recorded.test"
    flagged = configured(project, "image.registry=flagged.test", stack="aws-dev")
    assert flagged.settings.image.registry == "flagged.test"


def test_local_stack_has_no_placeholders(project: Project) -> None:
    configuration = configured(project)
    assert configuration.pending == ()
    assert configuration.undecided == ()
    assert configuration.settings.image.registry == ""


def test_default_stack_is_set_in_the_configuration(project: Project) -> None:
    assert str(Sources(project, {}).stack()) == "local-dev"
    (project.conf / "personal.yaml").write_text("defaults: {env: staging}\n", encoding="utf-8")
    assert str(Sources(project, {}).stack()) == "local-staging"
    assert str(Sources(project, {"DEVAI__DEFAULTS__CLOUD": "gcp"}).stack()) == "gcp-staging"
    assert str(Sources(project, {"DEVAI__DEFAULTS__CLOUD": "gcp"}).stack("prod", "aws")) == "aws-prod"


def test_unknown_default_stack_is_refused_with_its_location(project: Project) -> None:
    (project.conf / "personal.yaml").write_text("defaults: {env: stagin}\nports: {labb: 1}\n", encoding="utf-8")
    with pytest.raises(UsageError) as refusal:
        Sources(project, {}).stack(overrides=["nonsense"])
    message = str(refusal.value)
    assert message.startswith("conf/personal.yaml:1:17  unknown environment 'stagin'; did you mean staging?")
    assert "conf/personal.yaml:2:9  ports.labb" in message
    assert "--set nonsense  not an override" in message


@pytest.mark.parametrize(("written", "named"), [("${missing}", "${missing}"), ("${oc.env:MISSING,prdo}", "prdo")])
def test_default_stack_is_interpolated_or_refused_as_written(project: Project, written: str, named: str) -> None:
    declare(project, "MISSING")
    with pytest.raises(UsageError) as refusal:
        Sources(project, {"DEVAI__DEFAULTS__ENV": written}).stack()
    assert str(refusal.value).startswith(f"DEVAI__DEFAULTS__ENV  unknown environment '{named}'")


def test_profile_cannot_set_the_default_stack(project: Project) -> None:
    (project.conf / "profiles/dev.yaml").write_text("defaults: {env: prod}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be set here, only in: common, personal, variables"):
        configured(project)


@pytest.mark.parametrize("stack", ["local-demo", "aws-demo", "azure-demo", "gcp-demo", "lan-dev", "lan-demo"])
def test_new_file_adds_a_profile_or_a_cloud(project: Project, stack: str) -> None:
    (project.conf / "profiles/demo.yaml").write_text("resources: {lab: {memory: 2Gi}}\n", encoding="utf-8")
    (project.conf / "clouds/lan.yaml").write_text(
        "compute: {provider: none}\nkubernetes: {context: lan}\n", encoding="utf-8"
    )
    configuration = configured(project, stack=stack)
    assert str(configuration.settings.stack) == stack
    assert Sources(project, {}).stack(*reversed(stack.split("-"))) == configuration.settings.stack
