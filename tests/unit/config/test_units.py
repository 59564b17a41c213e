"""Quantities: valid and invalid notations, and formatting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from devai_tasks.config.units import Cpu, Duration, Size


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("2", 2000), ("0.5", 500), ("500m", 500), ("0.01", 10), ("1.25", 1250), ("0.125", 125), ("02", 2000)],
)
def test_cores_are_parsed_in_every_notation(text: str, millicores: int) -> None:
    assert Cpu.parse(text).millicores == millicores


@pytest.mark.parametrize(
    "text", ["", "two", "-1", "1.", ".5", "1e3", "1.2345", "2 ", "m", "0", "9m", "0.001", "1,5", "٤"]
)
def test_invalid_number_of_cores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cores|at least 10m"):
        Cpu.parse(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4Gi", 4 * 2**30),
        ("512Mi", 2**29),
        ("1.5Gi", 3 * 2**29),
        ("2048Ki", 2**21),
        ("1Ti", 2**40),
        ("4GB", 4 * 10**9),
        ("2000kB", 2_000_000),
    ],
)
def test_sizes_are_parsed_in_binary_and_decimal_units(text: str, count: int) -> None:
    assert Size.parse(text).bytes == count


@pytest.mark.parametrize(
    "text", ["", "4", "4G", "4gi", "4 Gi", "-4Gi", "Gi", "4Gib", "1e3Mi", "1Ki", "0Gi", "1.Gi", "٤Gi"]
)
def test_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a size|a size from 1Mi to 1024Ti"):
        Size.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400)])
def test_durations_are_parsed_with_their_unit(text: str, seconds: int) -> None:
    assert Duration.parse(text).seconds == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "-1s", "5min", "12:30", "1h30m", " 5m", "٤h"])
def test_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Cpu, "4097", "at most 4096 cores"),
        (Cpu, "9" * 5000, "not a number of cores"),
        (Size, "1025Ti", "a size from 1Mi to 1024Ti"),
        (Size, "1." + "0" * 5000 + "Gi", "not a size"),
        (Duration, "3651d", "at most 3650d"),
        (Duration, "9" * 5000 + "s", "not a duration"),
    ],
)
def test_quantity_beyond_its_limit_is_refused(kind: type[Cpu | Size | Duration], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind.parse(text)


@pytest.mark.parametrize(("text", "formatted"), [("2000m", "2"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("120m", "2h")])
def test_quantity_is_formatted_in_its_largest_exact_unit(text: str, formatted: str) -> None:
    kind = Size if text.endswith("Mi") else Duration if text == "120m" else Cpu
    assert str(kind.parse(text)) == formatted


def test_quantities_are_compared_by_amount() -> None:
    assert Cpu.parse("500m") == Cpu.parse("0.5") < Cpu.parse("1")
    assert Size.parse("1GB") < Size.parse("1Gi")
    assert Duration.parse("59m") < Duration.parse("1h") == Duration.parse("60m")


@given(some.builds(Cpu, some.integers(Cpu.LEAST, Cpu.MOST)))
def test_any_number_of_cores_round_trips(cpu: Cpu) -> None:
    assert Cpu.parse(str(cpu)) == cpu
    assert Cpu.parse(cpu.cores) == cpu


@given(some.builds(Size, some.integers(Size.LEAST, Size.MOST)))
def test_any_size_round_trips(size: Size) -> None:
    assert Size.parse(str(size)) == size


@given(some.builds(Duration, some.integers(0, Duration.MOST)))
def test_any_duration_round_trips(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("text", "cores", "quantity"),
    [("250m", "0.25", "250m"), ("0.5", "0.5", "500m"), ("1", "1", "1"), ("1.5", "1.5", "1500m"), ("16", "16", "16")],
)
def test_cores_are_formatted_for_each_tool(text: str, cores: str, quantity: str) -> None:
    cpu = Cpu.parse(text)
    assert cpu.cores == cores  # Compose
    assert str(cpu) == quantity  # Kubernetes


@pytest.mark.parametrize(
    ("text", "size_in_bytes", "mib", "gib", "whole_gib", "quantity"),
    [
        ("4Gi", 4 * 2**30, 4096, 4.0, 4, "4Gi"),
        ("1536Mi", 1536 * 2**20, 1536, 1.5, 2, "1536Mi"),
        ("50GB", 50 * 10**9, 47683, 46.57, 47, "50G"),
        ("1.5Gi", 1536 * 2**20, 1536, 1.5, 2, "1536Mi"),
        ("1Ti", 2**40, 2**20, 1024.0, 1024, "1Ti"),
        ("1100kB", 1_100_000, 1, 0.0, 1, "1100k"),
        ("1.0486MB", 1_048_600, 1, 0.0, 1, "1048600"),
    ],
)
def test_sizes_are_formatted_for_each_tool(  # noqa: PLR0913, PLR0917 - a table
    text: str, size_in_bytes: int, mib: int, gib: float, whole_gib: int, quantity: str
) -> None:
    size = Size.parse(text)
    assert (size.bytes, size.mib, size.gib, size.whole_gib, size.quantity) == (
        size_in_bytes, mib, gib, whole_gib, quantity,
    )  # fmt: skip
