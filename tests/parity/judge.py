"""One variation on both sides, and what is to be said of it: equal, refused or different."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import compare
import reference
from building import Salt

VARIATIONS = Path(__file__).with_name("variations")


@dataclass
class Verdict:
    """How a variation ended.

    :ivar str name: of the variation
    :ivar str outcome: equal, refused, different, or of a live build "differs as documented"
    :ivar list lines: what differs; of a refused variation what is missing from its message
    :ivar list functions: state functions that were called, such as file.managed
    :ivar dict seconds: by part
    """

    name: str
    outcome: str
    lines: list = field(default_factory=list)
    functions: list = field(default_factory=list)
    seconds: dict = field(default_factory=dict)

    @property
    def is_good(self):
        return self.outcome in ("equal", "refused", "differs as documented") and not self.lines

    def __str__(self):
        return "\n".join([f"{self.name}: {self.outcome}, {len(self.lines)} findings, {self.seconds}", *self.lines])


def names():
    return sorted(path.name for path in VARIATIONS.iterdir() if path.is_dir())


def expected(name, *, live=False):
    """``(outcome, lines of the message)`` that a variation must come to; with ``ami.live`` a file of its own may say."""
    refused = _refused(name, live)
    if not refused.exists():
        return "equal", []
    return "refused", [line for line in refused.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def documented(name):
    """The beginnings of findings that are right with ``ami.live``, as the documentation says: all of them must be there, and no others."""
    known = VARIATIONS / name / "differs-live"
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def _refused(name, live):
    only_live = VARIATIONS / name / "refused-live"
    return only_live if live and only_live.exists() else VARIATIONS / name / "refused"


def reason(name, *, live=False):
    """Why a variation is refused, as its file says."""
    lines = _refused(name, live).read_text(encoding="utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def judge_variation(name, base, directory, *, live=False):
    """Build the variation, let the machine do the same, and compare.

    :param base: the prepared :class:`vmimage.base.prepare.Base`
    :param Path directory: new and empty
    :param bool live: build with ``ami.live``; what is refused offline may be done then
    :returns: :class:`Verdict`
    """
    variation, begun = VARIATIONS / name, time.monotonic()
    salt = Salt(directory / "minion")
    settings = {"name": name, "variation": str(variation), "update": False, "publish": False, "live": live}
    code, data, said = salt.call("vm_create.create_variation", **settings)
    seconds = {"build": round(time.monotonic() - begun, 1)}
    outcome, wanted = expected(name, live=live)
    text = f"{json.dumps(data, ensure_ascii=False)}\n{said}"
    may_succeed = live and not (VARIATIONS / name / "refused-live").exists()
    if may_succeed:
        wanted = []  # a machine has words of its own
    if outcome == "refused" and not (may_succeed and code == 0):
        if code == 0:
            return Verdict(name, "different", ["the build went through, though it cannot do this"], [], seconds)
        return Verdict(
            name, "refused", [f"not in the message: {line}" for line in wanted if line not in text] and [text], [], seconds
        )
    machine = reference.apply_on_machine(variation, base.image, directory / "machine", name)
    seconds |= {key: round(value, 1) for key, value in machine.seconds.items()}
    if not machine.states:
        return Verdict(name, "different", [f"does not compile on the machine:\n{machine.said}"], [], seconds)
    functions = sorted({state["state"] for state in machine.states})
    if failed := [f"{state['id']}: {state['comment']}" for state in machine.states if state["result"] is False]:
        return Verdict(
            name, "different", ["the machine could not do it, so the variation shows nothing", *failed], functions, seconds
        )
    if code:
        return Verdict(name, "different", [f"the build failed, the machine did not:\n{text}"], functions, seconds)
    begun = time.monotonic()
    lines = compare.find_other_results(machine.states, salt.manifest(name)["states"])
    if outcome == "equal":  # what only a machine can do writes what is never the same twice, as databases do
        lines += compare.find_differences(base.image, machine.upper, salt.output / f"{name}.img")
    seconds["compare"] = round(time.monotonic() - begun, 1)
    known = documented(name) if live else []
    missing = [
        f"is equal, though it is said to differ: {begin}" for begin in known if not any(line.startswith(begin) for line in lines)
    ]
    lines = [line for line in lines if not line.startswith(tuple(known))] + missing
    return Verdict(name, "different" if lines else "differs as documented" if known else "equal", lines, functions, seconds)
