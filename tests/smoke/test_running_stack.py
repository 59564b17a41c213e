"""Tests for any running stack, on Compose or Kubernetes; a scratch notebook is all they write, and they delete it."""

from __future__ import annotations

import json
import re
import time
import uuid

import pytest
from harness.stack import RunningStack, assert_no_capabilities, assert_not_exposed, processes

ASK = """
import ollama
answer = ollama.chat(
    model={model!r},
    messages=[{{"role": "user", "content": "What is the capital of France? Answer with one word."}}],
    options={{"temperature": 0, "num_predict": 24}},
)
print(answer.message.content)
"""

# Requests of notebooks, their libraries and command-line agents to Ollama; tasks such as `models.pull` are tested
# elsewhere.
PROTOCOLS = """
import json, os, urllib.request
def ask(path, **body):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(os.environ["OLLAMA_HOST"] + path, data, {{"Content-Type": "application/json"}})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
    return json.load(opener.open(request, timeout=120))
model, options = {model!r}, {{"num_predict": 4}}
messages = [{{"role": "user", "content": "Say yes."}}]
print(json.dumps({{
    "version": ask("/api/version")["version"],
    "tags": [entry["name"] for entry in ask("/api/tags")["models"]],
    "show": ask("/api/show", model=model)["details"]["format"],
    "generate": ask("/api/generate", model=model, prompt="Say yes.", stream=False, options=options)["response"],
    "chat": ask("/api/chat", model=model, messages=messages, stream=False, options=options)["message"]["content"],
    "openai": ask("/v1/chat/completions", model=model, messages=messages, max_tokens=4)["choices"][0]["message"],
    "anthropic": ask("/v1/messages", model=model, messages=messages, max_tokens=4)["content"][0],
}}))
"""


def test_jupyterlab_requires_the_token(stack: RunningStack) -> None:
    assert stack.jupyter.status("api/status", token=False) == 403
    assert stack.jupyter.status("api/contents", token=False) == 403
    assert stack.jupyter.status("api/status") == 200
    assert stack.jupyter.status("lab") == 200


def test_lab_accepts_only_its_own_host_names(stack: RunningStack) -> None:
    """Otherwise DNS rebinding gives a web page access to the lab."""
    for path in ("lab", "api", "api/status", "static/favicon.ico", "login"):
        for host in ("evil.example", "evil.example:8888", "localhost.evil.example", "2130706433"):
            assert stack.jupyter.status(path, headers={"Host": host}) == 403, (path, host)
    configured = [f"a{name}" if name.startswith(".") else name for name in stack.settings.network.allowed_hosts]
    for host in ("localhost", "LOCALHOST.", "127.0.0.1:1", "[::1]:8888", "192.0.2.7", *configured):
        assert stack.jupyter.status("api/status", headers={"Host": host}) == 200, host


def test_foreign_web_page_cannot_use_the_session_of_a_user(stack: RunningStack) -> None:
    session, foreign = stack.jupyter.session(), "https://evil.example"
    assert stack.jupyter.status("api/status", token=False, headers=session) == 200
    assert stack.jupyter.status("api/status", token=False, headers={**session, "Origin": foreign}) in (403, 404)
    kernel = stack.jupyter.call("POST", "api/kernels", {"name": "python3"})["id"]
    try:
        assert stack.jupyter.handshake(kernel, cookie=session["Cookie"]) == 101
        assert stack.jupyter.handshake(kernel, cookie=session["Cookie"], origin=foreign) == 403
        assert stack.jupyter.handshake(kernel, cookie=session["Cookie"], origin=foreign, host="evil.example") == 403
    finally:
        stack.jupyter.call("DELETE", f"api/kernels/{kernel}")


def test_cookies_are_same_site_and_named_after_the_stack(stack: RunningStack) -> None:
    login, xsrf = sorted(stack.jupyter.cookies(), key=lambda cookie: cookie.startswith("_xsrf"))
    assert re.match(r"devai-[0-9a-f]{16}=", login)
    assert stack.jupyter.token not in login
    assert "HttpOnly" in login
    for cookie in (login, xsrf):
        assert "SameSite=Lax" in cookie
        assert f"Path={stack.settings.network.base_url}" in cookie


def test_ollama_refuses_a_foreign_host_or_origin(stack: RunningStack) -> None:
    """A web page that reaches a forwarded port by DNS rebinding sends such headers."""
    if "ollama" not in stack.services:
        pytest.skip("this stack uses an external Ollama")
    code = """
import urllib.error, urllib.request
for headers in ({}, {"Host": "localhost:11434"}, {"Host": "evil.example"}, {"Origin": "http://evil.example"}):
    try:
        print(urllib.request.urlopen(urllib.request.Request("http://ollama:11434/api/tags", headers=headers)).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""
    assert stack.jupyter.execute(code).split() == ["200", "200", "403", "403"]


def test_cell_of_a_notebook_gets_an_answer_from_a_real_model(stack: RunningStack) -> None:
    if not stack.settings.models:
        pytest.skip("this stack is configured to have no models")
    answer = stack.jupyter.execute(ASK.format(model=stack.settings.models[0]))
    assert "Paris" in answer


def test_ollama_supports_every_protocol_that_the_lab_uses(stack: RunningStack) -> None:
    if not stack.settings.models:
        pytest.skip("this stack is configured to have no models")
    model, ollama = stack.settings.models[0], stack.settings.ollama
    answers = json.loads(stack.jupyter.execute(PROTOCOLS.format(model=model)))
    assert answers["version"] in (ollama.version, ollama.build_version)
    assert model in answers["tags"]
    assert answers["show"] == "gguf"
    assert answers["generate"]
    assert answers["chat"]
    assert answers["openai"]["role"] == "assistant"
    assert answers["anthropic"]["type"] == "text"


def test_saved_notebook_can_be_read(stack: RunningStack) -> None:
    path = f"api/contents/work/scratch-{uuid.uuid4().hex}.ipynb"
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    stack.jupyter.call("PUT", path, {"type": "notebook", "content": notebook})
    try:
        assert stack.jupyter.call("GET", path)["content"]["nbformat"] == 4
    finally:
        stack.jupyter.call("DELETE", path)


def test_all_processes_run_as_the_user_of_the_lab(stack: RunningStack) -> None:
    # Process 1 included: no process stays root after the entrypoint has mapped the account. Only processes that are
    # listed twice are tested, because the engine starts health checks as root for a moment.
    host = stack.host("devai")
    lasting = processes(host)
    time.sleep(1)
    lasting &= processes(host)
    assert {(process.user, process.group) for process in lasting} == {stack.user}
    assert 1 in {process.number for process in lasting}
    assert any("jupyter-lab" in process.name for process in lasting)


def test_resource_limits_are_in_force(stack: RunningStack) -> None:
    resources = {"devai": stack.settings.resources.lab, "ollama": stack.settings.resources.ollama}
    for service, limits in ((name, resources[name]) for name in stack.services):
        # The files of cgroup v2 or v1.
        limit_files = stack.host(service).run(
            "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null;"
            "cat cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"
        )
        memory, quota, period = map(int, limit_files.stdout.split())
        assert memory == limits.memory.bytes
        assert 1000 * quota / period == limits.cpu.millicores


def test_lab_has_no_capabilities_and_cannot_gain_any(stack: RunningStack) -> None:
    assert_no_capabilities(stack.host("devai"))


def test_variables_have_their_exact_values_in_a_kernel(stack: RunningStack) -> None:
    names = sorted(stack.settings.env)
    output = stack.jupyter.execute(f"import json, os; print(json.dumps([os.environ[name] for name in {names!r}]))")
    assert json.loads(output) == [stack.settings.env[name] for name in names]


def test_log_of_failed_requests_does_not_contain_the_token(stack: RunningStack) -> None:
    token, mark = stack.jupyter.token, f"nope-{uuid.uuid4().hex}"
    inner = f"{stack.jupyter.base}login?next=%2Flab%3Ftoken%3D{token}"
    assert stack.jupyter.status(f"api/contents/{mark}-1?token={token}") == 404
    assert stack.jupyter.status(f"{mark}-2%3Ftoken={token}", token=False) == 404
    assert stack.jupyter.status(f"{mark}-3", headers={"Referer": inner}) == 404
    assert stack.jupyter.status(f"api/contents?content={mark}-4&token={token}", token=False) == 400
    encoded = "".join(f"%{ord(letter):02x}" for letter in token)
    assert stack.jupyter.status(f"api/contents/{mark}-5?token={encoded}", token=False) == 404
    assert stack.jupyter.status(f"{mark}-6/{encoded}", token=False) == 404
    log = stack.visible_texts()["the log"]
    assert {f"{mark}-{number}" for number in range(1, 7)} == set(re.findall(rf"{mark}-\d", log))
    assert token not in log
    assert encoded not in log.lower()


def test_definition_image_log_and_process_list_do_not_contain_the_token(stack: RunningStack) -> None:
    assert_not_exposed(stack, stack.jupyter.token)
