"""In which order userdata is looked for, how long, and what is said; and the places that are plain files."""

import os
from types import SimpleNamespace

import pytest
from metadata_devices import mounted_devices
from vmimage.errors import UserdataWrong
from vmimage.instance import metadata
from vmimage.instance.metadata import SOURCES, read_userdata
from vmimage.instance.metadata_drives import read_cloud_init, read_config_drive, read_nocloud
from vmimage.instance.metadata_source import Found, Machine, Trouble
from vmimage.settings.strict_yaml import LIMIT_BYTES

DATA, NONE_HERE, NONE_AT_ALL = Found(b"ami.name: web", "a place"), Found(b"", "a server (404)", sure=False), Found(b"", "a drive")


def trouble(what="refused"):
    return Trouble(what)


class Looking:
    """Sources that answer from lists, each round the next, and a clock that only pauses move."""

    def __init__(self, monkeypatch):
        self.now, self.slept, self.said, self.asked, self.cost = 0, [], [], [], 0
        monkeypatch.setattr(metadata, "time", SimpleNamespace(monotonic=lambda: self.now))

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def source(self, name, answers):
        def read(machine):
            self.asked.append(name)
            self.now += self.cost
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return read

    def read(self, deadline_seconds=100, **answers):
        sources = {
            name: self.source(name, list(answer) if isinstance(answer, (list, tuple)) else [answer])
            for name, answer in answers.items()
        }
        return read_userdata(sources, deadline_seconds=deadline_seconds, say=self.said.append, sleep=self.sleep)

    def fail(self, **answers):
        with pytest.raises(UserdataWrong) as caught:
            self.read(**answers)
        return str(caught.value)


@pytest.fixture
def looking(monkeypatch):
    return Looking(monkeypatch)


def test_disks_come_before_files_and_files_before_servers():
    assert list(SOURCES) == ["config drive", "NoCloud", "cloud-init's copy", "OpenStack", "EC2"]


def test_the_first_that_holds_userdata_is_taken_and_no_other_is_asked(looking):
    assert looking.read(a=None, b=DATA, c=DATA) == (b"ami.name: web", "a place")
    assert looking.asked == ["a", "b"] and looking.slept == []


def test_a_drive_without_userdata_is_an_answer(looking):
    assert looking.read(a=NONE_AT_ALL, b=DATA) == (b"", "a drive")


def test_a_server_without_userdata_leaves_the_others_to_be_asked(looking):
    assert looking.read(a=NONE_HERE, b=DATA) == (b"ami.name: web", "a place")


def test_where_all_servers_have_none_there_is_none(looking):
    assert looking.read(a=None, b=NONE_HERE, c=Found(b"", "another", sure=False)) == (b"", "a server (404)")
    assert looking.slept == []


def test_a_server_without_userdata_is_not_believed_while_another_is_in_trouble(looking):
    assert looking.read(a=NONE_HERE, b=[trouble(), trouble(), DATA]) == (b"ami.name: web", "a place")
    assert looking.slept == [1, 2]
    assert "refused" in looking.fail(a=NONE_HERE, b=trouble())


def test_who_is_in_trouble_does_not_keep_another_from_answering(looking):
    assert looking.read(a=trouble(), b=DATA) == (b"ami.name: web", "a place")


def test_what_appears_later_is_found(looking):
    assert looking.read(a=[None, None, DATA]) == (b"ami.name: web", "a place")


@pytest.mark.parametrize("seconds", [0.5, 1, 7, 30, 100, 300, 1000])
@pytest.mark.parametrize("cost", [0, 3])
def test_pauses_end_with_the_deadline_and_use_it_up(looking, seconds, cost):
    looking.cost = cost
    message = looking.fail(deadline_seconds=seconds, a=trouble())
    assert f"within {seconds:g} seconds" in message
    assert seconds / 2 <= looking.now <= seconds + 2 * cost
    assert all(later >= earlier for earlier, later in zip(looking.slept, looking.slept[1:-1], strict=False))


def test_the_error_tells_all_that_was_tried_and_what_came_of_it(looking):
    message = looking.fail(drive=None, one=trouble("http://x: Connection refused"), two=NONE_HERE)
    assert "drive: not there" in message and "one: http://x: Connection refused" in message and "two: none in a server" in message
    assert "is the network up" in message


def test_an_observer_reads_the_order_what_each_said_and_what_is_new(looking):
    looking.read(drive=None, server=[trouble("slow"), trouble("slow"), trouble("500"), DATA])
    assert looking.said == [
        "userdata: looking in drive, server",
        "userdata, drive: not there",
        "userdata, server: slow",
        "no userdata yet; try 2 of 8 in 1 s",
        "no userdata yet; try 3 of 8 in 2 s",
        "userdata, server: 500",
        "no userdata yet; try 4 of 8 in 4 s",
        "userdata: 13 bytes in a place",
    ]


def test_an_observer_reads_that_there_is_none(looking):
    looking.read(drive=NONE_AT_ALL)
    assert looking.said[-1] == "userdata: none in a drive"


def test_too_much_is_an_error_at_once(looking):
    assert "64 KiB" in looking.fail(a=UserdataWrong("more than 64 KiB"), b=DATA)
    assert looking.asked == ["a"] and looking.slept == []


# files


@pytest.fixture
def machine(tmp_path, confining_kernel, monkeypatch):
    mounted_devices(monkeypatch, lambda argv: "")
    return Machine(top=tmp_path)


def test_a_machine_without_any_of_the_files_has_no_such_source(machine):
    assert read_nocloud(machine) is None and read_cloud_init(machine) is None


@pytest.mark.parametrize("name", ["nocloud", "nocloud-net"])
def test_the_directory_of_nocloud_is_read(machine, tree, name):
    tree(machine.top, {f"var/lib/cloud/seed/{name}/user-data": "ami.name: web"})
    assert read_nocloud(machine) == Found(b"ami.name: web", f"/var/lib/cloud/seed/{name}/user-data")


def cloud_init(datasource="DataSourceEc2", data="ami.name: web"):
    return {
        "run/cloud-init/instance-data.json": "{}",
        "var/lib/cloud/instance": "-> /var/lib/cloud/instances/i-1",
        "var/lib/cloud/instances/i-1/user-data.txt": data,
        "var/lib/cloud/instances/i-1/datasource": f"{datasource}: {datasource}\n",
    }


def test_what_cloud_init_found_is_taken(machine, tree):
    tree(machine.top, cloud_init())
    assert read_cloud_init(machine) == Found(b"ami.name: web", "/var/lib/cloud/instance/user-data.txt")


def test_what_cloud_init_found_before_the_machine_was_started_is_not_ours(machine, tree):
    entries = cloud_init()
    del entries["run/cloud-init/instance-data.json"]
    tree(machine.top, entries)
    assert read_cloud_init(machine) is None


@pytest.mark.parametrize(("datasource", "sure"), [("DataSourceEc2", True), ("DataSourceNone", False)])
def test_that_cloud_init_found_nothing_is_believed_if_it_had_a_source(machine, tree, datasource, sure):
    tree(machine.top, cloud_init(datasource, ""))
    assert read_cloud_init(machine) == Found(b"", "/var/lib/cloud/instance/user-data.txt", sure)


def test_a_link_never_leads_out(machine, tree, tmp_path):
    tree(tmp_path.parent, {"outside-userdata": "of the host"})
    tree(machine.top, {"var/lib/cloud/seed/nocloud/user-data": f"-> {tmp_path.parent}/outside-userdata"})
    assert read_nocloud(machine) is None
    (machine.top / "var/lib/cloud/seed/nocloud/user-data").unlink()
    tree(machine.top, {"var/lib/cloud/seed/nocloud/user-data": "-> user-data"})
    with pytest.raises(Trouble, match="leads in circles"):
        read_nocloud(machine)


def test_a_pipe_in_place_of_a_file_does_not_keep_us_waiting(machine, tree):
    tree(machine.top, {"var/lib/cloud/seed/nocloud/": None})
    os.mkfifo(machine.top / "var/lib/cloud/seed/nocloud/user-data")
    with pytest.raises(Trouble, match="no regular file"):
        read_nocloud(machine)


def test_a_file_of_64_kib_is_read_and_a_larger_file_refused(machine, tree):
    seed = {"var/lib/cloud/seed/nocloud/user-data": b"#" * LIMIT_BYTES}
    tree(machine.top, seed)
    assert len(read_nocloud(machine).data) == LIMIT_BYTES
    tree(machine.top, {name: data + b"#" for name, data in seed.items()})
    with pytest.raises(UserdataWrong, match="more than 64 KiB") as caught:
        read_nocloud(machine)
    assert not isinstance(caught.value, Trouble)


def test_disks_are_found_by_the_links_of_udev_each_once(machine, tree, monkeypatch):
    devices = mounted_devices(monkeypatch, lambda argv: pytest.fail("blkid was asked"))
    tree(machine.top, {"dev/vdb": "", "dev/disk/by-label/config-2": "-> ../../vdb", "dev/disk/by-label/CONFIG-2": "-> ../../vdb"})
    assert read_config_drive(machine) is None and devices == [str(machine.top / "dev/vdb")]


def test_where_udev_made_no_link_the_disks_are_looked_at(machine, tree, monkeypatch):
    printed = {"LABEL=cidata": "/dev/sr0\n", "LABEL=CIDATA": "/dev/sr0\n/dev/sdb\n"}
    devices = mounted_devices(monkeypatch, lambda argv: printed[argv[-1]])
    tree(machine.top, {"dev/disk/by-label/cidata": "-> ../../gone"})
    assert read_nocloud(machine) is None and devices == ["/dev/sr0", "/dev/sdb"]
