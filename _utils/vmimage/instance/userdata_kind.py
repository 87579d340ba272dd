"""Userdata for other programs, known by its first bytes: a script, cloud-config, MIME, base64, or anything packed."""

import base64
import email
import re

#: the beginnings of userdata for other programs, in lower case
_BEGINNINGS = {
    "script": (b"#!", b"<powershell>", b"<script>"),
    "cloud-init": (b"## template:",),
    "compressed": (
        b"\x1f\x8b",  # gzip
        b"\xfd7zxz\0",
        b"\x28\xb5\x2f\xfd",  # zstd
        b"\x04\x22m\x18",  # lz4
        b"pk\x03\x04",  # zip
        b"pk\x05\x06",
        b"7z\xbc\xaf\x27\x1c",
        b"lzip\x01",
    ),
    "program": (b"\x7felf",),
}
#: first lines that cloud-init knows; a comment that only begins like such a line is a comment
_FIRST_LINE = re.compile(
    rb"#(?:(cloud-config|cloud-config-archive|cloud-config-jsonp)|cloud-boothook|include|include-once|part-handler|upstart-job)[ \t\r]*$",
    re.I,
)
_SETTING = re.compile(rb"^[\"']?((?:ami|keystone)(?:\.\w+)?)[\"']?[ \t]*:", re.MULTILINE)
_MOST_ENCODED = 3
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")
_MIME = re.compile(rb"^(mime-version|content-type)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")
#: keys of cloud-config
_CLOUD_CONFIG = set(
    """apt bootcmd ca_certs chpasswd disable_root disk_setup final_message fqdn fs_setup groups growpart hostname keyboard locale
    manage_etc_hosts mounts network ntp package_update package_upgrade packages password phone_home power_state resolv_conf runcmd
    salt_minion ssh_authorized_keys ssh_keys ssh_pwauth swap system_info timezone user users vendor_data write_files yum_repos
    """.split()
)


def kind_of_others(data: bytes) -> str:
    """The kind of userdata that is for another program, or an empty string."""
    head = data[:64].lower()
    for kind, beginnings in _BEGINNINGS.items():
        if head.startswith(beginnings):
            return kind
    if known := _FIRST_LINE.match(data.split(b"\n", 1)[0]):
        return "cloud-config" if known[1] else "cloud-init"
    if _BZIP2.match(data):
        return "compressed"
    if _MIME.search(data[:4096]):
        return "mime"
    return "base64" if _is_base64(data) else ""


def _is_base64(data: bytes) -> bool:
    joined = b"".join(data.split())
    return bool(_BASE64.fullmatch(joined)) and len(joined) % 4 == 0


def settings_among(data: bytes, kind: str) -> tuple[str, str] | None:
    """Settings in userdata that is for another program by its first bytes: they would be ignored.

    :param kind: of :func:`kind_of_others`
    :returns: ``(what is there, what to do)``, or None; always None for a script, which may write any text
    """
    if kind == "mime":
        return _settings_of_parts(data)
    if kind == "base64":
        for _ in range(_MOST_ENCODED):
            if not _is_base64(data):
                break
            data = base64.b64decode(b"".join(data.split()))
        inner = data.decode("utf-8", "replace")
        return (
            ("base64 of settings", "give it as it is: clients of clouds encode it themselves")
            if _SETTING.search(inner.encode())
            else None
        )
    found = _SETTING.search(data) if kind in ("cloud-config", "cloud-init") else None
    if not found:
        return None
    first = data.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    line = data.count(b"\n", 0, found.start()) + 1
    what = f"cloud-init's by its first line, {first}, and sets {found[1].decode()} (line {line})"
    if first.startswith("## template"):
        return what, "settings are no template of jinja: write the values themselves, without the first line"
    return what, "take the first line away if it is a comment, or put the settings elsewhere"


def _settings_of_parts(data: bytes) -> tuple[str, str] | None:
    """Settings among the parts of MIME, as Heat and cloud-init's write-mime-multipart put them together."""
    for number, part in enumerate((part for part in email.message_from_bytes(data).walk() if not part.is_multipart()), 1):
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes) or kind_of_others(content) == "script":
            continue
        if found := _SETTING.search(content):
            kind = part.get_content_type()
            return (
                f"MIME, whose part {number} ({kind}) sets {found[1].decode()}",
                "give the settings alone, as they are, without MIME",
            )
    return None


def is_of_cloud_config(key: str) -> bool:
    """Whether cloud-config has such a key: then the userdata was meant to be cloud-config, and lacks its first line."""
    return key in _CLOUD_CONFIG
