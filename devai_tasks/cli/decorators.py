"""How tasks are declared: what every task of a stack takes, and how an error leaves it.

`--env`, `--cloud`, `--gpu` and `--set` stand here, once. No task of a stack has positionals: Invoke would let one
swallow a flag.
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
"""A decorator that makes a task of a function."""

_STACK_HELP = {
    "env": "environment: a file in conf/profiles (default: defaults.env, dev; shipped: dev, staging, prod)",
    "cloud": "cloud: a file in conf/clouds (default: defaults.cloud, local; shipped: local, aws, azure, gcp)",
    "gpu": "with GPUs, whatever conf/ says of gpu.enabled (default: as configured)",
    "set": "override a key for this run, as --set ports.lab=9000; can be repeated",
}
_STACK_FLAGS: dict[str, Any] = {"env": "", "cloud": "", "gpu": False, "set_": []}
_FILES = ("file", "output")
_ASKING_HELP = {
    "yes": "go on without asking (default: ask)",
    "confirm": "project and stack, as lab-local-dev, without a terminal to type them at (default: ask)",
}
_ASKING_FLAGS: dict[str, Any] = {"yes": False, "confirm": ""}
_OWNER_HELP = {"take_over": "take over a stack whose owner is gone or not recorded (default: ask)"}
_OWNER_FLAGS: dict[str, Any] = {"take_over": False}


def plain_task(*, help: Mapping[str, str] | None = None, **options: Any) -> Declare:
    """A task that concerns no stack."""

    def declare(body: Callable[..., None]) -> Task[Any]:
        name = _full_name(body, options.get("name", body.__name__))
        parameters = list(inspect.signature(body).parameters.values())

        def run(c: Context, **flags: Any) -> None:
            with clean_exit():
                remainder.refuse(c.remainder, name, _flag_names(parameters))
                body(c, **_given(flags))

        return _declared(run, body, parameters, dict(help or {}), options)

    return declare


def stack_task(
    *,
    target: str = "",
    alone: bool = False,
    changes: bool = False,
    owned: bool = False,
    asks: bool = False,
    help: Mapping[str, str] | None = None,
    **options: Any,
) -> Declare:
    """A task that works on a stack: its body gets a Session beside its own flags.

    With `target` it is refused on stacks that are not rendered for that. One that runs `alone` holds the stack's lock;
    one that `changes` the stack does so, too, is written down, looks first whose stack it is, and takes `--take-over`;
    one that `asks` takes `--yes` and `--confirm`. One that is `owned` enters the stack, hands out what is in it or
    replaces what it runs next: it looks first, too, is refused on what is another's, and asks and marks nothing.
    """
    flags = _STACK_FLAGS | (_ASKING_FLAGS if asks else {}) | (_OWNER_FLAGS if changes else {})
    texts = _STACK_HELP | (_ASKING_HELP if asks else {}) | (_OWNER_HELP if changes else {})

    def declare(body: Callable[..., None]) -> Task[Any]:
        name = _full_name(body, options.get("name", body.__name__))

        def run(c: Context, **given: Any) -> None:
            with clean_exit():
                from devai_tasks.config.project import Project

                project = Project.find()
                given = {flag: _from(project.root, flag, value) for flag, value in _given(given).items()}
                # Paths in artifacts and in printed commands are relative to the project.
                os.chdir(project.root)
                env, cloud, gpu, overrides = (given.pop(flag) for flag in ("env", "cloud", "gpu", "set_"))
                common = {flag: given.pop(flag) for flag in flags if flag in given}
                words = _words({flag: value for flag, value in given.items() if value != defaults[flag]})
                session = Session(
                    project, env, cloud, overrides, gpu, bool(c.config.run.dry), name, words, changes=changes, **common
                )
                if target:
                    _check_target(session, target)
                remainder.refuse(c.remainder, name, _flag_names(parameters), session)
                with session.exclusive(recorded=changes) if alone or changes else nullcontext():
                    if changes or owned:
                        from devai_tasks.stack import owner_checks
                    if changes:
                        owner_checks.check_folder(session, target)
                    if owned:
                        session = owner_checks.refuse_foreign(session, "kubernetes" if given.get("cluster") else target)
                    body(c, session, **given)

        context, _, *own = inspect.signature(body).parameters.values()
        defaults = {parameter.name: parameter.default for parameter in own}
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [context, *own, *(inspect.Parameter(flag, kind, default=value) for flag, value in flags.items())]
        iterable = [*options.pop("iterable", ()), "set_"]
        return _declared(run, body, parameters, {**texts, **(help or {})}, {**options, "iterable": iterable})

    return declare


# Modules whose collection has a shorter name on the command line.
_SHORT_NAMES = {"kubernetes": "k8s", "terraform": "tf"}


def _full_name(body: Callable[..., None], name: str) -> str:
    """Return a task as it is typed: those of whole stacks have no collection."""
    module = body.__module__.rpartition(".")[2]
    module = _SHORT_NAMES.get(module, module)
    own = name.rstrip("_").replace("_", "-")
    return own if module in ("stack", own) else f"{module}.{own}"


def _flag_names(parameters: Sequence[inspect.Parameter]) -> list[str]:
    """A task's flags, without the hyphens before them."""
    return [_flag(parameter.name) for parameter in parameters[1:]]


def _flag(name: str) -> str:
    """The flag of a parameter."""
    return name.strip("_").replace("_", "-")


def _words(flags: Mapping[str, Any]) -> list[str]:
    """A task's own flags, as they are typed."""
    words: list[str] = []
    for name, value in flags.items():
        flag = f"--{_flag(name)}"
        values = value if isinstance(value, list) else [value]
        words += [flag if one is True else f"{flag}={one}" for one in values if one]
    return words


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a call; those with a text that were not given are empty.

    Raises UsageError for one that was given empty, as with an unset variable in a script: there it would mean all.
    """
    for flag, value in flags.items():
        if value == "" or (isinstance(value, list) and "" in value):
            raise UsageError(f"--{_flag(flag)}= is empty", hint="give it a value, or leave the flag out")
    return {flag: "" if value is None else value for flag, value in flags.items()}


def _from(root: Path, flag: str, value: Any) -> Any:
    """A flag's value; where it is a file, which a person means from their own folder, as the project's root sees it."""
    if isinstance(value, list):
        return [_from(root, flag, one) for one in value]
    # A model's name may be that of a file; what other flags end in may be a file of a pod.
    is_file = flag in _FILES or (flag == "name" and str(value).lower().endswith(".gguf"))
    return os.path.relpath(value, root) if value and is_file and not Path(value).is_absolute() else value


def _check_target(session: Session, target: str) -> None:

    own = session.settings.targets
    if target not in own:
        compute = session.settings.compute
        reason, way = f"compute.provider: {compute.provider}", "--cloud=local is this machine"
        if target == "terraform":
            way = "Terraform is for clouds: --cloud=aws, azure or gcp"
        if target == "kubernetes":
            reason, way = f"compute.platform: {compute.platform}", "with compute.platform: kubernetes it has one"
        raise UsageError(f"{session.stack} ({reason}) has no {target}; it has {', '.join(own)}", hint=way)


def _declared(
    run: Callable[..., None],
    body: Callable[..., None],
    parameters: Sequence[inspect.Parameter],
    help: dict[str, str],
    options: Mapping[str, Any],
) -> Task[Any]:
    """The Invoke task for a body, with the signature that its flags are read from."""
    run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
    # None tells a flag that was not given from an empty one; see _given.
    declared_parameters = [each.replace(default=None) if each.default == "" else each for each in parameters]
    run.__signature__ = inspect.Signature(declared_parameters)  # type: ignore[attr-defined] # unknown to mypy
    defaults = {parameter.name.strip("_"): parameter.default for parameter in parameters}
    wanted = options.get("positional", ())
    texts = {name: text if name in wanted else _with_default(text, defaults[name]) for name, text in help.items()}
    # Invoke takes the texts out of its own when it parses; the reference of all tasks is made of these.
    run.help_of_flags = dict(texts)  # type: ignore[attr-defined] # a function may carry it
    # Short flags would move whenever a parameter is added. (Invoke types its decorator as one that returns a function.)
    declared: Task[Any] = task(run, help=texts, auto_shortflags=False, **options)  # type: ignore[assignment]
    return declared


def seconds_of(text: str) -> int:
    """The number that `--seconds` gives. Raises UsageError for anything else."""
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--seconds={text} is not a number of seconds from 1")
    return int(text)


def words_of(command: str) -> list[str]:
    """The words of `--command`, as a shell splits them. Raises UsageError where they are none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command={command}: {error}") from error
    if not words:
        raise UsageError("--command is empty", hint="without it, bash is started")
    return words


def check_tail(text: str) -> None:
    """Raise UsageError for a `--tail` that is no number of lines."""
    if text != "all" and not text.isdecimal():
        raise UsageError(f"--tail={text} is not a number of lines", hint="a number, or `all`")


def _with_default(text: str, default: object) -> str:
    """The help of a flag, with what holds without it: Invoke's `--help` shows no defaults."""
    if "default:" in text:
        return text
    word = {False: "no", True: "yes", "": "none"}.get(default, default) if isinstance(default, (bool, str)) else "none"
    return f"{text} (default: {word})"


@contextmanager
def clean_exit() -> Iterator[None]:
    """Turn our own errors into one message and their exit code; `DEVAI_TRACEBACK=1` shows where they came from."""
    try:
        with _all_ends_as_by_ctrl_c():
            yield
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _fail("interrupted", interrupt)
        # As shells say it: 128 and the number of the signal.
        raise Exit(code=128 + (interrupt.args or (signal.SIGINT,))[0]) from None
    except BrokenPipeError:
        # Who reads has enough, as `head` after its lines. What is left is for nobody.
        _write_nowhere(sys.stdout.fileno())
        raise Exit(code=128 + signal.SIGPIPE) from None
    except (DevaiError, OSError) as error:
        if os.environ.get("DEVAI_TRACEBACK") == "1":
            raise
        # What the file system refuses is the world's: no rights, no room, a file where a folder should be.
        message = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        _fail(message, error)
        raise Exit(code=getattr(error, "exit_code", 1)) from error


@contextmanager
def _all_ends_as_by_ctrl_c() -> Iterator[None]:
    """Have who ends a task otherwise, or closes its terminal, reach what runs for it, too; `nohup` still holds."""
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
        # Nobody can write to a terminal that is gone, and what runs is still to be waited for.
        _write_nowhere(*(stream for stream in (1, 2) if stat.S_ISCHR(os.fstat(stream).st_mode)))
    raise KeyboardInterrupt(number)


def _write_nowhere(*streams: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _fail(message: str, error: BaseException) -> None:
    """Print the message with its code, and the notes on where that leaves the stack."""
    console.fail(message, getattr(error, "code", ""))
    for note in getattr(error, "__notes__", ()):
        console.say(note)
