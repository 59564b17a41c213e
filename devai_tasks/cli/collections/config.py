"""Configuration: what it says and why, what is wrong with it, what is made of it, and changes to it."""

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
    from devai_tasks.stack.configuration_edits import Change

_KEY = "one key or section, such as ports.lab (default: all)"


@stack_task(help={"key": _KEY, "json": "for programs (default: YAML)"})
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


@stack_task(help={"key": _KEY, "json": "for programs (default: text)"})
def explain(c: Context, session: Session, key: str = "", json: bool = False) -> None:
    """Show where values come from, what they have overridden, and which artifacts they reach."""
    from devai_tasks.stack import provenance

    configuration = session.configuration
    keys = configuration.keys(key)
    if json:
        return console.show_json([provenance.plain(configuration, one) for one in keys])
    console.show("\n".join(provenance.text(configuration, one) for one in keys))


@stack_task(
    help={
        "against": "the other stack: an environment on the same cloud, or a stack such as aws-prod",
        "json": "for programs (default: a table)",
    }
)
def diff(c: Context, session: Session, against: str = "", json: bool = False) -> None:
    """Show the keys on which two stacks differ."""
    from devai_tasks.stack import configuration_report

    if not against:
        raise UsageError(
            "--against is missing", hint="name the other stack, as `--against=prod` or `--against=aws-prod`"
        )
    project = session.project
    named = {str(stack): stack for stack in project.stacks}
    other = named.get(against) or project.stack(against, session.stack.cloud, places={"env": f"--against={against}"})
    one = session.stack
    pair = configuration_report.configurations(session.sources, [one, other], session.overrides, gpu=session.gpu)
    found = configuration_report.differences(*pair)
    if json:
        rows = [{"key": row.key, str(one): row.one, str(other): row.other} for row in found]
        return console.show_json(rows)
    columns = ["key", str(one), str(other), f"{other} has it from"]
    console.table(
        columns, [[row.key, row.one or "", row.other or "", row.origin.place if row.origin else ""] for row in found]
    )


@stack_task(help={"json": "for programs (default: text)"})
def check(c: Context, session: Session, json: bool = False) -> None:
    """Look for mistakes (exit code 2) and for what is in vain (1): in all stacks, or those of --env and --cloud."""
    from devai_tasks.stack import configuration_report

    try:
        loaded = configuration_report.configurations(
            session.sources, _stacks(session), session.overrides, gpu=session.gpu
        )
    except ConfigError as error:
        if not json:
            raise
        console.show_json({"problems": configuration_report.places_of(error.problems), "findings": []})
        raise Exit(code=error.exit_code) from error
    found = configuration_report.findings(session.sources, loaded)
    if json:
        console.show_json({"problems": [], "findings": [vars(finding) for finding in found]})
    else:
        for finding in found:
            console.show(str(finding))
        stacks = "1 stack is" if len(loaded) == 1 else f"{len(loaded)} stacks are"
        console.say(f"{stacks} valid, {len(found) or 'no'} finding{'s' if len(found) != 1 else ''}")
    if found:
        raise Exit(code=1)


@stack_task(
    help={
        "all": "every stack, or every one of --env or --cloud (default: one)",
        "diff": "show what would change, and write nothing",
        "check": "exit with 1 if anything would change, and write nothing",
        "json": "with --diff or --check, for programs (default: text)",
    }
)
def render(
    c: Context, session: Session, all: bool = False, diff: bool = False, check: bool = False, json: bool = False
) -> None:
    """Write a stack's artifacts to generated/<stack>/."""
    from devai_tasks.stack import artifacts, configuration_report

    if json and not (diff or check):
        raise UsageError("--json is for --diff and --check, which show what would change: rendering shows nothing")
    loaded = configuration_report.configurations(
        session.sources, _stacks(session) if all else [session.stack], session.overrides, gpu=session.gpu
    )
    for line in configuration_report.stand_ins(loaded):
        console.say(f"stand-in: {line}")
    if not (diff or check):
        return _write(session, loaded)
    changes = {name: text for one in loaded for name, text in artifacts.diffs(session.project, one.settings).items()}
    if json:
        console.show_json([{"artifact": name, "diff": text} for name, text in changes.items()])
    elif diff:
        for text in changes.values():
            console.show(text)
    if check:
        for name in changes:
            console.say(f"{name} is not what would be rendered")
        if changes:
            raise Exit(code=1)


def _write(session: Session, loaded: list[Configuration]) -> None:
    from devai_tasks.stack import artifacts

    for one in loaded:
        folder = session.project.artifacts(one.settings.stack).relative_to(session.project.root)
        if session.dry:
            names = artifacts.out_of_date(session.project, one.settings)
            console.say(f"would render {folder}/: {len(names)} changed")
            continue
        changed = artifacts.write(session.project, one.settings)
        console.say(f"rendered {folder}/: {changed or 'nothing'} changed")


def _stacks(session: Session) -> list[Stack]:
    """Every stack that the flags leave open."""
    if session.env and session.cloud:
        return [session.stack]
    session.sources.stack(session.env, session.cloud, session.overrides)  # refuses unknown names
    return [
        stack
        for stack in session.project.stacks
        if stack.environment == (session.env or stack.environment) and stack.cloud == (session.cloud or stack.cloud)
    ]


@plain_task(
    help={
        "json": "print the JSON Schema, and write nothing",
        "check": "exit with 1 where a file is not what would be written, and write nothing",
    }
)
def schema(c: Context, json: bool = False, check: bool = False) -> None:
    """Write the JSON Schema for editors (conf/schema.json) and the references of all keys and all tasks (docs/)."""
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
        console.say(f"{name}: {'is not what would be written' if dry else 'written'}")
    if check and stale:
        raise Exit(code=1)


@stack_task(
    name="set",
    help={
        "set": "the key and its new value, as ports.lab=9000; can be repeated",
        "personal": "in conf/personal.yaml, for yourself only (default: in the file that the other flags name)",
    },
)
def set_(c: Context, session: Session, personal: bool = False) -> None:
    """Set keys in the file that they belong to: conf/common, or the profile, cloud or stack that the flags name."""
    from devai_tasks.stack import configuration_edits as changes

    if session.gpu:
        raise UsageError("--gpu is for one run", hint="--set gpu.enabled=true is what stays")
    change = changes.plan(session.project, session.overrides, env=session.env, cloud=session.cloud, personal=personal)
    _make(change, dry=session.dry)


@plain_task(
    help={
        "profile": "make an environment of this name (default: your own conf/personal.yaml)",
        "yes": "take every answer that is offered",
    }
)
def init(c: Context, profile: str = "", yes: bool = False) -> None:
    """Ask the few questions that matter, and write conf/personal.yaml or a new profile."""
    from devai_tasks.config.project import Project
    from devai_tasks.stack import configuration_edits as changes

    def ask(question: str, offered: str) -> str | None:
        return offered if yes else console.ask(f"{question} [{offered}]:")

    _make(changes.interview(Project.find(), profile, ask), dry=bool(c.config.run.dry))


def _make(change: Change, *, dry: bool) -> None:
    """Show a change to a file of conf/, and make it."""
    if not change.diff:
        return console.say(f"nothing to change in {change.name}")
    console.show(change.diff)
    for note in change.notes:
        console.warn(note)
    if not dry:
        change.write()
        console.say(f"wrote {change.name}")
