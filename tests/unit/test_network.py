import pytest
from vmimage.errors import ProgramMissing, SettingsWrong
from vmimage.settings.gather import gather_settings
from vmimage.system import network


@pytest.fixture
def installed(monkeypatch):
    """Let only some programs be there."""
    return lambda *names: monkeypatch.setattr(network, "find_program", lambda name: name if name in names else None)


def test_a_root_has_a_network_of_its_own_where_that_can_be_made(installed):
    installed("slirp4netns", "ip")
    assert network.kind_of_network("") == network.kind_of_network("private") == "private"
    installed("ip")
    assert network.kind_of_network("") == "host"


@pytest.mark.parametrize("kind", ["host", "none"])
def test_other_networks_need_no_program(installed, kind):
    installed()
    assert network.kind_of_network(kind) == kind


def test_a_private_network_that_cannot_be_made_is_refused_with_what_to_install(installed):
    installed("ip")
    with pytest.raises(ProgramMissing, match="slirp4netns") as caught:
        network.kind_of_network("private")
    assert "ami.network: host" in caught.value.hint


def test_another_kind_is_refused_by_name():
    with pytest.raises(SettingsWrong, match="network"):
        gather_settings([], {"network": "bridge"})
