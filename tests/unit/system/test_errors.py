"""Messages and exit codes of errors."""

from __future__ import annotations

from devai_tasks.system.errors import ConfigError, DevaiError, Problem, ToolError, UsageError, nearest, unknown


def test_exit_code_is_2_for_usage_errors_and_1_for_other_errors() -> None:
    assert UsageError.exit_code == ConfigError.exit_code == 2
    assert DevaiError.exit_code == ToolError.exit_code == 1


def test_each_problem_is_reported_once_and_counted() -> None:
    first, second = Problem("a.yaml:1:1", "a = 1", "not b"), Problem("b.yaml:2:1", "c", "no such key")
    assert str(ConfigError([first, second, first])) == (
        "a.yaml:1:1  a = 1\n  not b\nb.yaml:2:1  c\n  no such key\n2 errors. Nothing was changed."
    )
    assert str(ConfigError([first])).endswith("\n1 error. Nothing was changed.")


def test_similar_name_is_suggested() -> None:
    assert nearest("prots", ["ports", "models"]) == "; did you mean ports?"
    assert nearest("zzz", ["ports", "models"]) == ""


def test_unknown_name_is_reported_with_the_known_names() -> None:
    assert unknown("cloud", "lcoal", ["local", "aws"]) == (
        "unknown cloud 'lcoal'; did you mean local? (there are: aws, local)"
    )
