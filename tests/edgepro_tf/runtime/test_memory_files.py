"""Sealed memory files, opened by path in the real runtimes of this environment."""

import errno
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepro_tf.errors import ConversionError, InterpreterError, WrongModelError
from edgepro_tf.runtime import (
    MemoryFile,
    memory_files,
    restore_model,
    restore_model_file,
)
from edgepro_tf.runtime.interpreters import find_runtime, make_interpreter
from tests.runtime_only.test_golden_pair import (
    GOLDEN,
    KEYS,
    MODEL,
    RUNTIMES,
    SIDECAR,
    golden_samples,
    scores_of,
)

AUTHORIZED = GOLDEN / "authorized.tflite"

pytestmark = pytest.mark.skipif(
    not memory_files.is_memory_file_supported(), reason="this system has no memfd"
)


def golden_file(model: str | Path | bytes = MODEL) -> MemoryFile:
    return restore_model_file(model, SIDECAR, **KEYS)


@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
def test_holds_the_authorized_model(as_bytes: bool) -> None:
    before = MODEL.read_bytes()
    with golden_file(before if as_bytes else MODEL) as file:
        assert Path(file).read_bytes() == AUTHORIZED.read_bytes()
        assert Path(file.path).read_bytes() == AUTHORIZED.read_bytes()
        assert file.size_bytes == AUTHORIZED.stat().st_size
    assert MODEL.read_bytes() == before


def test_is_no_file_on_disk() -> None:
    with golden_file() as file:
        assert os.readlink(file.path) == "/memfd:model (deleted)"
        assert os.stat(file.path).st_nlink == 0


def test_cannot_be_changed_by_anyone() -> None:
    with golden_file() as file:
        again = os.open(file.path, os.O_RDWR)
        try:
            for change in (
                lambda: os.pwrite(again, b"x", 0),
                lambda: os.pwrite(again, b"x", file.size_bytes),
                lambda: os.ftruncate(again, 0),
            ):
                with pytest.raises(OSError) as refusal:
                    change()
                assert refusal.value.errno == errno.EPERM
        finally:
            os.close(again)
        assert Path(file).read_bytes() == AUTHORIZED.read_bytes()


def test_its_descriptor_is_not_inherited_and_ends_with_it() -> None:
    with golden_file() as file:
        path = file.path
        assert not os.get_inheritable(int(path.rpartition("/")[2]))
        assert path in repr(file)
    assert not os.path.exists(path)
    assert repr(file) == "MemoryFile(closed)"
    with pytest.raises(ValueError, match="closed"):
        _ = file.path
    file.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_opens_by_path_and_outlives_its_closing(runtime: str) -> None:
    x, _, _ = golden_samples()
    with golden_file() as file:
        restored = make_interpreter(file.path, runtime=find_runtime(runtime))
    restored.allocate_tensors()
    authorized = make_interpreter(AUTHORIZED, runtime=find_runtime(runtime))
    authorized.allocate_tensors()
    assert np.array_equal(scores_of(restored, x), scores_of(authorized, x))


def test_failures_leave_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(WrongModelError, match=r"belongs to model .* this file is"):
        golden_file(AUTHORIZED)
    payload = b"never looked at"
    with pytest.raises(ConversionError, match="an empty file"):
        memory_files.restore_to_memory_file(b"", payload)
    with pytest.raises(FileNotFoundError):
        memory_files.restore_to_memory_file("no such file", payload)
    assert len(os.listdir("/proc/self/fd")) == before


def test_another_system_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(InterpreterError, match="expected Linux or Android"):
        golden_file()


def test_without_proc_there_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "_DESCRIPTORS", "/not/mounted")
    with pytest.raises(InterpreterError, match=r"with /not/mounted.*restore_model"):
        golden_file()


@pytest.mark.parametrize(
    ("module", "call", "number"),
    [
        (os, "memfd_create", errno.ENOSYS),  # Forbidden to a sandboxed process.
        (os, "sendfile", errno.ENOSPC),
        (mmap, "mmap", errno.ENOMEM),
    ],
)
def test_a_system_that_refuses_is_told_so(
    module: Any, call: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, call, refuse)
    before = len(os.listdir("/proc/self/fd"))
    words = f"cannot restore to a memory file: {os.strerror(number)}"
    with pytest.raises(InterpreterError, match=words) as refusal:
        golden_file()
    assert "restore_model" in str(refusal.value)
    assert len(os.listdir("/proc/self/fd")) == before
    if module is mmap:
        with pytest.raises(InterpreterError, match="tflite: Cannot allocate"):
            restore_model(MODEL, SIDECAR, **KEYS)
