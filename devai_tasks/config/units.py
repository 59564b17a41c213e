"""Quantities: parsed once, rendered as each tool wants them."""

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
    """Processor time, in thousandths of a core."""

    LEAST: ClassVar = 10  # the Docker engine's minimum of 0.01 cores
    MOST: ClassVar = 4096 * 1000  # no machine has more

    millicores: int

    @classmethod
    def parse(cls, text: str) -> Cpu:
        """Cores (`2`, `0.5`) or millicores (`500m`).

        Raises ValueError for anything else, for less than `LEAST` and for more than `MOST`.
        """
        match = re.fullmatch(r"(\d{1,9})m|(\d{1,9})(?:\.(\d{1,3}))?", text, re.ASCII)
        if not match:
            raise ValueError("not a number of cores, such as 2, 0.5 or 500m")
        milli, whole, fraction = match.groups()
        cpu = cls(int(milli) if milli else int(whole) * 1000 + int((fraction or "").ljust(3, "0")))
        if cpu.millicores < cls.LEAST:
            raise ValueError(f"less than {cls.LEAST}m, the least that a container can have")
        if cpu.millicores > cls.MOST:
            raise ValueError(f"more than {cls(cls.MOST)} cores, which no machine has")
        return cpu

    @property
    def cores(self) -> str:
        """As Compose writes it: `2`, `0.5`."""
        return f"{self.millicores // 1000}.{self.millicores % 1000:03}".rstrip("0").rstrip(".")

    def __str__(self) -> str:
        """As people, Kubernetes and Cloud Run write it: `2`, `500m`."""
        return self.cores if self.millicores % 1000 == 0 else f"{self.millicores}m"


@dataclass(frozen=True, order=True)
class Size:
    """Memory or disk, in bytes."""

    LEAST: ClassVar = 2**20
    MOST: ClassVar = 1024 * 2**40

    bytes: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """A number with Ki, Mi, Gi, Ti (powers of 1024) or kB, MB, GB, TB (powers of 1000).

        Raises ValueError for anything else; a bare number too, because nobody means bytes.
        """
        match = re.fullmatch(r"(\d{1,18})(?:\.(\d{1,18}))?(Ki|Mi|Gi|Ti|kB|MB|GB|TB)", text, re.ASCII)
        if not match:
            raise ValueError("not a size: a number with Ki, Mi, Gi or Ti (or kB, MB, GB, TB), such as 4Gi")
        whole, fraction, unit = match.groups()
        scale = 10 ** len(fraction or "")
        size = cls(int(whole + (fraction or "")) * _MULTIPLES[unit] // scale)
        if not cls.LEAST <= size.bytes <= cls.MOST:
            raise ValueError(f"not in {cls(cls.LEAST)} to {cls(cls.MOST)}")
        return size

    @property
    def mib(self) -> int:
        """Whole MiB, never more than there are: Fargate's measure."""
        return self.bytes // 2**20

    @property
    def gib(self) -> float:
        """GiB, in hundredths: what Container Instances calls GB."""
        return round(self.bytes / 2**30, 2)

    @property
    def whole_gib(self) -> int:
        """GiB, rounded up: how clouds measure file systems."""
        return -(-self.bytes // 2**30)

    @property
    def quantity(self) -> str:
        """As Kubernetes and Cloud Run write it, whose decimal units have no B: `4Gi`, `50G`, `500k`."""
        text = str(self)
        return text.removesuffix("B") if "." not in text else str(self.bytes)

    def __str__(self) -> str:
        counts = [(self.bytes // size, unit) for unit, size in _MULTIPLES.items() if self.bytes % size == 0]
        if counts:
            count, unit = min(counts)  # the fewest digits: as people would write it
            return f"{count}{unit}"
        return f"{self.bytes // 1000}.{self.bytes % 1000:03}kB"


@dataclass(frozen=True, order=True)
class Duration:
    """A span of time, in seconds."""

    MOST: ClassVar = 3650 * 86400

    seconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """A whole number with s, m, h or d. Raises ValueError for anything else, and for more than `MOST`."""
        match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
        if not match:
            raise ValueError("not a time: a whole number with s, m, h or d, such as 90s or 2h")
        duration = cls(int(match[1]) * _SECONDS[match[2]])
        if duration.seconds > cls.MOST:
            raise ValueError(f"more than {cls(cls.MOST)}")
        return duration

    def __str__(self) -> str:
        for unit in ("d", "h", "m"):
            if self.seconds and self.seconds % _SECONDS[unit] == 0:
                return f"{self.seconds // _SECONDS[unit]}{unit}"
        return f"{self.seconds}s"
