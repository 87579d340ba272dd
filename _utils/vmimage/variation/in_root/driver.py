"""What the bound Salt runs in the root: a call that a file describes, with its answer in a file.

This file is copied into the root's ``/run`` and run there by itself, beside the modules that it imports; of this project it imports
nothing else.
"""

import atexit
import difflib
import gc
import glob
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import background_commands  # type: ignore[import-not-found]  # the copies beside this file
import dpkg_files  # type: ignore[import-not-found]
import offline_configuration  # type: ignore[import-not-found]
import offline_salt  # type: ignore[import-not-found]
import offline_units  # type: ignore[import-not-found]
import state_diff  # type: ignore[import-not-found]

_BUFFERED = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_ABSENT = re.compile(r"State '([\w.]+)' was not found in SLS")


class Unsafe(BaseException):
    """The states cannot be applied on what is there; nothing was applied.  No Exception: Salt goes on after those."""


def main(home: str) -> None:
    with open(f"{home}/task.json", encoding="utf-8") as file:
        task = json.load(file)
    before = subprocess.Popen(task["before"], env=task["environment"]) if task["before"] else None
    offline_salt.prepare()
    import salt.client
    import salt.config

    if before:  # beside the import of Salt, which looks at nothing in the root
        before.wait()
    logging.getLogger().handlers[:] = []
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="[%(levelname)s] %(message)s")
    caller = salt.client.Caller(mopts=salt.config.minion_config(f"{home}/etc/minion"))
    answer: dict[str, Any] = {}
    look_at_states(answer, task["known"])
    background_commands.remember()
    try:
        answer["answer"] = caller.cmd(task["function"], *task["arguments"], **task["keywords"])
        if all_succeeded(answer["answer"]):  # else there will be no image
            answer["unfinished"], answer["idle"] = background_commands.wait()
            answer["unfit"] = [] if task["live"] else find_unfit()
    except Unsafe as unsafe:
        answer["unsafe"] = str(unsafe)
    with open(f"{home}/answer.json", "w", encoding="utf-8") as file:
        json.dump(answer, file, default=str)


def all_succeeded(results: Any) -> bool:
    """Whether the answer is one of states of which none has failed."""
    return isinstance(results, dict) and all(entry.get("result") is not False for entry in results.values())


def look_at_states(answer: dict[str, Any], known: list[dict[str, Any]] | None) -> None:
    """Note the states once they are compiled, before the first is applied, and compare them with those of the last build.

    :param answer: gets them as ``states``
    :param known: None where nothing of them is in the root
    """
    import salt.state

    apply = salt.state.State.call_chunks

    def look(self: Any, chunks: Any, *arguments: Any, **keywords: Any) -> Any:
        if "states" not in answer:  # else a state that applies states
            roots = self.opts["file_roots"].get(self.opts.get("saltenv") or "base", [])
            answer["states"] = state_diff.note_states(chunks, roots, self.opts.get("pillar") or {})
            reason = state_diff.find_unsafe(known, answer["states"], dpkg_files.find_brought) if known is not None else ""
            if reason:
                raise Unsafe(reason)
        results = apply(self, chunks, *arguments, **keywords)
        if near := find_near(results, self.states):
            answer["near"] = near
        return results

    salt.state.State.call_chunks = look


def find_unfit() -> list[str]:
    """What the tests of enabled services say is wrong in their configuration: nothing may have started them since it was written."""
    names = {os.path.basename(link) for link in glob.glob(f"{offline_units.PLACES[0]}/*.wants/*.service")}
    found = {name: offline_units.unit_file(name) for name in sorted(names) if not offline_units.is_masked(name)}
    wrong = {name: offline_configuration.find_wrong(path, name, offline_units.PLACES) for name, path in found.items() if path}
    return [f"{name} is enabled, and would not start: {said}" for name, said in wrong.items() if said]


def find_near(results: Any, functions: Iterable[str]) -> list[str]:
    """Names of functions of states that are like those that no module has.

    :param results: of the states
    :param functions: all that there are; looked at only where one was not found, for that loads every module
    """
    comments = [str(entry.get("comment", "")) for entry in results.values()]
    unknown = [comment for comment in comments if "__virtual__ returned" not in comment]  # that is there, and lacks a program
    absent = {found[1] for comment in unknown if (found := _ABSENT.match(comment))}
    known = sorted(functions) if absent else []
    return [match for name in sorted(absent) for match in _near(name, known)[:1]]


def _near(name: str, known: list[str]) -> list[str]:
    """Those of a module of about the same name, the nearest first: nobody who writes npm.installed means pkg.installed."""
    module = name.partition(".")[0]
    likely = difflib.get_close_matches(name, known, 5, 0.8)
    return [match for match in likely if difflib.SequenceMatcher(None, module, match.partition(".")[0]).ratio() > 0.65]


def end() -> None:
    """End as Python does, but for taking every module apart, which takes longer than all before it."""
    if threading.active_count() == 1:  # else it waits for the others
        atexit._run_exitfuncs()
        # stdout and stderr among them; a module of the user may hold a file that it has written to, and not closed
        for file in [found for found in gc.get_objects() if type(found) in _BUFFERED]:
            with suppress(ValueError, BrokenPipeError):  # it is closed, or nobody reads it
                file.flush()
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
    end()
