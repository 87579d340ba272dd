"""Addresses of bases: what they are called, and how they are told without the secrets that they may hold."""

import re
from urllib.parse import urlsplit


def public_address(text):
    """An address, or a text with addresses, without user, password and query: a query may be a signature."""
    return re.sub(r"(\w+://[^\s?]*)\?\S*", r"\1?***", re.sub(r"(\w+://)[^/\s]*@", r"\1***@", text))


def name_of(address):
    """The file's name in an address: a checksum file lists it by this."""
    path = urlsplit(address).path if address.startswith(("http://", "https://", "file://")) else address
    return path.rsplit("/", 1)[-1]
