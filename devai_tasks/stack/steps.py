"""Steps of a task on a whole stack. Steps are idempotent, so an interrupted run is simply repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError, unknown


@dataclass(frozen=True)
class Step:
    """One step: its name for --from and --only, and its title for progress output."""

    name: str
    title: str
    run: Callable[[], object]


def selected(steps: Sequence[Step], *, start: str, only: str) -> list[Step]:
    """Return the selected steps: all, from `start` on, or `only` one. Raises UsageError for an unknown step."""
    if start and only:
        raise UsageError("--from and --only can't be combined")
    names = [step.name for step in steps]
    for name in filter(None, (start, only)):
        if name not in names:
            raise UsageError(unknown("step", name, names))
    if only:
        return [step for step in steps if step.name == only]
    return list(steps[names.index(start) if start else 0 :])


def work(steps: Sequence[Step], *, start: str = "", only: str = "", again: str) -> None:
    """Run the selected steps in order; where a step fails, add a note on the state of the stack to the error.

    Args:
        steps: all steps.
        start: name of the first step to run.
        only: name of the only step to run.
        again: the command that continues the work.
    """
    names = [step.name for step in steps]
    done: list[str] = []
    for step in selected(steps, start=start, only=only):
        position = f"[{names.index(step.name) + 1}/{len(steps)}]"
        begin = time.monotonic()
        try:
            if len(steps) > 1:
                console.head(f"{position} {step.title}")
            step.run()
        except (DevaiError, OSError, KeyboardInterrupt) as error:
            note = f"{step.name} is not done; `{again}` continues there"
            if done:
                note = (
                    f"{', '.join(done)} {'are' if len(done) > 1 else 'is'} done, {note} after checking the other steps"
                )
            if done or not isinstance(error, UsageError):  # otherwise nothing was started
                error.add_note(note)
            raise
        done.append(step.name)
        if len(steps) > 1:
            console.say(f"{position} {step.name}: done in {time.monotonic() - begin:.0f} s")
