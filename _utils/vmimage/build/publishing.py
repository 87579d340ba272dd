"""Where a build is published, in this place alone: to Glance, and to EC2 where ``ami.outputs`` asks for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmimage.ec2 import earlier as ec2_earlier
from vmimage.ec2 import publish as ec2
from vmimage.errors import SettingsWrong, VmImageError
from vmimage.glance import publish as glance
from vmimage.glance.gate import check_gate
from vmimage.glance.outputs import image_name
from vmimage.glance.publication import PublishingBuild, Wanted
from vmimage.settings.ec2 import read_ec2
from vmimage.settings.schema import Settings

if TYPE_CHECKING:
    from vmimage.ec2.client import Cloud
    from vmimage.glance.client import Store

#: what publishing did, as Salt returns it: of Glance, and below ``ec2`` of EC2; where that is all, its keys stand above, too
Result = dict[str, Any]
_EC2 = "ec2"
#: outputs that are for no store
_FILES = ("tar",)


@dataclass(frozen=True)
class Targets:
    """Where a build goes, seen to let us in."""

    store: "Store | None"
    cloud: "Cloud | None"


def check_targets(build: PublishingBuild, wanted: Wanted | None = None) -> Targets | None:
    """Refuse before any work what could not be published.

    :param wanted: default ``ami.publish``; where it is given, the build was made before
    :returns: None if this build is not to be published
    :raises CredentialsWrong, StoreRefused, StoreUnreachable, NotReady, SettingsWrong, ImageUnsound:
    """
    if wanted:
        build.triplet.made()
    asks_ec2 = _EC2 in build.settings.outputs and bool(wanted or wanted is None and glance.is_publishing(build.settings))
    store = glance.check_publishing(build, wanted) if goes_to_glance(build.settings) or not asks_ec2 else None
    if asks_ec2 and build.settings.gate:
        check_gate(["disk"])
    if asks_ec2 and not build.settings.promote:
        raise SettingsWrong(
            "ami.promote is false, and in EC2 an image has its name at once", hint="leave ec2 out of ami.outputs, or ami.promote"
        )
    cloud = ec2.open_cloud(build) if asks_ec2 else None
    return Targets(store, cloud) if store or cloud else None


def publish_to(build: PublishingBuild, targets: Targets) -> Result:
    """Publish what was built; Glance first, where its gate may refuse it.

    :raises NotPublished, StoreRefused, StoreUnreachable:
    """
    done = glance.publish(build, targets.store) if targets.store else {}
    if not targets.cloud:
        return done
    try:
        in_ec2 = ec2.publish(build, targets.cloud)
    except VmImageError as error:
        if targets.store:
            error.hint = f"{error.hint}; it is published to Glance".removeprefix("; ")
        raise
    return _together(done, in_ec2)


def _together(in_glance: Result, in_ec2: Result) -> Result:
    return {"kernel": None, "ramdisk": None, **in_ec2, **in_glance, _EC2: in_ec2}


def list_published(build: PublishingBuild, name: str | None) -> Result:
    """The generations in the stores that ``ami.outputs`` asks for, those in EC2 below ``ec2``.

    :param name: of a single variation: ``web-amd64``
    """
    asks_ec2 = _EC2 in build.settings.outputs
    store = _open_glance(build, needs=not asks_ec2)
    found: Result = glance.list_published(store, name) if store else {}
    return {**found, _EC2: ec2_earlier.list_published(ec2.open_cloud(build), name)} if asks_ec2 else found


def _open_glance(build: PublishingBuild, *, needs: bool) -> "Store | None":
    """Glance; None if no output is for it, or nothing says how to reach it, where that is not needed."""
    return glance.open_store(build, True if needs else "auto") if needs or goes_to_glance(build.settings) else None


def roll_back(build: PublishingBuild, to: str | None, *, test: bool) -> Result:
    """Give the names of ``ami.outputs`` back to the generations before, in Glance and in EC2.

    :param to: id of an image, in either: then its name alone moves
    """
    is_ami = bool(to and to.startswith("ami-"))
    asks_ec2 = _EC2 in build.settings.outputs and (is_ami or not to)
    store = None if asks_ec2 and is_ami else _open_glance(build, needs=not asks_ec2)
    cloud = ec2.open_cloud(build) if asks_ec2 else None
    # a name in Glance does not move where that in EC2 could not
    in_ec2 = ec2_earlier.roll_back(build, cloud, to, test=test or bool(store)) if cloud else {}
    done = glance.roll_back(build, store, to, test) if store else {}
    if not cloud:
        return done
    try:
        return _together(done, ec2_earlier.roll_back(build, cloud, to) if store and not test else in_ec2)
    except VmImageError as error:
        error.hint = f"{error.hint}; in Glance it is done".removeprefix("; ")
        raise


def plan_for(build: PublishingBuild, targets: Targets) -> Result:
    """What :func:`publish_to` would do; changes nothing."""
    plan = glance.plan_publication(build, targets.store) if targets.store else {}
    if not targets.cloud:
        return plan
    in_ec2 = ec2.plan_publication(build, targets.cloud)
    return {**in_ec2, **plan, _EC2: in_ec2}


def plan_of_ec2(settings: Settings) -> Result | None:
    """What the settings say of EC2, without asking it; None where this build does not go there."""
    if _EC2 not in settings.outputs or not glance.is_publishing(settings):
        return None
    own = read_ec2(settings.ec2)
    return {"name": image_name(settings), "region": own.region or "as boto3 finds it", "accounts": list(own.accounts)}


def goes_to_glance(settings: Settings) -> bool:
    """Whether any of the outputs is for Glance."""
    return any(kind not in (_EC2, *_FILES) for kind in settings.outputs)
