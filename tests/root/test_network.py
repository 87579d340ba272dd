"""The network of a root: what listens in it is no port of the builder, and it does not reach the builder's loopback or link-local servers."""

import json
import socket

import pytest
from looking import looked_into

pytestmark = pytest.mark.needs("slirp4netns", "ip")

# perl is in every Debian
VARIATION = """
what is reached:
  cmd.run:
    - name: |
        echo "{\\"loopback\\": $(@loopback@), \\"gateway\\": $(@gateway@), \\"metadata\\": $(@metadata@), \\"own\\": $(@own@)}" > /srv/reached
        apt-get -q -o Acquire::Retries=0 update > /srv/update 2>&1; echo $? > /srv/updated
"""


@pytest.fixture
def listening():
    """A port of this machine's loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def variation_for(port):
    def reach(address, at):
        return f"timeout 10 bash -c '</dev/tcp/{address}/{at}' 2>/dev/null; echo $?"

    places = {"loopback": ("127.0.0.1", port), "gateway": ("198.18.255.2", port), "metadata": ("169.254.169.254", 80)}
    words = {f"@{name}@": reach(*place) for name, place in places.items()}
    words["@own@"] = (
        "perl -MIO::Socket::INET -e '$kept = IO::Socket::INET->new(Listen => 1, LocalPort => 50007) or die; sleep 3' & sleep 1; "
        + reach("127.0.0.1", 50007)
    )
    text = VARIATION
    for mark, command in words.items():
        text = text.replace(mark, command)
    return text


def reached(salt, listening, **settings):
    variation = salt.variation("reach", variation=variation_for(listening))
    salt.good("vm_create.create_variation", name="reach", variation=variation, update=False, publish=False, **settings)
    with looked_into(salt.output / "reach.img") as root:
        return json.loads((root / "srv/reached").read_text()), (root / "srv/updated").read_text().strip()


@pytest.mark.parametrize("live", [False, pytest.param(True, marks=pytest.mark.needs("systemd-nspawn"))], ids=["offline", "live"])
def test_in_a_private_network_only_its_own_loopback_and_the_world_are_reached(live, salt, bootstrapped, listening):
    found, updated = reached(salt, listening, network="private", live=live)
    assert found["own"] == 0 and updated == "0"
    assert 0 not in (found["loopback"], found["gateway"], found["metadata"]), found


def test_in_the_network_of_the_builder_its_loopback_is_reached(salt, bootstrapped, listening):
    found, updated = reached(salt, listening, network="host")
    assert found["loopback"] == 0 and updated == "0"


def test_without_a_network_nobody_is_reached(salt, bootstrapped, listening):
    found, _ = reached(salt, listening, network="none")  # apt-get update ends with 0 where it fetched nothing
    assert found["own"] == 0 and found["loopback"] != 0 and found["metadata"] != 0
