"""The data of a stack: what people have in the lab's home."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from devai_tasks.cli.decorators import stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError, one_line

_CLUSTER = {"cluster": "of a stack of this machine, the lab in its local cluster (default: that of Compose)"}


@stack_task(
    owned=True, help={"file": "the archive to write, such as home.tar.gz; it must not be there yet", **_CLUSTER}
)
def backup(c: Context, session: Session, file: str = "", cluster: bool = False) -> None:
    """Write the lab's home to an archive on this machine, while the lab runs, without caches and mounted folders."""
    from devai_tasks.stack import backup as data
    from devai_tasks.stack import terraform_step

    archive = _file(file)
    settings = terraform_step.informed(session).settings
    made = data.backup(session.project, settings, archive, in_cluster=cluster, dry=session.dry)
    if made is None:
        return
    console.say(
        f"{archive}: {console.size(made.size)}, verified: {_content(made.content.files, made.content.bytes)}; "
        f"the checksum is in {made.checksum}"
    )
    for name, where in sorted(made.left_out.items()):
        console.warn(f"~/{one_line(name)} is not in the backup: it {where}")


@stack_task(changes=True, asks=True, help={"file": "an archive that data.backup has written", **_CLUSTER})
def restore(c: Context, session: Session, file: str = "", cluster: bool = False) -> None:
    """Put an archive's files back into the lab's home, while the lab runs; others stay."""
    from devai_tasks.stack import backup as data
    from devai_tasks.stack import consent, owner_checks, terraform_step

    with data.opened(session.project, session.settings, _file(file)) as archive:
        session = terraform_step.informed(session)
        compute = session.settings.compute
        if cluster or (not compute.uses_compose and compute.uses_kubernetes):
            owner_checks.check_cluster(session, session.cluster)
        consent.allow(session, f"files of its home are replaced by those of the same name in {file}")
        restored = data.restore(session.project, session.settings, archive, in_cluster=cluster, dry=session.dry)
    if restored is None:
        return
    console.say(f"restored: {_content(restored.files, restored.bytes)}")
    for skipped in restored.skipped:
        names = [*map(one_line, skipped.names), *(["..."] if skipped.count > len(skipped.names) else [])]
        console.warn(f"{skipped.count:,} not restored, {one_line(skipped.reason)}: {', '.join(names)}")


def _content(files: int, size: int) -> str:
    return f"{files:,} file{'s' if files != 1 else ''}, {console.size(size)}"


def _file(name: str) -> Path:
    if not name:
        raise UsageError("--file is missing", hint="name the archive, as `--file=home.tar.gz`")
    return Path(name)
