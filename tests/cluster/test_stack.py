"""The life cycle of a stack with real pods: deploy, use, change, recover from failures, remove."""

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

# Uses a third of a processor.
BUSY = """
import time
while True:
    end = time.thread_time() + 0.03
    while time.thread_time() < end: pass
    time.sleep(0.06)
"""


@pytest.fixture(scope="module")
def stack(cluster_stack: ClusterStack) -> ClusterStack:
    """The stack that `inv k8s.apply` has deployed; the tests for every running stack have used it before."""
    return cluster_stack


def test_second_apply_changes_nothing(stack: ClusterStack) -> None:
    again = stack.inv("k8s.apply", "--yes")
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stderr
    assert stack.inv("k8s.diff").stdout == ""
    assert json.loads(stack.inv("k8s.diff", "--json").stdout)["empty"]


def test_json_diff_contains_changed_objects_and_their_fields(stack: ClusterStack) -> None:
    diff = json.loads(stack.inv("k8s.diff", "--json", "--set=resources.lab.memory=3Gi").stdout)
    (change,) = (change for change in diff["changes"] if change["what"] == "deployment.apps/devai")
    assert change["kind"] == "changed"
    assert "memory" in change["detail"]


def test_status_shows_ready_workloads_and_bound_claims(stack: ClusterStack) -> None:
    rows = json.loads(stack.inv("k8s.status", "--json").stdout)
    states = {row["name"]: row["state"] for row in rows}
    assert states["devai"].startswith("1/1 ready")
    assert states["ollama"].startswith("1/1 ready")
    assert states["home"] == states["models"] == "Bound 1Gi"


def test_lab_writes_only_in_home_and_tmp_and_has_no_service_account_token(stack: ClusterStack) -> None:
    host = stack.host("devai")
    assert host.run("touch /opt/lab/x").failed
    assert host.run("touch /home/devai/x /tmp/x").succeeded
    assert host.run("ls /var/run/secrets/kubernetes.io").failed


def test_secret_is_visible_only_in_kernels(stack: ClusterStack) -> None:
    code = "import os; print(os.environ['OPENAI_API_KEY'], os.environ.get('GOOGLE_API_KEY'))"
    assert stack.jupyter.execute(code).strip() == f"{CANARY} None"
    assert_not_exposed(stack, CANARY)


def test_token_volumes_of_clouds_can_be_mounted(stack: ClusterStack) -> None:
    """A copy of the lab's pod starts with the volumes that the webhooks of AKS and EKS add."""
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


def test_ollama_uses_the_proxy_and_does_not_log_its_password(stack: ClusterStack) -> None:
    password = "password-of-a-proxy"
    # With NO_PROXY=*, requests to the cluster itself do not use the proxy.
    proxies = {"HTTPS_PROXY": f"http://someone:{password}@proxy.invalid:3128", "NO_PROXY": "*"}
    sent = stack.inv("k8s.secrets", "--yes", environ=proxies)
    assert sent.returncode == 0, sent.stderr
    try:
        assert stack.inv("k8s.restart", "--service=ollama", "--yes").returncode == 0
        variables = stack.host("ollama").check_output("tr '\\0' '\\n' </proc/1/environ").splitlines()
        assert f"HTTPS_PROXY={proxies['HTTPS_PROXY']}" in variables
        log = stack.inv("k8s.logs", "--service=ollama").stdout
        assert "***@proxy.invalid" in log
        assert password not in log
    finally:
        removals = [{"op": "remove", "path": f"/data/{name}"} for name in proxies]
        stack.kubectl("patch", "secret", "devai", "--type=json", f"--patch={json.dumps(removals)}")
        assert stack.inv("k8s.restart", "--yes").returncode == 0


def test_new_secret_is_applied_after_confirmation_and_kept_without_a_value(stack: ClusterStack) -> None:
    environ = {"ANTHROPIC_API_KEY": "another-key"}
    refused = stack.inv("k8s.apply", environ=environ)
    assert refused.returncode == 2
    assert "secret ANTHROPIC_API_KEY: new" in refused.stderr
    assert "ANTHROPIC_API_KEY" not in secret_names(stack)

    sent = stack.inv("k8s.apply", "--yes", environ=environ)
    assert sent.returncode == 0, sent.stderr
    assert "devai restart to read them, and kernels stop\n" in sent.stderr
    assert "changed: ANTHROPIC_API_KEY\n" in sent.stderr
    assert stack.jupyter.execute("import os; print(os.environ['ANTHROPIC_API_KEY'])").strip() == "another-key"

    # A secret without a value on this machine is kept until it is removed manually.
    again = stack.inv("k8s.apply").stderr
    assert "nothing to change" in again
    assert "ANTHROPIC_API_KEY: no value on this machine; the stored value is kept" in again
    assert "ANTHROPIC_API_KEY" in secret_names(stack)
    removal = json.dumps([{"op": "remove", "path": "/data/ANTHROPIC_API_KEY"}])
    stack.kubectl("patch", "secret/devai", "--type=json", f"--patch={removal}")


def test_secrets_rotate_replaces_the_token(stack: ClusterStack) -> None:
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
    """Return the names of the lab's secrets in the cluster."""
    return [*json.loads(stack.kubectl("get", "secret/devai", "--output=json"))["data"]]


def test_sqlite_databases_are_not_on_the_shared_volume(stack: ClusterStack) -> None:
    stack.jupyter.execute("1 + 1")
    databases = stack.host("devai").check_output("find /home/devai -name '*.sqlite' -o -name '*.db'")
    assert databases == ""
    assert stack.host("devai").file("/tmp/history.sqlite").exists


def test_shell_returns_the_exit_code_of_its_command(stack: ClusterStack) -> None:
    assert stack.inv("k8s.shell", "--command=which python").stdout.strip() == "/home/devai/.venv/bin/python"
    assert stack.inv("k8s.shell", "--command=bash -c 'exit 7'").returncode == 7


def test_shell_does_not_connect_to_a_terminating_pod(stack: ClusterStack) -> None:
    terminating = stack.pod("devai")
    assert stack.inv("k8s.restart", "--service=devai", "--yes").returncode == 0
    remaining = stack.pod("devai")
    # The names of pods are random, so either pod may be listed first until the old pod has stopped.
    shells = []
    while terminating in stack.kubectl("get", "pods", "--output=name"):
        shells.append(stack.inv("k8s.shell", "--command=hostname").stdout.strip())
    assert shells
    assert set(shells) == {remaining}


def test_saved_notebooks_survive_a_killed_pod(stack: ClusterStack) -> None:
    jupyter = stack.jupyter
    saved = []
    killer = threading.Timer(1.0, stack.kubectl, ["delete", "pod", stack.pod("devai"), "--force", "--grace-period=0"])
    killer.start()
    try:
        for number in range(10_000):  # until the lab is killed
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


def test_lab_is_available_during_an_update(stack: ClusterStack) -> None:
    path = f"/api/v1/namespaces/{stack.namespace}/services/devai:http/proxy/cluster/api"
    exit_codes, done = [], threading.Event()

    def poll() -> None:
        while not done.is_set():
            exit_codes.append(stack.cluster.kubectl("get", f"--raw={path}").returncode)
            time.sleep(0.1)

    polling = threading.Thread(target=poll)
    polling.start()
    before = stack.pod("devai")
    try:
        applied = stack.inv("k8s.apply", "--yes", "--set=env.UPDATED=yes")
        time.sleep(2)
    finally:
        done.set()
        polling.join()
    assert applied.returncode == 0, applied.stderr
    assert stack.pod("devai") != before
    assert len(exit_codes) > 5
    assert set(exit_codes) == {0}


def test_missing_image_is_rolled_back_and_the_reason_is_reported(stack: ClusterStack) -> None:
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


def test_config_maps_of_previous_revisions_are_kept_for_a_rollback(stack: ClusterStack) -> None:
    assert stack.inv("k8s.apply", "--yes", "--set=env.STEP=one").returncode == 0
    assert stack.inv("k8s.apply", "--yes", "--set=env.STEP=two").returncode == 0
    rolled_back = stack.inv("k8s.rollback", "--service=devai", "--yes")
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert stack.host("devai").check_output("printenv STEP") == "one"


def test_field_that_a_rollback_restored_is_removed_by_an_apply_without_it(stack: ClusterStack) -> None:
    def labels() -> str:
        return stack.kubectl("get", "deployment/devai", "--output=jsonpath={.spec.template.metadata.labels}")

    without_models = "--set=models=[]"  # no job: the hash in its name depends on the labels
    assert stack.inv("k8s.apply", "--yes", without_models, "--set=labels.rolled=back").returncode == 0
    assert stack.inv("k8s.apply", "--yes", without_models).returncode == 0
    rolled_back = stack.inv("k8s.rollback", "--service=devai", "--yes")
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert "rolled" in labels()
    assert stack.inv("k8s.apply", "--yes", without_models).returncode == 0
    assert "rolled" not in labels()
    assert stack.inv("k8s.diff", without_models).stdout == ""


def test_session_remains_valid_after_a_restart(stack: ClusterStack) -> None:
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    jupyter = stack.jupyter
    browser.open(jupyter.url, timeout=30)
    assert stack.inv("k8s.restart", "--service=devai", "--yes").returncode == 0
    port = jupyter.url.partition("127.0.0.1:")[2].partition("/")[0]
    again = stack.jupyter_on(port)
    with browser.open(f"{again.base}api/status", timeout=30) as response:
        assert response.status == 200


def test_apply_deletes_objects_that_are_no_longer_in_the_manifests_but_no_data(stack: ClusterStack) -> None:
    external = ("--set=ollama.mode=external", "--set=ollama.url=http://10.0.0.1:1")
    assert stack.inv("k8s.apply", "--yes", *external).returncode == 0
    assert stack.kubectl("get", "deployments", "--output=name").split() == ["deployment.apps/devai"]
    claims = stack.kubectl("get", "pvc", "--output=name").split()
    assert sorted(claims) == ["persistentvolumeclaim/home", "persistentvolumeclaim/models"]
    assert stack.inv("k8s.apply", "--yes").returncode == 0
    assert "smollm2" in stack.host("ollama").check_output("ollama list")


@pytest.fixture
def cluster_with(stack: ClusterStack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """A function that returns the stack's cluster, with overrides of the configuration."""
    monkeypatch.setenv("KUBECONFIG", str(stack.cluster.kubeconfig))
    monkeypatch.chdir(stack.project.root)
    return lambda *overrides: Cluster(stack.project, load(stack.project, stack.settings.stack, overrides))


def replicas(stack: ClusterStack) -> dict[str, str]:
    """Return the desired and the ready pods of each workload, such as `1/1`."""
    fields = stack.kubectl(
        "get",
        "deployments",
        "--output=jsonpath={range .items[*]}{.metadata.name} {.spec.replicas}/{.status.readyReplicas} {end}",
    ).split()
    return dict(zip(fields[::2], fields[1::2], strict=True))


def test_stop_and_start_keep_all_data(stack: ClusterStack, cluster_with: Callable[..., Cluster]) -> None:
    stack.jupyter.call("PUT", "api/contents/work/slept.ipynb", NOTEBOOK)
    scaling.stop(cluster_with())
    assert replicas(stack) == {"devai": "0/", "ollama": "0/"}
    assert stack.kubectl("get", "pods", "--selector=app.kubernetes.io/name in (devai,ollama)", "--output=name") == ""
    scaling.stop(cluster_with())  # idempotent
    scaling.start(cluster_with(), seconds=300)
    assert replicas(stack) == {"devai": "1/1", "ollama": "1/1"}
    assert stack.jupyter.call("GET", "api/contents/work/slept.ipynb")["content"]["metadata"] == {"kept": 1}
    assert "smollm2" in stack.host("ollama").check_output("ollama list")


def test_apply_starts_a_stopped_stack(stack: ClusterStack, cluster_with: Callable[..., Cluster]) -> None:
    scaling.stop(cluster_with())
    applied = stack.inv("k8s.apply", "--yes")
    assert applied.returncode == 0, applied.stderr
    assert replicas(stack) == {"devai": "1/1", "ollama": "1/1"}


def test_autoscaled_stack_starts_with_the_minimum_and_grows_under_load(
    stack: ClusterStack, cluster_with: Callable[..., Cluster]
) -> None:
    if not isinstance(stack.cluster, LocalCluster):
        pytest.skip("an existing cluster rarely has ReadWriteMany by default, and may have no metrics server")
    # Small requests, so that a node of two cores has room for a third lab during a rollout.
    scaled = ("compute.replicas.min=2", "compute.replicas.max=3", "kubernetes.requests=10")
    flags = [f"--set={override}" for override in scaled]
    assert stack.inv("k8s.apply", "--yes", *flags).returncode == 0
    assert replicas(stack)["devai"] == "2/2"
    # A third of a processor is more than the target for two labs with requests of a tenth.
    stack.host("devai").check_output(f"timeout 120 python -c '{BUSY}' >/dev/null 2>&1 &")
    grown = ("wait", "deployment/devai", "--for=jsonpath={.spec.replicas}=3", "--timeout=120s")
    waited = stack.cluster.kubectl(*grown, f"--namespace={stack.namespace}")
    assert waited.returncode == 0, stack.kubectl("describe", "hpa/devai")
    scaling.stop(cluster_with(*scaled))
    scaling.start(cluster_with(*scaled), seconds=300)
    assert replicas(stack)["devai"] == "2/2"
    scaling.stop(cluster_with(*scaled))
    assert stack.inv("k8s.apply", "--yes", *flags).returncode == 0
    assert replicas(stack)["devai"] == "2/2"
    assert stack.inv("k8s.apply", "--yes").returncode == 0
    assert replicas(stack)["devai"] == "1/1"


def test_apply_without_a_terminal_is_refused_after_showing_the_diff(stack: ClusterStack) -> None:
    refused = stack.inv("k8s.apply", "--set=env.ASKED=no")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert "+  ASKED: " in refused.stderr  # the diff
    assert "ASKED" not in stack.kubectl("get", "configmaps", "--output=yaml")


def test_another_current_context_is_refused(stack: ClusterStack, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(stack.cluster.kubeconfig, kubeconfig)
    command = [kubectl_program(), f"--kubeconfig={kubeconfig}", "config", "set", "current-context", "elsewhere"]
    subprocess.run(command, check=True, capture_output=True)
    for task in ("k8s.apply", "k8s.delete", "k8s.restart", "k8s.rollback", "k8s.secrets"):
        refused = stack.inv(task, environ={"KUBECONFIG": str(kubeconfig)})
        assert refused.returncode == 2, task
        assert "the current context is elsewhere" in refused.stderr


def test_home_in_the_cluster_can_be_backed_up_and_restored(stack: ClusterStack, tmp_path: Path) -> None:
    stack.jupyter.call("PUT", "api/contents/work/kept.ipynb", NOTEBOOK)
    backed_up = stack.inv("data.backup", "--cluster", f"--file={tmp_path / 'home.tar.gz'}")
    assert backed_up.returncode == 0, backed_up.stderr
    stack.jupyter.call("DELETE", "api/contents/work/kept.ipynb")
    restored = stack.inv("data.restore", "--cluster", f"--file={tmp_path / 'home.tar.gz'}", "--yes")
    assert restored.returncode == 0, restored.stderr + stack.inv("k8s.logs", "--service=devai", "--tail=20").stdout
    notebook = stack.jupyter.call("GET", "api/contents/work/kept.ipynb")
    assert notebook["content"]["metadata"] == {"kept": 1}


def test_unreachable_api_server_is_one_message_and_the_next_run_succeeds(stack: ClusterStack, tmp_path: Path) -> None:
    unreachable = tmp_path / "kubeconfig"
    text = re.sub(r"https://[\d.]+:\d+", "https://127.0.0.1:9", stack.cluster.kubeconfig.read_text(encoding="utf-8"))
    unreachable.write_text(text, encoding="utf-8")
    for task in ("k8s.apply", "k8s.status", "k8s.delete"):
        failed = stack.inv(task, *(["--yes"] if task != "k8s.status" else []), environ={"KUBECONFIG": str(unreachable)})
        assert failed.returncode == 1, task
        assert "no API server answers; check that the cluster is running" in failed.stderr
        assert "Traceback" not in failed.stderr
    assert stack.inv("k8s.apply", "--yes").returncode == 0


def test_delete_keeps_data_and_delete_with_data_removes_all_objects(stack: ClusterStack) -> None:
    jupyter = stack.jupyter
    jupyter.call("PUT", "api/contents/work/last.ipynb", NOTEBOOK)
    deleted = stack.inv("k8s.delete", "--yes")
    assert deleted.returncode == 0, deleted.stderr
    remaining = stack.kubectl("get", "all,pvc,networkpolicies,secrets", "--output=name").split()
    assert sorted(remaining) == ["persistentvolumeclaim/home", "persistentvolumeclaim/models", "secret/devai"]

    assert stack.inv("k8s.apply", "--yes").returncode == 0
    again = stack.jupyter
    assert again.token == jupyter.token
    assert again.call("GET", "api/contents/work/last.ipynb")["content"]["metadata"] == {"kept": 1}

    refused = stack.inv("k8s.delete", "--data")
    assert refused.returncode == 2
    assert stack.inv("k8s.delete", "--data", "--confirm=devai-test-local-cluster").returncode == 0
    assert stack.cluster.kubectl("get", f"namespace/{stack.namespace}").returncode == 1
    selector = f"--selector=devai.io/stack={stack.namespace}"
    assert stack.cluster.get("storageclasses,ingressclasses", selector)["items"] == []
    volumes = stack.cluster.get("persistentvolumes")["items"]  # provisioned volumes do not have the label
    assert [volume for volume in volumes if volume["spec"]["claimRef"]["namespace"] == stack.namespace] == []
    assert stack.inv("k8s.delete", "--yes").returncode == 0  # idempotent
