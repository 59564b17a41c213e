"""What holds for any running stack: reads, and one scratch notebook that is removed again."""

from __future__ import annotations

import json
import uuid

import pytest
from harness.stack import RunningStack, assert_nowhere, docker

ASK = """
import ollama
answer = ollama.chat(
    model={model!r},
    messages=[{{"role": "user", "content": "What is the capital of France? Answer with one word."}}],
    options={{"temperature": 0, "num_predict": 24}},
)
print(answer.message.content)
"""


def test_jupyterlab_refuses_without_the_token_and_answers_with_it(stack: RunningStack) -> None:
    assert stack.jupyter.status("api/status", token=False) == 403
    assert stack.jupyter.status("api/contents", token=False) == 403
    assert stack.jupyter.status("api/status") == 200
    assert stack.jupyter.status("lab") == 200


def test_a_cell_of_a_notebook_gets_an_answer_from_a_real_model(stack: RunningStack) -> None:
    if not stack.settings.models:
        pytest.skip("this stack is configured to have no models")
    answer = stack.jupyter.execute(ASK.format(model=stack.settings.models[0]))
    assert "Paris" in answer


def test_a_notebook_is_kept_where_it_was_saved(stack: RunningStack) -> None:
    path = f"api/contents/work/scratch-{uuid.uuid4().hex}.ipynb"
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    stack.jupyter.call("PUT", path, {"type": "notebook", "content": notebook})
    try:
        assert stack.jupyter.call("GET", path)["content"]["nbformat"] == 4
    finally:
        stack.jupyter.call("DELETE", path)


def test_jupyter_runs_as_the_user_that_the_configuration_maps(stack: RunningStack) -> None:
    # All processes, the first one too: nothing stays root once the account is mapped.
    rows = docker("top", stack.container("devai"), "-eo", "pid,uid,gid,comm").splitlines()[1:]
    assert {tuple(map(int, row.split()[1:3])) for row in rows} == {
        (stack.settings.engine.uid, stack.settings.engine.gid)
    }
    assert any("jupyter-lab" in row for row in rows)


def test_limits_are_in_force(stack: RunningStack) -> None:
    resources = {"devai": stack.settings.resources.lab, "ollama": stack.settings.resources.ollama}
    for service, limits in ((name, resources[name]) for name in stack.services):
        in_container = stack.host(service).run(
            "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
        )
        assert int(in_container.stdout) == limits.memory.bytes
        quota = json.loads(docker("inspect", stack.container(service)))[0]["HostConfig"]["NanoCpus"]
        assert quota == limits.cpu.millicores * 1_000_000


def test_nothing_listens_beyond_the_loopback_unless_configured(stack: RunningStack) -> None:
    published = [
        (name, binding["HostIp"])
        for name in stack.services
        for bindings in json.loads(docker("inspect", stack.container(name)))[0]["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ]
    allowed = {"devai": stack.settings.network.bind_address, "ollama": "127.0.0.1"}
    assert sorted(published) == [(name, allowed[name]) for name in stack.services]


def test_the_lab_has_few_capabilities_and_gains_none(stack: RunningStack) -> None:
    status = stack.host("devai").file("/proc/1/status").content_string
    allowed = int(status.partition("CapBnd:\t")[2].split()[0], 16)
    # CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID: bits 0, 1, 3, 6 and 7 of capability.h.
    assert allowed == 0b11001011
    assert "NoNewPrivs:\t1" in status


def test_the_token_is_in_no_image_log_or_process_list(stack: RunningStack) -> None:
    assert_nowhere(stack, stack.jupyter.token)
