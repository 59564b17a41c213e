"""`--dry`: prints the exact commands, renders artifacts, and runs nothing. PATH contains no programs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from devai_tasks.config.project import Project
from devai_tasks.targets.kubernetes.deployment import KINDS

Run = Callable[..., CompletedProcess[str]]

COMPOSE = "docker compose --env-file generated/local-dev/compose/.env"
COMPOSE_DRY_RUN = (
    "docker compose --dry-run --env-file generated/local-dev/compose/.env up --detach --no-build --pull=never"
)
ALL = (
    "docker compose --profile '*' --env-file generated/local-dev/compose/.env"  # includes services of disabled profiles
)
UP = f"{COMPOSE} up --detach --wait --wait-timeout 180 --remove-orphans"
INSPECT = "docker image inspect devai-lab:local-dev"
BAKE = "docker buildx bake --load --progress plain --file generated/local-dev/image/docker-bake.json"

# Without git the tag is the version.
REGISTRY, PUSHED = "--set=image.registry=registry.test/x", "registry.test/x/devai-lab:0.1.0"
REMOTE_DIGEST = f"docker buildx imagetools inspect --raw {PUSHED}"
TAG = f"docker image tag devai-lab:local-dev {PUSHED}"
PULL = [f"docker image pull {PUSHED}", f"docker image inspect {PUSHED}"]
ARM = "lab.platform=linux/arm64"
KUBECTL = "kubectl --context=kind-kind --namespace=devai-local-dev"
BUILD = "kubectl kustomize generated/local-dev/kubernetes"
APPLY = f"{KUBECTL} apply --server-side --force-conflicts --field-manager=devai --filename=-"
OBJECTS = f"{KUBECTL} get {','.join(KINDS)} --output=json --selector=devai.io/stack=devai-local-dev"
SECRETS = [
    f"{KUBECTL} get secret devai --output=json --ignore-not-found",
    f"{KUBECTL} apply --server-side --force-conflicts --field-manager=devai-secrets --filename=-",
]
STATUS = [f"{KUBECTL} rollout status deployment/{name} --timeout=600s" for name in ("ollama", "devai")]
ADOPT = '[{"op": "replace", "path": "/metadata/managedFields", "value": "WHAT-THAT-FINDS"}]'
LOADED = "devai-lab:local-dev-000000000000"
OLLAMA = "OLLAMA_HOST=http://127.0.0.1:11434 ollama"
PULLS = [f"{OLLAMA} pull {name}" for name in ("a:latest", "b:1")]
# Tasks that use artifacts, images or objects that already exist.
NOTHING_RENDERED = (
    "models.pull", "models.remove", "image.tag", "image.push", "image.pull", "k8s.restart", "k8s.rollback", "k8s.wait",
)  # fmt: skip


@pytest.fixture(autouse=True)
def empty_machine(
    clean_environment: None,  # noqa: ARG001 - for its effect
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine without programs, and a user who is not root."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("DEVAI__ENGINE__UID", "1000")


def commands(result: CompletedProcess[str]) -> list[str]:
    """Return the commands among the printed lines."""
    assert result.returncode == 0, result.stderr
    lines = (result.stderr + result.stdout).splitlines()
    return [line for line in lines if program(line) in ("docker", "kind", "kubectl", "npm", "ollama", "uv")]


def program(line: str) -> str:
    """Return the program of a line, without variable assignments before it."""
    return next((part for part in shlex.split(line, posix=False) if "=" not in part), "")


def rendered(project: Project) -> set[str]:
    generated = project.root / "generated"
    return {
        f"{file.parent.parent.name}/{target.name}/{file.name}"
        for target in generated.glob("*/*")
        if target.is_symlink()
        for file in target.iterdir()
    }


@pytest.mark.parametrize("arguments", [("--dry", "compose.up"), ("compose.up", "--dry")])
def test_flag_works_before_and_after_the_task(project: Project, cli: Run, arguments: tuple[str, ...]) -> None:
    assert commands(cli("inv", *arguments)) == [UP]
    assert {path.rpartition("/")[2] for path in rendered(project)} == {".env", "docker-compose.stack.yml"}
    assert not (project.root / ".devai").exists()


def test_home_of_a_lab_as_root_is_chowned_by_a_container_with_capabilities(cli: Run) -> None:
    take_home = (
        "run --rm --no-deps --no-TTY --interactive=false --cap-add=CHOWN --cap-add=DAC_OVERRIDE devai --take-home"
    )
    assert commands(cli("inv", "compose.up", "--dry", "--set=engine.uid=0")) == [f"{COMPOSE} {take_home}", UP]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compose.down"], [f"{ALL} down --remove-orphans"]),
        (["compose.down", "--data"], [f"{ALL} down --remove-orphans --volumes"]),
        (["down"], [f"{ALL} down --remove-orphans"]),
        (["compose.restart"], [f"{COMPOSE} restart"]),
        (["compose.restart", "--service=devai", "--service=ollama"], [f"{COMPOSE} restart devai ollama"]),
        (["compose.logs"], [f"{ALL} logs --no-color --tail all"]),
        (["compose.logs", "--follow", "--tail=5"], [f"{ALL} logs --no-color --tail 5 --follow"]),
        (["k8s.build"], [BUILD]),
        (["k8s.diff"], [BUILD, OBJECTS, APPLY.replace(" apply ", " diff ")]),
        (
            ["k8s.apply"],
            [
                f"{KUBECTL} get nodes --output=json",
                "docker save --output=image.tar ollama/ollama:0.35.1",
                "kind load image-archive --name=kind image.tar",
                f"docker image tag devai-lab:local-dev {LOADED}",
                f"docker save --output=image.tar {LOADED}",
                "kind load image-archive --name=kind image.tar",
                BUILD,
                OBJECTS,
                APPLY,  # the namespace
                APPLY.replace(" apply ", " diff "),
                *SECRETS,
                APPLY,
                *STATUS,
            ],
        ),
        (["k8s.secrets"], [BUILD, OBJECTS, APPLY, *SECRETS]),
        (["k8s.restart", "--service=devai"], [f"{KUBECTL} rollout restart deployment/devai", STATUS[1]]),
        (
            ["k8s.rollback", "--revision=3"],
            [
                f"{KUBECTL} rollout undo deployment/devai --to-revision=3",
                f"{KUBECTL} get deployment devai --output=json --ignore-not-found --show-managed-fields",
                f"{KUBECTL} patch deployment/devai --type=json '--patch={ADOPT}'",
                STATUS[1],
            ],
        ),
        (["k8s.wait"], STATUS),
        (["image.build"], [f"{BAKE} lab"]),
        (["image.build", "--no-cache", "--platform=linux/arm64"], [f"{BAKE} --set lab.no-cache=true --set {ARM} lab"]),
        (["image.tag", REGISTRY], [INSPECT, TAG]),
        (
            ["image.push", REGISTRY],
            [INSPECT, REMOTE_DIGEST, TAG, f"docker image push {PUSHED}", REMOTE_DIGEST],
        ),
        (["image.pull", REGISTRY], [REMOTE_DIGEST, *PULL, f"docker image tag {PUSHED} devai-lab:local-dev"]),
        (
            ["models.pull", "--name=a", "--name=b:1"],
            [f"{OLLAMA} {verb}" for verb in ("list", "pull a:latest", "pull b:1")],
        ),
        (["models.pull", "--name=a", "--package=b"], [f"{OLLAMA} create a:latest --file b.gguf"]),
        (["models.remove", "--name=a b"], [f"{OLLAMA} rm 'a b:latest'"]),
        (
            ["models.export", "--file=a.tar"],
            [
                f"{OLLAMA} list",
                f"{ALL} exec --no-TTY ollama tar --create --directory=/models '--exclude=*-partial*' blobs manifests",
            ],
        ),
        (["up"], [f"{BAKE} lab", INSPECT, UP, f"{OLLAMA} list", f"{OLLAMA} pull smollm2:135m"]),
    ],
    ids=lambda arguments: " ".join(arguments) if isinstance(arguments, list) else "",
)
def test_task_that_changes_something_prints_its_exact_commands(
    project: Project, devai: Run, arguments: list[str], expected: list[str]
) -> None:
    assert commands(devai("--dry", *arguments)) == expected
    assert rendered(project) or arguments[0] in NOTHING_RENDERED
    assert not (project.root / ".devai").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compose.config"], [f"{COMPOSE} config --format json"]),
        (["compose.ps"], [f"{ALL} ps"]),
        (
            ["compose.pull"],
            [
                "docker image pull debian:trixie-slim",
                "docker image inspect debian:trixie-slim",
                "docker image pull ollama/ollama:0.35.1",
                "docker image inspect ollama/ollama:0.35.1",
            ],
        ),
        (["models.list"], [f"{OLLAMA} list"]),
        (["models.list", "--env=staging"], ["OLLAMA_HOST=http://127.0.0.1:11435 ollama list"]),
        (["plan"], [INSPECT, f"{ALL} ps", f"{COMPOSE} config", COMPOSE_DRY_RUN, f"{OLLAMA} list"]),
        (["plan", "--cloud=mine"], [INSPECT.replace("local", "mine"), "kubectl"]),
        (["status"], [f"{ALL} ps"]),
        (["status", "--cloud=mine"], ["kubectl --context=mine --namespace=devai-mine-dev get "]),
        (["image.inspect"], [INSPECT]),
        (["image.size"], [INSPECT, "docker image history"]),
        (["image.prune"], ["docker container list", "docker image ls"]),
        (["image.sbom"], [INSPECT, "docker run"]),
    ],
)
def test_read_only_task_prints_its_commands_and_no_results(
    project: Project, devai: Run, arguments: list[str], expected: list[str]
) -> None:
    cluster = "{compute: {provider: none}, kubernetes: {context: mine}, image: {registry: registry.test/x}}"
    (project.conf / "clouds/mine.yaml").write_text(cluster, encoding="utf-8")
    result = devai("--dry", *arguments)
    printed = commands(result)
    assert [line for line in printed if line.startswith(tuple(expected))] == printed
    assert all(any(line.startswith(beginning) for line in printed) for beginning in expected)
    assert not re.search(
        r"^(id:|bytes:|0 bytes|nothing)", result.stdout + result.stderr, flags=re.MULTILINE
    )  # results that only a real run has
    assert not (project.root / ".devai").exists()


def test_open_prints_its_commands_and_creates_no_token(project: Project, devai: Run) -> None:
    assert devai("--dry", "open").stderr == "python -m webbrowser http://127.0.0.1:8888/lab\n"
    assert not (project.root / ".devai").exists()
    query, opened = [
        line for line in devai("--dry", "open", "--cloud=aws").stderr.splitlines() if "placeholder" not in line
    ]
    assert query.endswith("get secret devai --output=json --ignore-not-found")
    assert opened == "python -m webbrowser https://dev.lab.example.com/"
    shown = devai("--dry", "open", "--cloud=aws", "--set=compute.platform=simple").stderr
    assert re.search("aws secretsmanager get-secret-value --secret-id=devai-dev-[0-9a-f]{10}/JUPYTER_TOKEN ", shown)


def test_backup_and_restore_print_requests_without_the_token(project: Project, devai: Run) -> None:
    request = "curl --fail '--header=Authorization: token …'"
    home, restore = "devai/home.tar.gz", "devai/restore"
    shown = devai("--dry", "data.backup", "--file=a.tar.gz").stderr
    assert f"{request} --output=a.tar.gz http://127.0.0.1:8888/{home}\n" in shown
    shown = devai("--dry", "data.backup", "--file=a.tar.gz", "--cluster").stderr
    assert f"{KUBECTL} port-forward --address=127.0.0.1 deployment/devai :http\n" in shown
    assert f"{request} --output=a.tar.gz http://127.0.0.1:PORT/{home}\n" in shown
    (project.root / "a.tar.gz").touch()
    shown = devai("--dry", "data.restore", "--file=a.tar.gz", "--cloud=aws", "--set=compute.platform=simple").stderr
    assert re.search("secret-id=devai-dev-[0-9a-f]{10}/JUPYTER_TOKEN --region=eu-central-1 ", shown)
    assert f"{request} --upload-file=a.tar.gz https://dev.lab.example.com/{restore}\n" in shown
    assert not (project.root / ".devai").exists()


def test_gpu_changes_the_dockerfile_and_not_the_build_command(project: Project, devai: Run) -> None:
    assert commands(devai("--dry", "image.build", "--gpu", "--env=staging")) == [
        "docker buildx bake --load --progress plain --file generated/local-staging/image/docker-bake.json lab"
    ]
    text = (project.root / "generated/local-staging/image/docker-bake.json").read_text(encoding="utf-8")
    assert "Dockerfile.gpu" in text


def test_image_lock_runs_one_command_per_base_image_and_package_set(devai: Run) -> None:
    printed = commands(devai("--dry", "image.lock"))
    images, python, tools = (
        [line for line in printed if line.startswith(name)]
        for name in ("docker buildx imagetools inspect ", "uv pip compile ", "npm ")
    )
    assert printed == images + python + tools
    assert [line.split()[-1] for line in images] == [
        "debian:trixie-slim",
        "nvidia/cuda:12.8.1-runtime-ubuntu24.04",
        "nvidia/cuda:13.0.1-runtime-ubuntu24.04",
        "ollama/ollama:0.35.1",
        "ollama/ollama:0.35.1-rocm",
    ]
    assert commands(devai("--dry", "image.lock", "--only=tools")) == tools
    locked = [name for line in python for name in line.split() if name.endswith(".in")]
    assert locked == ["chroma.in", "cuda12.in", "cuda13.in", "full.in", "minimal.in", "standard.in", "tools.in"]
    assert [line.split()[1].rpartition("/")[2] for line in tools] == ["claude-code", "codex", "gemini-cli"]


TF = "TF_DATA_DIR=../../../.devai/aws-dev/terraform/data terraform -chdir=deploy/terraform/aws"
BACKEND = "-backend-config=../../../generated/aws-dev/terraform/state.tfbackend"
VALUES = "-var-file=../../../generated/aws-dev/terraform/aws.tfvars.json"
PLAN = "../../../.devai/aws-dev/terraform/plan"
INIT = f"{TF} init -no-color -reconfigure -input=false {BACKEND}"
OVERRIDES = (
    "--set=terraform.account=other",
    "--set=network.allowed_cidrs=[198.18.0.0/15]",
    "--set=ingress.host=lab.test.org",
)
PLANNING = [
    INIT,
    f"{TF} plan -no-color -input=false -detailed-exitcode {VALUES} -out={PLAN}",
    f"{TF} show -no-color -json {PLAN}",
]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tf.init"], [INIT]),
        (["tf.plan"], PLANNING),
        (["plan"], PLANNING),
        (["tf.apply"], [*PLANNING, f"{TF} apply -no-color -input=false {PLAN}", f"{TF} output -json"]),
        (["tf.output"], [INIT, f"{TF} output -json"]),
        (["tf.state-list"], [INIT, f"{TF} state list"]),
        (
            ["tf.import", "--address=aws_vpc.this", "--id=vpc-1"],
            [
                INIT,
                f"{PLANNING[1]} -target=terraform_data.stack",
                *PLANNING[2:],
                f"{TF} apply -no-color -input=false {PLAN}",
                f"{TF} output -json",
                f"{TF} import -no-color -input=false {VALUES} aws_vpc.this vpc-1",
            ],
        ),
        (["tf.unlock", "--lock-id=1234"], [INIT, f"{TF} force-unlock -force 1234"]),
    ],
    ids=lambda arguments: arguments[0] if len(arguments) < 4 else "",
)
def test_terraform_uses_the_variables_and_the_state_of_the_stack(
    project: Project, devai: Run, arguments: list[str], expected: list[str]
) -> None:
    result = devai("--dry", arguments[0], "--cloud=aws", *arguments[1:], *OVERRIDES)
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("TF_DATA_DIR=")] == expected
    assert not (project.root / ".devai").exists()


def test_bootstrap_creates_the_state_store_with_the_command_line_of_the_cloud(devai: Run) -> None:
    for cloud, program in (("aws", "aws s3api create-bucket"), ("azure", "az group create"), ("gcp", "gcloud storage")):
        result = devai("--dry", "tf.bootstrap", f"--cloud={cloud}", *OVERRIDES)
        assert result.returncode == 0, result.stderr
        assert program in result.stderr


@pytest.mark.parametrize(
    ("cloud", "update_kubeconfig"),
    [
        ("aws", "aws eks update-kubeconfig --name=context.invalid --region=eu-central-1"),
        ("azure", "az aks get-credentials --overwrite-existing --name=context.invalid"),
        ("gcp", "gcloud container clusters get-credentials context.invalid --location=europe-west1"),
    ],
)
def test_up_prints_all_steps_of_a_cloud_before_the_first_apply(devai: Run, cloud: str, update_kubeconfig: str) -> None:
    shown = devai("--dry", "up", f"--cloud={cloud}")
    assert shown.returncode == 0, shown.stderr
    marks = [
        "[1/4]", " apply -no-color", "[2/4]", "docker buildx bake", "docker login", "docker image push", "[3/4]",
        update_kubeconfig, "kubectl kustomize", "apply --server-side", "rollout status deployment/devai", "[4/4]",
        # Google issues a certificate for a host name; the other clouds need a DNS zone for that, or a certificate.
        f"curl --fail {'' if cloud == 'gcp' else '--insecure '}https://dev.lab.example.com/api",
    ]  # fmt: skip
    positions = [shown.stderr.find(mark) for mark in marks]
    assert -1 not in positions, marks[positions.index(-1)]
    assert positions == sorted(positions)
    assert shown.stderr.count("placeholder: image.digest is not known") == 1


def test_file_name_is_relative_to_the_current_folder(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.root / "notebooks"
    folder.mkdir()
    (folder / "home.tar.gz").touch()
    (folder / "model.gguf").touch()
    monkeypatch.chdir(folder)
    assert "--upload-file=notebooks/home.tar.gz " in devai("--dry", "data.restore", "--file=home.tar.gz").stderr
    monkeypatch.chdir(folder)
    assert f"--file {folder}/model.gguf" in devai("--dry", "models.pull", "--name=model.gguf").stderr
    monkeypatch.chdir(folder)
    assert " ls /home/m.gguf" in devai("--dry", "k8s.shell", "--command=ls /home/m.gguf").stderr  # a path in the pod
    elsewhere = project.root / "home.tar.gz"
    assert (
        "--upload-file" not in devai("--dry", "data.restore", f"--file={elsewhere}").stderr
    )  # the file does not exist
    elsewhere.touch()
    assert f"--upload-file={elsewhere} " in devai("--dry", "data.restore", f"--file={elsewhere}").stderr
