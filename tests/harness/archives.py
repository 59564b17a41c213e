"""Archives with arbitrary members, and their restore into a home folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import devai_restore
from devai_archive import RESERVED_NAME, Report

Make = Callable[[tarfile.TarFile], None]


def packed(*makes: Make, **options: Any) -> bytes:
    """Return an archive with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1, **options) as tar:
        for make in makes:
            make(tar)
    return buffer.getvalue()


def member(name: str, content: bytes | None = None, **attributes: Any) -> Make:
    """Return a member: a file with the content, or what the attributes of `tarfile.TarInfo` define."""

    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content or b"")
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        tar.addfile(info, io.BytesIO(content or b""))

    return add


def folder(name: str, mode: int = 0o755) -> Make:
    return member(name, type=tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Make:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> Make:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def restore(home: Path, archive: bytes) -> Report:
    return devai_restore.restore(home, io.BytesIO(archive), {("work",)})


def tree(root: Path) -> dict[str, str]:
    """Return the contents of a folder by path: text of files, targets of symbolic links."""
    contents = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            contents[str(path.relative_to(root))] = f"-> {path.readlink()}"
        elif not path.is_dir():
            contents[str(path.relative_to(root))] = path.read_text(encoding="utf-8") if path.is_file() else "no file"
    return contents


def reasons(report: Report) -> dict[str, list[str]]:
    return {entry["reason"]: entry["names"] for entry in report.as_json()["skipped"]}


def left_behind(home: Path) -> list[str]:
    """Return the temporary files that a finished restore should have removed."""
    return [path.name for path in home.glob(f"{RESERVED_NAME}*")]
