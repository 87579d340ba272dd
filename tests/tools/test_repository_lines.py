"""vmimage.repository.checkout over the lines that guard themselves: ssh with a real sshd, https with a certificate, and proxies."""

import os
import pwd
import ssl
import subprocess

import pytest
from repository_server import Server, call
from vmimage.errors import RepositoryWrong
from vmimage.system.shell import find_program
from waiting import HANG_SECONDS

pytest_plugins = ["repository_fixtures"]
pytestmark = pytest.mark.needs("hg", "git")


def content(checkout):
    return (checkout.path / "variation.sls").read_text()


class Sshd:
    """A real sshd on the loopback that knows one key of ours."""

    def __init__(self, top):
        self.top, self.user = top, pwd.getpwuid(os.geteuid()).pw_name
        for name in ("host", "user", "other"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", top / name)
        (top / "authorized").write_text((top / "user.pub").read_text())
        (top / "authorized").chmod(0o600)

    def config(self, port):
        path = self.top / "sshd_config"
        path.write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {self.top}/host\nAuthorizedKeysFile {self.top}/authorized\nUsePAM no\n"
            f"StrictModes no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        )
        return path

    def start(self):
        """As sshd takes no port 0, ports are tried until a port is free."""
        for port in range(42022 + os.getpid() % 1000, 44000):
            child = subprocess.Popen(
                [find_program("sshd"), "-D", "-e", "-f", self.config(port)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
            )
            line = b""
            while line := child.stderr.readline():
                if b"Server listening" in line:
                    self.port = port
                    return child
                if b"in use" not in line and b"Cannot bind" not in line:
                    child.wait(timeout=HANG_SECONDS)
                    return line.decode().strip()
            child.wait(timeout=HANG_SECONDS)
        return "no free port"

    @property
    def known_hosts(self):
        return f"[127.0.0.1]:{self.port} {(self.top / 'host.pub').read_text()}"

    def address(self, source):
        return f"ssh://{self.user}@127.0.0.1:{self.port}/{'/' if source.kind == 'hg' else ''}{str(source.path)[1:]}"

    def key(self, name="user"):
        return (self.top / name).read_text()


@pytest.fixture(scope="module")
def sshd(tmp_path_factory, lacking):
    sshd = Sshd(tmp_path_factory.mktemp("sshd"))
    shell = pwd.getpwuid(os.geteuid()).pw_shell
    if shell.endswith(("/nologin", "/false")):
        lacking(f"sshd lets nobody in whose shell is {shell}; run the tests as another user")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    child = sshd.start()
    if isinstance(child, str):
        lacking(f"sshd does not start here: {child}")
    yield sshd
    child.terminate()
    child.communicate(timeout=HANG_SECONDS)


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
def test_ssh_lets_in_who_has_the_key(history, fetch, sshd, credentials):
    directory = str(credentials(ssh_key=sshd.key(), known_hosts=sshd.known_hosts))
    checkout = fetch(sshd.address(history), "v1", history.kind, credentials=directory)
    assert content(checkout) == "second"
    assert checkout.address.startswith("ssh://***@127.0.0.1")


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
@pytest.mark.parametrize(
    "key, host, remedy",
    [("other", True, "give credentials"), ("user", False, "into known_hosts"), ("user", None, "into known_hosts")],
    ids=["another key", "another server", "an unknown server"],
)
def test_ssh_asks_nobody_and_trusts_no_stranger(history, fetch, sshd, credentials, key, host, remedy):
    known = sshd.known_hosts if host else sshd.known_hosts.split()[0] + " " + (sshd.top / "other.pub").read_text()
    directory = credentials(ssh_key=sshd.key(key), **({} if host is None else {"known_hosts": known}))
    with pytest.raises(RepositoryWrong, match="cannot be fetched") as refused:
        fetch(sshd.address(history), "v1", history.kind, credentials=str(directory), tries=1)
    assert remedy in refused.value.hint
    assert "PRIVATE" not in str(refused.value)


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
def test_ssh_uses_no_configuration_or_key_of_the_user(history, fetch, sshd, credentials, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh/config").write_text(f"Host *\nProxyCommand touch {tmp_path}/ran\n")
    directory = str(credentials(ssh_key=sshd.key(), known_hosts=sshd.known_hosts))
    assert content(fetch(sshd.address(history), "v1", history.kind, credentials=directory)) == "second"
    assert not (tmp_path / "ran").exists()


def test_ssh_without_a_key_is_refused_with_the_remedy(history, fetch):
    with pytest.raises(RepositoryWrong, match="there is no ssh_key for .*\n  -> give credentials: a directory with ssh_key"):
        fetch("ssh://git@example.org/x", "", history.kind)


@pytest.fixture
def safe_server(served, tmp_path):
    """The server with a certificate that nobody knows: ``ca.pem``."""
    call(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"),
    )
    server = Server(*served)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    with server.running():
        yield server


@pytest.mark.needs("openssl")
def test_https_trusts_known_certificates_only(history, fetch, safe_server, tmp_path, monkeypatch, credentials):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    address = safe_server.address(history)
    with pytest.raises(RepositoryWrong, match="cannot be fetched") as refused:
        fetch(address, "v1", history.kind, tries=1)
    assert "update-ca-certificates" in refused.value.hint
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    safe_server.login = "alice:secret"
    directory = str(credentials(netrc="machine 127.0.0.1 login alice password secret\n"))
    assert content(fetch(address, "v1", history.kind, credentials=directory)) == "second"


def test_the_way_through_a_proxy_is_taken(history, fetch, server, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_address[1]}")
    address = server.address(history).replace(f"127.0.0.1:{server.server_address[1]}", "repositories.example")
    with pytest.raises(RepositoryWrong):  # our server is no proxy: it is asked for the whole address
        fetch(address, "", history.kind, tries=1)
    assert server.asked[0][0].startswith("http://repositories.example/")
