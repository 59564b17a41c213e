"""Thousands of files as nobody would write them: settings or a clean refusal, each with an address, each in no time.

`nox -s fuzz` runs this with DEVAI_FUZZ=10000. Mutations of the first kind may leave a valid file; whether the verdict
is right is judged by conf/schema.json, through another YAML reader. Those of the second kind never do, and the place of
the mistake is known.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from harness.project import fresh
from ruamel.yaml import YAML

from devai_tasks.cli.program import program
from devai_tasks.config import document
from devai_tasks.config.configuration import scalars
from devai_tasks.config.project import Project
from devai_tasks.config.schema import SHARED

COUNT = int(os.environ.get("DEVAI_FUZZ", "200"))
SECONDS = 1.0
# A cloud whose file has no value that conf/common has, too: a mistake there is fixed by no stronger layer.
NOTHING_OVERRIDDEN = "aws"
ADDRESS = re.compile(r"(conf/[\w./-]+:\d+:\d+|--set .*|DEVAI__\w*(\.\.\.)?|--(env|cloud)=.*)  ")
PIECES = [
    *"{}[],:#&*!|>'\"%@`-?~$.=\\/ \n\t", "${", "}", "${env.A}", "${project.name}", "${secret:A}", "${secrets}", "???",
    "<<", "---", "...", "&a ", "*a", "!!int ", "!x ", "1.10", "0123", "no", "null", "models", "ports", "lab",
    "\\U0001F600", "\\xff", "\0", "\x07", "é", "\u2028", "\ufeff", "\ud800", "- ", "  ", "\n  ", "9" * 400,
    "[" * 50, "a: " * 20,
]  # fmt: skip


def run(*words: str, environ: dict[str, str] | None = None) -> tuple[int, str, float]:
    """`devai` in this process: exit code, what it printed, and the processor time that it took in seconds."""
    printed, code, start = io.StringIO(), 0, time.process_time()
    with (
        contextlib.redirect_stderr(printed),
        contextlib.redirect_stdout(printed),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in (environ or {}).items():
            patch.setenv(name, value)
        try:
            program.run(["devai", *words])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, printed.getvalue(), time.process_time() - start


def is_clean(code: int, printed: str) -> bool:
    """Whether every problem of a refusal stands on a line that begins with an address."""
    if code != 2:
        return code in (0, 1)
    *lines, total = printed.splitlines()
    if not re.fullmatch(r"\d+ errors?\. Nothing was changed\.", total):
        return False
    problems = [line for line in lines if ADDRESS.match(line)]
    return len(problems) == int(total.split()[0])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return fresh(tmp_path_factory.mktemp("fuzz") / "lab")


@pytest.fixture(autouse=True)
def inside(project: Project, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - for its effect
    monkeypatch.chdir(project.root)


def mutated(text: str, some: random.Random) -> str:
    """A text with one to four small things wrong."""
    for _ in range(some.randint(1, 4)):
        at, end = sorted(some.randrange(len(text) + 1) for _ in range(2))
        end = min(end, at + 12)
        lines = text.splitlines(keepends=True)
        text = some.choice(
            [
                text[:at] + some.choice(PIECES) + text[at:],
                text[:at] + text[end:],
                text[:at] + some.choice(PIECES) + text[end:],
                text[:at] + text[at:end] * 2 + text[end:],
                "".join(some.sample(lines, len(lines))),
                text[:at],
            ]
        )
    return text


def judge(schema: dict[str, object], text: str) -> bool:
    """Whether another YAML reader and the schema for editors take a layer, too."""
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except Exception:  # noqa: BLE001 - whatever it has against the text
        return False
    return jsonschema.Draft202012Validator(schema).is_valid(tree)


def test_mutated_file_loads_or_is_refused(project: Project) -> None:
    files = [file for folder in SHARED for file in sorted((project.conf / folder).glob("*.yaml"))]
    schema = json.loads((project.conf / "schema.json").read_text(encoding="utf-8"))
    some, valid, slowest = random.Random(0), 0, 0.0
    for turn in range(COUNT):
        file = some.choice(files)
        before = file.read_text(encoding="utf-8")
        text = mutated(before, some)
        cloud = file.stem if file.parent.name == "clouds" else NOTHING_OVERRIDDEN
        cloud, environment = file.stem.split("-") if file.parent.name == "stacks" else (cloud, "dev")
        environment = file.stem if file.parent.name == "profiles" else environment
        file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            code, printed, seconds = run("config.check", f"--env={environment}", f"--cloud={cloud}")
        finally:
            file.write_text(before, encoding="utf-8")
        case = f"turn {turn}: {file.relative_to(project.root)}\n{text!r}\n{printed}"
        assert "Traceback" not in printed, case
        assert is_clean(code, printed), case
        if code != 2:
            valid += 1
            assert judge(schema, text), f"taken, and the schema refuses it: {case}"
        slowest = max(slowest, seconds)
        assert seconds < SECONDS, case
    print(f"\n{COUNT} mutated files: {valid} still valid, {COUNT - valid} refused; the slowest took {slowest:.2f} s")
    assert 0 < valid < COUNT


def taken(schema: dict[str, object], key: str, value: str, printed: str) -> bool:
    """Whether settings that are shown are valid to the schema for editors, and have what was asked for."""
    shown = json.loads(printed)
    del shown["secrets"]  # *** stands for each
    if not jsonschema.Draft202012Validator(schema).is_valid(shown):
        return False
    if value[:1] in tuple("[{'\""):
        return judge({}, value)  # one value, and nothing behind it
    return key != "env.A" or "${" in value or shown["env"]["A"] == value


def test_random_overrides_load_or_are_refused(project: Project) -> None:
    schema = json.loads((project.conf / "schema.json").read_text(encoding="utf-8"))
    valid = 0
    some, keys = (
        random.Random(1),
        ["ports.lab", "env.A", "models", "gpu", "secrets.B", "labels.a.b/c", "compute.provider"],
    )
    for _ in range(COUNT // 5):
        key, value = some.choice([*keys, some.choice(PIECES)]), "".join(some.choices(PIECES, k=some.randint(0, 4)))
        value = value.replace("\0", "").replace("\ud800", "")  # which no system lets in
        key = key.replace("\0", "").replace("\ud800", "")
        name = "DEVAI__" + re.sub(r"[^A-Z_]", "_", key.upper().replace(".", "__"))
        for words, environ in (([f"--set={key}={value}"], {}), ([], {name: value})):
            code, printed, seconds = run("config.show", "--json", *words, environ=environ)
            assert is_clean(code, printed), (words, environ, printed)
            assert seconds < SECONDS
            if code == 0:
                valid += 1
                assert taken(schema, key, value, printed), (words, environ, printed)
    assert valid


def wrong_key(text: str, line: int, _: random.Random) -> tuple[str, int]:
    lines = text.splitlines(keepends=True)
    indent = re.match(r" *", lines[line]).group()  # type: ignore[union-attr]
    return "".join([*lines[:line], f"{indent}no_such_key: 1\n", *lines[line:]]), line + 1


def wrong_value(text: str, line: int, some: random.Random) -> tuple[str, int]:
    lines = text.splitlines(keepends=True)
    name = lines[line].partition(":")[0]
    bad = some.choice(["{a: {b: c}}", "[[a]]", "!x y", "${nobody}", "${secret:A}", "{a: 1, a: 2}"])
    return "".join([*lines[:line], f"{name}: {bad}\n", *lines[line + 1 :]]), line + 1


def twice(text: str, line: int, _: random.Random) -> tuple[str, int]:
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: line + 1], lines[line], *lines[line + 1 :]]), line + 2


@pytest.mark.parametrize("spoil", [wrong_key, wrong_value, twice], ids=lambda spoil: spoil.__name__)
def test_invalid_file_is_refused_with_location_of_mistake(
    project: Project, spoil: Callable[[str, int, random.Random], tuple[str, int]]
) -> None:
    some = random.Random(2)
    typed = [
        (file, int(place.split(":")[1]) - 1)
        for file in sorted((project.conf / "common").glob("*.yaml"))
        if file.stem not in ("env", "labels", "secrets", "models")  # maps and lists of anything
        for key, _ in scalars(document.read(file, file.name).tree, ())
        if isinstance(key[-1], str) and ":" not in key[-1]
        for place in [document.read(file, file.name).key_locations[key]]
    ]
    for _ in range(COUNT // 10):
        file, line = some.choice(typed)
        before = file.read_text(encoding="utf-8")
        text, number = spoil(before, line, some)
        file.write_text(text, encoding="utf-8")
        try:
            code, printed, _seconds = run("config.show", f"--cloud={NOTHING_OVERRIDDEN}")
        finally:
            file.write_text(before, encoding="utf-8")
        assert code == 2, text
        name = Path(file).relative_to(project.root).as_posix()
        assert re.search(rf"^{re.escape(name)}:{number}:\d+  ", printed, flags=re.MULTILINE), f"{text}\n{printed}"
