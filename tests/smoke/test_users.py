"""Whoever runs the lab: files of the work folder are theirs on the host, and the home is theirs to write in.

One stack, on the smoke stack's image and without an Ollama, is started again for each user id, so its home changes
hands as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.arbitrary_uid import OPENSHIFT_UID, assert_lab_runs_as_arbitrary_uid, package, run
from harness.jupyter import Jupyter
from harness.prerequisites import skip_or_fail
from harness.stack import ComposeStack, assert_no_capabilities, docker

IMAGE = "devai-test-lab:local-smoke"
CELL = """
import pathlib, subprocess
pathlib.Path.home().joinpath('work/made-by-a-cell').touch()
pathlib.Path.home().joinpath('made-at-home').touch()
print(subprocess.run(['pip', 'install', '--quiet', '--no-index', 'work/greeting-1-py3-none-any.whl'],
                     cwd=pathlib.Path.home(), capture_output=True, text=True).stderr)
import greeting
print(greeting.TEXT)
"""
# Programs of root's that say what they may do, and then do what they did.
REPLACE = """
import os
for name in {names}:
    os.rename(name, name + ".own")
    with open(name, "w") as file:
        file.write('#!/bin/sh\\n{{ echo "$0"; cat /proc/self/status; }} >>/home/devai/work/ran\\nexec "$0.own" "$@"\\n')
    os.chmod(name, 0o755)
try:
    os.chown("/home/devai/work", 4242, 4242)
except PermissionError:
    print("refused")
"""
# What would run as root where root's bash obeyed the environment.
EVIL = "id -u >>/home/devai/work/who"
HOOKS = "/usr/local/bin/before-start.d"


@pytest.fixture(scope="module")
def work(stack: ComposeStack) -> Path:
    """A work folder with a Python package in it, for `pip install` without a network."""
    if os.geteuid() != 0:
        skip_or_fail("only root has files of several users")
    folder = stack.project.root / "users-work"
    folder.mkdir()
    package(folder)
    return folder


@pytest.fixture(scope="module")
def anybodys(stack: ComposeStack, work: Path, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A stack that each test starts as the user that it is about."""
    (stack.project.conf / "profiles/users.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}}}\nollama: {{mode: host}}\n"
        "env: {GREETING: it's $5}\n"
        f"storage: {{work_dir: {work}}}\nresources: {{lab: {{cpu: '2', memory: 1Gi}}}}\n",
        encoding="utf-8",
    )
    docker("tag", IMAGE, "devai-test-lab:local-users")
    own = ComposeStack(stack.project, "users")
    try:
        yield own
    finally:
        assert own.inv("compose.down", "--data", "--confirm=devai-test-local-users").returncode == 0
        docker("rmi", "devai-test-lab:local-users")


@pytest.fixture(scope="module")
def session() -> dict[str, str]:
    """A browser's, once it has opened the lab."""
    return {}


@pytest.mark.parametrize("uid", [0, 1000, 1001, 4242])
def test_files_belong_to_the_caller_and_the_home_is_the_callers(
    anybodys: ComposeStack, stack: ComposeStack, work: Path, session: dict[str, str], uid: int
) -> None:
    os.chown(work, uid, uid)
    caller = f"--set=engine.uid={uid}", f"--set=engine.gid={uid}"
    started = anybodys.inv("compose.up", *caller)
    assert started.returncode == 0, started.stderr

    jupyter = Jupyter(started.stdout.strip())
    assert jupyter.execute(CELL).split() == ["installed"]
    assert_no_capabilities(anybodys.host("devai"))  # also as root
    shown = anybodys.inv("compose.shell", "--command=sh -c 'env; cat /proc/self/status'", *caller).stdout
    assert "\nGREETING=it's $5\n" in shown
    assert set(re.findall(r"^Cap(?:Prm|Eff):\t(\w+)$", shown, flags=re.MULTILINE)) == {"0" * 16}
    # Another container of the stack logs nobody out, and another stack lets nobody in.
    session.update(session or jupyter.session())
    assert jupyter.status("api/status", token=False, headers=session) == 200
    assert stack.jupyter.status("api/status", token=False, headers=session) == 403
    made = work / "made-by-a-cell"
    assert (made.stat().st_uid, made.stat().st_gid) == (uid, uid)
    made.unlink()
    homes = docker("exec", anybodys.container("devai"), "stat", "--format=%u", "/home/devai", "/home/devai/.venv")
    assert set(homes.split()) == {str(uid)}


def test_no_program_that_a_lab_as_root_replaces_gets_a_capability(anybodys: ComposeStack, work: Path) -> None:
    """Root owns them, and the engine runs the health check, the entrypoint and shells beside the lab."""
    os.chown(work, 0, 0)
    caller = "--set=engine.uid=0", "--set=engine.gid=0"
    # As in the folder of somebody who has called this by sudo.
    token = anybodys.project.state(anybodys.settings.stack) / "token"
    os.chown(token, 1000, 1000)
    started = anybodys.inv("compose.up", *caller)
    assert started.returncode == 0, started.stderr
    names = ["/usr/local/bin/entrypoint", "/usr/local/bin/healthcheck", "/usr/local/bin/lab-env"]
    try:
        jupyter = Jupyter(started.stdout.strip())
        assert jupyter.status("api/status") == 200  # so the token was read
        assert jupyter.execute(REPLACE.format(names=names)).split() == ["refused"]
        restarted = anybodys.inv("compose.restart", "--service=devai", *caller)
        assert restarted.returncode == 0, restarted.stderr
        shell = anybodys.inv("compose.shell", "--command=grep CapEff /proc/self/status", *caller)
        assert shell.stdout == "CapEff:\t0000000000000000\n", shell.stderr
        docker("exec", "--user=0", anybodys.container("devai"), "/usr/local/bin/healthcheck")
        assert_no_capabilities(anybodys.host("devai"))
        ran = (work / "ran").read_text(encoding="utf-8")
        assert {line for line in ran.splitlines() if line.startswith("/")} == {*names}
        found = re.findall(r"^Cap\w+:\t(\w+)$", ran, flags=re.MULTILINE)
        assert set(found) == {"0" * 16}
    finally:
        (work / "ran").unlink(missing_ok=True)
        anybodys.inv("compose.down", *caller)


@pytest.mark.usefixtures("stack")
def test_an_entrypoint_without_the_capabilities_that_it_needs_names_them() -> None:
    ran = run(IMAGE, "--user=0", "--cap-drop=ALL", "--env=NB_UID=4242", command=("true",))
    assert ran.returncode == 2
    assert "switching to UID 4242 requires the capabilities CHOWN" in ran.stderr


@pytest.mark.usefixtures("stack")
def test_a_home_of_somebody_else_is_taken_by_a_container_of_its_own() -> None:
    as_root = "--user=0", "--cap-drop=ALL", "--env=NB_UID=0", "--env=NB_GID=0", "--volume=devai-test-taken:/home/devai"
    docker("volume", "create", "devai-test-taken")
    try:
        assert run(IMAGE, *as_root, command=("true",)).returncode == 0  # a new one is nobody's
        others = "--user=0", "--env=NB_UID=1000", "--env=NB_GID=1000", as_root[-1]
        assert run(IMAGE, *others, command=("mkdir", "/home/devai/closed")).returncode == 0
        refused = run(IMAGE, *as_root, command=("true",))
        assert refused.returncode == 2
        assert "/home/devai is of uid 1000, and root has no capability to write there: `inv up`" in refused.stderr
        taking = run(IMAGE, *as_root, "--cap-add=CHOWN", "--cap-add=DAC_OVERRIDE", command=("--take-home",))
        assert (taking.returncode, taking.stdout) == (0, ""), taking.stderr
        owner = run(IMAGE, *as_root, command=("stat", "--format=%u", "/home/devai", "/home/devai/closed"))
        assert owner.stdout.split() == ["0", "0"], owner.stderr
    finally:
        docker("volume", "rm", "devai-test-taken")


def test_a_number_of_group_0_that_no_account_has_may_run_the_lab(work: Path) -> None:
    assert_lab_runs_as_arbitrary_uid(IMAGE, work)


@pytest.mark.parametrize("uid", [0, 4242])
def test_the_entrypoint_obeys_no_variable_of_the_container(work: Path, tmp_path: Path, uid: int) -> None:
    os.chown(work, uid, uid)
    for name in ("script", "id", "stat", "find", "setpriv"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{EVIL}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    tmp_path.chmod(0o755)
    values = {
        "BASH_ENV": "/evil/script", "ENV": "/evil/script", "PATH": "/evil:/usr/bin:/bin", "IFS": "/",
        "SHELLOPTS": "xtrace", "PS4": f"$({EVIL})", "BASH_FUNC_id%%": f"() {{ {EVIL}; }}",
        "NB_UID": str(uid), "NB_GID": str(uid),
    }  # fmt: skip
    ran = run(
        IMAGE, "--user=0", f"--volume={work}:/home/devai/work", f"--volume={tmp_path}:/evil:ro",
        *(f"--env={name}={text}" for name, text in values.items()), command=("/usr/bin/id", "-u"),
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, f"{uid}\n"), ran.stderr
    assert not (work / "who").exists()


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    "options", [["--env=NB_UID=4242", "--env=NB_GID=4242", "--user=0"], [f"--user={OPENSHIFT_UID}:0"]]
)
def test_hooks_run_in_order_as_the_labs_user_before_it_starts(tmp_path: Path, options: list[str]) -> None:
    hooks = {
        "20-second": "echo second $(id -u) >>/tmp/order",
        "10-first": "echo first $HOME $GREETING $PWD >>/tmp/order",
        "30-not-executable": "exit 1",
    }  # fmt: skip
    for name, line in hooks.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o644 if "not" in name else 0o755)
    tmp_path.chmod(0o755)
    ran = run(IMAGE, "--env=GREETING=hello", f"--volume={tmp_path}:{HOOKS}:ro", *options, command=("cat", "/tmp/order"))
    assert ran.returncode == 0, ran.stderr
    uid = 4242 if len(options) == 3 else OPENSHIFT_UID
    assert ran.stdout.splitlines() == ["first /home/devai hello /home/devai", f"second {uid}"]


@pytest.mark.usefixtures("stack")
def test_a_hook_that_fails_stops_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "10-broken").write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    (tmp_path / "10-broken").chmod(0o755)
    tmp_path.chmod(0o755)
    ran = run(IMAGE, f"--volume={tmp_path}:{HOOKS}:ro", command=("echo", "started"))
    assert ran.returncode == 2
    assert f"{HOOKS}/10-broken failed (exit code 7): the lab does not start" in ran.stderr
    assert "started" not in ran.stdout
