"""What a runtime is about to map, brought into the page cache."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def read_ahead(path: str | Path) -> None:
    """Read those parts of a file that are not in the page cache, in their order.

    A runtime verifies a mapped file table by table: of a cold one, each look waits for
    the pages around it, twice as long in all as it takes to read the file in its order.
    A warm file costs a look at one byte of each megabyte.

    Linux only; elsewhere, and where the file system has no such look, it does nothing.
    What cannot be read is left to the runtime to report.

    Args:
        path: of the file.
    """
    without_waiting = getattr(os, "RWF_NOWAIT", None)
    if without_waiting is None or not os.path.isfile(path):
        return
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        look, chunk = bytearray(1), bytearray()
        for start in range(0, size, _CHUNK_BYTES):
            # The last byte: the kernel, reading ahead too, may have had the first ones.
            last = min(start + _CHUNK_BYTES, size) - 1
            try:
                os.preadv(file.fileno(), [look], last, without_waiting)
            except BlockingIOError:
                chunk = chunk or bytearray(_CHUNK_BYTES)
                os.preadv(file.fileno(), [chunk], start)
