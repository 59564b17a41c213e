"""Any text in a file or on the command line gives settings or one error message, never a traceback."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
import yaml
from harness.project import fresh
from harness.settings import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devai_tasks.config import document, reader
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.stack import artifacts
from devai_tasks.system.errors import ConfigError, UsageError
from devai_tasks.workspace import writer

# Texts with a meaning in YAML or OmegaConf, in addition to arbitrary text.
PIECES = st.sampled_from(
    [
        *"{}[],:#&*!|>'\"%@`-?~$.=\\/ \n\t",
        "${", "${env.A}", "${project.name}", "${oc.env:HOME}", "???", "<<", "---", "...", "&a", "*a", "!!int", "1.10",
        "0123", "no", "null", "models", "ports", "lab", "\\U0001F600", "\\xff", "é", "\u2028", "\ufeff",
    ]
)  # fmt: skip
TEXT = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30)
LEAVES = [".".join(map(str, key)) for key in reader.leaves(Settings)]
SECTIONS = list(reader.fields(Settings))
KEYS = st.sampled_from([*LEAVES, *SECTIONS, "env.A", "labels.b", "unknown"]) | TEXT
OVERRIDES = st.lists(st.builds("{}={}".format, KEYS, TEXT) | TEXT, min_size=1, max_size=3)

TREES = st.recursive(
    st.none() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXT, inner, max_size=3),
    max_leaves=8,
)

# OmegaConf warns about interpolations like `${oc.env:,}`, which these tests ignore.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
no_deadline = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose personal.yaml the tests overwrite."""
    return fresh(tmp_path_factory.mktemp("personal") / "lab")


@no_deadline
@given(TEXT)
def test_any_text_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(document.parse(text, "file").tree, dict)


@no_deadline
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_quoted_text_is_parsed_unchanged(text: str) -> None:
    written = yaml.safe_dump({"key": text}, allow_unicode=True, default_style='"')
    assert document.parse(written, "file").tree == {"key": text}


@no_deadline
@given(TEXT)
def test_any_override_value_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        document.parse_value(text)


def settings_or_refusal(project: Project, overrides: list[str]) -> Settings | None:
    try:
        return load(project, Stack("dev", "local"), overrides, environ={})
    except UsageError:
        return None


@no_deadline
@given(OVERRIDES)
def test_any_overrides_render_or_are_refused(shipped: Project, overrides: list[str]) -> None:
    if loaded := settings_or_refusal(shipped, overrides):
        with tempfile.TemporaryDirectory() as folder:
            files = artifacts.render(shipped, loaded)
            written = writer.write(files, Path(folder))
            for path, text in files.items():
                assert (written / path).read_bytes().decode() == text


@no_deadline
@given(st.dictionaries(st.sampled_from(SECTIONS) | TEXT, TREES, min_size=1, max_size=3))
def test_any_layer_loads_or_is_refused(writable: Project, tree: dict[str, object]) -> None:
    (writable.conf / "personal.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    settings_or_refusal(writable, [])
