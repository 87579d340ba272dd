import pytest
from vmimage.errors import BootFailed
from vmimage.glance.gate import pass_gate
from vmimage.image import qemu
from vmimage.image.triplet import Triplet


@pytest.fixture
def triplet(tmp_path):
    return Triplet(tmp_path, "web")


@pytest.fixture
def asked(monkeypatch):
    """A boot that succeeds, where port 22 answers and 81 and 82 do not; a list of ``(triplet, seconds, ports)``."""
    boots = []

    def look(triplet, seconds, ports):
        boots.append((triplet, seconds, ports))
        others = {81: qemu.REFUSED, 82: qemu.SILENT}
        answers = {port: others.get(port, "SSH-2.0") for port in ports}
        return {"seconds": 9.5, "accelerator": "kvm", "answers": answers, "failed": [] if 22 in ports else ["nginx.service"]}

    monkeypatch.setattr(qemu, "look", look)
    return boots


@pytest.mark.parametrize(
    ("gate", "seconds", "ports"),
    [
        (True, 300, []),
        ({}, 300, []),
        ({"seconds": 20}, 20, []),
        ({"ports": [22]}, 300, [22]),
        ({"seconds": 0.5, "ports": [22]}, 0.5, [22]),
    ],
)
def test_the_triplet_is_booted_once_as_the_gate_asks(triplet, asked, gate, seconds, ports):
    pass_gate(triplet, gate)
    assert asked == [(triplet, seconds, ports)]


def test_who_passes_is_noted_with_what_was_seen(triplet, asked):
    assert pass_gate(triplet, {"ports": [22]}) == {
        "seconds": 9.5,
        "accelerator": "kvm",
        "answers": {22: "SSH-2.0"},
        "failed": [],
    }


@pytest.mark.parametrize(
    ("ports", "words"),
    [([81], "on port 81; units that failed: nginx.service"), ([82, 22, 81], "on port 82, 81")],
    ids=["one", "some"],
)
def test_ports_that_do_not_answer_are_named_with_the_triplet(triplet, asked, ports, words):
    with pytest.raises(BootFailed) as failed:
        pass_gate(triplet, {"ports": ports})
    assert failed.value.message.startswith("web came up") and failed.value.message.endswith(words)


def test_a_triplet_that_does_not_come_up_does_not_pass(triplet, monkeypatch):
    def look(*_):
        raise BootFailed("web did not come up in 300 s", hint="look")

    monkeypatch.setattr(qemu, "look", look)
    with pytest.raises(BootFailed, match="did not come up"):
        pass_gate(triplet, True)
