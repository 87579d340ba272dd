"""Reading what Salt says of a state run: done, failed, or nothing at all.  Pure functions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vmimage.errors import VariationFailed, printable
from vmimage.variation.remedies import find_remedies

#: of a state that ran: id, state, name, sls, result, changed, comment, duration_ms, and of some more
StateResult = dict[str, Any]

_REQUISITE = "One or more requisite failed"
_OF_PILLAR = "Pillar failed to render"
_ENCRYPTED = "the image has no keys: put what is encrypted into the pillar of the builder, which decrypts it with its own, or into ami.pillar"
_PLACE = re.compile(r'(?m)^ *in "<unicode string>", line (\d+), column \d+')


def check_results(result: Any, what: str, *, live: bool = False, near: Sequence[str] = ()) -> list[StateResult]:
    """The states of a run, if all of them succeeded.

    :param result: what ``state.sls`` or ``state.highstate`` returned
    :param what: for messages: ``the variation web``
    :param live: whether they were applied on a machine that runs
    :param near: names of functions that are like those that were not found
    :returns: in the order they ran
    :raises VariationFailed: if states failed, did not compile or there were none; names each with its comment
    """
    if isinstance(result, str):
        raise VariationFailed(f"{what} was not applied: {result}")
    if isinstance(result, list):
        of_pillar = any(str(error).startswith(_OF_PILLAR) for error in result)
        encrypted = of_pillar and any("GPG unavailable" in str(error) or "decrypt" in str(error) for error in result)
        raise VariationFailed(
            f"{what} does not compile:{show_errors(result, of_pillar=of_pillar)}", hint=_ENCRYPTED if encrypted else ""
        )
    states = summarize(result or {})
    if not states:
        raise VariationFailed(
            f"{what} holds no states: nothing would be built", hint="does the SLS render to nothing in this root?"
        )
    failed = [state for state in states if state["result"] is False]
    if failed:
        roots = [state for state in failed if _REQUISITE not in state["comment"]] or failed
        text = f"{what} failed: {len(failed)} of {len(states)} states{_listed(roots, len(failed) - len(roots))}"
        error = VariationFailed(text, hint="; ".join(find_remedies(roots, live=live, near=near)))
        error.states = states
        raise error
    return states


def show_errors(errors: Sequence[Any], *, of_pillar: bool) -> str:
    """What Salt says of an SLS that does not compile, in lines of their own.

    :param of_pillar: the lines of the SLS are left out: passwords may stand there
    """
    said = [_without_lines(str(error)) if of_pillar else str(error) for error in errors]
    shown = (error.replace('"<unicode string>"', "the SLS as it is rendered").strip() for error in said)
    return "".join(f"\n    {line}" for error in shown for line in error.splitlines())


def _without_lines(error: str) -> str:
    """The first two lines of an error, and the last position in the SLS that it names."""
    first = "\n".join(error.splitlines()[:2])
    places = _PLACE.findall(error)
    return f"{first}; line {places[-1]}" if places and "; line " not in first else first


def summarize(result: Mapping[str, Mapping[str, Any]]) -> list[StateResult]:
    """Salt's dict of results as a list in the order they ran."""
    ordered = sorted(result.items(), key=lambda item: item[1].get("__run_num__", 0))
    return [_summary(key, entry) for key, entry in ordered]


def _summary(key: str, entry: Mapping[str, Any]) -> StateResult:
    module, identity, name, function = (key.split("_|-") + ["", "", ""])[:4]
    return {
        "id": entry.get("__id__", identity),
        "state": f"{module}.{function}",
        "name": str(entry.get("name", name)),
        "sls": entry.get("__sls__", ""),
        "result": entry.get("result"),
        "changed": bool(entry.get("changes")),
        "comment": printable(entry.get("comment", "")),
        "duration_ms": round(float(entry.get("duration") or 0)),
        **_said(entry),
        **({"warnings": list(map(str, entry["warnings"]))} if entry.get("warnings") else {}),
    }


def _said(entry: Mapping[str, Any]) -> dict[str, str]:
    """What a failed command printed, which Salt keeps among its changes."""
    changes = entry.get("changes")
    if entry.get("result") is not False or not isinstance(changes, dict):
        return {}
    return {key: printable(changes[key]).strip() for key in ("stdout", "stderr") if changes.get(key)}


def _listed(roots: Sequence[StateResult], rest: int) -> str:
    """Each failure with its comment; those that only followed from another are counted."""
    lines = [f"\n    {state['state']} {state['id']!r} ({state['sls'] or 'no sls'}): {_indented(state)}" for state in roots]
    return "".join(lines) + (f"\n    and {rest} more that required them" if rest else "")


def _indented(state: Mapping[str, Any]) -> str:
    said = "\n".join(state[key] for key in ("comment", "stdout", "stderr") if state.get(key))
    return "\n        ".join(said.strip().splitlines()[-30:])
