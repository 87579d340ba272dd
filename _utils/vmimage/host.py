"""The builder's Salt, as the machinery sees it: a few callables, made from the dunders that the faces pass in.

The only file besides the faces that knows Salt.
"""

import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from vmimage import delivery
from vmimage.build.build import Build, running_build
from vmimage.errors import SettingsWrong
from vmimage.glance.credentials import Credentials, gather_credentials
from vmimage.glance.publication import Wanted
from vmimage.image.ext4 import version_of_programs
from vmimage.settings.gather import gather_settings
from vmimage.settings.lookup import Source
from vmimage.settings.schema import Settings
from vmimage.system.progress import Log, Observer, Progress, Terminal, event_observer
from vmimage.variation.in_root.offline_salt import say_lines_of_yaml, scan_own_directories_once
from vmimage.variation.outcome import show_errors
from vmimage.variation.served_files import fetch_tree
from vmimage.variation.source import pin_variation

_ONLY = {
    "minion config": {"omit_grains": True, "omit_pillar": True, "omit_master": True},
    "grains": {"omit_opts": True, "omit_pillar": True, "omit_master": True},
    "pillar": {"omit_opts": True, "omit_grains": True, "omit_master": True},
}
#: options that say how states are found, rendered and run; Salt takes them from the master where there is one
_OF_MASTER = """default_top env_order failhard jinja_env jinja_lstrip_blocks jinja_sls_env jinja_trim_blocks nodegroups renderer
    state_auto_order state_top_saltenv top_file_merging_strategy""".split()
_OF_MINION = """allow_undefined disabled_requisites features file_ignore_glob file_ignore_regex fileserver_followsymlinks
    pillar_merge_lists pillar_source_merging_strategy use_superseded""".split()


class Host:
    """What the builder's Salt does for a build.

    :param functions: ``__salt__``
    :param opts: ``__opts__``
    :param grains: ``__grains__``
    :param pillar: ``__pillar__``
    :param is_one_of_many: whether other variations are built at the same time
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],  # each function of Salt has its own types
        opts: MutableMapping[str, Any],
        grains: Mapping[str, Any],
        pillar: Mapping[str, Any],
        *,
        is_one_of_many: bool = False,
    ) -> None:
        self.is_one_of_many = is_one_of_many
        self.functions, self.opts, self.grains, self.pillar = functions, opts, grains, pillar
        self._trees: dict[str, Path] = {}  # copied for this call

    def settings(self, **arguments: Any) -> Settings:
        """The settings of a call: its arguments, those of a running create_variation that has called it, and what ``config.get`` finds."""
        return gather_settings(self._sources(), _arguments(arguments))

    def _sources(self) -> list[Source]:
        """Where keys are looked up; an earlier place overrides the later places."""
        self._check_pillar()
        holders = {"minion config": self.opts, "grains": self.grains, "pillar": self.pillar}
        return [(where, holders[where], functools.partial(self._lookup, _ONLY[where])) for where in holders]

    def _check_pillar(self) -> None:
        """Refuse a pillar of which a part does not compile: Salt goes on with the rest, and all settings in it would be the default.

        :raises SettingsWrong: with the reason
        """
        errors = self.pillar.get("_errors")
        if not errors:
            return
        if self.opts.get("file_client") == "local":
            say_lines_of_yaml()
            errors = self.compile_pillar(self.opts["id"], self.grains).get("_errors") or errors
        raise SettingsWrong(
            f"the pillar of this minion does not compile:{show_errors(errors, of_pillar=True)}",
            hint="correct the SLS of the pillar: what stands in it would be the default",
        )

    def credentials(self, settings: Settings, *, wanted: Wanted) -> Credentials | None:
        """The OpenStack credentials.

        :param wanted: True; False for none; "auto" for those of the settings, if they have any, but not those of the environment
        :raises CredentialsWrong: naming the keys that are missing or contradict each other
        """
        if wanted is False:
            return None
        sure = wanted is True
        return gather_credentials(self._sources(), cloud=settings.cloud, required=sure, ambient=sure)

    def _lookup(self, only: Mapping[str, bool], key: str) -> Any:
        """The value of a key, of any type, or None."""
        nothing = object()
        value = self.functions["config.get"](key, nothing, **only)
        return None if value is nothing else _copied(value)

    def build(self, arguments: Mapping[str, Any], *, asks: bool = True, fetches: bool = False) -> Build:
        """A build for a call with these settings as arguments.

        :param asks: the repository of the variation for its settings; not needed where the arguments are complete
        :param fetches: what is new there; else what was last fetched of it will do
        """
        own = _arguments(arguments)
        settings = gather_settings(self._sources(), own)
        if settings.repository and asks and not running_build():
            settings, pinned = self._pin_variation(settings, own, fetches)
            own |= pinned
        return Build(settings, self, Progress(*self._observers(settings.name)), own)

    def _pin_variation(self, settings: Settings, arguments: Mapping[str, Any], fetches: bool) -> tuple[Settings, dict[str, Any]]:
        """Fetch the variation from its repository: the settings with its own, and these as arguments."""

        def gather(overridden: Sequence[Source]) -> Settings:
            return gather_settings([*self._sources(), *overridden], arguments)

        progress = Progress(*self._observers(settings.name))
        with progress.step("repository"):
            return pin_variation(settings, gather, ask=fetches, say=progress.note)

    def _observers(self, name: str) -> list[Observer]:
        observers: list[Observer]
        if self.is_one_of_many:  # a terminal has a single live line, and in a log each line must name its variation
            observers = [Log(name)]
        else:
            observers = [Terminal()] if sys.stderr.isatty() else [Log()]
        if not self._is_masterless():
            observers.append(event_observer(self.functions["event.send"], name))
        return observers

    def _is_masterless(self) -> bool:
        return self.opts.get("file_client") == "local" or self.opts.get("master_type") == "disable"

    def apply_sls(self, sls: str) -> Any:
        """Apply an SLS of the builder; its states find the build (:func:`vmimage.build.build.running_build`).

        In the build's own process: the Salt in it is changed (:func:`vmimage.variation.in_root.offline_salt.scan_own_directories_once`).

        :returns: as ``state.sls``: a dict of results, or errors as a list or a text
        """
        scan_own_directories_once()
        options: dict[str, Any] = {"concurrent": True, "test": False}
        if sls not in self._own_states and (delivery.states_directory() / f"{sls}.sls").exists():
            options["localconfig"] = os.fspath(self._shipped_config())
        says = logging.getLogger("salt.state")
        says.addFilter(_is_no_failed_state)  # each stands in what is returned
        try:
            return self.functions["state.sls"](sls, **options)
        finally:
            says.removeFilter(_is_no_failed_state)

    @functools.cached_property
    def _own_states(self) -> list[str]:
        """The SLS of the minion's file_roots; asking starts a file server."""
        return self.functions["cp.list_states"]()

    def _shipped_config(self) -> Path:
        """A minion config whose file_roots are the states that pip installed: for users who did not copy them to their own."""
        path = Path(self.opts["cachedir"]) / "vm_create.conf"
        path.write_text(f"file_client: local\nfile_roots: {{base: ['{delivery.states_directory()}']}}\n", encoding="utf-8")
        return path

    def make_directories(self) -> None:
        """Let Salt make directories of its cache now: it makes them without regard to other processes that do the same."""
        from salt.state import get_accumulator_dir

        self.functions["cp.list_states"]()
        get_accumulator_dir(self.opts["cachedir"])

    def cache_file(self, url: str) -> str:
        """The local copy of a ``salt://`` file, or an empty string; asks first whether it exists, for Salt logs an error otherwise."""
        return self.functions["cp.cache_file"](url) if self.functions["cp.hash_file"](url) else ""

    def cache_tree(self, url: str) -> Path | None:
        """The local copy of a ``salt://`` directory, or None."""
        if url not in self._trees:
            import salt.fileclient
            import salt.utils.url

            name, environment = salt.utils.url.parse(url)
            environment = environment or self.opts.get("saltenv") or "base"
            with salt.fileclient.get_file_client(self.opts) as client:
                top = Path(self.opts["cachedir"]) / "files" / environment
                self._trees[url] = fetch_tree(client, top, environment, name.strip("/"))
        return self._trees[url] if self._trees[url].is_dir() else None

    def file_roots(self) -> list[Path]:
        """The directories of the minion's states; those of a master, and of backends such as gitfs, are copied here first."""
        if self.opts.get("file_client") == "local" and {"roots"}.issuperset(self.opts.get("fileserver_backend") or ()):
            return [Path(root) for root in self.opts["file_roots"].get(self.opts.get("saltenv") or "base", [])]
        copied = self.cache_tree("salt://")
        return [copied] if copied else []

    def environments(self) -> dict[str, tuple[str, ...]]:
        """``{name: directories}`` of the other environments of a minion without a master; empty with a master."""
        if self.opts.get("file_client") != "local":
            return {}
        own = self.opts.get("saltenv") or "base"
        found = {name: tuple(filter(os.path.isdir, roots)) for name, roots in self.opts["file_roots"].items() if name != own}
        return {name: roots for name, roots in found.items() if roots}

    def state_options(self) -> dict[str, Any]:
        """The options of this Salt, or of its master, by which states mean what they mean here."""
        asked: Any = self.opts
        if self.opts.get("file_client") != "local":
            import salt.fileclient

            with salt.fileclient.get_file_client(self.opts) as client:
                asked = client.master_opts()  # an empty text where the master does not answer
        holders = ((asked if isinstance(asked, Mapping) else {}, _OF_MASTER), (self.opts, _OF_MINION))
        return {key: _copied(holder[key]) for holder, keys in holders for key in keys if holder.get(key) is not None}

    def compile_pillar(self, minion_id: str, grains: Mapping[str, Any]) -> dict[str, Any]:
        """The builder's pillar for the variation: compiled again for its id and grains where there is no master to ask."""
        if self.opts.get("file_client") != "local":
            return dict(self.pillar)
        import salt.pillar

        # the reason is wanted: there is no master whose log has it
        opts = _copied(self.opts) | {"id": minion_id, "pillar": {}, "pillar_safe_render_error": False}
        host, _, domain = minion_id.partition(".")
        names = {**dict.fromkeys(("id", "fqdn", "localhost", "nodename"), minion_id), "host": host, "domain": domain}
        known = {**dict(self.grains), **grains, **names}
        return salt.pillar.get_pillar(opts, known, minion_id, opts.get("saltenv") or "base").compile_pillar()

    def providers(self) -> dict[str, str]:
        """The modules that replace Salt's own inside a root: ``{what they provide: text of the module}``."""
        directory = delivery.modules_directory()
        return {kind: (directory / f"vm_{kind}.py").read_text(encoding="utf-8") for kind in ("kmod", "mount", "sysctl")}

    @functools.cached_property
    def versions(self) -> dict[str, str]:
        """The versions of the programs that make a build."""
        import salt.version

        python = ".".join(map(str, sys.version_info[:3]))
        return {
            "salt": salt.version.__version__,
            "salt-ami-cloud-builder": delivery.VERSION,
            "python": python,
            "e2fsprogs": version_of_programs(),
        }


def _is_no_failed_state(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR or record.funcName != "format_log"


def _copied(value: Any) -> Any:
    """A value of any type as plain dicts and lists: the minion config's own are proxies that cannot be copied or pickled."""
    if isinstance(value, Mapping):
        return {key: _copied(below) for key, below in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, over those of a create_variation that runs in this process: states of pre and post make such calls."""
    running = running_build()
    return {**(running.arguments if running else {}), **_public(given)}


def _public(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among a call's keyword arguments: Salt adds ``__pub_fun`` and the like; None counts as not given."""
    return {key: value for key, value in arguments.items() if value is not None and not key.startswith("__")}
