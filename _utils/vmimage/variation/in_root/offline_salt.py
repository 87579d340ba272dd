"""Salt in a root as on a booted machine: it takes systemd to run, and its cache of files filled without copies.

This file is copied into the root's ``/run``; whatever starts Salt there imports it first.  It imports nothing of this project.
"""

import functools
import glob
import os
import sys
from typing import Any


def prepare() -> None:
    """Change Salt for this process, before anything of it is imported."""
    _find_own_libraries()
    _say_that_systemd_runs()
    _find_files_in_the_cache()
    _show_pillar_to_states()
    _refuse_unknown_renderers()
    say_lines_of_yaml()
    _use_the_pip_of_the_root()
    scan_own_directories_once()


def _find_own_libraries() -> None:
    """A shared library that Salt looks up by its name is the builder's, of the directories that its loader has: a root may lack it."""
    import ctypes.util

    below = f"{os.path.dirname(os.path.dirname(os.path.abspath(sys.executable)))}/libraries"  # of vmimage.root.runtime
    found_in_root = ctypes.util.find_library

    def find_library(name: str) -> str | None:
        own = sorted(
            glob.glob(f"{below}/*/lib{glob.escape(name)}.so.[0-9]*"), key=len
        )  # the name without a number is for linkers
        return os.path.basename(own[0]) if own else found_in_root(name)

    ctypes.util.find_library = find_library


def _say_that_systemd_runs() -> None:
    """What asks systemd by its programs gets its answer from those that stand in for them (offline_systemctl, offline_settings)."""
    if os.path.exists("/run/systemd/private"):  # of the systemd of a root that runs as a machine: it answers for itself
        return
    import salt.utils.systemd

    salt.utils.systemd.booted = lambda context=None: True
    salt.utils.systemd.offline = lambda context=None: False
    salt.utils.systemd.has_scope = lambda context=None: False
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import offline_paths  # type: ignore[import-not-found]  # the copy beside this file

    offline_paths.find_programs_by_path()


def _find_files_in_the_cache() -> None:
    """Do not copy to the cache what is there already.

    The file_roots lie below the cache as the lower layers of an overlay: each file is in the cache from the beginning, without
    taking memory twice, and what a module writes, renames or removes there is its own.  Only that is copied by Salt again.
    """
    import salt.fileclient
    import salt.utils.url

    copied = salt.fileclient.FSClient.get_file

    def get_file(
        self: Any,
        path: str,
        dest: str = "",
        makedirs: bool = False,
        saltenv: str = "base",
        gzip: Any = None,
        cachedir: Any = None,
    ) -> Any:
        if not dest and not cachedir:
            name, environment = salt.utils.url.split_env(path)
            name, environment = self._check_proto(name), environment or saltenv
            cached = os.path.join(self.opts["cachedir"], "files", environment, name)
            source = self.channel.fs.find_file(name, environment)["path"]
            if source and _is_untouched(cached, source):
                return cached
        return copied(self, path, dest, makedirs, saltenv, gzip, cachedir)

    salt.fileclient.FSClient.get_file = get_file


def _show_pillar_to_states() -> None:
    """No value of the pillar is masked: Salt 3008 writes ``**********`` into files where a renderer does not say otherwise."""
    import contextvars

    try:
        import salt.utils.secret
    except ImportError:  # before 3008
        return
    salt.utils.secret.mask_pillar = contextvars.ContextVar("mask_pillar", default=False)


def _refuse_unknown_renderers() -> None:
    """An SLS whose renderer this Salt lacks is an error that names it: Salt logs a line, and goes on as if the SLS were empty."""
    import salt.exceptions
    import salt.template

    checked = salt.template.check_render_pipe_str

    def check(pipe: Any, renderers: Any, *arguments: Any, **keywords: Any) -> Any:
        found = checked(pipe, renderers, *arguments, **keywords)
        if pipe and not found:
            raise salt.exceptions.SaltRenderError(
                f"this Salt has no renderer {pipe!r}: write the SLS for another, or install what brings it into the builder's Salt"
            )
        return found

    salt.template.check_render_pipe_str = check


@functools.cache  # a process is changed once
def say_lines_of_yaml() -> None:
    """Let Salt show the line in which an SLS is no YAML: it leaves it out where libyaml read the SLS, whose marks hold no text."""
    import salt.utils.yamlloader
    import yaml

    load = salt.utils.yamlloader.load

    def load_with_text(stream: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            return load(stream, *arguments, **keywords)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            if isinstance(stream, str) and mark and not mark.buffer:
                error.problem_mark = yaml.Mark(mark.name, mark.index, mark.line, mark.column, stream, mark.index)
            raise

    salt.utils.yamlloader.load = load_with_text


def _use_the_pip_of_the_root() -> None:
    """Let ``pip.installed`` start ``python -m pip``, which is the root's here (:mod:`vmimage.root.runtime`), not a pip of Salt's package."""
    if hasattr(sys, "RELENV"):
        del sys.RELENV


@functools.cache  # a process is changed once
def scan_own_directories_once() -> None:
    """Let loaders share what they found in Salt's directories of modules: some sixty loaders in a build look through the same few.

    A directory of Python's own packages is looked through again when it has changed; others, of the user's modules, are listed each time.
    """
    import salt.loader.lazy

    own = f"{os.path.dirname(os.path.dirname(os.path.abspath(sys.executable)))}/"
    scan, known = salt.loader.lazy.LazyLoader._refresh_file_mapping, {}

    def refresh(self: Any) -> None:
        listed = tuple((top, _changed(top) if f"{top}/".startswith(own) else _listing(top)) for top in self.module_dirs)
        order, suffixes = list(self.suffix_order), dict(self.suffix_map)
        options = [self.opts.get(key) for key in ("cython_enable", "enable_zip_modules", "optimization_order")]
        key = repr((listed, order, suffixes, sorted(self.disabled), list(self.static_modules), options))
        if key not in known:
            scan(self)
            known[key] = dict(self.file_mapping), dict(self.suffix_map), list(self.suffix_order)
        mapping, self.suffix_map, self.suffix_order = (type(part)(part) for part in known[key])
        self.file_mapping = mapping

    salt.loader.lazy.LazyLoader._refresh_file_mapping = refresh


def _changed(top: str) -> int | None:
    """When a name in a directory has last come or gone, in nanoseconds; None where there is none."""
    try:
        return os.stat(top).st_mtime_ns
    except OSError:
        return None


def _listing(top: str) -> dict[str, list[str]] | None:
    """The names in a directory, and those in its directories; None where there is none."""
    try:
        return {
            entry.name: sorted(os.listdir(entry)) if entry.is_dir() else []
            for entry in sorted(os.scandir(top), key=lambda entry: entry.name)
        }
    except OSError:
        return None


def _is_untouched(cached: str, source: str) -> bool:
    """Whether a file of the overlay is still that of its lower layer: a copy has an inode of its own."""
    try:
        ours, theirs = os.lstat(cached), os.lstat(source)
    except OSError:
        return False
    return all(getattr(ours, key) == getattr(theirs, key) for key in ("st_ino", "st_size", "st_mtime_ns", "st_mode"))
