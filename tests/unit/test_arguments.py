"""Arguments of functions that are no settings."""

import pytest
from vmimage.errors import SettingsWrong
from vmimage.settings.arguments import read_number, read_ports


@pytest.mark.parametrize(("given", "number"), [(0, 0), (17, 17), ("17", 17)])
def test_a_whole_number_is_read_as_a_command_line_has_it(given, number):
    assert read_number(given, "limit", "how many") == number


@pytest.mark.parametrize("given", ["soon", "", -1, 0.5, True, None, [1]])
def test_what_is_no_whole_number_is_named_with_what_it_should_say(given):
    with pytest.raises(SettingsWrong) as caught:
        read_number(given, "limit", "how many builds are listed")
    assert "the argument limit is " in str(caught.value) and "how many builds are listed: a whole number, 0 or more" in str(
        caught.value
    )


def test_what_is_less_than_it_may_be_is_refused():
    with pytest.raises(SettingsWrong, match="the argument seconds is 0"):
        read_number(0, "seconds", "how long to wait", least=1)


@pytest.mark.parametrize(
    ("given", "ports"), [("80,22", [80, 22]), (443, [443]), ([80, "22"], [80, 22]), ("80, 22,", [80, 22]), ("", [])]
)
def test_ports_are_a_text_a_number_or_a_list(given, ports):
    assert read_ports(given, "forward") == ports


@pytest.mark.parametrize("given", ["22x", "http", 0, 65536, "80;22", True, -1, [None], {"port": 80}])
def test_what_is_no_port_is_named(given):
    with pytest.raises(SettingsWrong, match="the argument forward is "):
        read_ports(given, "forward")
