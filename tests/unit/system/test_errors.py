"""What people read when something is wrong."""

from __future__ import annotations

from devai_tasks.system.errors import ConfigError, DevaiError, Problem, ToolError, UsageError, nearest, unknown


def test_a_persons_mistake_ends_with_2_and_the_worlds_with_1() -> None:
    assert UsageError.exit_code == ConfigError.exit_code == 2
    assert DevaiError.exit_code == ToolError.exit_code == 1


def test_each_problem_is_told_once_and_all_are_counted() -> None:
    one, two = Problem("a.yaml:1:1", "a = 1", "not b"), Problem("b.yaml:2:1", "c", "no such key")
    assert str(ConfigError([one, two, one])) == (
        "a.yaml:1:1  a = 1\n  not b\nb.yaml:2:1  c\n  no such key\n2 errors. Nothing was changed."
    )
    assert str(ConfigError([one])).endswith("\n1 error. Nothing was changed.")


def test_the_nearest_name_is_offered_only_where_one_is_near() -> None:
    assert nearest("prots", ["ports", "models"]) == "; did you mean ports?"
    assert nearest("zzz", ["ports", "models"]) == ""


def test_an_unknown_name_is_told_with_those_that_there_are() -> None:
    assert unknown("cloud", "lcoal", ["local", "aws"]) == (
        "unknown cloud 'lcoal'; did you mean local? (there are: aws, local)"
    )
