"""Quoting and escaping: the parser of each format returns the original text."""

from __future__ import annotations

import json

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from devai_tasks.targets.templating import escape_compose, quote_dotenv, quote_yaml, template

# All of Unicode that a file can hold; the C0 and C1 controls are escaped by JSON or refused by YAML readers.
TEXT = some.text(some.characters(exclude_categories=["Cs", "Cc"]))


@given(TEXT | some.lists(TEXT))
def test_quoted_yaml_round_trips(value: str | list[str]) -> None:
    assert yaml.safe_load(quote_yaml(value)) == value


@given(TEXT)
def test_quoted_yaml_may_be_a_key(text: str) -> None:
    assert yaml.safe_load(f"{quote_yaml(text)}: 1") == {text: 1}


@given(some.text())
def test_escaped_text_has_no_variable_in_a_compose_file(text: str) -> None:
    escaped = escape_compose(text)
    assert escaped.replace("$$", "$") == text
    assert "$" not in escaped.replace("$$", "")


@given(TEXT.filter(lambda text: "'" not in text and not text.endswith("\\")))
def test_dotenv_value_is_single_quoted_unchanged(text: str) -> None:
    assert quote_dotenv(text) == f"'{text}'"


@given(TEXT)
def test_dotenv_value_with_a_single_quote_is_escaped_in_double_quotes(text: str) -> None:
    quoted = quote_dotenv(f"'{text}")
    assert quoted[0] == quoted[-1] == '"'
    assert json.loads(quoted.replace("\\$", "$")) == f"'{text}"


def test_template_with_an_undefined_variable_fails() -> None:
    with pytest.raises(jinja2.UndefinedError):
        template("compose.env")
