"""The key by which root logs in to an instance that is booted for inspection."""

import subprocess
from contextlib import contextmanager

import pytest
from vmimage.errors import NotReady
from vmimage.image import qemu
from vmimage.image.login import Login, login_key
from vmimage.image.qemu import Disk, Running, look, qemu_argv
from vmimage.image.triplet import Triplet


def make_key(directory, *options):
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "somebody on a laptop", "-f", directory / "id", *options], check=True)
    return directory / "id"


def test_a_key_is_made_for_the_block_and_is_gone_after_it(monkeypatch):
    monkeypatch.delenv("SUDO_USER", raising=False)
    with login_key(True) as login:
        private = login.private
        command = login.command(40022)
        derived = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True).stdout
        assert derived.split()[:2] == login.public.split()
    assert command.startswith(f"ssh -i {private} -p 40022 ") and command.endswith(" root@127.0.0.1")
    assert not subprocess.run(["test", "-e", private]).returncode == 0


def test_who_came_by_sudo_is_shown_sudo_for_a_key_of_root(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "somebody")
    with login_key(True) as login:
        assert login.command(1).startswith("sudo ssh ")


@pytest.mark.parametrize("kind", [["-t", "ed25519"], ["-t", "rsa", "-b", "4096"], ["-t", "ecdsa"]], ids=lambda kind: kind[1])
@pytest.mark.parametrize("name", ["id", "id.pub"])
def test_a_key_of_the_user_is_given_by_either_half(tmp_path, kind, name):
    private = make_key(tmp_path, *kind)
    with login_key(str(tmp_path / name)) as login:
        assert login.public == " ".join(private.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])
        assert f"-i {private} " in login.command(22)


def test_a_public_key_alone_leaves_the_private_key_to_ssh(tmp_path):
    make_key(tmp_path).unlink()
    with login_key(str(tmp_path / "id.pub")) as login:
        assert "-i" not in login.command(22).split()


@pytest.mark.parametrize("text", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "ssh-ed25519\n", 'ssh-ed25519 AAAA" init=/bin/sh'])
def test_what_is_no_public_key_is_refused_by_its_name(tmp_path, text):
    (tmp_path / "x.pub").write_text(text, encoding="utf-8")
    with pytest.raises(NotReady, match="x.pub is no public ssh key"), login_key(str(tmp_path / "x.pub")):
        pass


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(NotReady, match="nothing.pub cannot be read: No such file"), login_key(str(tmp_path / "nothing")):
        pass


def test_without_a_key_there_is_no_login():
    with login_key(False) as login:
        assert login is None


def test_the_kernel_takes_the_key_as_one_word_behind_its_others(tmp_path):
    words = Login("ssh-ed25519 AAAA").words
    argv = [
        str(word) for word in qemu_argv(Triplet(tmp_path, "web"), tmp_path / "disk", "tcg", tmp_path / "console", words=words)
    ]
    line = argv[argv.index("-append") + 1]
    assert line.endswith(' "systemd.set_credential=ssh.authorized_keys.root:ssh-ed25519 AAAA"')


@pytest.mark.parametrize("is_disk", [True, False], ids=["disk", "triplet"])
def test_a_disk_has_the_key_from_the_machine_and_a_triplet_from_its_kernels_line(monkeypatch, tmp_path, is_disk):
    target = Disk("web", tmp_path / "web", "raw", "bios") if is_disk else Triplet(tmp_path, "web")
    seen = []

    @contextmanager
    def booted(target, is_up, seconds, forwards, more, words):
        seen.append((" ".join(more), words))
        yield Running("tcg", 1, tmp_path / "console", None)

    monkeypatch.setattr(qemu, "booted", booted)
    monkeypatch.setattr(qemu, "probe", lambda *arguments: "SSH-2.0")
    look(target, 1, [], login=Login("ssh-ed25519 AAAA"))
    by_machine = "-smbios type=11,value=io.systemd.credential:ssh.authorized_keys.root=ssh-ed25519 AAAA"
    by_line = '"systemd.set_credential=ssh.authorized_keys.root:ssh-ed25519 AAAA"'
    assert seen == [(by_machine, "") if is_disk else ("", by_line)]
