import os
import shlex
import signal
import stat
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as some
from vmimage.errors import CommandFailed, ProgramMissing, RepositoryWrong
from vmimage.repository import programs
from vmimage.repository.address import check_address
from vmimage.repository.environment import check_credentials, isolated_home
from vmimage.repository.git import Git
from vmimage.repository.mercurial import Mercurial
from vmimage.repository.programs import ProgramFailed, ask_program

ADDRESS = "https://example.org:8443/v"


@pytest.fixture
def directory(tmp_path):
    """Credentials as they should be."""
    path = tmp_path / "credentials"
    path.mkdir(mode=0o700)
    (path / "netrc").write_text("machine example.org login alice password s3cr3t\nmachine other.org login bob password 0th3r\n")
    (path / "ssh_key").write_text("KEY")
    (path / "known_hosts").write_text("HOSTS")
    for file in path.iterdir():
        file.chmod(0o600)
    return path


def written(tmp_path, address, credentials=""):
    """``(hgrc as {section: {key: value}}, environment)`` of a home."""
    with isolated_home(tmp_path / "home", address, str(credentials)) as environment:
        sections, last = {}, None
        for line in (tmp_path / "home/hgrc").read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                last = sections.setdefault(line.strip("[]"), {})
            else:
                key, _, value = line.partition(" = ")
                last[key] = value
        return sections, environment


# credentials


def test_no_credentials_are_no_trouble():
    assert check_credentials("") == {}


def test_credentials_are_the_files_that_are_there(directory):
    (directory / "known_hosts").unlink()
    assert check_credentials(str(directory)) == {name: directory / name for name in ("netrc", "ssh_key")}


@pytest.mark.parametrize("name", ["", "netrc", "ssh_key", "known_hosts"])
@pytest.mark.parametrize("mode", [0o040, 0o004, 0o020, 0o002, 0o010, 0o077])
def test_what_others_can_read_or_change_is_refused_with_the_remedy(directory, name, mode):
    path = directory / name
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
    with pytest.raises(RepositoryWrong, match="is open to others") as refused:
        check_credentials(str(directory))
    assert refused.value.hint == f"chmod {600 if name else 700} {path}"


def test_what_belongs_to_somebody_else_is_refused(directory, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(RepositoryWrong, match="belongs to another user\n  -> chown 4242 "):
        check_credentials(str(directory))


@pytest.mark.parametrize("path", ["relative", "/nonexistent", "/etc/passwd"])
def test_credentials_are_a_directory(path):
    with pytest.raises(RepositoryWrong, match=f"no directory of credentials {path}"):
        check_credentials(path)


def test_a_directory_with_other_names_holds_no_credentials(directory):
    for name in ("netrc", "ssh_key", "known_hosts"):
        (directory / name).rename(directory / f"my_{name}")
    with pytest.raises(RepositoryWrong, match="contains no credentials\n  -> name them netrc, ssh_key, known_hosts"):
        check_credentials(str(directory))


@pytest.mark.parametrize("text", ["s3cr3t", "machine x login y password s3cr3t junk", "machine", b"\xff\xfe s3cr3t"])
def test_a_netrc_that_is_none_is_refused_and_not_shown(tmp_path, directory, text):
    (directory / "netrc").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RepositoryWrong, match="is no netrc file") as refused:
        written(tmp_path, ADDRESS, directory)
    assert "s3cr3t" not in str(refused.value) and refused.value.__suppress_context__


def test_a_password_cannot_add_a_line_to_the_configuration(tmp_path, directory):
    (directory / "netrc").write_text('machine example.org login alice password "x\n[hooks]\npre-pull=evil"\n')
    with pytest.raises(RepositoryWrong, match="control character"):
        written(tmp_path, ADDRESS, directory)


# what the programs get


def test_hg_gets_passwords_for_whole_hosts_only(tmp_path, directory):
    auth = written(tmp_path, ADDRESS, directory)[0]["auth"]
    prefixes = {value: auth[key.replace("prefix", "password")] for key, value in auth.items() if key.endswith("prefix")}
    assert prefixes == {"https://example.org/": "s3cr3t", "https://other.org/": "0th3r", f"{ADDRESS[:-1]}": "s3cr3t"}


def test_a_password_goes_unencrypted_only_to_the_host_that_was_named_so(tmp_path, directory):
    auth = written(tmp_path, "http://example.org/v", directory)[0]["auth"]
    assert sorted(value for key, value in auth.items() if key.endswith("prefix")) == [
        "http://example.org/",
        "https://example.org/",
        "https://other.org/",
    ]


def test_no_secret_is_in_the_environment(tmp_path, directory):
    assert "s3cr3t" not in str(written(tmp_path, ADDRESS, directory)[1])


def test_the_home_is_private_while_it_is_there_and_goes(tmp_path, directory):
    home = tmp_path / "home"
    with isolated_home(home, ADDRESS, str(directory)):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
        assert os.readlink(home / ".netrc") == str(directory / "netrc")
    assert not home.exists() and (directory / "netrc").exists()
    with pytest.raises(ZeroDivisionError), isolated_home(home, ADDRESS, str(directory)):
        raise ZeroDivisionError
    assert not home.exists()


def test_ssh_gets_the_same_from_hg_and_git_and_asks_nobody(tmp_path, directory):
    sections, environment = written(tmp_path, "ssh://hg@example.org/v", directory)
    assert sections["ui"]["ssh"] == environment["GIT_SSH_COMMAND"]
    words = shlex.split(environment["GIT_SSH_COMMAND"])
    assert words[:5] == ["ssh", "-F", "/dev/null", "-i", str(tmp_path / "home/ssh_key")]
    options = {word for previous, word in zip(words, words[1:], strict=False) if previous == "-o"}
    assert options >= {
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "ConnectTimeout=20",
        f'UserKnownHostsFile="{tmp_path}/home/known_hosts"',
    }


def test_of_the_callers_environment_only_the_way_to_the_net_is_kept(tmp_path, monkeypatch):
    for name in (
        "GIT_DIR",
        "GIT_SSH",
        "HGRCPATH",
        "HGPLAINEXCEPT",
        "SSH_AUTH_SOCK",
        "SSH_ASKPASS",
        "PYTHONPATH",
        "LD_PRELOAD",
        "PAGER",
    ):
        monkeypatch.setenv(name, "/evil")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    environment = written(tmp_path, ADDRESS)[1]
    assert "/evil" not in environment.values()
    assert (environment["https_proxy"], environment["NO_PROXY"]) == ("http://proxy:3128", "localhost")
    assert environment["HOME"] == str(tmp_path / "home")


@pytest.mark.parametrize(
    "address, never",
    [("https://example.org/v", {"http", "file"}), ("http://example.org/v", {"file"}), ("ssh://example.org/v", {"http", "file"})],
)
def test_a_server_cannot_lead_git_to_files_or_to_less_safety(tmp_path, directory, address, never):
    allowed = set(written(tmp_path, address, directory)[1]["GIT_ALLOW_PROTOCOL"].split(":"))
    assert allowed < {"https", "http", "ssh", "file"} and not allowed & never


# what the programs are asked

whole = some.sampled_from(["https://example.org:80/v", "http://[::1]/v", "ssh://a@example.org/v", "file:///srv/v", "/srv/v"])
pieces = some.sampled_from(
    ["/", "-", "--", "-x", "--config", "=", "@", ":", "%2d", "ä", " ", "[", "\n", "#", "!", "."]
) | some.text(max_size=2)


@given(
    some.builds(lambda address, place, piece: address[:place] + piece + address[place:], whole, some.integers(0, 24), pieces)
    | whole
)
def test_no_address_makes_an_option_or_a_line_of_configuration(tmp_path_factory, address):
    try:
        check_address("git", address, "key")
    except RepositoryWrong:
        return
    top = tmp_path_factory.mktemp("x")
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vmimage.system.shell.find_program", lambda name: name)
        patch.setattr(programs, "run", lambda argv, **_: asked.append(list(map(str, argv))) or SimpleNamespace(output=""))
        patch.setattr("vmimage.repository.environment.check_credentials", lambda _: {"ssh_key": top / "key"})
        sections, environment = written(top, address)
        for program in (Mercurial(address, environment), Git(address, environment)):
            program.probe()
            program.update(top / "clone")
            program.commits(top / "clone")
            program.find_name(top / "clone", "name")
            program.find_latest(top / "clone")
    assert sections["paths"] == {"default": address, "default:bookmarks.mode": "mirror"}
    assert set(sections) == {"paths", "ui", "http", "subrepos"}
    for argv in asked:
        where = [number for number, word in enumerate(argv) if word == address]
        assert all("--" in argv[:number] for number in where), argv


def failing(monkeypatch, output, code=255):
    def run(argv, **_):
        raise CommandFailed(argv, code, output)

    monkeypatch.setattr("vmimage.system.shell.find_program", lambda name: name)
    monkeypatch.setattr(programs, "run", run)
    with pytest.raises(ProgramFailed) as failed:
        ask_program(["hg", "pull"], {}, "X cannot be fetched")
    return failed.value


@pytest.mark.parametrize(
    "output, reason, hint",
    [
        ("abort: HTTP Error 404: Not Found\n", "abort: HTTP Error 404: Not Found", "check the address"),
        ("warning: x\nfatal: unable to access\nremote: bye\n", "fatal: unable to access", "see whether the server"),
        (
            "fatal: could not read Username for 'http://x': terminal prompts disabled\n",
            "fatal: could not read",
            "give credentials",
        ),
        ("abort: http authorization required for http://x\n", "abort: http authorization", "give credentials"),
        ("u@h: Permission denied (publickey).\nfatal: Could not read\n", "fatal: Could not read", "give credentials"),
        ("Host key verification failed.\r\nfatal: Could not read\n", "fatal: Could not read", "into known_hosts"),
        ("fatal: server certificate verification failed\n", "fatal: server certificate", "update-ca-certificates"),
        ("", "hg ended with 255", "see whether"),
        ("something\n", "something", "see whether"),
    ],
)
def test_what_a_program_says_is_put_into_few_words_with_what_to_do(monkeypatch, output, reason, hint):
    error = failing(monkeypatch, output)
    assert error.message.startswith(f"X cannot be fetched: {reason}") and hint in error.hint


def test_what_a_server_says_neither_tells_passwords_nor_moves_the_cursor(monkeypatch):
    error = failing(monkeypatch, "remote: \x1b[2J\nfatal: https://a:s3cr3t@example.org/x?token=s3cr3t refused\n" + "x" * 9000)
    assert "s3cr3t" not in str(error) and "\x1b" not in str(error) and len(str(error)) < 2000


def test_a_program_that_was_ended_for_its_time_says_so(monkeypatch):
    assert "it took longer than 1800 s" in failing(monkeypatch, "", -signal.SIGALRM).message


def test_a_program_that_is_not_there_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr("vmimage.system.shell.find_program", lambda name: None)
    with pytest.raises(ProgramMissing, match="apt-get install mercurial"):
        ask_program(["hg", "pull"], {}, "")
