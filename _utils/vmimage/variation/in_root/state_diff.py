"""Whether the states of a variation can be applied again on what they made last time.  Pure functions.

This file is also copied into the root's ``/run`` beside ``driver``: it imports nothing of this project.

Of each state a digest of every argument is noted.  What is noted of the last build is compared with what Salt has compiled now,
before anything is applied.  A state that is gone, or that another would have to take back, is unsafe: its work would stay.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

#: a state as :func:`note_states` notes it
State = dict[str, Any]
#: function, id and name
Identity = tuple[str, str, str]
#: as :func:`vmimage.variation.in_root.dpkg_files.find_brought`
FindBrought = Callable[[list[str]], Mapping[str, bool | None]]

#: arguments by which a function brings its thing to what is asked, whatever it was before; all other functions and arguments may leave
#: something of before: the lines that file.append wrote, the directories that makedirs made, what a command did
_BRINGS = {
    "file.managed": frozenset("source source_hash contents context defaults template mode user group".split()),
    "file.recurse": frozenset("source context defaults".split()),
    "file.symlink": frozenset(["target"]),
    "pkg.installed": frozenset(["pkgs"]),  # a superset alone
    "service.enabled": frozenset(),
    "service.running": frozenset(["enable"]),
    "sysctl.present": frozenset(["value"]),
    "user.present": frozenset("fullname shell password".split()),
}
#: states that make a file be there, or not
_WRITES = frozenset(["file.managed", "file.recurse", "file.symlink", "file.copy", "file.serialize", "file.absent"])
_LINK = " (a link)"
#: what they make depends on those before them: a user gets the next number
_NUMBERED = frozenset(["user.present"])
#: arguments that makedirs gives to the directories, too, when it makes them
_SHARED = frozenset("mode user group".split())
#: requisites that only order; what came of them in the order of the states is compared as such
_ORDERS = frozenset(
    "require require_any require_in watch_in onchanges_in prereq_in listen_in onfail_in order failhard use use_in".split()
)
#: requisites by which what another does decides whether something is done
_TRIGGERS = frozenset("onchanges onchanges_any prereq listen watch watch_any onfail onfail_any onfail_all".split())
#: arguments by which what is there decides
_GUARDS = frozenset("unless onlyif creates check_cmd".split())
_NOT_COUNTED = frozenset(["state", "fun", "name"]) | _ORDERS
#: they say what apt and dpkg do with packages, which are there already
_PACKAGING = re.compile(r"(debconf|debconfmod|pkgrepo|apt|aptpkg)\.\w+ .*|\S+ /etc/(apt|dpkg)(/.*)?")
#: a state that applies states: what they are is not among those that are compared
_APPLIES = re.compile(r"salt-call|\bstate\.(sls|apply|highstate|top|single|template|high|low)")


class NeedsCleanBuild(Exception):
    """The root cannot be made of the last root image: the text says why.  The build begins again from its base."""

    is_no_failure = True


def note_states(chunks: Iterable[Mapping[str, Any]], file_roots: Sequence[str], pillar: Mapping[str, Any]) -> list[State]:
    """What to keep of the states that Salt has compiled: plain data, and digests for all values.

    :param chunks: low chunks, in their order
    :param file_roots: directories, the first that has a file wins
    :param pillar: as the states see it
    :returns: of each ``state`` (``file.managed``), ``id``, ``name``, ``arguments`` (``{name: digest}``), ``triggers`` (ids or names
        of the states that decide whether it runs), ``is_guarded`` (it does not run always, or not on what is there), ``is_packaging``,
        and of those that make files ``writes`` (paths)
    """
    return [_note(chunk, file_roots, {key: value for key, value in pillar.items() if key != "ami"}) for chunk in chunks]


def _note(chunk: Mapping[str, Any], file_roots: Sequence[str], pillar: Mapping[str, Any]) -> State:
    function = f"{chunk['state']}.{chunk['fun']}"
    given = {key: value for key, value in chunk.items() if key not in _NOT_COUNTED and not key.startswith("__")}
    if chunk["state"] == "service":  # a trigger restarts it, and in a root nothing runs
        given = {key: value for key, value in given.items() if key not in _TRIGGERS}
    is_guarded = (
        bool((_GUARDS | _TRIGGERS) & given.keys()) or given.get("replace", True) is False or given.get("create", True) is False
    )
    arguments: dict[str, Any] = {key: _digest(value) for key, value in given.items()}
    if function == "pkg.installed" and isinstance(given.get("pkgs"), list):
        arguments["pkgs"] = sorted(map(_digest, given["pkgs"]))
    found, targets = _addresses([given, chunk["name"]]), {str(chunk["name"])}
    below: set[str] = set()
    if function == "file.recurse":
        for path in _addresses(given.get("source")):
            names = _names_below(path, file_roots)
            below |= names
            targets |= {f"{chunk['name']}/{name[len(path) :]}" for name in names}
        if given.get("clean") is not True:
            arguments["its files"] = sorted(below)
    triggers = sorted({str(name) for key in _TRIGGERS & given.keys() for requisite in given[key] for name in _targets(requisite)})
    is_packaging = any(_PACKAGING.fullmatch(f"{function} {os.path.normpath(name).replace('//', '/')}") for name in targets)
    if function not in _BRINGS or is_guarded or is_packaging:  # what it reads is not read again
        if found:
            arguments["its files"] = _digest([sorted(below), _digest_of_files(found, file_roots)])
        if "template" in given or "pillar" in json.dumps([*given.items()], default=str):  # contents_pillar, slots
            arguments["the pillar"] = _digest(pillar)
    if _APPLIES.search(f"{function} {json.dumps([*chunk.items()], default=str)}"):
        arguments["the states that it applies"] = [_digest_of_files(["/"], file_roots), _digest(pillar)]
    noted = {"state": function, "id": chunk["__id__"], "name": str(chunk["name"]), "arguments": arguments}
    if function in _WRITES and (function != "file.managed" or any(key.startswith(("source", "contents")) for key in given)):
        noted["writes"] = sorted(os.path.normpath(path.removesuffix(_LINK)) for path in targets)
    return {**noted, "triggers": triggers, "is_guarded": is_guarded, "is_packaging": is_packaging}


def _targets(requisite: Any) -> Iterable[Any]:
    return requisite.values() if isinstance(requisite, dict) else [requisite]


def _digest(value: object) -> str:
    try:
        text = json.dumps(value, sort_keys=True, default=str)
    except TypeError:  # keys of several types
        text = repr(value)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _addresses(value: object) -> list[str]:
    """The paths of all ``salt://`` addresses in a value."""
    if isinstance(value, str):
        return [value[len("salt:/") :].partition("?")[0]] if value.startswith("salt://") else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [path for part in parts for path in _addresses(part)]


def _files(paths: Iterable[str], file_roots: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``(name, path)`` of the files that paths of the file_roots lead to."""
    for path in paths:
        for top in file_roots:
            place = f"{top}{path}".rstrip("/")
            if os.path.isfile(place):
                yield path, place
                break
            for directory, _, names in os.walk(place, followlinks=path != "/"):  # Salt does; a state that applies states need not
                yield from ((f"{directory}/{name}"[len(top) :], f"{directory}/{name}") for name in names)


def _names_below(path: str, file_roots: Sequence[str]) -> set[str]:
    """Names of files, ``directories/`` and ``links (a link)`` below a path: file.recurse may make each, and none in place of another."""
    found = set()
    for top in file_roots:
        for directory, below, names in os.walk(f"{top}{path}".rstrip("/"), followlinks=True):  # as Salt does
            for name in below + names:
                place = f"{directory}/{name}"
                found.add(place[len(top) :] + (_LINK if os.path.islink(place) else "/" if name in below else ""))
    return found


def _digest_of_files(paths: Iterable[str], file_roots: Sequence[str]) -> str:
    found = hashlib.sha256()
    for name, path in sorted(_files(paths, file_roots)):
        try:
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:  # a link that leads nowhere
            content = ""
        found.update(f"{name}\0{content}\0".encode(errors="surrogateescape"))
    return found.hexdigest()


def find_unsafe(known: Iterable[State], now: Iterable[State], find_brought: FindBrought = lambda paths: {}) -> str:
    """Why states cannot be applied on what the known states made, in words; empty if they can.

    :param known: of :func:`note_states`, of the last build
    :param now: the same of this build
    :param find_brought: takes paths, returns what packages brought there
    """
    before, after = ({_identity(state): state for state in states} for states in (known, now))
    for identity, state in before.items():
        if identity not in after:
            return f"{_words(state)} {_why_gone(identity, before, after)}"
    if [*before] != [identity for identity in after if identity in before]:
        return "the order of the states has changed"
    new = {name for identity in after.keys() - before.keys() for name in identity[1:]}
    to_come = len(before)
    for identity, state in after.items():
        to_come -= identity in before
        reason = _why_not_changed(before[identity], state) if identity in before else _why_not_new(state, new, to_come > 0)
        if reason:
            return f"{_words(state)} {reason}"
    return _why_not_written(before, after, find_brought)


def _why_gone(identity: Identity, before: Mapping[Identity, State], after: Mapping[Identity, State]) -> str:
    """Of a state whose id or name is no longer there: removed or edited."""
    function, name = identity[:2]
    others = [other for other in after if other not in before and other[0] == function]
    if any(other[1] == name for other in others):
        return "has another name, and what it did may stay"
    return "is removed or edited, and what it did may stay" if others else "is removed, and what it did may stay"


def _why_not_written(before: dict[Identity, State], after: dict[Identity, State], find_brought: FindBrought) -> str:
    """Why a file would now replace a package's where in a clean build the package, installed after it, replaces the file."""
    packages = [place for place, identity in enumerate(after) if identity in before and identity[0].startswith("pkg.")]
    early = [state for state in [*after.values()][: max(packages, default=0)] if state.get("writes")]
    brought = find_brought([path for state in early for path in state["writes"]])
    for state in early:
        for path in sorted(brought.keys() & set(state["writes"])):
            if brought[path] is None and state["state"] != "file.absent":
                continue
            if _identity(state) not in before:
                return f"{_words(state)} is new, and writes {path}, which a package brings that may be installed after it"
            if brought[path] is not False:
                return f"{_words(state)} writes {path}, which a package replaces that is installed after it"
    return ""


def _identity(state: State) -> Identity:
    return state["state"], state["id"], state["name"]


def _words(state: State) -> str:
    return f"the state {state['id']!r} ({state['state']})"


def _why_not_new(state: State, new: Set[str], is_before_old: bool) -> str:
    if not set(state["triggers"]) <= new:
        return "is new, and runs only when a state that was there changes something"
    if state["is_packaging"]:
        return "is new, and tells apt what to do with packages that are there already"
    if is_before_old and (state["state"] not in _BRINGS.keys() - _NUMBERED or state["is_guarded"]):
        return "is new, and precedes states whose work is there already"
    return ""


def _why_not_changed(before: State, now: State) -> str:
    """Why a state that was there cannot bring the root to what it asks now."""
    old, new = before["arguments"], now["arguments"]
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if not changed:
        return ""
    if changed == ["its files"] and isinstance(new.get("its files"), list) and isinstance(old.get("its files"), list):
        gone = sorted(set(old["its files"]) - set(new["its files"]))
        return f"leaves a file behind that has vanished: {gone[0]}" if gone else ""
    words = f"has changed ({', '.join(changed)})"
    if "makedirs" in new and _SHARED & set(changed):
        return f"{words}, and directories that it made would keep theirs"
    if old.keys() != new.keys() or set(changed) - _BRINGS.get(now["state"], frozenset()) or now["is_packaging"]:
        return f"{words}, and what it did may stay"
    if now["is_guarded"] or before["is_guarded"]:
        return f"{words}, and does not always do its work"
    if now["state"] == "pkg.installed" and not set(old["pkgs"]) <= set(new["pkgs"]):
        return f"{words}, and packages that it no longer names would stay"
    return ""
