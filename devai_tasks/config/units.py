"""Quantities, parsed once and rendered in the format of each tool."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

_MULTIPLES = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, order=True)
class Cpu:
    """CPU capacity in thousandths of a core."""

    LEAST: ClassVar = 10  # the minimum of the Docker engine: 0.01 cores
    MOST: ClassVar = 4096 * 1000  # no machine has more

    millicores: int

    @classmethod
    def parse(cls, text: str) -> Cpu:
        """Parse cores (`2`, `0.5`) or millicores (`500m`).

        Raises:
            ValueError: The text has another format, or the quantity is less than `LEAST` or more than `MOST`.
        """
        match = re.fullmatch(r"(\d{1,9})m|(\d{1,9})(?:\.(\d{1,3}))?", text, re.ASCII)
        if not match:
            raise ValueError("not a number of cores, such as 2, 0.5 or 500m")
        milli, whole, fraction = match.groups()
        cpu = cls(int(milli) if milli else int(whole) * 1000 + int((fraction or "").ljust(3, "0")))
        if cpu.millicores < cls.LEAST:
            raise ValueError(f"at least {cls.LEAST}m, the minimum of a container")
        if cpu.millicores > cls.MOST:
            raise ValueError(f"at most {cls(cls.MOST)} cores")
        return cpu

    @property
    def cores(self) -> str:
        """The quantity in the format of Compose: `2`, `0.5`."""
        return f"{self.millicores // 1000}.{self.millicores % 1000:03}".rstrip("0").rstrip(".")

    def __str__(self) -> str:
        """Return the quantity in the format of Kubernetes and Cloud Run: `2`, `500m`."""
        return self.cores if self.millicores % 1000 == 0 else f"{self.millicores}m"


@dataclass(frozen=True, order=True)
class Size:
    """Size of memory or a disk in bytes."""

    LEAST: ClassVar = 2**20
    MOST: ClassVar = 1024 * 2**40

    bytes: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """Parse a number with Ki, Mi, Gi, Ti (powers of 1024) or kB, MB, GB, TB (powers of 1000).

        Raises:
            ValueError: The text has another format, or the size is out of range. A unit is required, because a number
                without one is most likely a mistake.
        """
        match = re.fullmatch(r"(\d{1,18})(?:\.(\d{1,18}))?(Ki|Mi|Gi|Ti|kB|MB|GB|TB)", text, re.ASCII)
        if not match:
            raise ValueError("not a size: a number with Ki, Mi, Gi or Ti (or kB, MB, GB, TB), such as 4Gi")
        whole, fraction, unit = match.groups()
        scale = 10 ** len(fraction or "")
        size = cls(int(whole + (fraction or "")) * _MULTIPLES[unit] // scale)
        if not cls.LEAST <= size.bytes <= cls.MOST:
            raise ValueError(f"a size from {cls(cls.LEAST)} to {cls(cls.MOST)}")
        return size

    @property
    def mib(self) -> int:
        """The size in MiB, rounded down: the unit of Fargate."""
        return self.bytes // 2**20

    @property
    def gib(self) -> float:
        """The size in GiB, rounded to hundredths: the unit that Container Instances calls GB."""
        return round(self.bytes / 2**30, 2)

    @property
    def whole_gib(self) -> int:
        """The size in GiB, rounded up: the unit of file systems in clouds."""
        return -(-self.bytes // 2**30)

    @property
    def quantity(self) -> str:
        """The size in the format of Kubernetes and Cloud Run, with decimal units without B: `4Gi`, `50G`, `500k`."""
        text = str(self)
        return text.removesuffix("B") if "." not in text else str(self.bytes)

    def __str__(self) -> str:
        counts = [(self.bytes // size, unit) for unit, size in _MULTIPLES.items() if self.bytes % size == 0]
        if counts:
            count, unit = min(counts)  # the unit with the fewest digits
            return f"{count}{unit}"
        return f"{self.bytes // 1000}.{self.bytes % 1000:03}kB"


@dataclass(frozen=True, order=True)
class Duration:
    """A duration in seconds."""

    MOST: ClassVar = 3650 * 86400

    seconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Parse a whole number with s, m, h or d.

        Raises:
            ValueError: The text has another format, or the duration is longer than `MOST`.
        """
        match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
        if not match:
            raise ValueError("not a duration: a whole number with s, m, h or d, such as 90s or 2h")
        duration = cls(int(match[1]) * _SECONDS[match[2]])
        if duration.seconds > cls.MOST:
            raise ValueError(f"at most {cls(cls.MOST)}")
        return duration

    def __str__(self) -> str:
        for unit in ("d", "h", "m"):
            if self.seconds and self.seconds % _SECONDS[unit] == 0:
                return f"{self.seconds // _SECONDS[unit]}{unit}"
        return f"{self.seconds}s"
