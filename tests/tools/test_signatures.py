"""How a base is verified: digests, checksum files, and signatures that real keys made."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest
from vmimage.base import locate
from vmimage.base.locate import locate_base
from vmimage.errors import BaseRefused, BaseUnverified, SettingsWrong
from vmimage.settings.gather import gather_settings
from vmimage.system.progress import Progress
from vmimage.system.shell import run

IMAGE = bytes(1080) + b"\x53\xef" + bytes(3000)  # as much of an ext4 as its format needs
SHA256, SHA512 = hashlib.sha256(IMAGE).hexdigest(), hashlib.sha512(IMAGE).hexdigest()


@pytest.fixture
def here(tmp_path):
    """A directory as a mirror has it."""
    (tmp_path / "base.img").write_bytes(IMAGE)
    return tmp_path


def located(here, **given):
    settings = gather_settings([], {"base": f"{here}/base.img", "cache": f"{here}/cache", **given})
    return locate_base(settings, Progress())


@pytest.mark.parametrize("digest", [f"sha256:{SHA256}", SHA512, f"SHA512={SHA512.upper()}"], ids=["sha256", "bare", "upper case"])
def test_a_digest_of_the_settings_is_checked(here, digest):
    found = located(here, base_hash=digest)
    assert found.digest == f"sha256:{SHA256}" and found.format == "raw" and "from the settings" in found.verified


@pytest.mark.parametrize("name", ["SHA512SUMS", "SHA256SUMS", "base.img.sha256", "base.img.sha512"])
def test_a_checksum_file_beside_the_base_is_found_and_checked(here, name):
    (here / name).write_text(f"{SHA512 if '512' in name else SHA256}  base.img\n")
    assert name in located(here).verified
    (here / name).write_text(f"{'0' * (128 if '512' in name else 64)}  base.img\n")
    with pytest.raises(BaseUnverified, match="has the digest"):
        located(here)


def test_a_checksum_file_elsewhere_is_named_by_its_address(here, tree):
    tree(here / "sums", {"of-today": f"{SHA256} *base.img\n"})
    assert "of-today" in located(here, base_hash=f"{here}/sums/of-today").verified


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base_hash": f"sha256:{'0' * 64}"}, "has the digest"),
        ({}, "nothing tells the digest"),
        ({"base_hash": "HERE/nowhere"}, "has no digest of base.img"),
        ({"base_keyring": "HERE/keyring"}, "no checksum file lists base.img"),
        ({"base_hash": f"sha256:{SHA256}", "base_keyring": "HERE/keyring"}, "nobody signed"),
    ],
    ids=["wrong", "none", "no such file", "keyring without a file", "keyring with a digest"],
)
def test_a_base_that_is_not_verified_is_refused(here, settings, words):
    with pytest.raises(BaseUnverified, match=words):
        located(here, **{key: value.replace("HERE", str(here)) for key, value in settings.items()})


def test_a_base_is_taken_unverified_only_by_its_setting(here):
    assert located(here, base_unverified=True).verified == "not verified"


def test_half_a_digest_is_a_wrong_setting(here):
    with pytest.raises(SettingsWrong):
        located(here, base_hash=f"sha256:{SHA256[:-2]}")


def test_what_is_no_image_is_refused(here):
    (here / "base.img").write_text("<html>404</html>")
    with pytest.raises(BaseRefused, match="no file system, disk, qcow2 or tar"):
        located(here, base_unverified=True)


@pytest.fixture(scope="module")
def gpg():
    """Runs gpg with two keys of its own; its home has a short name, for sockets allow no long name."""
    home = Path(tempfile.mkdtemp(prefix="gpg"))

    def ask(*arguments):
        return run(
            [
                "gpg",
                "--homedir",
                home,
                "--batch",
                "--quiet",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
                "--yes",
                *arguments,
            ]
        )

    try:
        for name in ("mirror", "stranger"):
            ask("--quick-generate-key", f"{name}@example.org", "ed25519", "sign", "never")
            ask("--output", home / f"{name}.gpg", "--export", f"{name}@example.org")
        ask.home = home
        yield ask
    finally:
        run(["gpgconf", "--homedir", home, "--kill", "all"])
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def signed(here, gpg):
    """A mirror's directory whose checksum file a key has signed."""
    (here / "SHA512SUMS").write_text(f"{SHA512}  base.img\n")

    def sign(name="mirror", ending=".gpg", *armor):
        gpg(
            "--local-user",
            f"{name}@example.org",
            *armor,
            "--output",
            here / f"SHA512SUMS{ending}",
            "--detach-sign",
            here / "SHA512SUMS",
        )
        return {"base_keyring": f"{gpg.home}/mirror.gpg"}

    return sign


needs_gpg = pytest.mark.needs("gpg", "gpgconf", "gpgv")


@needs_gpg
def test_the_signature_is_of_what_was_read_although_another_build_fetches_another_checksum_file(here, signed, monkeypatch):
    settings, good = signed(), (here / "SHA512SUMS").read_text()
    (here / "base.img").write_bytes(IMAGE + b"of a mirror that nobody should trust")
    (here / "SHA512SUMS").write_text(f"{hashlib.sha512((here / 'base.img').read_bytes()).hexdigest()}  base.img\n")
    check = locate._check_signature

    def late(*arguments):
        (here / "SHA512SUMS").write_text(good)
        return check(*arguments)

    monkeypatch.setattr(locate, "_check_signature", late)
    with pytest.raises(BaseUnverified, match="signature .* is not good"):
        located(here, **settings)


@needs_gpg
@pytest.mark.parametrize("ending", [".gpg", ".sign", ".asc", ".sig"])
def test_a_checksum_file_signed_by_a_key_of_the_keyring_is_good(here, signed, ending):
    settings = signed("mirror", ending, *(["--armor"] if ending == ".asc" else []))
    assert located(here, **settings).verified == "sha512 from SHA512SUMS, signed as mirror.gpg wants"


@needs_gpg
def test_a_signature_of_a_stranger_is_refused(here, signed):
    with pytest.raises(BaseUnverified, match="not good"):
        located(here, **signed("stranger"))


@needs_gpg
def test_a_checksum_file_changed_after_it_was_signed_is_refused(here, signed):
    settings = signed()
    (here / "SHA512SUMS").write_text(f"{SHA512}  base.img\n{SHA512}  other.img\n")
    with pytest.raises(BaseUnverified, match="not good"):
        located(here, **settings)


@needs_gpg
def test_a_checksum_file_without_a_signature_is_refused_when_a_signature_is_asked_for(here, signed):
    settings = signed()
    (here / "SHA512SUMS.gpg").unlink()
    with pytest.raises(BaseUnverified, match="no signature next to it"):
        located(here, **settings)


@needs_gpg
def test_a_keyring_that_is_not_there_is_named(here, signed):
    signed()
    with pytest.raises(BaseUnverified, match="there is no keyring /nonexistent/k.gpg"):
        located(here, base_keyring="/nonexistent/k.gpg")
