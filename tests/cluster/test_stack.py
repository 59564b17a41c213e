"""A stack with real pods: brought up by the task, used as people use it, changed, broken, and taken away."""

from __future__ import annotations

import http.cookiejar
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.cluster_stack import ClusterStack
from harness.jupyter import Jupyter
from harness.kubernetes.api import kubectl_program
from harness.kubernetes.cluster import LocalCluster
from harness.settings import load
from harness.stack import CANARY, assert_not_exposed

from devai_tasks.targets.kubernetes import scaling
from devai_tasks.targets.kubernetes.deployment import Cluster

NOTEBOOK = {"type": "notebook", "content": {"cells": [], "metadata": {"kept": 1}, "nbformat": 4, "nbformat_minor": 5}}


@pytest.fixture(scope="module")
def stack(cluster_stack: ClusterStack) -> ClusterStack:
    """The stack that `inv k8s.apply` brought up, which the tests of every running stack have looked at before."""
    return cluster_stack


def test_a_second_apply_changes_nothing(stack: ClusterStack) -> None:
    again = stack.inv("k8s.apply", "--yes")
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stderr
    assert stack.inv("k8s.diff").stdout == ""
    assert json.loads(stack.inv("k8s.diff", "--json").stdout)["empty"]


def test_a_diff_for_programs_names_the_objects_and_their_fields(stack: ClusterStack) -> None:
    found = json.loads(stack.inv("k8s.diff", "--json", "--set=resources.lab.memory=3Gi").stdout)
    (change,) = (change for change in found["changes"] if change["what"] == "deployment.apps/devai")
    assert change["kind"] == "changed"
    assert "memory" in change["detail"]


def test_status_says_that_all_is_ready(stack: ClusterStack) -> None:
    rows = json.loads(stack.inv("k8s.status", "--json").stdout)
    states = {row["name"]: row["state"] for row in rows}
    assert states["devai"].startswith("1/1 ready")
    assert states["ollama"].startswith("1/1 ready")
    assert states["home"] == states["models"] == "Bound 1Gi"


def test_the_lab_can_write_at_home_only_and_knows_no_account_of_the_cluster(stack: ClusterStack) -> None:
    host = stack.host("devai")
    assert host.run("touch /opt/lab/x").failed
    assert host.run("touch /home/devai/x /tmp/x").succeeded
    assert host.run("ls /var/run/secrets/kubernetes.io").failed


def test_a_secret_reaches_a_kernel_and_nothing_else(stack: ClusterStack) -> None:
    code = "import os; print(os.environ['OPENAI_API_KEY'], os.environ.get('GOOGLE_API_KEY'))"
    assert stack.jupyter.execute(code).strip() == f"{CANARY} None"
    assert_not_exposed(stack, CANARY)


def test_there_is_room_for_the_tokens_that_clouds_mount(stack: ClusterStack) -> None:
    """As the webhooks of AKS and EKS do it, here by hand: a pod like the lab's own, which starts with both."""
    spec = stack.cluster.get("pod", stack.pod("devai"), f"--namespace={stack.namespace}")["spec"]
    token = {"serviceAccountToken": {"path": "token", "audience": "cloud"}}
    spec["volumes"].append({"name": "token", "projected": {"sources": [token]}})
    for path in ("azure/tokens", "pods.eks.amazonaws.com/serviceaccount"):
        mount = {"name": "token", "mountPath": f"/var/run/secrets/{path}", "readOnly": True}
        spec["containers"][0]["volumeMounts"].append(mount)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "with-tokens"}, "spec": spec}
    applied = stack.cluster.apply(pod, namespace=stack.namespace)
    assert applied.returncode == 0, applied.stderr
    try:
        stack.kubectl("wait", "pod/with-tokens", "--for=condition=Ready", "--timeout=120s")
        read = ("exec", f"--namespace={stack.namespace}", "with-tokens", "--", "cat", "/run/secrets/azure/tokens/token")
        assert stack.cluster.kubectl(*read).stdout
    finally:
        stack.kubectl("delete", "pod", "with-tokens", "--grace-period=1")


def test_ollama_knows_its_proxies_and_prints_no_password(stack: ClusterStack) -> None:
    password = "password-of-a-proxy"
    # The cluster itself is asked without it.
    proxies = {"HTTPS_PROXY": f"http://someone:{password}@proxy.invalid:3128", "NO_PROXY": "*"}
    sent = stack.inv("k8s.secrets", "--yes", environ=proxies)
    assert sent.returncode == 0, sent.stderr
    try:
        assert stack.inv("k8s.restart", "--service=ollama", "--yes").returncode == 0
        variables = stack.host("ollama").check_output("tr '\\0' '\\n' </proc/1/environ").splitlines()
        assert f"HTTPS_PROXY={proxies['HTTPS_PROXY']}" in variables
        said = stack.inv("k8s.logs", "--service=ollama").stdout
        assert "***@proxy.invalid" in said
        assert password not in said
    finally:
        removals = [{"op": "remove", "path": f"/data/{name}"} for name in proxies]
        stack.kubectl("patch", "secret", "devai", "--type=json", f"--patch={json.dumps(removals)}")
        assert stack.inv("k8s.restart", "--yes").returncode == 0


def test_other_secrets_are_shown_sent_after_a_word_and_reach_the_lab_by_that_command(stack: ClusterStack) -> None:
    given = {"ANTHROPIC_API_KEY": "another-key"}
    refused = stack.inv("k8s.apply", environ=given)
    assert refused.returncode == 2
    assert "secret ANTHROPIC_API_KEY: new" in refused.stderr
    assert "ANTHROPIC_API_KEY" not in secret_names(stack)

    sent = stack.inv("k8s.apply", "--yes", environ=given)
    assert sent.returncode == 0, sent.stderr
    assert "devai restart to read them, and kernels stop\n" in sent.stderr
    assert "changed: ANTHROPIC_API_KEY\n" in sent.stderr
    assert stack.jupyter.execute("import os; print(os.environ['ANTHROPIC_API_KEY'])").strip() == "another-key"

    # What is set nowhere here stays, until somebody takes it away.
    again = stack.inv("k8s.apply").stderr
    assert "nothing to change" in again
    assert "ANTHROPIC_API_KEY: no value on this machine; the stored value is kept" in again
    assert "ANTHROPIC_API_KEY" in secret_names(stack)
    gone = json.dumps([{"op": "remove", "path": "/data/ANTHROPIC_API_KEY"}])
    stack.kubectl("patch", "secret/devai", "--type=json", f"--patch={gone}")


def test_a_leaked_token_is_replaced_by_one_command_and_its_sessions_end(stack: ClusterStack) -> None:
    leaked = stack.jupyter.token
    refused = stack.inv("secrets.rotate", "--cluster")
    assert refused.returncode == 2
    assert stack.jupyter.token == leaked
    rotated = stack.inv("secrets.rotate", "--cluster", "--yes")
    assert rotated.returncode == 0, rotated.stderr
    assert "changed: JUPYTER_TOKEN\n" in rotated.stderr
    lab = stack.jupyter
    assert lab.token != leaked
    assert lab.status("api/status") == 200
    assert Jupyter(lab.url.replace(lab.token, leaked)).status("api/status") == 403


def secret_names(stack: ClusterStack) -> list[str]:
    """The secrets that the cluster has for the lab."""
    return [*json.loads(stack.kubectl("get", "secret/devai", "--output=json"))["data"]]


def test_what_sqlite_writes_is_on_the_pods_own_disk(stack: ClusterStack) -> None:
    stack.jupyter.execute("1 + 1")
    databases = stack.host("devai").check_output("find /home/devai -name '*.sqlite' -o -name '*.db'")
    assert databases == ""
    assert stack.host("devai").file("/tmp/history.sqlite").exists


def test_shell_gives_the_exit_code_of_what_it_ran(stack: ClusterStack) -> None:
    assert stack.inv("k8s.shell", "--command=which python").stdout.strip() == "/home/devai/.venv/bin/python"
    assert stack.inv("k8s.shell", "--command=bash -c 'exit 7'").returncode == 7


def test_shell_goes_to_the_pod_that_stays(stack: ClusterStack) -> None:
    leaving = stack.pod("devai")
    assert stack.inv("k8s.restart", "--service=devai", "--yes").returncode == 0
    stays = stack.pod("devai")
    # Names are sorted by chance: from here until the old pod has ended every shell is in the new one.
    shells = []
    while leaving in stack.kubectl("get", "pods", "--output=name"):
        shells.append(stack.inv("k8s.shell", "--command=hostname").stdout.strip())
    assert shells
    assert set(shells) == {stays}


def test_a_pod_that_is_killed_loses_nothing_that_was_saved(stack: ClusterStack) -> None:
    jupyter = stack.jupyter
    saved = []
    killer = threading.Timer(1.0, stack.kubectl, ["delete", "pod", stack.pod("devai"), "--force", "--grace-period=0"])
    killer.start()
    try:
        for number in range(10_000):  # until the lab is gone
            jupyter.call("PUT", f"api/contents/work/{number}.ipynb", NOTEBOOK)
            saved.append(number)
    except OSError:
        pass
    killer.join()
    assert saved
    assert stack.inv("k8s.wait").returncode == 0
    again = stack.jupyter
    for number in saved:
        assert again.call("GET", f"api/contents/work/{number}.ipynb")["content"]["metadata"] == {"kept": 1}


def test_an_update_goes_on_without_a_moment_of_silence(stack: ClusterStack) -> None:
    path = f"/api/v1/namespaces/{stack.namespace}/services/devai:http/proxy/cluster/api"
    answers, done = [], threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(stack.cluster.kubectl("get", f"--raw={path}").returncode)
            time.sleep(0.1)

    asking = threading.Thread(target=ask)
    asking.start()
    before = stack.pod("devai")
    try:
        applied = stack.inv("k8s.apply", "--yes", "--set=env.UPDATED=yes")
        time.sleep(2)
    finally:
        done.set()
        asking.join()
    assert applied.returncode == 0, applied.stderr
    assert stack.pod("devai") != before
    assert len(answers) > 5
    assert set(answers) == {0}


def test_a_bad_image_is_taken_back_with_the_reason(stack: ClusterStack) -> None:
    before = stack.pod("devai")
    failed = stack.inv("k8s.apply", "--yes", "--set=image.loaded=no-such-tag")
    assert failed.returncode == 1
    assert "no-such-tag" in failed.stderr
    assert re.search("ImagePullBackOff|ErrImagePull", failed.stderr)
    assert "rolled back to the previous revision: devai" in failed.stderr
    assert stack.pod("devai") == before
    assert stack.jupyter.status("api/status") == 200
    images = stack.kubectl("get", "deployment/devai", "--output=jsonpath={.spec.template.spec.containers[*].image}")
    assert "no-such-tag" not in images


def test_the_config_maps_of_what_ran_before_stay_for_a_rollback(stack: ClusterStack) -> None:
    assert stack.inv("k8s.apply", "--yes", "--set=env.STEP=one").returncode == 0
    assert stack.inv("k8s.apply", "--yes", "--set=env.STEP=two").returncode == 0
    back = stack.inv("k8s.rollback", "--service=devai", "--yes")
    assert back.returncode == 0, back.stderr
    assert stack.host("devai").check_output("printenv STEP") == "one"


def test_what_a_rollback_brought_back_goes_with_the_next_apply_that_lacks_it(stack: ClusterStack) -> None:
    def labels() -> str:
        return stack.kubectl("get", "deployment/devai", "--output=jsonpath={.spec.template.metadata.labels}")

    without = "--set=models=[]"  # a job is named after its labels, too
    assert stack.inv("k8s.apply", "--yes", without, "--set=labels.rolled=back").returncode == 0
    assert stack.inv("k8s.apply", "--yes", without).returncode == 0
    back = stack.inv("k8s.rollback", "--service=devai", "--yes")
    assert back.returncode == 0, back.stderr
    assert "rolled" in labels()
    assert stack.inv("k8s.apply", "--yes", without).returncode == 0
    assert "rolled" not in labels()
    assert stack.inv("k8s.diff", without).stdout == ""


def test_who_has_signed_in_stays_so_when_the_pod_is_another_one(stack: ClusterStack) -> None:
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    jupyter = stack.jupyter
    browser.open(jupyter.url, timeout=30)
    assert stack.inv("k8s.restart", "--service=devai", "--yes").returncode == 0
    port = jupyter.url.partition("127.0.0.1:")[2].partition("/")[0]
    again = stack.jupyter_on(port)
    with browser.open(f"{again.base}api/status", timeout=30) as answer:
        assert answer.status == 200


def test_what_the_manifests_no_longer_contain_goes_and_data_stays(stack: ClusterStack) -> None:
    external = ("--set=ollama.mode=external", "--set=ollama.url=http://10.0.0.1:1")
    assert stack.inv("k8s.apply", "--yes", *external).returncode == 0
    assert stack.kubectl("get", "deployments", "--output=name").split() == ["deployment.apps/devai"]
    claims = stack.kubectl("get", "pvc", "--output=name").split()
    assert sorted(claims) == ["persistentvolumeclaim/home", "persistentvolumeclaim/models"]
    assert stack.inv("k8s.apply", "--yes").returncode == 0
    assert "smollm2" in stack.host("ollama").check_output("ollama list")


@pytest.fixture
def in_python(stack: ClusterStack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """The stack as tasks have it, with other values."""
    monkeypatch.setenv("KUBECONFIG", str(stack.cluster.kubeconfig))
    monkeypatch.chdir(stack.project.root)
    return lambda *overrides: Cluster(stack.project, load(stack.project, stack.settings.stack, overrides))


def replicas(stack: ClusterStack) -> dict[str, str]:
    """How many pods each workload is to have, and how many are ready."""
    shown = stack.kubectl(
        "get",
        "deployments",
        "--output=jsonpath={range .items[*]}{.metadata.name} {.spec.replicas}/{.status.readyReplicas} {end}",
    ).split()
    return dict(zip(shown[::2], shown[1::2], strict=True))


def test_a_stack_that_stops_keeps_all_and_starts_again(stack: ClusterStack, in_python: Callable[..., Cluster]) -> None:
    stack.jupyter.call("PUT", "api/contents/work/slept.ipynb", NOTEBOOK)
    scaling.stop(in_python())
    assert replicas(stack) == {"devai": "0/", "ollama": "0/"}
    assert stack.kubectl("get", "pods", "--selector=app.kubernetes.io/name in (devai,ollama)", "--output=name") == ""
    scaling.stop(in_python())  # and again
    scaling.start(in_python(), seconds=300)
    assert replicas(stack) == {"devai": "1/1", "ollama": "1/1"}
    assert stack.jupyter.call("GET", "api/contents/work/slept.ipynb")["content"]["metadata"] == {"kept": 1}
    assert "smollm2" in stack.host("ollama").check_output("ollama list")


def test_applying_a_stack_that_is_stopped_starts_it(stack: ClusterStack, in_python: Callable[..., Cluster]) -> None:
    scaling.stop(in_python())
    applied = stack.inv("k8s.apply", "--yes")
    assert applied.returncode == 0, applied.stderr
    assert replicas(stack) == {"devai": "1/1", "ollama": "1/1"}


@pytest.mark.parametrize("way", ["start", "apply"])
def test_an_autoscaled_stack_starts_with_the_least(
    stack: ClusterStack, in_python: Callable[..., Cluster], way: str
) -> None:
    if not isinstance(stack.cluster, LocalCluster):
        pytest.skip("another's default class is seldom one that several labs may share")
    # Small ones: a node of two cores has room for a third while one takes another's place.
    scaled = ("compute.replicas.min=2", "compute.replicas.max=3", "kubernetes.requests=10")
    flags = [f"--set={override}" for override in scaled]
    assert stack.inv("k8s.apply", "--yes", *flags).returncode == 0
    assert replicas(stack)["devai"] == "2/2"
    scaling.stop(in_python(*scaled))
    if way == "start":
        scaling.start(in_python(*scaled), seconds=300)
    else:
        assert stack.inv("k8s.apply", "--yes", *flags).returncode == 0
    assert replicas(stack)["devai"] == "2/2"
    assert stack.inv("k8s.apply", "--yes").returncode == 0
    assert replicas(stack)["devai"] == "1/1"


def test_nobody_at_the_terminal_means_no(stack: ClusterStack) -> None:
    refused = stack.inv("k8s.apply", "--set=env.ASKED=no")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert "+  ASKED: " in refused.stderr  # what it would have changed
    assert "ASKED" not in stack.kubectl("get", "configmaps", "--output=yaml")


def test_another_current_context_is_refused(stack: ClusterStack, tmp_path: Path) -> None:
    other = tmp_path / "kubeconfig"
    shutil.copy(stack.cluster.kubeconfig, other)
    set_it = [kubectl_program(), f"--kubeconfig={other}", "config", "set", "current-context", "elsewhere"]
    subprocess.run(set_it, check=True, capture_output=True)
    for task in ("k8s.apply", "k8s.delete", "k8s.restart", "k8s.rollback", "k8s.secrets"):
        refused = stack.inv(task, environ={"KUBECONFIG": str(other)})
        assert refused.returncode == 2, task
        assert "the current context is elsewhere" in refused.stderr


def test_the_home_leaves_the_cluster_and_comes_back(stack: ClusterStack, tmp_path: Path) -> None:
    stack.jupyter.call("PUT", "api/contents/work/kept.ipynb", NOTEBOOK)
    backed_up = stack.inv("data.backup", "--cluster", f"--file={tmp_path / 'home.tar.gz'}")
    assert backed_up.returncode == 0, backed_up.stderr
    stack.jupyter.call("DELETE", "api/contents/work/kept.ipynb")
    restored = stack.inv("data.restore", "--cluster", f"--file={tmp_path / 'home.tar.gz'}", "--yes")
    assert restored.returncode == 0, restored.stderr + stack.inv("k8s.logs", "--service=devai", "--tail=20").stdout
    found = stack.jupyter.call("GET", "api/contents/work/kept.ipynb")
    assert found["content"]["metadata"] == {"kept": 1}


def test_without_an_api_server_there_is_one_message_and_the_next_run_goes_on(
    stack: ClusterStack, tmp_path: Path
) -> None:
    gone = tmp_path / "kubeconfig"
    text = re.sub(r"https://[\d.]+:\d+", "https://127.0.0.1:9", stack.cluster.kubeconfig.read_text(encoding="utf-8"))
    gone.write_text(text, encoding="utf-8")
    for task in ("k8s.apply", "k8s.status", "k8s.delete"):
        failed = stack.inv(task, *(["--yes"] if task != "k8s.status" else []), environ={"KUBECONFIG": str(gone)})
        assert failed.returncode == 1, task
        assert "no API server answers; check that the cluster is running" in failed.stderr
        assert "Traceback" not in failed.stderr
    assert stack.inv("k8s.apply", "--yes").returncode == 0


def test_delete_keeps_data_and_with_data_leaves_nothing(stack: ClusterStack) -> None:
    jupyter = stack.jupyter
    jupyter.call("PUT", "api/contents/work/last.ipynb", NOTEBOOK)
    deleted = stack.inv("k8s.delete", "--yes")
    assert deleted.returncode == 0, deleted.stderr
    left = stack.kubectl("get", "all,pvc,networkpolicies,secrets", "--output=name").split()
    assert sorted(left) == ["persistentvolumeclaim/home", "persistentvolumeclaim/models", "secret/devai"]

    assert stack.inv("k8s.apply", "--yes").returncode == 0
    again = stack.jupyter
    assert again.token == jupyter.token
    assert again.call("GET", "api/contents/work/last.ipynb")["content"]["metadata"] == {"kept": 1}

    refused = stack.inv("k8s.delete", "--data")
    assert refused.returncode == 2
    assert stack.inv("k8s.delete", "--data", "--confirm=devai-test-local-cluster").returncode == 0
    assert stack.cluster.kubectl("get", f"namespace/{stack.namespace}").returncode == 1
    mark = f"--selector=devai.io/stack={stack.namespace}"
    assert stack.cluster.get("storageclasses,ingressclasses", mark)["items"] == []
    volumes = stack.cluster.get("persistentvolumes")["items"]  # those that the cluster has made have no such label
    assert [it for it in volumes if it["spec"]["claimRef"]["namespace"] == stack.namespace] == []
    assert stack.inv("k8s.delete", "--yes").returncode == 0  # and again
