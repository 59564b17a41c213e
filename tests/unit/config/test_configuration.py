"""Where values come from: origins, what they have overridden and take in, whom they reach, what is still to come."""

from __future__ import annotations

import pytest
from harness.project import declare
from harness.settings import Sources

from devai_tasks.config.configuration import Configuration, Explanation, dotted
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import UsageError

# What Container Instances offer.
SMALL = {"DEVAI__RESOURCES__LAB__CPU": "1", "DEVAI__RESOURCES__OLLAMA__CPU": "2"}


def configured(project: Project, *overrides: str, stack: str = "local-dev", **variables: str) -> Configuration:
    cloud, _, environment = stack.partition("-")
    return Sources(project, variables).configuration(Stack(environment, cloud), overrides)


def explained(configuration: Configuration, name: str) -> Explanation:
    (key,) = configuration.keys(name)
    return configuration.explain(key)


def places(explanation: Explanation) -> list[tuple[str, str]]:
    return [(origin.place, origin.written) for origin in explanation.origins]


def test_a_value_names_the_layer_that_set_it_and_all_that_it_overrode(project: Project) -> None:
    (project.conf / "personal.yaml").write_text("gpu:\n  count: 2\n", encoding="utf-8")
    configuration = configured(project, "gpu.count=4", DEVAI__GPU__COUNT="3")
    assert explained(configuration, "gpu.count").value == "4"
    assert places(explained(configuration, "gpu.count")) == [
        ("--set gpu.count=4", "4"),
        ("DEVAI__GPU__COUNT", "3"),
        ("conf/personal.yaml:2:10", "2"),
        ("default", "all"),
    ]


def test_an_interpolated_value_tells_the_whole_chain(project: Project) -> None:
    configuration = configured(project, "env.A=${env.B}/x", "env.B=v${ollama.version}")
    explanation = explained(configuration, "env.A")
    assert explanation.value == "v0.35.1/x"
    (second,) = explanation.takes
    assert (second.key, second.value, second.origins[0].written) == ("env.B", "v0.35.1", "v${ollama.version}")
    (third,) = second.takes
    assert (third.key, third.origins[0].place) == ("ollama.version", "conf/common/ollama.yaml:5:12")


def test_a_relative_interpolation_is_followed_too(project: Project) -> None:
    configuration = configured(project, "env.A=${.B}", "env.B=x", "ports.ollama=9${..gpu.count}", "gpu.count=1")
    assert [taken.key for taken in explained(configuration, "env.A").takes] == ["env.B"]
    assert [taken.key for taken in explained(configuration, "ports.ollama").takes] == ["gpu.count"]


def test_a_section_that_is_taken_in_whole_is_named_with_its_keys(project: Project) -> None:
    explanation = explained(configured(project, "resources.ollama=${resources.lab}"), "resources.ollama.cpu")
    assert places(explanation)[0] == ("--set resources.ollama=${resources.lab}", "${resources.lab}")
    assert [taken.key for taken in explanation.takes] == [
        "resources.lab.cpu",
        "resources.lab.memory",
        "resources.lab.pids",
    ]


def test_what_is_taken_from_outside_is_named_and_no_secret_is_shown(project: Project) -> None:
    declare(project, "HOME")
    configuration = configured(project, "storage.work_dir=${oc.env:HOME,/tmp}", OPENAI_API_KEY="c4n4ry")
    assert explained(configuration, "storage.work_dir").outside == ("environment variable HOME",)
    secret = explained(configuration, "secrets.OPENAI_API_KEY")
    assert (secret.value, secret.outside) == ("***", ("secret OPENAI_API_KEY",))
    assert explained(configuration, "env.DEVAI_STACK").outside[0].startswith("stack, from --env")


def test_no_part_of_a_secret_is_shown_where_a_stronger_layer_overrides_it(project: Project) -> None:
    weaker = {"DEVAI__SECRETS__A": "c4n4ry-${secret:A}", "DEVAI__SECRETS__B": "${secret:c4n4ry}"}
    configuration = configured(project, "secrets.A=${secret:C}", "secrets.B=${secret:C}", **weaker)
    assert [written for _, written in places(explained(configuration, "secrets.A"))] == [
        "${secret:C}",
        "***${secret:A}",
    ]
    assert [written for _, written in places(explained(configuration, "secrets.B"))] == ["${secret:C}", "***"]


def test_a_list_and_an_empty_map_are_one_key_each(project: Project) -> None:
    configuration = configured(project, "models=[one, two]", "network.allowed_cidrs=[]")
    assert explained(configuration, "models").value == "[one, two]"
    assert explained(configuration, "network.allowed_cidrs").value == "[]"


def test_a_section_means_all_its_keys_and_nothing_means_all_there_are(project: Project) -> None:
    configuration = configured(project)
    assert [dotted(key) for key in configuration.keys("ports")] == ["ports.lab", "ports.ollama"]
    assert [dotted(key) for key in configuration.keys("labels.app.kubernetes.io/part-of")] == [
        "labels.app.kubernetes.io/part-of"
    ]
    assert len(configuration.keys("")) > 50


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("prots", "unknown key 'prots'; did you mean ports?"),
        ("ports.labb", "did you mean ports.lab? (there are: ports.lab, ports.ollama)"),
        ("resources.lab.cpus", "did you mean resources.lab.cpu?"),
        ("env.NOBODY", "there are: env.DEVAI_STACK"),
    ],
)
def test_a_key_that_is_not_there_is_answered_with_the_nearest(project: Project, name: str, words: str) -> None:
    with pytest.raises(UsageError) as refusal:
        configured(project).keys(name)
    assert words in str(refusal.value)


def test_a_key_reaches_what_the_keys_that_take_it_in_do(project: Project) -> None:
    plain = configured(project)
    own = {"compose/.env", "compose/docker-compose.stack.yml"}  # in the latter, whether there is a port at all
    assert plain.affected(("ports", "ollama")) == own
    taken = configured(project, "env.PORT=${ports.ollama}")
    assert taken.affected(("ports", "ollama")) == {*own, "kubernetes/environment.yaml"}


def test_a_key_reaches_only_what_its_stack_has(project: Project) -> None:
    simple = configured(project, "compute.platform=simple", stack="azure-dev", **SMALL)
    assert simple.affected(("ports", "lab")) == {"terraform/azure.tfvars.json"}
    assert configured(project, stack="azure-dev").affected(("ports", "lab")) == {"kubernetes/lab.yaml"}
    own = {"terraform/azure.tfvars.json", "kubernetes/lab.yaml"}
    assert configured(project, stack="azure-dev").affected(("resources", "lab", "cpu")) == own
    assert configured(project).affected(("gpu", "count")) == frozenset()
    assert configured(project, "gpu.enabled=true").affected(("gpu", "count")) == {"compose/.env", "kubernetes/gpu.yaml"}


def test_a_cloud_stack_that_nothing_was_made_of_has_placeholders_and_cant_be_deployed(project: Project) -> None:
    configuration = configured(project, stack="aws-dev")
    assert configuration.settings.image.registry.endswith(".invalid/lab")
    assert places(explained(configuration, "image.digest"))[0][0] == "`inv image.push` sets the value"
    with pytest.raises(UsageError) as refusal:
        configuration.to_deploy()
    message = str(refusal.value)
    assert "image.registry is not known before `inv tf.apply`" in message
    assert "image.digest is not known before `inv image.push`" in message
    assert "terraform.account = 123456789012 is an example; set your own value (conf/clouds/aws.yaml:" in message
    assert "ingress.host = dev.lab.example.com is an example; set your own value" in message
    assert message.endswith("aws-dev cannot be deployed; nothing was changed")
    assert refusal.value.code == "DEVAI-CONFIG-003"
    with pytest.raises(UsageError, match=r"image.digest is not known before `inv image.push`") as pending:
        configuration.to_deploy(("image", "digest"))
    assert pending.value.code == "DEVAI-CONFIG-002"


def test_a_cluster_of_ones_own_with_a_registry_waits_for_the_first_push_and_without_one_for_nothing(
    project: Project,
) -> None:
    (project.conf / "clouds/own.yaml").write_text(
        "compute: {provider: none}\nkubernetes: {context: own}\n", encoding="utf-8"
    )
    decided = ("ingress.host=lab.test.dev", "network.allowed_cidrs=[198.18.0.0/15]")
    configured(project, *decided, stack="own-dev").to_deploy()
    with_one = configured(project, "image.registry=registry.test.dev/lab", *decided, stack="own-dev")
    with_one.to_deploy(("image", "registry"))  # what a push needs
    with pytest.raises(UsageError, match=r"image\.digest is not known before `inv image\.push`"):
        with_one.to_deploy()


def test_what_was_pushed_for_gpus_is_not_deployed_without_them(project: Project) -> None:
    image = ("image.registry=registry.test.dev/lab", f"image.gpu.digest=sha256:{'a' * 64}")
    with_gpus = configured(project, *image, "gpu.enabled=true", stack="aws-dev")
    assert ("image", "digest") not in with_gpus.unresolved
    assert with_gpus.affected(("image", "digest")) == frozenset()
    without = configured(project, *image, stack="aws-dev")
    with pytest.raises(UsageError, match=r"^image\.digest is not known before `inv image\.push`\n[^\n]*$"):
        without.to_deploy(("image", "digest"), ("image", "gpu", "digest"))
    other = configured(project, image[0], f"image.digest=sha256:{'a' * 64}", "gpu.enabled=true", stack="aws-dev")
    with pytest.raises(UsageError, match=r"image\.gpu\.digest is not known before `inv image\.push --gpu`"):
        other.to_deploy()


def test_a_push_waits_for_the_registry_also_where_nothing_that_is_rendered_names_it_yet(project: Project) -> None:
    simple = configured(project, "compute.platform=simple", stack="aws-dev")
    assert simple.affected(("image", "registry")) == frozenset()
    with pytest.raises(UsageError, match=r"image\.registry is not known before `inv tf\.apply`"):
        simple.to_deploy(("image", "registry"))


def test_a_value_that_somebody_gives_is_no_placeholder(project: Project) -> None:
    decided = (
        f"image.digest=sha256:{'a' * 64}", "image.registry=registry.test/lab", "terraform.account=210987654321",
        "network.allowed_cidrs=[198.18.0.0/15]", "ingress.host=lab.test.dev", "kubernetes.context=own",
        "storage.file_system=fs-1::fsap-1", "ingress.firewall=sg-0123456789abcdef0",
        "tls.certificate=arn:aws:acm:eu-central-1:210987654321:certificate/1",
    )  # fmt: skip
    configuration = configured(project, *decided, stack="aws-dev")
    assert configuration.to_deploy() is configuration.settings


def test_what_a_deployment_knows_is_weaker_than_a_variable_and_a_flag(project: Project) -> None:
    file = project.root / ".devai/aws-dev/deployment.yaml"
    file.parent.mkdir(parents=True)
    file.write_text('{"image": {"registry": "recorded.test"}}', encoding="utf-8")
    assert configured(project, stack="aws-dev").settings.image.registry == "recorded.test"
    flagged = configured(project, "image.registry=flagged.test", stack="aws-dev")
    assert flagged.settings.image.registry == "flagged.test"


def test_a_local_stack_has_nothing_that_is_still_to_come(project: Project) -> None:
    configuration = configured(project)
    assert configuration.pending == ()
    assert configuration.undecided == ()
    assert configuration.settings.image.registry == ""


def test_the_stack_without_flags_is_the_one_that_the_configuration_says(project: Project) -> None:
    assert str(Sources(project, {}).stack()) == "local-dev"
    (project.conf / "personal.yaml").write_text("defaults: {env: staging}\n", encoding="utf-8")
    assert str(Sources(project, {}).stack()) == "local-staging"
    assert str(Sources(project, {"DEVAI__DEFAULTS__CLOUD": "gcp"}).stack()) == "gcp-staging"
    assert str(Sources(project, {"DEVAI__DEFAULTS__CLOUD": "gcp"}).stack("prod", "aws")) == "aws-prod"


def test_a_default_stack_that_is_not_there_is_refused_where_it_is_said(project: Project) -> None:
    (project.conf / "personal.yaml").write_text("defaults: {env: stagin}\nports: {labb: 1}\n", encoding="utf-8")
    with pytest.raises(UsageError) as refusal:
        Sources(project, {}).stack(overrides=["nonsense"])
    message = str(refusal.value)
    assert message.startswith("conf/personal.yaml:1:17  unknown environment 'stagin'; did you mean staging?")
    assert "conf/personal.yaml:2:9  ports.labb" in message
    assert "--set nonsense  not an override" in message


@pytest.mark.parametrize(("written", "named"), [("${nobody}", "${nobody}"), ("${oc.env:NOBODY,prdo}", "prdo")])
def test_a_default_stack_may_be_interpolated_or_is_refused_as_it_is_written(
    project: Project, written: str, named: str
) -> None:
    declare(project, "NOBODY")
    with pytest.raises(UsageError) as refusal:
        Sources(project, {"DEVAI__DEFAULTS__ENV": written}).stack()
    assert str(refusal.value).startswith(f"DEVAI__DEFAULTS__ENV  unknown environment '{named}'")


def test_only_what_is_read_before_there_is_a_stack_chooses_it(project: Project) -> None:
    (project.conf / "profiles/dev.yaml").write_text("defaults: {env: prod}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be set here, only in: common, personal, variables"):
        configured(project)


@pytest.mark.parametrize("stack", ["local-demo", "aws-demo", "azure-demo", "gcp-demo", "own-dev", "own-demo"])
def test_a_profile_or_a_cloud_of_ones_own_is_a_new_file(project: Project, stack: str) -> None:
    (project.conf / "profiles/demo.yaml").write_text("resources: {lab: {memory: 2Gi}}\n", encoding="utf-8")
    (project.conf / "clouds/own.yaml").write_text(
        "compute: {provider: none}\nkubernetes: {context: own}\n", encoding="utf-8"
    )
    configuration = configured(project, stack=stack)
    assert str(configuration.settings.stack) == stack
    assert Sources(project, {}).stack(*reversed(stack.split("-"))) == configuration.settings.stack
