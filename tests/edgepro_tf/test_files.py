import contextlib
import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from edgepro_tf import files
from edgepro_tf.errors import EdgeProError, OutputExistsError


@contextlib.contextmanager
def limited_file_size(size_bytes):
    """A disk that is full at this size: writing beyond it fails."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_writes_and_reads(tmp_path):
    path = files.write_file(tmp_path / "a.bin", b"abc")
    assert files.read_bytes(path, limit_bytes=3) == b"abc"
    assert files.read_bytes(path, limit_bytes=1) == b"ab"
    assert files.read_bytes(b"abc", limit_bytes=1) == b"abc"
    assert files.size_of(path) == files.size_of(memoryview(b"abc")) == 3
    assert (files.name_of(path), files.name_of(b"abc")) == ("a.bin", "")
    assert os.listdir(tmp_path) == ["a.bin"]


def test_reading_takes_the_memory_of_the_file(tmp_path):
    small = files.write_file(tmp_path / "a.bin", b"abc")
    large = files.write_file(tmp_path / "b.bin", bytes(range(250)) * 12_000)
    tracemalloc.start()
    try:
        assert files.read_bytes(small, limit_bytes=64 << 20) == b"abc"
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert files.read_bytes(large, limit_bytes=64 << 20) == large.read_bytes()
    assert files.read_bytes(large, limit_bytes=2_999_999) == large.read_bytes()
    assert len(files.read_bytes(large, limit_bytes=2_500_000)) == 2_500_001


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


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("umask", [0, 0o022, 0o277])
def test_secrets_are_private_under_any_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        path = files.write_file(tmp_path / "key", b"abc", mode=files.PRIVATE_MODE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) & ~0o600 == 0


@pytest.mark.parametrize("overwrite", [False, True])
def test_several_files_are_written_all_or_none(tmp_path, overwrite):
    small, large = tmp_path / "small", tmp_path / "large"
    if overwrite:
        small.write_bytes(b"old"), large.write_bytes(b"old")
    contents = {small: (b"new", 0o644), large: (bytes(5000), 0o644)}
    with limited_file_size(1000), pytest.raises(EdgeProError, match="too large"):
        files.write_files(contents, overwrite=overwrite)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == ({"small": b"old", "large": b"old"} if overwrite else {})
    files.write_files(contents, overwrite=overwrite)
    assert (small.read_bytes(), large.stat().st_size) == (b"new", 5000)


def test_a_name_taken_halfway_takes_back_what_was_named(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_bytes(b"mine")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(OutputExistsError, match="second"):
        files.write_files({first: (b"a", 0o644), second: (b"b", 0o644)})
    assert os.listdir(tmp_path) == ["second"]
    assert second.read_bytes() == b"mine"


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt])
@pytest.mark.parametrize("at", [1, 2])
def test_a_failure_halfway_puts_back_what_was_overwritten(
    tmp_path, monkeypatch, at, error
):
    """The older sidecar is what opens the older model: neither may be lost alone."""
    first, link, absent = (tmp_path / name for name in ("first", "link", "absent"))
    first.write_bytes(b"old")
    link.symlink_to(first)
    real, count = os.replace, iter(range(9))

    def fail(source, target):
        if next(count) == at:
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", fail)
    contents = {each: (b"new", 0o644) for each in (absent, first, link)}
    with pytest.raises((EdgeProError, KeyboardInterrupt)):
        files.write_files(contents, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["first", "link"]
    assert link.is_symlink() and link.read_bytes() == first.read_bytes() == b"old"
    files.write_files(contents, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["absent", "first", "link"]
    assert {each.read_bytes() for each in contents} == {b"new"}


def test_a_killed_process_loses_no_file(tmp_path, monkeypatch):
    """What stands on the disk when the second name is about to be given."""
    contents = {tmp_path / name: (b"new", 0o644) for name in ("first", "second")}
    for path in contents:
        path.write_bytes(f"old {path.name}".encode())
    real, seen = os.replace, []

    def look(source, target):
        if target.name == "second":
            seen.extend(sorted(each.read_bytes() for each in tmp_path.iterdir()))
        real(source, target)

    monkeypatch.setattr(os, "replace", look)
    files.write_files(contents, overwrite=True)
    assert seen == 2 * [b"new"] + [b"old first"] + 2 * [b"old second"]


def test_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_file(tmp_path / "a.bin", b"new")
    assert os.listdir(tmp_path) == []


def test_symbolic_links_are_replaced_not_followed(tmp_path):
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_bytes(b"mine")
    link.symlink_to(other)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    for path in (link, dangling):
        with pytest.raises(OutputExistsError):
            files.write_file(path, b"new")
        files.write_file(path, b"new", overwrite=True)
        assert path.read_bytes() == b"new" and not path.is_symlink()
    assert other.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


def test_folders_and_empty_names_are_no_files(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputExistsError):
        files.write_file(tmp_path / "folder", b"new")
    with pytest.raises(EdgeProError, match="got a folder"):
        files.write_file(tmp_path / "folder", b"new", overwrite=True)
    for name in ("", tmp_path / "a\0b", tmp_path / "a\0b" / "c"):
        with pytest.raises(EdgeProError, match="expected the name of a file"):
            files.write_file(name, b"new")
    assert os.listdir(tmp_path) == ["folder"]
    link = tmp_path / "link"
    link.symlink_to("folder")
    with pytest.raises(EdgeProError, match="got a folder"):
        files.write_file(link, b"new", overwrite=True)
    assert link.is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes among the files")
@pytest.mark.parametrize("overwrite", [False, True])
def test_devices_and_pipes_are_not_put_out_of_their_place(tmp_path, overwrite):
    """By root, /dev/null would have become a file."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(EdgeProError, match="got a device or a pipe"):
            files.write_file(path, b"new", overwrite=overwrite)
    assert stat.S_ISFIFO(pipe.lstat().st_mode) and link.is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="as POSIX says it")
def test_names_are_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()

    def check(name, words, **options):
        for makes_folders in (False, True):
            error = words[makes_folders] if isinstance(words, tuple) else words
            options |= {"makes_folders": makes_folders}
            if error is None:
                files.check_targets(tmp_path / name, **options)
                continue
            with pytest.raises(EdgeProError, match=error):
                files.check_targets(tmp_path / name, **options)

    check("new", None)
    check("file", "expected no file of that name")
    check("file", None, overwrite=True)
    check("folder", "got a folder", overwrite=True)
    check("a" * 256, "File name too long. Choose a shorter name")
    check("none/new", ("No such file or directory", None))
    check(f"none/{'a' * 256}/new", ("No such file", "File name too long"))
    check("file/new", ("Not a directory", "cannot make folder .*file: expected no"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    check("new", "new: Permission denied")
    check("folder/none/new", ("No such file", "Permission denied"))
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_folders_made_in_vain_go_again(tmp_path):
    folder = tmp_path / "a" / "b"
    with pytest.raises(KeyboardInterrupt), files.filling_folder(folder):
        assert folder.is_dir()
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
    with files.filling_folder(folder):
        pass
    with pytest.raises(KeyboardInterrupt), files.filling_folder(folder / "c"):
        raise KeyboardInterrupt
    assert os.listdir(folder) == []
    with pytest.raises(KeyboardInterrupt), files.filling_folder(folder / "c"):
        files.write_file(folder / "c" / "kept", b"")
        raise KeyboardInterrupt
    assert os.listdir(folder / "c") == ["kept"]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
@pytest.mark.parametrize("name", ["ä" * 127, os.fsdecode(b"a\xff")])
def test_odd_names(tmp_path, name):
    path = files.write_file(tmp_path / name, b"abc")
    assert path.read_bytes() == b"abc"
    assert os.listdir(tmp_path) == [name]


def test_files_without_an_end_are_not_read_to_it():
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero")
    assert files.read_bytes("/dev/zero", limit_bytes=9) == bytes(10)
    with pytest.raises(OSError, match="Not a regular file"):
        files.check_regular("/dev/zero")
    for call in (files.size_of, files.check_regular):
        with pytest.raises(OSError, match=r"null (byte|character)"):
            call("a\0b")
