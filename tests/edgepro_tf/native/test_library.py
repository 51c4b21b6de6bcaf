"""A native core that is missing, or of another machine or version."""

import ctypes.util
import shutil
import sys
from pathlib import Path

import pytest

from edgepro_tf import native
from edgepro_tf.errors import NativeError
from edgepro_tf.native import _library

INSTALL = "apt install gcc, then pip install ."
MACHINE_OFFSET, ARM64, S390 = 18, 183, 22  # e_machine of the ELF header


def load_from(path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(_library, "library_path", lambda: path)
    return _library.load_library.__wrapped__()


def refusal(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with pytest.raises(NativeError, match="cannot load the native core") as caught:
        load_from(path, monkeypatch)
    assert caught.value.hint.endswith(INSTALL)
    return caught.value.problem


def test_the_real_one_loads_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / native.library_path().name
    shutil.copy(native.library_path(), path)
    assert load_from(path, monkeypatch) is not None


def test_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "libedgepro.so"
    assert refusal(path, monkeypatch).endswith(f"expected {path}, found none.")


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path = tmp_path / "libedgepro.so"
    path.write_bytes(content)
    assert "got another" in refusal(path, monkeypatch)


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux'")
def test_of_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = bytearray(native.library_path().read_bytes())
    is_arm64 = library[MACHINE_OFFSET] == ARM64
    library[MACHINE_OFFSET] = S390 if is_arm64 else ARM64
    path = tmp_path / "libedgepro.so"
    path.write_bytes(library)
    assert "of this machine and version, got another" in refusal(path, monkeypatch)


def test_another_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ctypes.util.find_library("m")
    if name is None:
        pytest.skip("no C library to be found")
    assert "edgepro_lock_parse" in refusal(Path(name), _existing(monkeypatch))


def _existing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The loader finds a bare name, which is no path."""
    monkeypatch.setattr(Path, "exists", lambda path: True)
    return monkeypatch


def test_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = native.library_path().read_bytes()
    version = native.version().encode() + b"\0"
    assert library.count(version) == 1
    path = tmp_path / "libedgepro.so"
    path.write_bytes(library.replace(version, b"0.0.0\0"))
    assert f"version 0.0.0 beside {native.version()}" in refusal(path, monkeypatch)
