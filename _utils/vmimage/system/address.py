"""Addresses: the name of the file at one, and how to show one without the secrets that it may hold."""

import re
from urllib.parse import urlsplit


def public_address(text: str) -> str:
    """An address, or a text with addresses, without user, password and query: a query may be a signature."""
    # each begins at the start of a word, and takes the whole address: else a long text would take hours
    text = re.sub(r"(\b\w+://)[^/\s]*@", r"\1***@", text)
    return re.sub(r"(\b\w+://[^\s?]*)(\?\S*)?", lambda found: found[1] + ("?***" if found[2] else ""), text)


def name_of(address: str) -> str:
    """The file's name in an address: a checksum file lists it by this."""
    path = urlsplit(address).path if address.startswith(("http://", "https://", "file://")) else address
    return path.rsplit("/", 1)[-1]
