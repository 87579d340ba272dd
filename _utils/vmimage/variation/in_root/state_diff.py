"""Whether the states of a variation can be applied again on what they made last time.  Pure functions.

This file is also copied into the root's ``/run`` beside ``driver``: it imports nothing of this project.

Of each state a digest of every argument is noted.  What is noted of the last build is compared with what Salt has compiled now,
before anything is applied.  A state that is gone, or that another would have to take back, is unsafe: its work would stay.
"""

import hashlib
import json
import os
import re

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
#: they tell apt and dpkg what to do with packages, which are there already
_PACKAGING = re.compile(r"(debconf|debconfmod|pkgrepo|apt|aptpkg)\.\w+ .*|\S+ /etc/(apt|dpkg)(/.*)?")
#: a state that applies states: what they are is not among those that are compared
_APPLIES = re.compile(r"salt-call|\bstate\.(sls|apply|highstate|top|single|template|high|low)")


class NeedsCleanBuild(Exception):
    """The root cannot be made of the last root image: the text says why."""


def note_states(chunks, file_roots, pillar):
    """What to keep of the states that Salt has compiled: plain data, and digests for all values.

    :param list chunks: low chunks, in their order
    :param list file_roots: directories, the first that has a file wins
    :param dict pillar: as the states see it
    :returns: list of dicts of ``state`` (``file.managed``), ``id``, ``name``, ``arguments`` (``{name: digest}``), ``triggers`` (ids or names
        of the states that decide whether it runs), ``is_guarded`` (it does not run always, or not on what is there), ``is_packaging``,
        and of those that make files ``writes`` (paths)
    """
    return [_note(chunk, file_roots, {key: value for key, value in pillar.items() if key != "ami"}) for chunk in chunks]


def _note(chunk, file_roots, pillar):
    function = f"{chunk['state']}.{chunk['fun']}"
    told = {key: value for key, value in chunk.items() if key not in _NOT_COUNTED and not key.startswith("__")}
    if chunk["state"] == "service":  # a trigger restarts it, and in a root nothing runs
        told = {key: value for key, value in told.items() if key not in _TRIGGERS}
    is_guarded = (
        bool((_GUARDS | _TRIGGERS) & told.keys()) or told.get("replace", True) is False or told.get("create", True) is False
    )
    arguments = {key: _digest(value) for key, value in told.items()}
    if function == "pkg.installed" and isinstance(told.get("pkgs"), list):
        arguments["pkgs"] = sorted(map(_digest, told["pkgs"]))
    found, targets, below = _addresses([told, chunk["name"]]), {str(chunk["name"])}, set()
    if function == "file.recurse":
        for path in _addresses(told.get("source")):
            names = _names_below(path, file_roots)
            below |= names
            targets |= {f"{chunk['name']}/{name[len(path) :]}" for name in names}
        if told.get("clean") is not True:
            arguments["its files"] = sorted(below)
    triggers = sorted({str(name) for key in _TRIGGERS & told.keys() for one in told[key] for name in _targets(one)})
    is_packaging = any(_PACKAGING.fullmatch(f"{function} {os.path.normpath(name).replace('//', '/')}") for name in targets)
    if function not in _BRINGS or is_guarded or is_packaging:  # what it reads is not read anew
        if found:
            arguments["its files"] = _digest([sorted(below), _digest_of_files(found, file_roots)])
        if "template" in told or "pillar" in json.dumps([*told.items()], default=str):  # contents_pillar, slots
            arguments["the pillar"] = _digest(pillar)
    if _APPLIES.search(f"{function} {json.dumps([*chunk.items()], default=str)}"):
        arguments["the states that it applies"] = [_digest_of_files(["/"], file_roots), _digest(pillar)]
    noted = {"state": function, "id": chunk["__id__"], "name": str(chunk["name"]), "arguments": arguments}
    if function in _WRITES and (function != "file.managed" or any(key.startswith(("source", "contents")) for key in told)):
        noted["writes"] = sorted(os.path.normpath(path.removesuffix(_LINK)) for path in targets)
    return {**noted, "triggers": triggers, "is_guarded": is_guarded, "is_packaging": is_packaging}


def _targets(requisite):
    return requisite.values() if isinstance(requisite, dict) else [requisite]


def _digest(value):
    try:
        text = json.dumps(value, sort_keys=True, default=str)
    except TypeError:  # keys of several types
        text = repr(value)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _addresses(value):
    """The paths of all ``salt://`` addresses in a value."""
    if isinstance(value, str):
        return [value[len("salt:/") :].partition("?")[0]] if value.startswith("salt://") else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [path for part in parts for path in _addresses(part)]


def _files(paths, file_roots):
    """``(name, path)`` of the files that paths of the file_roots lead to."""
    for path in paths:
        for top in file_roots:
            place = f"{top}{path}".rstrip("/")
            if os.path.isfile(place):
                yield path, place
                break
            for directory, _, names in os.walk(place, followlinks=path != "/"):  # Salt does; who applies states need not
                yield from ((f"{directory}/{name}"[len(top) :], f"{directory}/{name}") for name in names)


def _names_below(path, file_roots):
    """Names of files, ``directories/`` and ``links (a link)`` below a path: file.recurse may make each, and none in place of another."""
    found = set()
    for top in file_roots:
        for directory, below, names in os.walk(f"{top}{path}".rstrip("/"), followlinks=True):  # as Salt does
            for name in below + names:
                place = f"{directory}/{name}"
                found.add(place[len(top) :] + (_LINK if os.path.islink(place) else "/" if name in below else ""))
    return found


def _digest_of_files(paths, file_roots):
    found = hashlib.sha256()
    for name, path in sorted(_files(paths, file_roots)):
        try:
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:  # a link that leads nowhere
            content = ""
        found.update(f"{name}\0{content}\0".encode(errors="surrogateescape"))
    return found.hexdigest()


def find_unsafe(known, now, find_brought=lambda paths: {}):
    """Why states cannot be applied on what the known ones made, in words; empty if they can.

    :param list known: of :func:`note_states`, of the last build
    :param list now: the same of this one
    :param find_brought: tells of paths what packages brought there, as :func:`vmimage.variation.in_root.dpkg_files.find_brought`
    """
    before, after = ({_identity(one): one for one in states} for states in (known, now))
    for identity, one in before.items():
        if identity not in after:
            return f"{_words(one)} is gone"
    if [*before] != [identity for identity in after if identity in before]:
        return "the order of the states has changed"
    new = {name for identity in after.keys() - before.keys() for name in identity[1:]}
    to_come = len(before)
    for identity, one in after.items():
        to_come -= identity in before
        reason = _why_not_changed(before[identity], one) if identity in before else _why_not_new(one, new, to_come > 0)
        if reason:
            return f"{_words(one)} {reason}"
    return _why_not_written(before, after, find_brought)


def _why_not_written(before, after, find_brought):
    """Why a file would now replace a package's where in a clean build the package, installed after it, replaces the file."""
    packages = [place for place, one in enumerate(after) if one in before and one[0].startswith("pkg.")]
    early = [after[one] for one in [*after][: max(packages, default=0)] if after[one].get("writes")]
    brought = find_brought([path for one in early for path in one["writes"]])
    for one in early:
        for path in sorted(brought.keys() & set(one["writes"])):
            if brought[path] is None and one["state"] != "file.absent":
                continue
            if _identity(one) not in before:
                return f"{_words(one)} is new, and writes {path}, which a package brings that may be installed after it"
            if brought[path] is not False:
                return f"{_words(one)} writes {path}, which a package replaces that is installed after it"
    return ""


def _identity(one):
    return one["state"], one["id"], one["name"]


def _words(one):
    return f"the state {one['id']!r} ({one['state']})"


def _why_not_new(one, new, is_before_old):
    if not set(one["triggers"]) <= new:
        return "is new, and runs only when a state that was there changes something"
    if one["is_packaging"]:
        return "is new, and tells apt what to do with packages that are there already"
    if is_before_old and (one["state"] not in _BRINGS.keys() - _NUMBERED or one["is_guarded"]):
        return "is new, and stands before states whose work is there already"
    return ""


def _why_not_changed(before, now):
    """Why a state that was there cannot bring the root to what it asks now."""
    old, new = before["arguments"], now["arguments"]
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if not changed:
        return ""
    if changed == ["its files"] and isinstance(new.get("its files"), list) and isinstance(old.get("its files"), list):
        gone = sorted(set(old["its files"]) - set(new["its files"]))
        return f"leaves a file behind that has vanished: {gone[0]}" if gone else ""
    told = f"has changed ({', '.join(changed)})"
    if "makedirs" in new and _SHARED & set(changed):
        return f"{told}, and directories that it made would keep theirs"
    if old.keys() != new.keys() or set(changed) - _BRINGS.get(now["state"], frozenset()) or now["is_packaging"]:
        return f"{told}, and what it did may stay"
    if now["is_guarded"] or before["is_guarded"]:
        return f"{told}, and does not always do its work"
    if now["state"] == "pkg.installed" and not set(old["pkgs"]) <= set(new["pkgs"]):
        return f"{told}, and packages that it no longer names would stay"
    return ""
