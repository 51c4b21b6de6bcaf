import os
import stat

import pytest

from edgepro_tf import files
from edgepro_tf.errors import EdgeProError, OutputExistsError


def test_writes_and_reads(tmp_path):
    path = files.write_file(tmp_path / "a.bin", b"abc")
    assert files.read_bytes(path) == files.read_bytes(b"abc") == b"abc"
    assert files.size_of(path) == files.size_of(memoryview(b"abc")) == 3
    assert (files.name_of(path), files.name_of(b"abc")) == ("a.bin", "")
    assert os.listdir(tmp_path) == ["a.bin"]


def test_keeps_what_is_there(tmp_path):
    path = files.write_file(tmp_path / "a.bin", b"old")
    with pytest.raises(OutputExistsError, match=r"a\.bin: expected no file"):
        files.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    files.write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_name_taken_in_the_meantime(tmp_path, monkeypatch):
    path = files.write_file(tmp_path / "a.bin", b"old")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(OutputExistsError):
        files.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_without_hard_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    path = files.write_file(tmp_path / "a.bin", b"abc")
    assert path.read_bytes() == b"abc"
    with pytest.raises(OutputExistsError):
        files.write_file(path, b"new")
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_failure_leaves_nothing(tmp_path, monkeypatch, overwrite):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old") if overwrite else None

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(EdgeProError, match="No space left on device"):
        files.write_file(path, b"new", overwrite=overwrite)
    assert os.listdir(tmp_path) == (["a.bin"] if overwrite else [])
    assert not overwrite or path.read_bytes() == b"old"


def test_missing_folder(tmp_path):
    with pytest.raises(EdgeProError, match="Check that the folder exists"):
        files.write_file(tmp_path / "none" / "a.bin", b"abc")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_mode_holds_from_the_start(tmp_path, monkeypatch):
    seen = []
    real = os.fsync

    def look(descriptor):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    path = files.write_file(tmp_path / "key", b"abc", mode=files.PRIVATE_MODE)
    assert seen[0] == stat.S_IMODE(path.stat().st_mode) == 0o600
