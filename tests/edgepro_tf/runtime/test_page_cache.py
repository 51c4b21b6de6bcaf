"""A cold file is read whole, in its order; what is no file is left alone."""

import os
from pathlib import Path

import pytest

from edgepro_tf.runtime.page_cache import read_ahead

pytestmark = pytest.mark.skipif(
    not hasattr(os, "RWF_NOWAIT"), reason="only Linux says what is in its page cache"
)

PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def cold_pages(path: Path) -> int:
    with open(path, "rb", buffering=0) as file:
        count = 0
        for start in range(0, path.stat().st_size, PAGE_BYTES):
            try:
                os.preadv(file.fileno(), [bytearray(1)], start, os.RWF_NOWAIT)
            except BlockingIOError:
                count += 1
    return count


@pytest.mark.parametrize("size", [1, 1 << 20, 5 * (1 << 20) + 12_345])
def test_cold_file_is_warm_afterwards(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(os.urandom(size))
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if not cold_pages(path):
        pytest.skip("this file system keeps its pages")
    read_ahead(path)
    assert cold_pages(path) == 0
    read_ahead(str(path))  # warm: nothing to do
    assert cold_pages(path) == 0


def test_what_is_no_file_is_left_to_the_runtime(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
    (tmp_path / "empty").touch()
    for name in ("pipe", "empty", "absent", "."):
        read_ahead(tmp_path / name)
