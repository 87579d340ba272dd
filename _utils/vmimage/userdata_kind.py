"""Userdata that is none of our business, told by its first bytes: a script, cloud-config, MIME, base64, or anything packed."""

import re

#: how what is not ours begins, in lower case
_BEGINNINGS = {
    "script": (b"#!", b"<powershell>", b"<script>"),
    "cloud-config": (b"#cloud-config",),
    "cloud-init": (b"#cloud-", b"#include", b"#part-handler", b"#upstart-job", b"## template:"),
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


def kind_of_others(data):
    """The kind of userdata that is not ours, or an empty str."""
    head = data[:64].lower()
    for kind, beginnings in _BEGINNINGS.items():
        if head.startswith(beginnings):
            return kind
    if _BZIP2.match(data):
        return "compressed"
    if _MIME.search(data[:4096]):
        return "mime"
    joined = b"".join(data.split())
    return "base64" if _BASE64.fullmatch(joined) and len(joined) % 4 == 0 else ""


def is_of_cloud_config(key):
    """Whether cloud-config has such a key: then it was meant to be some, and lacks its first line."""
    return key in _CLOUD_CONFIG
