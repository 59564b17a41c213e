"""Decorators that declare tasks: the flags that all tasks of a stack share, and the handling of errors.

`--env`, `--cloud`, `--gpu` and `--set` are declared here, once. No task of a stack has positional arguments: Invoke
would assign a flag to an empty one.
"""

from __future__ import annotations

import inspect
import os
import shlex
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from devai_tasks.cli import remainder
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError

Declare = Callable[[Callable[..., None]], Task[Any]]
"""A decorator that turns a function into a task."""

_STACK_HELP = {
    "env": "environment: a file in conf/profiles (default: defaults.env, dev; shipped: dev, staging, prod)",
    "cloud": "cloud: a file in conf/clouds (default: defaults.cloud, local; shipped: local, aws, azure, gcp)",
    "gpu": "enable GPUs, regardless of gpu.enabled in conf/ (default: as configured)",
    "set": "override a key for this run, such as --set ports.lab=9000; can be repeated",
}
_STACK_FLAGS: dict[str, Any] = {"env": "", "cloud": "", "gpu": False, "set_": []}
_FILES = ("file", "output")
_ASKING_HELP = {
    "yes": "continue without asking (default: ask)",
    "confirm": "project and stack, such as lab-local-dev, where there is no terminal to ask (default: ask)",
}
_ASKING_FLAGS: dict[str, Any] = {"yes": False, "confirm": ""}
_OWNER_HELP = {"take_over": "take over a stack whose owner no longer exists or is not recorded (default: ask)"}
_OWNER_FLAGS: dict[str, Any] = {"take_over": False}


def plain_task(*, help: Mapping[str, str] | None = None, **options: Any) -> Declare:
    """Declare a task that does not concern a stack."""

    def declare(body: Callable[..., None]) -> Task[Any]:
        name = _full_name(body, options.get("name", body.__name__))
        parameters = list(inspect.signature(body).parameters.values())

        def run(c: Context, **flags: Any) -> None:
            with clean_exit():
                remainder.refuse(c.remainder, name, _flag_names(parameters))
                body(c, **_checked(flags))

        return _declared(run, body, parameters, dict(help or {}), options)

    return declare


def stack_task(
    *,
    target: str = "",
    exclusive: bool = False,
    changes: bool = False,
    owned: bool = False,
    asks: bool = False,
    help: Mapping[str, str] | None = None,
    **options: Any,
) -> Declare:
    """Declare a task that works on a stack: its body gets a Session and the task's own flags.

    Args:
        target: the target that the task needs; the task is refused on stacks that are not rendered for this target.
        exclusive: whether the task holds the stack's lock.
        changes: whether the task changes the stack. Such a task holds the lock, is recorded in the stack's history,
            checks the stack's owner first, and has the flag `--take-over`.
        owned: whether the task enters the stack, prints its data, or replaces what the stack runs next. Such a task
            checks the owner first and is refused on a foreign stack; the task neither asks nor marks the stack.
        asks: whether the task has the flags `--yes` and `--confirm`.
        help: the help text of each of the task's own flags.
        options: passed on to Invoke's `task`.
    """
    shared = _STACK_FLAGS | (_ASKING_FLAGS if asks else {}) | (_OWNER_FLAGS if changes else {})
    texts = _STACK_HELP | (_ASKING_HELP if asks else {}) | (_OWNER_HELP if changes else {})

    def declare(body: Callable[..., None]) -> Task[Any]:
        name = _full_name(body, options.get("name", body.__name__))

        def run(c: Context, **flags: Any) -> None:
            with clean_exit():
                from devai_tasks.config.project import Project

                project = Project.find()
                flags = {flag: _resolved(project.root, flag, value) for flag, value in _checked(flags).items()}
                # Paths in artifacts and in printed commands are relative to the project.
                os.chdir(project.root)
                env, cloud, gpu, overrides = (flags.pop(flag) for flag in ("env", "cloud", "gpu", "set_"))
                common = {flag: flags.pop(flag) for flag in shared if flag in flags}
                argv = _argv({flag: value for flag, value in flags.items() if value != defaults[flag]})
                session = Session(
                    project, env, cloud, overrides, gpu, bool(c.config.run.dry), name, argv, changes=changes, **common
                )
                if target:
                    _check_target(session, target)
                remainder.refuse(c.remainder, name, _flag_names(parameters), session)
                with session.exclusive(recorded=changes) if exclusive or changes else nullcontext():
                    if changes or owned:
                        from devai_tasks.stack import owner_checks
                    if changes:
                        owner_checks.check_folder(session, target)
                    if owned:
                        session = owner_checks.refuse_foreign(session, "kubernetes" if flags.get("cluster") else target)
                    body(c, session, **flags)

        context, _, *parameters_of_body = inspect.signature(body).parameters.values()
        defaults = {parameter.name: parameter.default for parameter in parameters_of_body}
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            context,
            *parameters_of_body,
            *(inspect.Parameter(flag, kind, default=value) for flag, value in shared.items()),
        ]
        iterable = [*options.pop("iterable", ()), "set_"]
        return _declared(run, body, parameters, {**texts, **(help or {})}, {**options, "iterable": iterable})

    return declare


# Modules whose collection has a shorter name on the command line.
_SHORT_NAMES = {"kubernetes": "k8s", "terraform": "tf"}


def _full_name(body: Callable[..., None], name: str) -> str:
    """Return the name of a task as it is typed: tasks of whole stacks have no collection."""
    module = body.__module__.rpartition(".")[2]
    module = _SHORT_NAMES.get(module, module)
    short = name.rstrip("_").replace("_", "-")
    return short if module in ("stack", short) else f"{module}.{short}"


def _flag_names(parameters: Sequence[inspect.Parameter]) -> list[str]:
    """Return the flags of a task, without their leading hyphens."""
    return [_flag(parameter.name) for parameter in parameters[1:]]


def _flag(name: str) -> str:
    """Return the flag of a parameter, without its leading hyphens."""
    return name.strip("_").replace("_", "-")


def _argv(flags: Mapping[str, Any]) -> list[str]:
    """Return flags and their values as they are typed."""
    argv: list[str] = []
    for name, value in flags.items():
        flag = f"--{_flag(name)}"
        values = value if isinstance(value, list) else [value]
        argv += [flag if item is True else f"{flag}={item}" for item in values if item]
    return argv


def _checked(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags of a call, with an empty string for each text flag that was left out.

    Raises:
        UsageError: a flag has an empty value, such as from an unset variable in a script. The empty value would
            otherwise mean "all".
    """
    for flag, value in flags.items():
        if value == "" or (isinstance(value, list) and "" in value):
            raise UsageError(f"--{_flag(flag)}= is empty", hint="give it a value, or leave the flag out")
    return {flag: "" if value is None else value for flag, value in flags.items()}


def _resolved(root: Path, flag: str, value: Any) -> Any:
    """Return a flag's value; a file, which the user names from the current folder, relative to the project's root."""
    if isinstance(value, list):
        return [_resolved(root, flag, item) for item in value]
    # Only a model's name may be a local file; the value of another flag that ends in .gguf may be a file of a pod.
    is_file = flag in _FILES or (flag == "name" and str(value).lower().endswith(".gguf"))
    return os.path.relpath(value, root) if value and is_file and not Path(value).is_absolute() else value


def _check_target(session: Session, target: str) -> None:
    targets = session.settings.targets
    if target not in targets:
        compute = session.settings.compute
        reason, hint = f"compute.provider: {compute.provider}", "--cloud=local selects this machine"
        if target == "terraform":
            hint = "Terraform needs a cloud: --cloud=aws, azure or gcp"
        if target == "kubernetes":
            reason, hint = f"compute.platform: {compute.platform}", "set compute.platform to kubernetes"
        raise UsageError(
            f"{session.stack} ({reason}) has no target {target}; its targets are {', '.join(targets)}", hint=hint
        )


def _declared(
    run: Callable[..., None],
    body: Callable[..., None],
    parameters: Sequence[inspect.Parameter],
    help: dict[str, str],
    options: Mapping[str, Any],
) -> Task[Any]:
    """Return the Invoke task for a body, with the signature from which Invoke reads the flags."""
    run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
    # None distinguishes a flag that was left out from an empty one; see _checked.
    declared_parameters = [each.replace(default=None) if each.default == "" else each for each in parameters]
    run.__signature__ = inspect.Signature(declared_parameters)  # type: ignore[attr-defined] # unknown to mypy
    defaults = {parameter.name.strip("_"): parameter.default for parameter in parameters}
    positional = options.get("positional", ())
    texts = {name: text if name in positional else _with_default(text, defaults[name]) for name, text in help.items()}
    # Invoke removes texts from its own mapping when it parses; docs/tasks.md is generated from this copy.
    run.help_of_flags = dict(texts)  # type: ignore[attr-defined] # functions accept attributes
    # Short flags would change whenever a parameter is added. (Invoke annotates its decorator as returning a function.)
    declared: Task[Any] = task(run, help=texts, auto_shortflags=False, **options)  # type: ignore[assignment]
    return declared


def seconds_of(text: str) -> int:
    """Return the value of `--seconds`. Raises UsageError unless it is a positive integer."""
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--seconds={text} is not a positive number of seconds")
    return int(text)


def argv_of(command: str) -> list[str]:
    """Return the arguments of `--command`, split like a shell does. Raises UsageError where there are none."""
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command={command}: {error}") from error
    if not argv:
        raise UsageError("--command is empty", hint="leave the flag out to start bash")
    return argv


def check_tail(text: str) -> None:
    """Raise UsageError unless `--tail` is a number of lines or `all`."""
    if text != "all" and not text.isdecimal():
        raise UsageError(f"--tail={text} is not a number of lines", hint="use a number, or `all`")


def _with_default(text: str, default: object) -> str:
    """Return the help of a flag with its default, which Invoke's `--help` does not show."""
    if "default:" in text:
        return text
    shown = {False: "no", True: "yes", "": "none"}.get(default, default) if isinstance(default, (bool, str)) else "none"
    return f"{text} (default: {shown})"


@contextmanager
def clean_exit() -> Iterator[None]:
    """Turn an expected error into one message and an exit code; `DEVAI_TRACEBACK=1` keeps the traceback."""
    try:
        with _sigterm_as_interrupt():
            yield
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _fail("interrupted", interrupt)
        # The convention of shells: 128 plus the number of the signal.
        raise Exit(code=128 + (interrupt.args or (signal.SIGINT,))[0]) from None
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe; output that is still buffered is discarded.
        _redirect_to_devnull(sys.stdout.fileno())
        raise Exit(code=128 + signal.SIGPIPE) from None
    except (DevaiError, OSError) as error:
        if os.environ.get("DEVAI_TRACEBACK") == "1":
            raise
        # An OSError is not a bug: missing permissions, a full disk, or a file in place of a folder.
        message = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        _fail(message, error)
        raise Exit(code=getattr(error, "exit_code", 1)) from error


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as an interrupt, so that child processes are stopped, too; `nohup` stays effective."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, _: object) -> None:
    if number == signal.SIGHUP:
        # Writing to a closed terminal fails, and the child processes still have to be waited for.
        _redirect_to_devnull(*(stream for stream in (1, 2) if stat.S_ISCHR(os.fstat(stream).st_mode)))
    raise KeyboardInterrupt(number)


def _redirect_to_devnull(*streams: int) -> None:
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(devnull, stream)
    os.close(devnull)


def _fail(message: str, error: BaseException) -> None:
    """Print the message with its code, and the notes on the state of the stack."""
    console.fail(message, getattr(error, "code", ""))
    for note in getattr(error, "__notes__", ()):
        console.say(note)
