"""Where a build is published, in this place alone: to Glance, and to EC2 where ``ami.outputs`` asks for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmimage.ec2 import publish as ec2
from vmimage.errors import SettingsWrong, VmImageError
from vmimage.glance import publish as glance
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

    :param wanted: default ``ami.publish``
    :returns: None if this build is not to be published
    :raises CredentialsWrong, StoreRefused, StoreUnreachable, NotReady, SettingsWrong:
    """
    asks_ec2 = _EC2 in build.settings.outputs and bool(wanted or wanted is None and glance.is_publishing(build.settings))
    store = glance.check_publishing(build, wanted) if goes_to_glance(build.settings) or not asks_ec2 else None
    if asks_ec2 and not store and build.settings.gate:
        raise SettingsWrong(
            "ami.gate boots what goes to Glance, and this build goes to EC2 alone",
            hint="leave out ami.gate, and try the image in an instance before its users do",
        )
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
    return {"kernel": None, "ramdisk": None, **in_ec2, **done, _EC2: in_ec2}


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
