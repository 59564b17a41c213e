"""Data: back up and restore the users' files in the lab's home directory."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from devai_tasks.cli.decorators import stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError, one_line

_CLUSTER = {"cluster": "for a local stack, use the lab in the local cluster (default: the lab in Compose)"}


@stack_task(owned=True, help={"file": "archive to write, such as home.tar.gz; it must not exist", **_CLUSTER})
def backup(c: Context, session: Session, file: str = "", cluster: bool = False) -> None:
    """Write the home directory of a running lab to an archive, without caches and mounted folders."""
    from devai_tasks.stack import backup as data
    from devai_tasks.stack import terraform_step

    archive = _file(file)
    settings = terraform_step.with_state(session).settings
    written = data.backup(session.project, settings, archive, in_cluster=cluster, dry=session.dry)
    if written is None:
        return
    console.say(
        f"{archive}: {console.size(written.size)}, verified: {_content(written.content.files, written.content.bytes)}; "
        f"the checksum is in {written.checksum}"
    )
    for name, reason in sorted(written.left_out.items()):
        console.warn(f"~/{one_line(name)} is not in the backup: it {reason}")


@stack_task(changes=True, asks=True, help={"file": "archive that `inv data.backup` wrote", **_CLUSTER})
def restore(c: Context, session: Session, file: str = "", cluster: bool = False) -> None:
    """Restore the files of an archive into the home directory of a running lab; keep all other files."""
    from devai_tasks.stack import backup as data
    from devai_tasks.stack import consent, owner_checks, terraform_step

    with data.opened(session.project, session.settings, _file(file)) as archive:
        session = terraform_step.with_state(session)
        compute = session.settings.compute
        if cluster or (not compute.uses_compose and compute.uses_kubernetes):
            owner_checks.check_cluster(session, session.cluster)
        consent.allow(session, f"files in its home directory are replaced by files of the same name in {file}")
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
        raise UsageError("--file is missing", hint="name the archive, such as `--file=home.tar.gz`")
    return Path(name)
