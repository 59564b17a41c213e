"""A whole stack's work in steps. Each finds out what is left to do, so a run that broke off is simply run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError, unknown


@dataclass(frozen=True)
class Step:
    """A part of the work."""

    name: str
    title: str
    run: Callable[[], object]


def chosen(steps: Sequence[Step], *, start: str, only: str) -> list[Step]:
    """The steps that are meant: all, those from `start` on, or `only` one. Raises UsageError for an unknown one."""
    if start and only:
        raise UsageError("--from and --only exclude each other")
    names = [step.name for step in steps]
    for name in filter(None, (start, only)):
        if name not in names:
            raise UsageError(unknown("step", name, names))
    if only:
        return [step for step in steps if step.name == only]
    return list(steps[names.index(start) if start else 0 :])


def work(steps: Sequence[Step], *, start: str = "", only: str = "", again: str) -> None:
    """Do them one after the other; where one fails, say where that leaves the stack. `again` is what goes on there."""
    names = [step.name for step in steps]
    done: list[str] = []
    for step in chosen(steps, start=start, only=only):
        place = f"[{names.index(step.name) + 1}/{len(steps)}]"
        begin = time.monotonic()
        try:
            if len(steps) > 1:
                console.head(f"{place} {step.title}")
            step.run()
        except (DevaiError, OSError, KeyboardInterrupt) as error:
            note = f"{step.name} is not done. `{again}` goes on there"
            if done:
                note = f"{', '.join(done)} {'are' if len(done) > 1 else 'is'} done, {note} after a look at the others"
            if done or not isinstance(error, UsageError):  # else nothing has begun
                error.add_note(note)
            raise
        done.append(step.name)
        if len(steps) > 1:
            console.say(f"{place} {step.name}: done in {time.monotonic() - begin:.0f} s")
