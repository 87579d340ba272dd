"""The userdata of an instance that builds for the fleet: the settings of a claim, and an application credential of its own."""

import json
import re

from vmimage.fleet.order import arguments_of
from vmimage.fleet.records import Claim
from vmimage.glance.credentials import Credentials

#: of the master or of a builder that stays
_NOT_OF_INSTANCES = ("cloud", "incremental", "jobs", "variations")

#: what JSON takes as it is in a text, and YAML as the end of a line, or not at all
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def render_userdata(claim: Claim, credentials: Credentials, application: tuple[str, str]) -> bytes:
    """The userdata, as :mod:`vmimage.instance.userdata` reads them.

    The instance publishes as the application credential, not as the user of the fleet, and switches itself off in every ending.

    :param credentials: of the fleet; how to reach the cloud is taken from them, and no secret
    :param application: id and secret of the application credential
    """
    settings = {key: value for key, value in arguments_of(claim).items() if key not in _NOT_OF_INSTANCES}
    ami = {**settings, "when_done": "poweroff", "keep_on_failure": False}
    keystone = {
        "auth_url": credentials.auth["auth_url"],
        "application_credential_id": application[0],
        "application_credential_secret": application[1],
        "region": credentials.region_name,
        "interface": credentials.interface,
        "cacert": credentials.cacert,
        "image_endpoint": credentials.image_endpoint,
        "insecure": credentials.insecure,
        "timeout": credentials.timeout,
    }
    lines = [f"ami.{key}: {_text(value)}" for key, value in ami.items() if value is not None]
    lines += [f"keystone.{key}: {_text(value)}" for key, value in keystone.items() if value not in ("", False)]
    return "".join(f"{line}\n" for line in lines).encode()


def _text(value: object) -> str:
    """A value of any type as JSON: YAML reads each text in it as a text."""
    text = json.dumps(value, ensure_ascii=False, default=list)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
