"""User IDs of the lab: the user owns files in the work folder on the host, and can write in the home.

One stack, with the smoke stack's image and without Ollama, is started again for each user ID, so the owner of its home
changes as well.
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
# Replaces programs of root with wrappers that record their capabilities before they run the original program.
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
# Would run as root if root's bash evaluated variables of the environment.
EVIL = "id -u >>/home/devai/work/who"
HOOKS = "/usr/local/bin/before-start.d"


@pytest.fixture(scope="module")
def work(stack: ComposeStack) -> Path:
    """A work folder with a Python package, for `pip install` without a network."""
    if os.geteuid() != 0:
        skip_or_fail("files of several users need root")
    folder = stack.project.root / "users-work"
    folder.mkdir()
    package(folder)
    return folder


@pytest.fixture(scope="module")
def user_stack(stack: ComposeStack, work: Path, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A stack that each test starts for one user."""
    (stack.project.conf / "profiles/users.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}}}\nollama: {{mode: host}}\n"
        "env: {GREETING: it's $5}\n"
        f"storage: {{work_dir: {work}}}\nresources: {{lab: {{cpu: '2', memory: 1Gi}}}}\n",
        encoding="utf-8",
    )
    docker("tag", IMAGE, "devai-test-lab:local-users")
    users = ComposeStack(stack.project, "users")
    try:
        yield users
    finally:
        assert users.inv("compose.down", "--data", "--confirm=devai-test-local-users").returncode == 0
        docker("rmi", "devai-test-lab:local-users")


@pytest.fixture(scope="module")
def session() -> dict[str, str]:
    """The session cookies of a browser; empty until the first test case has opened the lab."""
    return {}


@pytest.mark.parametrize("uid", [0, 1000, 1001, 4242])
def test_user_owns_work_files_and_home_for_each_uid(
    user_stack: ComposeStack, stack: ComposeStack, work: Path, session: dict[str, str], uid: int
) -> None:
    os.chown(work, uid, uid)
    user = f"--set=engine.uid={uid}", f"--set=engine.gid={uid}"
    started = user_stack.inv("compose.up", *user)
    assert started.returncode == 0, started.stderr
    jupyter = Jupyter(started.stdout.strip())
    assert jupyter.execute(CELL).split() == ["installed"]
    assert_no_capabilities(user_stack.host("devai"))  # also as root
    output = user_stack.inv("compose.shell", "--command=sh -c 'env; cat /proc/self/status'", *user).stdout
    assert "\nGREETING=it's $5\n" in output
    assert set(re.findall(r"^Cap(?:Prm|Eff):\t(\w+)$", output, flags=re.MULTILINE)) == {"0" * 16}
    # A session remains valid when the container is replaced, and is not valid for another stack.
    session.update(session or jupyter.session())
    assert jupyter.status("api/status", token=False, headers=session) == 200
    assert stack.jupyter.status("api/status", token=False, headers=session) == 403
    file = work / "made-by-a-cell"
    assert (file.stat().st_uid, file.stat().st_gid) == (uid, uid)
    file.unlink()
    owners = docker("exec", user_stack.container("devai"), "stat", "--format=%u", "/home/devai", "/home/devai/.venv")
    assert set(owners.split()) == {str(uid)}


def test_programs_that_a_root_lab_replaces_run_without_capabilities(user_stack: ComposeStack, work: Path) -> None:
    """Root owns the programs, and the engine runs the health check, the entrypoint and shells outside of the lab."""
    os.chown(work, 0, 0)
    user = "--set=engine.uid=0", "--set=engine.gid=0"
    # As if the user had run the task with sudo in their own folder.
    token = user_stack.project.state(user_stack.settings.stack) / "token"
    os.chown(token, 1000, 1000)
    started = user_stack.inv("compose.up", *user)
    assert started.returncode == 0, started.stderr
    names = ["/usr/local/bin/entrypoint", "/usr/local/bin/healthcheck", "/usr/local/bin/lab-env"]
    try:
        jupyter = Jupyter(started.stdout.strip())
        assert jupyter.status("api/status") == 200  # the token was read
        assert jupyter.execute(REPLACE.format(names=names)).split() == ["refused"]
        restarted = user_stack.inv("compose.restart", "--service=devai", *user)
        assert restarted.returncode == 0, restarted.stderr
        shell = user_stack.inv("compose.shell", "--command=grep CapEff /proc/self/status", *user)
        assert shell.stdout == "CapEff:\t0000000000000000\n", shell.stderr
        docker("exec", "--user=0", user_stack.container("devai"), "/usr/local/bin/healthcheck")
        assert_no_capabilities(user_stack.host("devai"))
        log = (work / "ran").read_text(encoding="utf-8")
        assert {line for line in log.splitlines() if line.startswith("/")} == {*names}
        capabilities = re.findall(r"^Cap\w+:\t(\w+)$", log, flags=re.MULTILINE)
        assert set(capabilities) == {"0" * 16}
    finally:
        (work / "ran").unlink(missing_ok=True)
        user_stack.inv("compose.down", *user)


@pytest.mark.usefixtures("stack")
def test_entrypoint_reports_missing_capabilities() -> None:
    ran = run(IMAGE, "--user=0", "--cap-drop=ALL", "--env=NB_UID=4242", command=("true",))
    assert ran.returncode == 2
    assert "switching to UID 4242 requires the capabilities CHOWN" in ran.stderr


@pytest.mark.usefixtures("stack")
def test_home_of_another_user_is_refused_until_take_home_changes_its_owner() -> None:
    as_root = "--user=0", "--cap-drop=ALL", "--env=NB_UID=0", "--env=NB_GID=0", "--volume=devai-test-taken:/home/devai"
    docker("volume", "create", "devai-test-taken")
    try:
        assert run(IMAGE, *as_root, command=("true",)).returncode == 0  # a new volume is accepted
        as_user = "--user=0", "--env=NB_UID=1000", "--env=NB_GID=1000", as_root[-1]
        assert run(IMAGE, *as_user, command=("mkdir", "/home/devai/closed")).returncode == 0
        refused = run(IMAGE, *as_root, command=("true",))
        assert refused.returncode == 2
        assert "1000, and root has no capability to write" in refused.stderr
        assert "`inv up`" in refused.stderr
        taken = run(IMAGE, *as_root, "--cap-add=CHOWN", "--cap-add=DAC_OVERRIDE", command=("--take-home",))
        assert (taken.returncode, taken.stdout) == (0, ""), taken.stderr
        owner = run(IMAGE, *as_root, command=("stat", "--format=%u", "/home/devai", "/home/devai/closed"))
        assert owner.stdout.split() == ["0", "0"], owner.stderr
    finally:
        docker("volume", "rm", "devai-test-taken")


def test_lab_runs_with_an_arbitrary_uid_of_group_0(work: Path) -> None:
    assert_lab_runs_as_arbitrary_uid(IMAGE, work)


@pytest.mark.parametrize("uid", [0, 4242])
def test_entrypoint_ignores_shell_variables_of_the_container(work: Path, tmp_path: Path, uid: int) -> None:
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
    result = run(
        IMAGE, "--user=0", f"--volume={work}:/home/devai/work", f"--volume={tmp_path}:/evil:ro",
        *(f"--env={name}={text}" for name, text in values.items()), command=("/usr/bin/id", "-u"),
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, f"{uid}\n"), result.stderr
    assert not (work / "who").exists()


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    "options", [["--env=NB_UID=4242", "--env=NB_GID=4242", "--user=0"], [f"--user={OPENSHIFT_UID}:0"]]
)
def test_hooks_run_in_order_as_the_user_before_the_lab_starts(tmp_path: Path, options: list[str]) -> None:
    hooks = {
        "20-second": "echo second $(id -u) >>/tmp/order",
        "10-first": "echo first $HOME $GREETING $PWD >>/tmp/order",
        "30-not-executable": "exit 1",
    }  # fmt: skip
    for name, line in hooks.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o644 if "not" in name else 0o755)
    tmp_path.chmod(0o755)
    result = run(
        IMAGE, "--env=GREETING=hello", f"--volume={tmp_path}:{HOOKS}:ro", *options, command=("cat", "/tmp/order")
    )
    assert result.returncode == 0, result.stderr
    uid = 4242 if len(options) == 3 else OPENSHIFT_UID
    assert result.stdout.splitlines() == ["first /home/devai hello /home/devai", f"second {uid}"]


@pytest.mark.usefixtures("stack")
def test_failed_hook_is_reported_and_the_lab_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "10-broken").write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    (tmp_path / "10-broken").chmod(0o755)
    tmp_path.chmod(0o755)
    result = run(IMAGE, f"--volume={tmp_path}:{HOOKS}:ro", command=("echo", "started"))
    assert result.returncode == 2
    assert f"{HOOKS}/10-broken failed (exit code 7): the lab does not start" in result.stderr
    assert "started" not in result.stdout
