"""The fields of ``ami.ec2``: each with its default and what it means; which values cannot be meant."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vmimage.errors import SettingsWrong
from vmimage.system.address import public_address

LEGACY, UEFI, UEFI_PREFERRED = "legacy-bios", "uefi", "uefi-preferred"
BOOT_MODES = (UEFI_PREFERRED, UEFI, LEGACY)
_LARGEST_VOLUME_GIB = 65536
_LARGEST_PARALLEL = 64


def _field(default: object, doc: str) -> Any:  # the type of the field
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Ec2Settings:
    """Where and how a disk becomes an AMI.  Credentials are none of these fields: boto3 finds them in its own places."""

    region: str = _field("", "such as eu-west-1; default: as boto3 finds it")
    profile: str = _field("", "of the files of AWS's own tools; default: as boto3 finds it")
    endpoint: str = _field("", "address of a server that speaks for EC2 and EBS, for tests; default: AWS's own")
    accounts: tuple[str, ...] = _field((), "ids of accounts that may start instances of the image, each in quotes")
    boot_mode: str = _field("", "uefi-preferred, uefi or legacy-bios; default: uefi-preferred, on arm64 uefi")
    tpm: bool = _field(False, "offer a TPM 2.0 to instances; it goes with boot_mode uefi alone")
    volume_gib: int = _field(8, "size of an instance's root volume where its user names none; at least the disk's own")
    parallel: int = _field(16, "how many blocks of 512 KiB are sent at a time")


FIELDS = {setting.name: setting for setting in fields(Ec2Settings)}


def read_ec2(values: Mapping[str, Any]) -> Ec2Settings:
    """The fields of a value of ``ami.ec2`` that :func:`check_ec2` has nothing against."""
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Ec2Settings(**given)


def check_ec2(values: Mapping[Any, Any], place: str) -> None:
    """Refuse a value of ``ami.ec2`` that cannot be meant.

    :param place: where it stands, for the message
    :raises SettingsWrong: naming the field; it does not show the value, into which a secret may have been written
    """
    if wrong := _wrong_in(values):
        raise SettingsWrong(f"{place} cannot be meant", hint=wrong)


def _wrong_in(values: Mapping[Any, Any]) -> str:
    """Why a value cannot be meant, or an empty string."""
    for key in values:
        if key not in FIELDS:
            return f"unknown key {key!r}: it takes {', '.join(FIELDS)}"
    for key in ("region", "profile", "endpoint", "boot_mode"):
        if not isinstance(values.get(key, ""), str):
            return f"{key} is a text: put it in quotes"
    return (
        _wrong_address(values.get("endpoint", ""))
        or _wrong_choice(values)
        or _wrong_accounts(values.get("accounts", []))
        or _wrong_number("volume_gib", values.get("volume_gib", 1), _LARGEST_VOLUME_GIB)
        or _wrong_number("parallel", values.get("parallel", 1), _LARGEST_PARALLEL)
    )


def _wrong_choice(values: Mapping[Any, Any]) -> str:
    if not re.fullmatch(r"[a-z0-9-]*", values.get("region", "")):
        return "region is the name of a region, such as eu-west-1"
    if not values.get("profile", "").isprintable():
        return "profile is the name of a profile"
    boot_mode, tpm = values.get("boot_mode", ""), values.get("tpm", False)
    if boot_mode not in ("", *BOOT_MODES):
        return f"boot_mode is one of {', '.join(BOOT_MODES)}"
    if not isinstance(tpm, bool):
        return "tpm is true or false"
    if tpm and boot_mode != UEFI:
        return "tpm goes with boot_mode: uefi, and with no other"
    return ""


def _wrong_address(endpoint: str) -> str:
    if endpoint and not re.fullmatch(r"https?://[^\s@?#]+", endpoint) or public_address(endpoint) != endpoint:
        return "endpoint is an address such as https://ec2.example.org, without a password"
    return ""


def _wrong_accounts(accounts: object) -> str:
    if not isinstance(accounts, list) or not all(isinstance(account, str) for account in accounts):
        return 'accounts is a list of texts: ["012345678901"]'
    wrong = [account for account in accounts if not re.fullmatch(r"\d{12}", account)]
    return f"accounts holds {wrong[0]!r}: the id of an account has 12 digits" if wrong else ""


def _wrong_number(key: str, value: object, largest: int) -> str:
    if type(value) is not int or not 1 <= value <= largest:
        return f"{key} is a number from 1 to {largest}"
    return ""
