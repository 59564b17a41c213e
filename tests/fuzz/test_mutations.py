"""Mutated configuration files: each loads or gives errors with locations, within a second.

`nox -s fuzz` runs this with DEVAI_FUZZ=10000. Random mutations may leave a valid file; then the file must also be valid
by conf/schema.json, parsed by another YAML parser. The mutations of the last test always leave an invalid file, and the
location of the mistake is known.
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
# A cloud whose file overrides no value of conf/common, so that mistakes in conf/common always matter.
NOTHING_OVERRIDDEN = "aws"
LOCATION = re.compile(r"(conf/[\w./-]+:\d+:\d+|--set .*|DEVAI__\w*(\.\.\.)?|--(env|cloud)=.*)  ")
PIECES = [
    *"{}[],:#&*!|>'\"%@`-?~$.=\\/ \n\t", "${", "}", "${env.A}", "${project.name}", "${secret:A}", "${secrets}", "???",
    "<<", "---", "...", "&a ", "*a", "!!int ", "!x ", "1.10", "0123", "no", "null", "models", "ports", "lab",
    "\\U0001F600", "\\xff", "\0", "\x07", "é", "\u2028", "\ufeff", "\ud800", "- ", "  ", "\n  ", "9" * 400,
    "[" * 50, "a: " * 20,
]  # fmt: skip


def run(*arguments: str, environ: dict[str, str] | None = None) -> tuple[int, str, float]:
    """Run `devai` in this process; return its exit code, its output and its CPU time in seconds."""
    output, code, start = io.StringIO(), 0, time.process_time()
    with (
        contextlib.redirect_stderr(output),
        contextlib.redirect_stdout(output),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in (environ or {}).items():
            patch.setenv(name, value)
        try:
            program.run(["devai", *arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return code, output.getvalue(), time.process_time() - start


def is_clean(code: int, output: str) -> bool:
    """Whether the run succeeded, or each reported error is on a line that begins with a location."""
    if code != 2:
        return code in (0, 1)
    *lines, total = output.splitlines()
    if not re.fullmatch(r"\d+ errors?\. Nothing was changed\.", total):
        return False
    problems = [line for line in lines if LOCATION.match(line)]
    return len(problems) == int(total.split()[0])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return fresh(tmp_path_factory.mktemp("fuzz") / "lab")


@pytest.fixture(autouse=True)
def inside(project: Project, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - for its effect
    monkeypatch.chdir(project.root)


def mutated(text: str, generator: random.Random) -> str:
    """Return a text with one to four random changes."""
    for _ in range(generator.randint(1, 4)):
        start, end = sorted(generator.randrange(len(text) + 1) for _ in range(2))
        end = min(end, start + 12)
        lines = text.splitlines(keepends=True)
        text = generator.choice(
            [
                text[:start] + generator.choice(PIECES) + text[start:],
                text[:start] + text[end:],
                text[:start] + generator.choice(PIECES) + text[end:],
                text[:start] + text[start:end] * 2 + text[end:],
                "".join(generator.sample(lines, len(lines))),
                text[:start],
            ]
        )
    return text


def is_valid_layer(schema: dict[str, object], text: str) -> bool:
    """Whether a layer is also valid for another YAML parser and the schema for editors."""
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except Exception:  # noqa: BLE001 - any error means an invalid text
        return False
    return jsonschema.Draft202012Validator(schema).is_valid(tree)


def test_mutated_file_loads_or_is_refused(project: Project) -> None:
    files = [file for folder in SHARED for file in sorted((project.conf / folder).glob("*.yaml"))]
    schema = json.loads((project.conf / "schema.json").read_text(encoding="utf-8"))
    generator, accepted, slowest = random.Random(0), 0, 0.0
    for attempt in range(COUNT):
        file = generator.choice(files)
        before = file.read_text(encoding="utf-8")
        text = mutated(before, generator)
        cloud = file.stem if file.parent.name == "clouds" else NOTHING_OVERRIDDEN
        cloud, environment = file.stem.split("-") if file.parent.name == "stacks" else (cloud, "dev")
        environment = file.stem if file.parent.name == "profiles" else environment
        file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            code, output, seconds = run("config.check", f"--env={environment}", f"--cloud={cloud}")
        finally:
            file.write_text(before, encoding="utf-8")
        case = f"attempt {attempt}: {file.relative_to(project.root)}\n{text!r}\n{output}"
        assert "Traceback" not in output, case
        assert is_clean(code, output), case
        if code != 2:
            accepted += 1
            assert is_valid_layer(schema, text), f"loads, but is invalid by the schema: {case}"
        slowest = max(slowest, seconds)
        assert seconds < SECONDS, case
    print(f"\n{COUNT} mutated files: {accepted} valid, {COUNT - accepted} refused; slowest {slowest:.2f} s")
    assert 0 < accepted < COUNT


def is_applied(schema: dict[str, object], key: str, value: str, output: str) -> bool:
    """Whether printed settings are valid by the schema for editors and contain the overridden value."""
    settings = json.loads(output)
    del settings["secrets"]  # values are printed as ***
    if not jsonschema.Draft202012Validator(schema).is_valid(settings):
        return False
    if value[:1] in tuple("[{'\""):
        return is_valid_layer({}, value)  # one value, without text after it
    return key != "env.A" or "${" in value or settings["env"]["A"] == value


def test_random_overrides_load_or_are_refused(project: Project) -> None:
    schema = json.loads((project.conf / "schema.json").read_text(encoding="utf-8"))
    accepted = 0
    generator, keys = (
        random.Random(1),
        ["ports.lab", "env.A", "models", "gpu", "secrets.B", "labels.a.b/c", "compute.provider"],
    )
    for _ in range(COUNT // 5):
        key, value = (
            generator.choice([*keys, generator.choice(PIECES)]),
            "".join(generator.choices(PIECES, k=generator.randint(0, 4))),
        )
        value = value.replace("\0", "").replace("\ud800", "")  # not allowed in arguments and variables
        key = key.replace("\0", "").replace("\ud800", "")
        name = "DEVAI__" + re.sub(r"[^A-Z_]", "_", key.upper().replace(".", "__"))
        for arguments, environ in (([f"--set={key}={value}"], {}), ([], {name: value})):
            code, output, seconds = run("config.show", "--json", *arguments, environ=environ)
            assert is_clean(code, output), (arguments, environ, output)
            assert seconds < SECONDS
            if code == 0:
                accepted += 1
                assert is_applied(schema, key, value, output), (arguments, environ, output)
    assert accepted


def wrong_key(text: str, line: int, _: random.Random) -> tuple[str, int]:
    lines = text.splitlines(keepends=True)
    indent = re.match(r" *", lines[line]).group()  # type: ignore[union-attr]
    return "".join([*lines[:line], f"{indent}no_such_key: 1\n", *lines[line:]]), line + 1


def wrong_value(text: str, line: int, generator: random.Random) -> tuple[str, int]:
    lines = text.splitlines(keepends=True)
    name = lines[line].partition(":")[0]
    bad = generator.choice(["{a: {b: c}}", "[[a]]", "!x y", "${unknown}", "${secret:A}", "{a: 1, a: 2}"])
    return "".join([*lines[:line], f"{name}: {bad}\n", *lines[line + 1 :]]), line + 1


def duplicate_key(text: str, line: int, _: random.Random) -> tuple[str, int]:
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: line + 1], lines[line], *lines[line + 1 :]]), line + 2


@pytest.mark.parametrize("mutate", [wrong_key, wrong_value, duplicate_key], ids=lambda mutate: mutate.__name__)
def test_invalid_file_is_refused_with_location_of_mistake(
    project: Project, mutate: Callable[[str, int, random.Random], tuple[str, int]]
) -> None:
    generator = random.Random(2)
    typed = [
        (file, int(location.split(":")[1]) - 1)
        for file in sorted((project.conf / "common").glob("*.yaml"))
        if file.stem not in ("env", "labels", "secrets", "models")  # maps and lists of arbitrary values
        for key, _ in scalars(document.read(file, file.name).tree, ())
        if isinstance(key[-1], str) and ":" not in key[-1]
        for location in [document.read(file, file.name).key_locations[key]]
    ]
    for _ in range(COUNT // 10):
        file, line = generator.choice(typed)
        before = file.read_text(encoding="utf-8")
        text, number = mutate(before, line, generator)
        file.write_text(text, encoding="utf-8")
        try:
            code, output, _seconds = run("config.show", f"--cloud={NOTHING_OVERRIDDEN}")
        finally:
            file.write_text(before, encoding="utf-8")
        assert code == 2, text
        name = Path(file).relative_to(project.root).as_posix()
        assert re.search(rf"^{re.escape(name)}:{number}:\d+  ", output, flags=re.MULTILINE), f"{text}\n{output}"
