"""Configuration: show, explain, check, render and change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import plain_task, stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from devai_tasks.config.configuration import Configuration
    from devai_tasks.config.stack import Stack
    from devai_tasks.stack.configuration_edits import FileEdit

_KEY = "one key or section, such as ports.lab (default: all)"


@stack_task(help={"key": _KEY, "json": "print JSON (default: YAML)"})
def show(c: Context, session: Session, key: str = "", json: bool = False) -> None:
    """Show the settings of a stack."""
    import yaml

    from devai_tasks.config import plain

    value = plain.select(session.configuration.plain, key)
    if json:
        return console.show_json(value)
    if isinstance(value, (dict, list)):
        return console.show(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    console.show(str(value).lower() if isinstance(value, bool) else str(value))


@stack_task(help={"key": _KEY, "json": "print JSON (default: text)"})
def explain(c: Context, session: Session, key: str = "", json: bool = False) -> None:
    """Show where values come from, what they override, and which artifacts they affect."""
    from devai_tasks.stack import provenance

    configuration = session.configuration
    keys = configuration.keys(key)
    if json:
        return console.show_json([provenance.plain(configuration, each) for each in keys])
    console.show("\n".join(provenance.text(configuration, each) for each in keys))


@stack_task(
    help={
        "against": "stack to compare with: an environment on the same cloud, or a stack such as aws-prod",
        "json": "print JSON (default: a table)",
    }
)
def diff(c: Context, session: Session, against: str = "", json: bool = False) -> None:
    """Show the keys whose values differ between two stacks."""
    from devai_tasks.stack import configuration_report

    if not against:
        raise UsageError(
            "--against is missing",
            hint="name the stack to compare with, such as `--against=prod` or `--against=aws-prod`",
        )
    project = session.project
    named = {str(stack): stack for stack in project.stacks}
    right = named.get(against) or project.stack(against, session.stack.cloud, locations={"env": f"--against={against}"})
    left = session.stack
    pair = configuration_report.configurations(session.sources, [left, right], session.overrides, gpu=session.gpu)
    rows = configuration_report.differences(*pair)
    if json:
        return console.show_json([{"key": row.key, str(left): row.left, str(right): row.right} for row in rows])
    columns = ["key", str(left), str(right), f"origin in {right}"]
    console.table(
        columns, [[row.key, row.left or "", row.right or "", row.origin.place if row.origin else ""] for row in rows]
    )


@stack_task(help={"json": "print JSON (default: text)"})
def check(c: Context, session: Session, json: bool = False) -> None:
    """Check all stacks, or those of --env and --cloud, for errors (exit code 2) and unused settings (exit code 1)."""
    from devai_tasks.stack import configuration_report

    try:
        loaded = configuration_report.configurations(
            session.sources, _stacks(session), session.overrides, gpu=session.gpu
        )
    except ConfigError as error:
        if not json:
            raise
        console.show_json({"problems": configuration_report.as_json(error.problems), "findings": []})
        raise Exit(code=error.exit_code) from error
    findings = configuration_report.findings(session.sources, loaded)
    if json:
        console.show_json({"problems": [], "findings": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            console.show(str(finding))
        stacks = "1 stack is" if len(loaded) == 1 else f"{len(loaded)} stacks are"
        console.say(f"{stacks} valid, {len(findings) or 'no'} finding{'s' if len(findings) != 1 else ''}")
    if findings:
        raise Exit(code=1)


@stack_task(
    help={
        "all": "render all stacks, or all stacks of --env or --cloud (default: one stack)",
        "diff": "show what would change, without writing",
        "check": "exit with 1 if anything would change, without writing",
        "json": "with --diff or --check, print JSON (default: text)",
    }
)
def render(
    c: Context, session: Session, all: bool = False, diff: bool = False, check: bool = False, json: bool = False
) -> None:
    """Write a stack's artifacts to generated/<stack>/."""
    from devai_tasks.stack import artifacts, configuration_report

    if json and not (diff or check):
        raise UsageError("--json requires --diff or --check")
    loaded = configuration_report.configurations(
        session.sources, _stacks(session) if all else [session.stack], session.overrides, gpu=session.gpu
    )
    for line in configuration_report.placeholders(loaded):
        console.say(f"placeholder: {line}")
    if not (diff or check):
        return _write(session, loaded)
    changes = {
        name: text
        for configuration in loaded
        for name, text in artifacts.diffs(session.project, configuration.settings).items()
    }
    if json:
        console.show_json([{"artifact": name, "diff": text} for name, text in changes.items()])
    elif diff:
        for text in changes.values():
            console.show(text)
    if check:
        for name in changes:
            console.say(f"{name} is out of date")
        if changes:
            raise Exit(code=1)


def _write(session: Session, loaded: list[Configuration]) -> None:
    from devai_tasks.stack import artifacts

    for configuration in loaded:
        folder = session.project.artifacts(configuration.settings.stack).relative_to(session.project.root)
        if session.dry:
            names = artifacts.out_of_date(session.project, configuration.settings)
            console.say(f"would render {folder}/: {len(names)} changed")
            continue
        changed = artifacts.write(session.project, configuration.settings)
        console.say(f"rendered {folder}/: {changed or 'nothing'} changed")


def _stacks(session: Session) -> list[Stack]:
    """Return all stacks that match --env and --cloud."""
    if session.env and session.cloud:
        return [session.stack]
    session.sources.stack(session.env, session.cloud, session.overrides)  # raises for unknown names
    return [
        stack
        for stack in session.project.stacks
        if stack.environment == (session.env or stack.environment) and stack.cloud == (session.cloud or stack.cloud)
    ]


@plain_task(
    help={
        "json": "print the JSON Schema, without writing",
        "check": "exit with 1 if a file is out of date, without writing",
    }
)
def schema(c: Context, json: bool = False, check: bool = False) -> None:
    """Write the JSON Schema for editors (conf/schema.json) and the references of keys and tasks (docs/)."""
    from devai_tasks.cli import task_listing
    from devai_tasks.cli.collections import namespace
    from devai_tasks.config.project import Project
    from devai_tasks.stack import reference
    from devai_tasks.stack.key_reference import json_schema

    if json:
        return console.show_json(json_schema())
    dry = check or bool(c.config.run.dry)
    stale = reference.write(Project.find(), task_listing.markdown(namespace), dry=dry)
    for name in stale:
        console.say(f"{name}: {'is out of date' if dry else 'written'}")
    if check and stale:
        raise Exit(code=1)


@stack_task(
    name="set",
    help={
        "set": "key and new value, such as ports.lab=9000; can be repeated",
        "personal": "write to conf/personal.yaml, for yourself only (default: the file that the other flags select)",
    },
)
def set_(c: Context, session: Session, personal: bool = False) -> None:
    """Set keys in conf/common, or in the profile, cloud or stack that --env and --cloud select."""
    from devai_tasks.stack import configuration_edits

    if session.gpu:
        raise UsageError("--gpu applies to one run only", hint="`--set gpu.enabled=true` sets it permanently")
    edit = configuration_edits.plan(
        session.project, session.overrides, env=session.env, cloud=session.cloud, personal=personal
    )
    _apply(edit, dry=session.dry)


@plain_task(
    help={
        "profile": "create an environment of this name (default: write conf/personal.yaml)",
        "yes": "accept all suggested answers",
    }
)
def init(c: Context, profile: str = "", yes: bool = False) -> None:
    """Ask for the most common settings, and write conf/personal.yaml or a new profile."""
    from devai_tasks.config.project import Project
    from devai_tasks.stack import configuration_edits

    def ask(question: str, suggestion: str) -> str | None:
        return suggestion if yes else console.ask(f"{question} [{suggestion}]:")

    _apply(configuration_edits.interview(Project.find(), profile, ask), dry=bool(c.config.run.dry))


@plain_task(help={"yes": "do not ask (default: ask before anything is changed)"})
def migrate(c: Context, yes: bool = False) -> None:
    """Bring a project of an older version to the current format: the package's files and those in conf/."""
    from devai_tasks.config.project import Project
    from devai_tasks.stack import configuration_migration, consent

    migration = configuration_migration.plan(Project.find())
    if not migration.edits:
        return console.say("the project has the current format")
    for name in migration.package_files:
        console.show(f"replace {name}")
    for name in migration.removed:
        console.show(f"remove {name}")
    for planned in migration.edits:
        console.show(planned.diff)
    for problem in migration.problems:
        console.warn(f"to correct afterwards: {problem}")
    if c.config.run.dry:
        return None
    if not yes:
        consent.require("migrate the project?")
    migration.write()
    console.say("migrated; commit the changes")
    if migration.package_files or migration.removed:
        console.say(f"the previous files are in {migration.kept}")
    return None


def _apply(edit: FileEdit, *, dry: bool) -> None:
    """Show an edit of a file in conf/, and write the file."""
    if not edit.diff:
        return console.say(f"nothing to change in {edit.name}")
    console.show(edit.diff)
    for note in edit.notes:
        console.warn(note)
    if not dry:
        edit.write()
        console.say(f"wrote {edit.name}")
