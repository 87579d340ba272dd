"""What a builder is asked for: the arguments of ``vm_create.create_variation``, the same for each kind of builder."""

from typing import Any

from vmimage.fleet.records import Claim

FUNCTION = "vm_create.create_variation"


def arguments_of(claim: Claim) -> dict[str, Any]:
    """The settings of a claim's build.

    It publishes under names of their own, and gives no name: that is the fleet's.  ``skip_unchanged`` lets the builder say that nothing has
    changed where an image is only old, unless the settings say otherwise.
    """
    wanted = claim.wanted
    own = {"name": wanted.variation, "publish": True, "promote": False, "number": claim.number, "order": wanted.digest}
    return {"skip_unchanged": True, **wanted.settings, **own}
