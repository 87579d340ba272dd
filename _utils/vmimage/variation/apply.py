"""The variation: found, shown to the root, and applied there by the builder's own Salt."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from vmimage import delivery
from vmimage.apt.unpacked import apt_environment
from vmimage.apt.wrapper import install_wrapper
from vmimage.errors import SettingsWrong, VariationFailed, VariationMissing
from vmimage.root import files
from vmimage.root.enter import host_name, maker_of_runtime_directories, show_systemd, temporary_programs
from vmimage.root.live import booted
from vmimage.root.mounts import ROOT_ENVIRONMENT, escaped_option, run_in_root
from vmimage.root.runtime import HOME, PYTHON, STAND_INS, bind_runtime, own_runtime, show, stand_in, write_program
from vmimage.settings.schema import Settings
from vmimage.system import syscalls
from vmimage.system.aliases import Say, StrPath
from vmimage.system.digest import digest_of_tree, digest_of_trees
from vmimage.system.groups import group_name
from vmimage.system.whole_files import write_whole
from vmimage.variation.in_root.state_diff import NeedsCleanBuild
from vmimage.variation.outcome import StateResult, check_results
from vmimage.variation.own_grains import keep_grains, show_grains
from vmimage.variation.root_grains import grains_of, kernel_of
from vmimage.variation.source import fetch_variation

#: the directories of custom code in a file_roots, and the minion option that makes Salt's loader look there
LOADED = {
    "_modules": "module_dirs",
    "_states": "states_dirs",
    "_grains": "grains_dirs",
    "_utils": "utils_dirs",
    "_renderers": "render_dirs",
    "_pillar": "pillar_dirs",
    "_serializers": "serializers_dirs",
    "_sdb": "sdb_dirs",
    "_matchers": "matchers_dirs",
}
#: this project's own code, in our home in a root
_PROJECT = "project.tar"
#: what runs in a root
_IN_ROOT = Path(__file__).with_name("in_root")
#: of these, the grains that an instance of the image has
_GRAINS = "image_grains.py"
#: where the Salt in a root caches files of its file_roots
_FILES = "salt/var/cache/salt/minion/files"
#: top keys of the pillar that never reach a root
_SECRET = ("keystone", "ami")


class VariationHost(Protocol):
    """What is needed of the builder's Salt (:mod:`vmimage.host`)."""

    def cache_tree(self, url: str) -> Path | None:
        """The local copy of a ``salt://`` directory."""

    def file_roots(self) -> list[Path]:
        """The directories of the minion's states."""

    def environments(self) -> dict[str, tuple[str, ...]]:
        """``{name: directories}`` of the minion's other environments."""

    def state_options(self) -> dict[str, Any]:
        """Options of the builder's Salt that say how states are found, rendered and run."""

    def compile_pillar(self, minion_id: str, grains: Mapping[str, Any]) -> dict[str, Any]:
        """The builder's pillar for a variation."""

    def providers(self) -> dict[str, str]:
        """``{what they provide: text of the module}`` of modules that replace Salt's own inside a root."""


@dataclass(frozen=True)
class Variation:
    """What to apply.

    :ivar reference: what the user calls it
    :ivar states: the SLS to apply, none for the top file
    :ivar file_roots: directories, the first that has a file wins
    :ivar pillar_roots: directories of the variation's own pillar
    :ivar id: the minion id that top files and pillar see
    :ivar environments: directories of the other environments, by name
    :ivar trees: the files and directories that make it; of states from the minion's file_roots, those that have their names
    :ivar options: of the builder's Salt, by which its states mean what they mean there
    """

    reference: str
    states: tuple[str, ...]
    file_roots: tuple[str, ...]
    pillar_roots: tuple[str, ...]
    id: str
    trees: tuple[str, ...]
    environments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of its files: they are read each time, which may take seconds."""
        return digest_of_tree(*self.trees) if len(self.trees) == 1 else digest_of_trees(self.trees)


def find_variation(settings: Settings, host: VariationHost) -> Variation:
    """The variation that the settings name.

    :raises VariationMissing: naming where it was looked for
    :raises SettingsWrong: if the build would take place below it
    """
    found = replace(_find(settings, host), options=host.state_options())
    for top in (os.path.realpath(directory) for directory in (*found.file_roots, *found.pillar_roots)):
        for key in ("root", "workspace", "output", "cache"):
            place = getattr(settings, key)
            if place and f"{os.path.realpath(place)}/".startswith(f"{top}/"):
                raise SettingsWrong(
                    f"ami.{key} is {place}, below {top}, where the states are",
                    hint="set it to a directory that is no part of them",
                )
    return found


def _find(settings: Settings, host: VariationHost) -> Variation:
    given = settings.variation or ({} if settings.repository else {"states": ["variation"]})
    wanted: Mapping[str, Any] = {"directory": given} if isinstance(given, str) else given
    minion_id = wanted.get("id") or settings.name
    if settings.repository:
        return _from_repository(settings, minion_id)
    if wanted.get("directory"):
        return _from_directory(wanted["directory"], minion_id, host)
    return _from_file_roots(wanted.get("states", []), minion_id, host)


def _from_directory(address: str, minion_id: str, host: VariationHost) -> Variation:
    directory = host.cache_tree(address) if address.startswith("salt://") else Path(address)
    if directory is None or not os.path.isdir(directory):  # also where its name is too long
        if directory and directory.suffix == ".sls" and directory.is_file():
            raise VariationMissing(
                f"the variation {address} is a file",
                hint=f"give its directory, {directory.parent}, with variation.sls or top.sls",
            )
        is_relative = not address.startswith(("/", "salt://"))
        more = f"; give an absolute path: this one is looked for below {os.getcwd()}" if is_relative else ""
        raise VariationMissing(
            f"there is no variation {address}",
            hint=f"ami.variation is a directory or salt:// tree with variation.sls or top.sls{more}",
        )
    return _in_directory(directory, address, minion_id)


def _from_repository(settings: Settings, minion_id: str) -> Variation:
    checkout = fetch_variation(settings, ask=False, say=lambda line: None)  # it was asked when the build began
    for name in ("pillar", "variation"):
        if (checkout.path / name).is_symlink():  # it could show the root a directory of the builder
            raise VariationMissing(f"{name} in {checkout.address} is a link", hint="let it be a directory")
    return _in_directory(checkout.path, checkout.address, minion_id)


def _in_directory(directory: Path, address: str, minion_id: str) -> Variation:
    states = ("variation",) if any((directory / name).is_file() for name in ("variation.sls", "variation/init.sls")) else ()
    if not states and not (directory / "top.sls").is_file():
        raise VariationMissing(
            f"{address} holds neither variation.sls nor top.sls", hint="write variation.sls: the states to apply"
        )
    pillar = directory / "pillar"
    pillar_roots = (os.fspath(pillar),) if pillar.is_dir() else ()
    top = (os.fspath(directory),)
    return Variation(address, states, top, pillar_roots, minion_id, top)


def _from_file_roots(states: Sequence[str], minion_id: str, host: VariationHost) -> Variation:
    roots = [os.fspath(root) for root in host.file_roots() if os.path.isdir(root)]
    if not roots:
        raise VariationMissing(
            "this minion has no file_roots to find states in", hint="set file_roots, or let ami.variation be a directory"
        )
    for sls in states or ["top"]:
        path = sls.replace(".", "/")
        if not any(os.path.isfile(f"{root}/{path}{ending}") for root in roots for ending in (".sls", "/init.sls")):
            raise VariationMissing(
                f"the state {sls} is not in the file_roots {', '.join(roots)}",
                hint="let ami.variation be a directory, or name states of salt-call cp.list_states",
            )
    paths = [f"{root}/{sls.replace('.', '/')}{ending}" for root in roots for sls in states for ending in (".sls", "")]
    others = host.environments()
    trees = (*(paths if states else roots), *(root for more in others.values() for root in more))  # a highstate may lead anywhere
    return Variation(",".join(states) or "highstate", tuple(states), tuple(roots), (), minion_id, trees, others)


def apply_variation(
    variation: Variation,
    settings: Settings,
    root: Path,
    host: VariationHost,
    say: Say,
    note: Say,
    *,
    updated: bool = False,
    known: list[dict[str, Any]] | None = None,
) -> tuple[list[StateResult], list[dict[str, Any]] | None]:
    """Apply a variation in a root with its API file systems.

    :param settings: reach it as the ``ami`` of its pillar and configuration
    :param root: with its API file systems
    :param say: called with each line of Salt's log
    :param note: called with what the user should not miss
    :param updated: apt's lists were brought up to date just now, for this build
    :param known: of the states whose work is in the root already; None where it is a base
    :returns: ``(results, states)``, as of :func:`vmimage.variation.outcome.check_results` and :func:`vmimage.variation.in_root.state_diff.note_states`
    :raises VariationFailed: naming the states that failed
    :raises NeedsCleanBuild: if they cannot be applied on what the known states made; then no state was applied
    """
    bind_runtime(own_runtime(), root)
    home = Path(root) / HOME.lstrip("/")
    file_roots = show(variation.file_roots, home, "states")
    pillar_roots = show(variation.pillar_roots, home, "pillar")
    (home / "modules").mkdir()
    for program in _IN_ROOT.glob("[!_]*.py"):
        (home / program.name).write_bytes(program.read_bytes())
    (home / "grains").mkdir()  # a directory of nothing else: Salt loads all that is there
    (home / _GRAINS).rename(home / "grains" / _GRAINS)
    others = {name: show(roots, home, f"environments/{name}") for name, roots in variation.environments.items()}
    fill_cache(home, "base", file_roots)
    for name, shown in others.items():
        fill_cache(home, name, shown)
    for kind, text in host.providers().items():
        (home / f"modules/vm_{kind}.py").write_text(text, encoding="utf-8")
    delivery.write_project(home / _PROJECT, variation.file_roots)
    pillar = host.compile_pillar(variation.id, grains_of(root))
    _write_private(home / "pillar.json", visible_pillar(pillar, settings))
    _write_private(
        home / "etc/minion",
        variation.options
        | minion_config(variation, settings, {"base": file_roots, **others}, pillar_roots, _loaded(variation, file_roots), root),
    )
    function, arguments = ("state.sls", [list(variation.states)]) if variation.states else ("state.highstate", [])
    keywords = {"pillar": settings.pillar} if settings.pillar else {}
    task: dict[str, Any] = {"function": function, "arguments": arguments, "keywords": keywords, "known": known}
    task["live"] = settings.live
    task["before"] = [] if settings.live else maker_of_runtime_directories(root)
    _write_private(home / "task.json", {**task, "environment": ROOT_ENVIRONMENT})
    grains = show_grains(root)
    if updated:
        install_wrapper(root, HOME)
    environment = {"PATH": f"{HOME}/bin:{ROOT_ENVIRONMENT['PATH']}", **apt_environment(HOME)}
    argv = [PYTHON, "-s", f"{HOME}/driver.py", HOME]
    if settings.live:
        with booted(root, host_name(root), group_name(settings)) as machine:
            machine.run(argv, env=environment, on_line=say)
            machine.tell_failed_units(say)
    else:
        _apply_offline(root, argv, environment, say)
    keep_grains(root, grains)
    answer = files.read_text(root, f"{HOME}/answer.json", "", limit=files.LARGE)
    if not answer:
        raise VariationFailed(f"Salt gave no answer for the variation {settings.name}", hint="see build.log")
    said = json.loads(answer)
    if "unsafe" in said:
        raise NeedsCleanBuild(said["unsafe"])
    results = check_results(said["answer"], f"the variation {settings.name}", live=settings.live, near=said.get("near", ()))
    if said.get("unfinished"):
        raise VariationFailed(
            f"the variation {settings.name} left commands in the background that work on for minutes: {'; '.join(said['unfinished'])}",
            hint="let the state wait for its command, without bg: True",
        )
    for command in said.get("idle", ()):
        note(
            f"{command} waits in the background, and ends with the build: a daemon is for service.running, and a unit starts it in the image"
        )
    for unfit in said.get("unfit", ()):
        note(unfit)
    return results, said.get("states")


def _apply_offline(root: StrPath, argv: Sequence[str], environment: Mapping[str, str], say: Say) -> None:
    """Run Salt in a root in which no systemd runs, with programs that stand in for those that would ask it."""
    kernel = kernel_of(root)
    programs = {name: stand_in(name, kernel) for name in STAND_INS if any(map(partial(files.exists, root), _places_of(name)))}
    programs = {name: text for name, text in programs.items() if text}
    for name, text in programs.items():
        write_program(Path(f"{root}{HOME}/bin") / name, text)
    if "systemctl" in programs:
        show_systemd(root)
    with temporary_programs(root, programs):
        run_in_root(root, argv, env=environment, on_line=say)


def _places_of(program: str) -> list[str]:
    return [f"/usr/{directory}/{program}" for directory in ("bin", "sbin")]


def fill_cache(home: Path, environment: str, shown: Iterable[str]) -> None:
    """Let the cache of the Salt in a root hold the files of an environment's file_roots without copying them.

    An overlay: what a module writes to a cached file, or moves away, is the module's own.  Where none can be mounted (file_roots
    that lie in each other), Salt copies each file that it needs, as it does on a machine.

    :param home: ours in the root with its API file systems
    :param shown: the file_roots, as the root sees them
    """
    upper, work, cached = home / f"cache/{environment}/upper", home / f"cache/{environment}/work", home / _FILES / environment
    for directory in (upper, work, cached):
        directory.mkdir(parents=True)
    layers = ":".join(escaped_option(home / os.path.relpath(path, HOME)) for path in shown)
    options = f"lowerdir={layers},upperdir={escaped_option(upper)},workdir={escaped_option(work)}"
    with suppress(OSError):
        syscalls.mount("vm_create", cached, "overlay", syscalls.MS_NODEV | syscalls.MS_NOSUID, options)


def _write_private(path: Path, data: object) -> None:
    """JSON for Salt in the root; the order of keys is that of the pillar, over which templates may loop."""
    write_whole(path, json.dumps(data), lasts=False, is_private=True)


def _loaded(variation: Variation, file_roots: Iterable[str]) -> dict[str, list[str]]:
    """The loader's options for the custom code that the variation brings."""
    options: dict[str, list[str]] = {option: [] for option in LOADED.values()}
    for source, shown in zip(variation.file_roots, file_roots, strict=True):
        for directory, option in LOADED.items():
            if os.path.isdir(f"{source}/{directory}"):
                options[option].append(f"{shown}/{directory}")
    options["module_dirs"].insert(0, f"{HOME}/modules")
    options["grains_dirs"].insert(0, f"{HOME}/grains")
    return options


def minion_config(
    variation: Variation,
    settings: Settings,
    file_roots: Mapping[str, Sequence[str]],
    pillar_roots: Sequence[str],
    loaded: Mapping[str, list[str]],
    root: StrPath,
) -> dict[str, Any]:
    """The configuration of the Salt in the root, as plain data (JSON is YAML).  Everything that it writes is on a tmpfs."""
    return {
        "id": variation.id,
        "file_client": "local",
        "local": True,  # as salt-call --local sets it: no minion runs that would wait for events
        "root_dir": f"{HOME}/salt",
        "log_file": f"{HOME}/salt/log",
        "file_roots": file_roots,
        "pillar_roots": {"base": pillar_roots or [f"{HOME}/none"]},
        "ext_pillar_first": True,  # the variation's own pillar is more particular than its builder's
        "ext_pillar": [{"cmd_json": f"cat {HOME}/pillar.json"}],
        "providers": {"kmod": "vm_kmod", "sysctl": "vm_sysctl", **({} if settings.live else {"mount": "vm_mount"})},
        "enable_fqdns_grains": False,
        "pillar_safe_render_error": False,  # there is no master whose log has the details
        "grains": {"vm_create_inside": True, **({"init": "systemd"} if files.exists(root, "/lib/systemd/systemd") else {})},
        "vm_create_name": host_name(root),
        "vm_create_kernel": kernel_of(root),
        "vm_create_project": f"{HOME}/{_PROJECT}",  # for a variation that makes a builder
        "state_aggregate": False,
        "ami": settings.as_dict(),
        **loaded,
    }


def visible_pillar(pillar: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The pillar that a root may see: without secrets, and with the ``ami`` settings as they are in force.

    No credential is a mapping or a list: what is such below ``keystone`` is a formula's.
    """

    def kept(given: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in given.items() if key.split(".", 1)[0] not in _SECRET}

    seen, keystone, options = kept(pillar), pillar.get("keystone"), pillar.get("master")
    if isinstance(keystone, Mapping):
        of_formula = {key: value for key, value in keystone.items() if isinstance(value, Mapping | list)}
        seen |= {"keystone": of_formula} if of_formula else {}
    if isinstance(options, Mapping):  # Salt's pillar_opts
        seen["master"] = kept(options)
    return {**seen, "ami": settings.as_dict()}
