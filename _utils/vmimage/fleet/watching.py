"""Where a build is, for people: the step that runs, and how much of the build lies behind it.

A builder notes each step that is done in the record of its build, and says them when it is asked (``vm_create.status``); an earlier build of the
same image says in which order steps come and how long each takes. So nothing listens to the events of all builders. Of an instance its console
says the step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

#: steps of a build that has ended, each with ``step`` and ``seconds``
Steps = Sequence[Mapping[str, Any]]
#: the step that runs, and the per cent that are done, of the build or of that step; None where nobody knows
Place = tuple[str, int | None]


def place_of(done: Sequence[str], known: Steps) -> Place:
    """The step that runs, and the per cent of the build's time that lie behind it; None where no earlier build says so.

    :param done: steps that are done, in their order
    :param known: steps of an earlier build
    """
    names = [str(step["step"]) for step in known]
    if not done:
        return "", None
    if done[-1] not in names:
        return f"after {done[-1]}", None
    behind = names.index(done[-1]) + 1
    seconds = [float(step["seconds"]) for step in known]
    total = sum(seconds)
    percent = int(100 * sum(seconds[:behind]) / total) if total else None
    return (names[behind] if behind < len(names) else "publishing"), percent


def steps_of(facts: Sequence[Mapping[str, Any]]) -> Steps:
    """The steps of the newest build that has said them.

    :param facts: of results, the newest first
    """
    return next((steps for own in facts if (steps := own.get("steps")) and not own.get("unchanged")), ())
