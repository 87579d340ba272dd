"""Addresses of bases: what they are called, and how they are told without the secrets that they may hold."""

import re
from urllib.parse import urlsplit


def public_address(text):
    """An address, or a text with addresses, without user, password and query: a query may be a signature."""
    # each begins at the start of a word, and takes the whole address: else a long text would take hours
    text = re.sub(r"(\b\w+://)[^/\s]*@", r"\1***@", text)
    return re.sub(r"(\b\w+://[^\s?]*)(\?\S*)?", lambda found: found[1] + ("?***" if found[2] else ""), text)


def name_of(address):
    """The file's name in an address: a checksum file lists it by this."""
    path = urlsplit(address).path if address.startswith(("http://", "https://", "file://")) else address
    return path.rsplit("/", 1)[-1]
