import errno
import hashlib
import os
import random

import pytest
from vmimage.glance.reader import Reader

KIB = 1 << 10


@pytest.fixture
def path(tmp_path):
    """A file of 600 KiB: the reader takes it in three."""
    path = tmp_path / "web.img"
    path.write_bytes(random.Random(1).randbytes(600 * KIB))
    os.utime(path, (0, 0))  # long ago: a change within one tick of the kernel's clock would not show
    return path


@pytest.fixture
def moved():
    return []


@pytest.fixture
def reader(path, moved):
    with open(path, "rb", buffering=0) as file:
        yield Reader(file, lambda done, total: moved.append((done, total)))


def read_all(reader):
    return b"".join(iter(lambda: reader.read(16 * KIB), b""))


def test_a_file_is_read_from_its_first_byte_to_its_last(reader, path):
    assert read_all(reader) == path.read_bytes()


def test_a_file_is_hashed_on_the_way(reader, path):
    read_all(reader)
    assert reader.digests() == {name: hashlib.new(name, path.read_bytes()).hexdigest() for name in ("sha256", "sha512")}


def test_the_size_of_a_file_is_known_before_it_is_read(reader):
    assert reader.total == 600 * KIB


def test_every_chunk_is_reported_with_how_much_there_is_in_all(reader, moved):
    read_all(reader)
    assert [done // KIB for done, _ in moved] == [256, 512, 600, 600]
    assert {total for _, total in moved} == {600 * KIB}


def test_chunks_are_of_one_size_whatever_the_client_asks_for(reader):
    assert len(reader.read(1)) == len(reader.read(1 << 30)) == 256 * KIB


def test_a_file_that_stayed_as_it_was_is_no_trouble(reader):
    read_all(reader)
    assert reader.trouble is None


def test_an_empty_file_is_read_to_its_end(tmp_path):
    (tmp_path / "empty").touch()
    with open(tmp_path / "empty", "rb", buffering=0) as file:
        reader = Reader(file, lambda done, total: None)
        assert (read_all(reader), reader.total, reader.trouble) == (b"", 0, None)


def grow(path):
    with open(path, "ab") as file:
        file.write(b"more")


def shrink(path):
    os.truncate(path, 300 * KIB)


def overwrite(path):
    with open(path, "r+b") as file:
        file.write(b"other")


def grow_and_shrink(path):
    grow(path)
    os.truncate(path, 600 * KIB)


@pytest.mark.parametrize("change", [grow, shrink, overwrite, grow_and_shrink], ids=lambda change: change.__name__)
@pytest.mark.parametrize("chunks", [0, 1, 3], ids=["before", "amid", "after the last byte"])
def test_a_file_that_changes_while_it_is_read_is_named_at_its_end(reader, path, change, chunks):
    for _ in range(chunks):
        reader.read(KIB)
    change(path)
    with pytest.raises(OSError, match=f"{path} changed while it was uploaded"):
        read_all(reader)


def test_the_trouble_with_a_file_is_kept_for_whom_the_client_tells_of_another(reader, path):
    shrink(path)
    with pytest.raises(OSError) as caught:
        read_all(reader)
    assert reader.trouble is caught.value


def test_an_error_of_the_disk_is_kept_as_well():
    with open("/proc/self/mem", "rb", buffering=0) as file:  # nothing is mapped at 0: the kernel answers with EIO
        reader = Reader(file, lambda done, total: None)
        with pytest.raises(OSError) as caught:
            reader.read(KIB)
    assert reader.trouble is caught.value and caught.value.errno == errno.EIO


def test_an_error_of_an_observer_is_no_trouble_with_the_file(path):
    def fail(done, total):
        raise OSError("the terminal is gone")

    with open(path, "rb", buffering=0) as file:
        reader = Reader(file, fail)
        with pytest.raises(OSError, match="the terminal is gone"):
            reader.read(KIB)
    assert reader.trouble is None
