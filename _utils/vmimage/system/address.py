"""Addresses: the name of the file at one, and how to show one without the secrets that it may hold."""

import re
from urllib.parse import urlsplit


def public_address(text: str) -> str:
    """An address, or a text with addresses, without user, password and query: a query may be a signature."""
    return re.sub(r"(\w+://[^\s?]*)\?\S*", r"\1?***", re.sub(r"(\w+://)[^/\s]*@", r"\1***@", text))


def name_of(address: str) -> str:
    """The file's name in an address: a checksum file lists it by this."""
    path = urlsplit(address).path if address.startswith(("http://", "https://", "file://")) else address
    return path.rsplit("/", 1)[-1]
