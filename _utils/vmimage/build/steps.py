"""The steps of the story, each once: what it needs, the work of one room, and a note of what it found out.

A step finds its notes in the workspace and not in memory, so that each can be called by itself, days apart, from an SLS or from
the command line.
"""

import platform
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from vmimage.apt.cache import AptCache
from vmimage.apt.packages import changed_packages, digest_of_packages, list_packages, update_packages
from vmimage.apt.releases import is_offered_to, note_offers
from vmimage.apt.wrapper import recall_update, state_of_update
from vmimage.base import prepare
from vmimage.build.incremental import find_basis
from vmimage.build.preflight import check_machine
from vmimage.build.unchanged import digest_inputs
from vmimage.errors import CommandFailed, NotReady, RootNotOpen, VmImageError, WorkspaceOpen, printable
from vmimage.image import boot_files, drawn, ext4, host_keys
from vmimage.image.manifest import make_manifest
from vmimage.image.patch import Unfit, begin_copy, pack_changes
from vmimage.image.seal import seal_root, written_by
from vmimage.image.triplet import Triplet
from vmimage.image.usage import measure_contents
from vmimage.report.data import keep, kept_path, previous_build, read_log, report_data
from vmimage.root import files, fstab
from vmimage.root.enter import work_inside
from vmimage.root.live import check_base
from vmimage.root.name_servers import remove_copies
from vmimage.root.overlay import close_root, is_open, open_root
from vmimage.root.runtime import HOME
from vmimage.root.soundness import check_bootable, check_files
from vmimage.root.workspace import Workspace
from vmimage.system.background import BackgroundTask
from vmimage.system.groups import group_name, swept
from vmimage.system.memory import memory_for
from vmimage.system.network import HOST, kind_of_network
from vmimage.system.shell import run
from vmimage.system.trees import fitting_paths
from vmimage.variation.apply import apply_variation, find_variation, grains_of
from vmimage.variation.in_root.state_diff import BuildClean
from vmimage.variation.queued_jobs import free_jobs

#: the notes of the steps, in the order of the story
NOTES = (
    "begun",
    "fetched",
    "basis",
    "opened",
    "updated",
    "offered",
    "varied",
    "sealed",
    "extracted",
    "contents",
    "packed",
    "shrunk",
    "timings",
)
#: those that no longer hold when the root changes
_MADE_OF_ROOT = ("extracted", "contents", "packed", "shrunk")

#: for so long a variation need not fetch apt's lists again that the update has fetched; its steps may be days apart
_FRESH_SECONDS = 3600


class Build:
    """One build: what it is told, where it works, who helps.

    :param Settings settings:
    :param host: the builder's Salt (:mod:`vmimage.host`)
    :param Progress progress:
    """

    def __init__(self, settings, host, progress):
        self.settings, self.host, self.progress = settings, host, progress
        self.workspace = Workspace(settings.workspace, settings.name)
        self.triplet = Triplet(settings.output, settings.name)
        self.root = settings.root_path

    def locate_base(self):
        """Fetch and verify the base, from wherever it is."""
        return prepare.locate_base(self.settings, self.progress, self.host.cache_file, self._fetch_image)

    def _fetch_image(self, reference, directory):
        from vmimage.base.from_store import fetch_image

        store = self.open_store(self.host.credentials(self.settings, wanted=True))
        return fetch_image(store, reference, directory, self.progress.moved)

    def network(self):
        """Which network the root gets (:mod:`vmimage.system.network`)."""
        kind = kind_of_network(self.settings.network)
        if kind == HOST and not self.settings.network:
            self.progress.note(
                "the root shares the network of this machine: install slirp4netns for one of its own (ami.network)"
            )
        return kind

    def open_store(self, credentials):
        """The store, as those who the credentials tell."""
        from vmimage.glance.client import Store

        return Store(credentials, tries=self.settings.tries, say=self.progress.note)

    @contextmanager
    def step(self, name):
        """A step: told to who watches, timed, and what programs say kept in build.log."""
        self.workspace.make()
        begun, started, how = time.time(), time.monotonic(), {"failed": True}
        try:
            with open(self.workspace.log, "a", encoding="utf-8", errors="backslashreplace") as log, self.progress.step(name):

                def say(line):
                    log.write(f"{printable(line)}\n")
                    log.flush()
                    self.progress.say(line)

                yield say
                how = {}
        finally:
            timing = {"step": name, "seconds": round(time.monotonic() - started, 3), "started": round(begun, 3), **how}
            self.workspace.note("timings", [*self.workspace.noted("timings", []), timing])

    def needs_open(self):
        """Refuse a step that works in the root where none is open."""
        if not is_open(self.workspace):
            raise RootNotOpen(
                f"the root of {self.settings.name} is not open", hint=f"open it: salt-call state.sls {self.settings.pre}"
            )


def begin(build):
    """A fresh workspace, if nobody works in it and nothing is open."""
    workspace = build.workspace
    if is_open(workspace) and not build.settings.force:
        raise WorkspaceOpen(
            f"the root of {workspace.name} is open at {workspace.noted('opened')['root']}",
            hint=f"release it: salt-call vm_create.release {workspace.name}, or give force=True",
        )
    close_root(workspace)  # and the base, should somebody have unmounted the root alone
    workspace.forget()
    build.triplet.clear_partials()
    settings = build.settings.as_dict()
    facts = {"name": workspace.name, "build": uuid.uuid4().hex, "architecture": platform.machine(), "settings": settings}
    workspace.note("begun", facts)


def fetch_base(build):
    """base: find it, verify it, prepare it once; or find what can be started from in its place."""
    with build.step("base"):
        located = build.locate_base()
        check_machine(
            build.settings, located["format"], prepare.find_prepared(build.settings, located), prepare.file_bytes(located)
        )
        prepared = prepare.prepare_base(build.settings, located, build.progress)
        basis = _basis(build, prepared)
        build.workspace.note("fetched", {**asdict(prepared), **{key: basis[key] for key in ("image", "label", "uuid") if basis}})
        build.workspace.note("basis", basis)
    return prepared


def _basis(build, prepared):
    """The last root image of an incremental build, told as the base is; None for a clean one."""
    # step by step nobody could begin anew by himself
    if not build.settings.incremental or build.workspace.noted("clean") or not build.host.is_inside_create_variation():
        return None
    try:
        basis = find_basis(build, prepared.digest)
        build.progress.note("starting from the last root image, generation {generation} of {of}".format_map(basis["made"]))
        return basis
    except BuildClean as reason:
        build.progress.note(f"building clean: {reason}")
        return None


def open_build_root(build):
    """root: mount the base with an overlay for what will change."""
    fetched = build.workspace.noted("fetched")
    if not fetched:
        raise NotReady(f"the base of {build.settings.name} is not fetched", hint=f"salt-call state.sls {build.settings.pre}")
    with build.step("root"):
        # memory goes with its namespace: it is for a build that packs before it ends
        lasting = build.settings.keep_on_failure or not build.host.is_inside_create_variation()
        memory_mib = 0 if lasting or build.workspace.noted("full") else memory_for(build.settings)
        open_root(build.workspace, Path(fetched["image"]), build.root, memory_mib=memory_mib)
        try:  # before anything is done in the root
            check_files(build.root)
            if build.settings.live:
                check_base(build.root)
        except VmImageError:
            close_root(build.workspace)
            raise


def begin_copy_of_base(build):
    """Begin to write the root image beside the steps that change the root."""
    fetched = build.workspace.noted("fetched")
    if fetched:  # else pre is one of the user's own
        begin_copy(Path(fetched["image"]), build.triplet.partial("root_image"))


def update(build):
    """update: bring the root's packages up to date."""
    build.needs_open()
    basis = build.workspace.noted("basis")
    with build.step("update") as say:
        build.workspace.drop(*_MADE_OF_ROOT)
        apt = _apt_cache(build)

        def work():
            apt.show(say=say)
            known = apt.known()
            is_fresh = is_offered_to(build.root, apt.own / "lists", known["offered"])
            state = state_of_update(build.root)
            is_newest = known["newest"] == digest_of_packages(build.root, state)
            if is_fresh and (basis["offered"] == known["offered"] if basis else is_newest):
                say("the archives offer nothing that is newer")
                return changed_packages({}, {}), known, state
            changed = update_packages(build.root, say, apt.recognize_lists, is_fresh=is_fresh)
            state = state_of_update(build.root)
            offered = known["offered"] if is_fresh else note_offers(build.root, apt.own / "lists")
            newest = None if any(changed.values()) else digest_of_packages(build.root, state)
            return changed, {"offered": offered, "newest": newest}, state

        with swept(build.settings):
            how = {"kind_of_network": build.network(), "group": group_name(build.settings)}
            changes, known, state = work_inside(build.root, work, **how)
        if not basis:  # else its programs are the variation's: what they say of lists is not for other variations
            _share(build, lambda: apt.keep_lists(known))
        build.workspace.note("apt", {"state": state, "at": time.time()})
        build.workspace.note("updated", changes)
        build.workspace.note("offered", known["offered"])
    brought = [name for kind in changes.values() for name in kind]
    if brought and basis:  # they would come to stand beside what only their older versions needed
        raise BuildClean(f"newer packages are on offer ({', '.join(sorted(brought)[:3])}{', ...' if brought[3:] else ''})")
    return changes


def _apt_cache(build):
    return AptCache(build.settings.cache, build.workspace.changes / "apt", build.root, build.workspace.noted("fetched")["digest"])


def _share(build, keep):
    """Share what was downloaded; a cache that cannot take it (full, read-only) is no fault of the image."""
    try:
        keep()
    except (OSError, CommandFailed) as error:
        build.progress.note(f"the cache of apt in {build.settings.cache} takes nothing: {error}")


def variate(build):
    """variation: apply the user's states inside the root."""
    build.needs_open()
    with build.step("variation") as say:
        found = find_variation(build.settings, build.host)
        build.workspace.drop(*_MADE_OF_ROOT)

        apt, fetched = _apt_cache(build), build.workspace.noted("apt", {"state": "", "at": 0})
        is_fresh = time.time() - fetched["at"] < _FRESH_SECONDS

        def apply():
            apt.show(varies=True, say=say)
            recall_update(build.root, HOME, fetched["state"])
            return apply_variation(found, build.settings, build.root, build.host, say, updated=is_fresh, known=known)

        known = (build.workspace.noted("basis") or {}).get("states")
        with BackgroundTask(lambda: found.digest, "reading the variation") as reading:
            how = {"hostname": found.id, "kind_of_network": build.network(), "starts_daemons": build.settings.live}
            how["group"] = "" if build.settings.live else group_name(build.settings)  # a machine makes groups of its own there
            with swept(build.settings):
                states, noted = work_inside(build.root, apply, **how)
            digest = reading.finish()
        remove_copies(build.root, build.workspace.upper, build.network())
        free_jobs(build.root, build.workspace.upper)
        _share(build, lambda: apt.keep_archives(spare_mib=2 * build.settings.room_mib))
        build.workspace.note("states", noted)
        facts = {"reference": found.reference, "digest": digest, "id": found.id, "revision": build.settings.revision}
        build.workspace.note("varied", {**facts, "states": states})
    return states


def seal(build, remove, truncate, *, keep_written=False, dry=False):
    """seal: remove identity and residue by patterns."""
    build.needs_open()
    written = written_by(build.workspace.noted("states") or ())
    own = written if keep_written else ()
    if dry:
        return seal_root(build.root, remove, truncate, own=own, dry=True)
    with build.step("seal") as say, fitting_paths(build.root):
        sealed = seal_root(build.root, remove, truncate, own=own)
        for path in sealed["kept"]:
            say(f"{path} stays: a state of the variation writes it")
        for path in sorted(written & {*sealed["removed"], *sealed["truncated"]}):
            say(f"{path} is sealed: a state of the variation writes it, and no image may have it")
        sealed["written"], made = drawn.add_makers(build.root, sealed["removed"])
        if made:
            say(f"not in the image, and made by each machine at its first boot: {', '.join(made)}")
        sealed["written"] += drawn.forget_host_id(build.root) + drawn.remove_links_to_nothing(build.root)
        if host_keys.lacks_maker(build.root):
            sealed["written"] += host_keys.add_maker(build.root)
            say(
                "nothing in the root makes host keys for its sshd: ssh-host-keys.service is added, and makes them at the first boot"
            )
        if sealed["removed"] or sealed["truncated"] or sealed["written"]:
            build.workspace.drop(*_MADE_OF_ROOT)
        before = build.workspace.noted("sealed", {"removed": [], "truncated": []})
        build.workspace.note("sealed", {key: sorted({*before.get(key, []), *paths}) for key, paths in (before | sealed).items()})
    return sealed


def extract(build):
    """kernel and ramdisk: copy them out of the root."""
    build.needs_open()
    with build.step("kernel"):
        build.triplet.directory.mkdir(parents=True, exist_ok=True)
        kernel, ramdisk = build.triplet.partial("kernel"), build.triplet.partial("ramdisk")
        kernel.unlink(missing_ok=True), ramdisk.unlink(missing_ok=True)
        version = boot_files.copy_boot_files(build.root, kernel, ramdisk, build.workspace.upper)
        build.workspace.note("extracted", {"version": version})
    return version


def pack(build):
    """shrink, first half: write the root's files into an image that ends at its content."""
    build.needs_open()
    fetched = build.workspace.noted("fetched")
    with (
        build.step("pack") as say,
        fitting_paths(build.root, build.workspace.upper, build.workspace.lower, build.workspace.path / "image"),
    ):
        keys = sorted({*drawn.find_keys(build.root, build.workspace.upper)} - written_by(build.workspace.noted("states") or ()))
        if keys:
            say(f"every instance will have the same private keys in {', '.join(keys)}: seal them, if each should have its own")
        build.triplet.directory.mkdir(parents=True, exist_ok=True)
        check_bootable(build.root)
        names = fstab.names_of_root(files.read_text(build.root, "/etc/fstab", ""))
        label = names.get("LABEL", "" if "UUID" in names else fetched["label"])
        identity = names.get("UUID", fetched["uuid"] if not names else "")
        packages = list_packages(build.root)
        with BackgroundTask(lambda: measure_contents(build.root, packages), "measuring what is in the root") as measuring:
            content = _packed(build, Path(fetched["image"]), label, identity)
            contents = measuring.finish()
        facts = {"label": label, "content_bytes": content.blocks * ext4.BLOCK, "inodes": content.inodes, "keys": keys}
        facts |= {"packages": packages, "distribution": grains_of(build.root)}
        build.workspace.note("packed", facts)
        build.workspace.note("contents", contents)


def _packed(build, base_image, label, identity):
    """Write the root image: a copy of the base with the changes in it, or where that does not do, all files anew."""
    workspace, target = build.workspace, build.triplet.partial("root_image")
    fetched = workspace.noted("fetched")
    if identity in ("", fetched["uuid"]):
        try:
            opened = workspace.upper, workspace.lower, build.root
            is_ours = bool(workspace.noted("basis"))
            return pack_changes(base_image, opened, target, workspace.path / "image", label=label, keeps_journal=is_ours)
        except Unfit:
            build.progress.say("the changes do not go into a copy of the base; writing all files anew")
    return ext4.pack_image(build.root, target, label=label, uuid=identity)


def close(build):
    """Unmount the root."""
    with build.step("close"):
        close_root(build.workspace)


def shrink(build):
    """shrink, second half: cut the image to its content and check it."""
    image = build.triplet.partial("root_image")
    if not image.exists():
        raise NotReady(
            f"the root image of {build.settings.name} is not packed", hint="vm_image.packed comes before vm_image.shrunk"
        )
    with build.step("shrink"):
        size = ext4.shrink_image(image, build.settings.headroom_mib)
        facts = ext4.superblock(image)
        build.workspace.note("shrunk", {"bytes": size})
        build.workspace.note("packed", {**build.workspace.noted("packed"), "uuid": facts["Filesystem UUID"]})
    return size


def deliver(build):
    """triplet: digests, manifest, and the three files under their names."""
    notes = {step: build.workspace.noted(step) for step in NOTES}
    missing = [step for step in ("begun", "fetched", "varied", "extracted", "packed", "shrunk") if not notes[step]]
    if missing:
        hint = f"the order is {build.settings.pre}, vm_create.update_image, vm_create.variate_image, {build.settings.post}"
        raise NotReady(f"the triplet of {build.settings.name} is not ready: nothing is {missing[0]}", hint=hint)
    with build.step("triplet"):
        described = build.triplet.describe_partials(build.progress.moved)
    notes["timings"] = build.workspace.noted("timings")
    if build.settings.skip_unchanged:
        digest = digest_inputs(build, notes["fetched"]["digest"], notes["varied"], notes["packed"]["distribution"])
        notes["inputs"] = {"digest": digest, "offered": notes["offered"]}
    manifest = make_manifest(
        notes, described, versions=build.host.versions(), created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    )
    kept = report_data(notes, read_log(build.workspace.log), notes["contents"], previous_build(build.triplet))
    build.triplet.complete(manifest, build.settings.file_mode)
    keep(kept_path(build.triplet), kept)
    return manifest


def e2fsprogs_version():
    """The version of the programs that wrote the file system."""
    return run(["mke2fs", "-V"]).output.split()[1]
