"""The network of a root: what listens in it is no port of the builder, and it does not reach the builder's loopback or link-local servers."""

import json
import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from looking import looked_into
from servers import own_port
from vmimage.root.enter import work_inside
from vmimage.root.name_servers import RESOLV
from vmimage.root.overlay import open_copy
from vmimage.system import syscalls
from vmimage.system.network import PRIVATE
from waiting import HANG_SECONDS

pytestmark = pytest.mark.needs("slirp4netns", "ip")

# perl is in every Debian
VARIATION = """
what is reached:
  cmd.run:
    - name: |
        echo "{\\"loopback\\": $(@loopback@), \\"gateway\\": $(@gateway@), \\"metadata\\": $(@metadata@), \\"own\\": $(@own@),
        \\"ssh\\": $(@ssh@), \\"web\\": $(@web@)}" > /srv/reached
        apt-get -q -o Acquire::Retries=3 update > /srv/update 2>&1; echo $? > /srv/updated
"""
# where no systemd runs, nothing but the program itself starts a daemon
DAEMONS = """
a web server is there:
  pkg.installed: [{name: nginx}, {install_recommends: False}]
it and ssh are restarted:
  cmd.run:
    - name: |
        ssh-keygen -A
        service ssh restart && service nginx restart
        [ -e /run/systemd/private ] || { mkdir -p /run/sshd && /usr/sbin/sshd && nginx; }
    - require: [{pkg: a web server is there}]
    - require_in: [{cmd: what is reached}]
"""
#: others test on the same machine, and get other ports
OWN_PORT = own_port()
#: of the machine's loopback, where no name server is
OWN_LOOPBACK = f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"


@pytest.fixture
def listening():
    """A port of this machine's loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def watched_listeners():
    """The ports at which anything on this machine has listened during the block, but not before it: looked at ten times a second."""
    seen, ended = set(), threading.Event()

    def look():
        rows = subprocess.run(["ss", "-Htln"], capture_output=True, text=True, check=True).stdout.splitlines()
        return {int(row.split()[3].rpartition(":")[2]) for row in rows}

    def watch():
        while not ended.wait(0.1):
            seen.update(look() - before)

    before = look()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def variation_for(port, daemons):
    def reach(address, at):
        return f"timeout 10 bash -c '</dev/tcp/{address}/{at}' 2>/dev/null; echo $?"

    places = {"loopback": ("127.0.0.1", port), "gateway": ("198.18.255.2", port), "metadata": ("169.254.169.254", 80)}
    places |= {"ssh": ("127.0.0.1", 22), "web": ("127.0.0.1", 80)}
    words = {f"@{name}@": reach(*place) for name, place in places.items()}
    words["@own@"] = (
        f"perl -MIO::Socket::INET -e '$kept = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalPort => {OWN_PORT}) or die; mkdir q(/run/it-listens); sleep 300' & "
        + "while kill -0 $! && [ ! -e /run/it-listens ]; do sleep 0.1; done; "
        + reach("127.0.0.1", OWN_PORT)
        + "; sleep 3; kill $!"
    )
    text = VARIATION + (DAEMONS if daemons else "")
    for mark, command in words.items():
        text = text.replace(mark, command)
    return text


def reached(salt, listening, *, daemons=False, **settings):
    """What the root reaches (0 where it does), how its ``apt-get update`` ended, and at which ports this machine listened meanwhile."""
    variation = salt.variation("reach", variation=variation_for(listening, daemons))
    with watched_listeners() as seen:
        salt.good("vm_create.create_variation", name="reach", variation=variation, update=False, publish=False, **settings)
    with looked_into(salt.output / "reach.img") as root:
        return json.loads((root / "srv/reached").read_text()), (root / "srv/updated").read_text().strip(), seen


@pytest.mark.parametrize("live", [False, pytest.param(True, marks=pytest.mark.needs("systemd-nspawn"))], ids=["offline", "live"])
def test_in_the_private_network_of_a_build_daemons_listen_at_no_port_of_the_builder_and_only_the_world_is_reached(
    live, salt, bootstrapped, listening
):
    found, updated, seen = reached(salt, listening, daemons=True, live=live)
    assert found["own"] == found["ssh"] == found["web"] == 0 and updated == "0"
    assert 0 not in (found["loopback"], found["gateway"], found["metadata"]), found
    assert not seen & {22, 80, OWN_PORT}


def test_in_the_network_of_the_builder_its_loopback_is_reached_and_its_ports_are_used(salt, bootstrapped, listening):
    found, updated, seen = reached(salt, listening, network="host")
    assert found["loopback"] == 0 and updated == "0"
    assert OWN_PORT in seen


def test_without_a_network_nobody_is_reached(salt, bootstrapped, listening):
    found, _, seen = reached(salt, listening, network="none")  # apt-get update ends with 0 where it fetched nothing
    assert found["own"] == 0 and found["loopback"] != 0 and found["metadata"] != 0
    assert OWN_PORT not in seen


@pytest.fixture
def asked_on_the_loopback(tmp_path):
    """A name server that knows every name, on this machine's loopback, as systemd-resolved is."""
    (tmp_path / "resolv.conf").write_text(f"nameserver {OWN_LOOPBACK}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((OWN_LOOPBACK, 53))

        def serve():
            while (asked := server.recvfrom(512))[0] != b"end":
                question, address = asked
                # the header of an answer, the question, and for an address of IPv4 one record
                record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton("192.0.2.7")
                answer = record if question[-4:] == b"\0\1\0\1" else b""
                cut = 2 if b"many" in question else 0
                server.sendto(
                    question[:2]
                    + bytes([0x81 | cut])
                    + b"\x80\0\1\0"
                    + bytes([bool(answer)])
                    + b"\0" * 4
                    + question[12:]
                    + answer,
                    address,
                )

        serving = threading.Thread(target=serve)
        serving.start()
        target = os.path.realpath(RESOLV)
        syscalls.mount(tmp_path / "resolv.conf", target, flags=syscalls.MS_BIND)  # for the processes of these tests alone
        yield
        syscalls.umount(target)
        server.sendto(b"end", server.getsockname())
        serving.join()


def test_where_the_builder_asks_on_its_loopback_its_process_finds_names_in_a_private_network(
    asked_on_the_loopback, tmp_path, bootstrapped
):
    def ask():
        return socket.gethostbyname("archive.example.org")

    with looked_into(bootstrapped.image) as root, open_copy(root, tmp_path / "copy") as copy:
        assert work_inside(copy, ask, kind_of_network=PRIVATE) == "192.0.2.7"
    assert OWN_LOOPBACK in Path(RESOLV).read_text()


def test_a_name_server_that_a_state_starts_takes_over_from_what_answers_in_a_root(tmp_path, bootstrapped):
    def serve():
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as name servers do
            server.bind(("127.0.0.1", 53))
            server.settimeout(HANG_SECONDS)
            client.sendto(b"who?", ("127.0.0.1", 53))
            return server.recv(16)

    with looked_into(bootstrapped.image) as root, open_copy(root, tmp_path / "copy") as copy:
        assert work_inside(copy, serve, kind_of_network=PRIVATE) == b"who?"


def test_an_answer_that_is_too_long_for_udp_is_whole_on_the_loopback_of_a_root(asked_on_the_loopback, tmp_path, bootstrapped):
    """The name server of the builder cuts it, and has it whole for who asks by TCP."""
    query, truncated = b"\0\1\1\0\0\1" + bytes(6) + b"\4many\0\0\1\0\1", 2

    def serve(listening):
        line, _ = listening.accept()
        with line:
            assert line.recv(1 << 10) == len(query).to_bytes(2) + query
            line.sendall((3000).to_bytes(2) + query[:2] + b"\x81\x80" + bytes(2996))

    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(HANG_SECONDS)
            client.sendto(query, ("127.0.0.53", 53))
            return client.recv(1 << 16)

    with socket.create_server((OWN_LOOPBACK, 53)) as listening:
        serving = threading.Thread(target=serve, args=(listening,), daemon=True)
        serving.start()
        with looked_into(bootstrapped.image) as root, open_copy(root, tmp_path / "copy") as copy:
            answer = work_inside(copy, ask, kind_of_network=PRIVATE)
        serving.join(HANG_SECONDS)
    assert len(answer) == 3000 and answer[:2] == query[:2] and not answer[2] & truncated
