"""A restored model behind a path that is no file on disk (Linux)."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path
from types import TracebackType

from edgepro_tf import native
from edgepro_tf.errors import InterpreterError
from edgepro_tf.runtime.buffers import empty_model, telling_refusal
from edgepro_tf.runtime.interpreters import check_threads

_DESCRIPTORS = "/proc/self/fd"  # Where a file without a name has a path.


class MemoryFile(os.PathLike[str]):
    """A sealed memory file: readable by path in this process, and never on disk.

    Its content can no longer be written, shrunk or grown, by anyone: what a runtime has
    mapped stays what it was. It may be closed as soon as the runtime has opened it; the
    memory is freed, and given out again only overwritten, once the runtime's own
    mapping and descriptor are gone too.

    The whole restored model lies in memory behind a file descriptor of this process.
    Whoever may debug this process (same user, or root) can read it through
    ``/proc/<pid>/fd``, as he can read the process's memory anyway. Child processes lose
    the descriptor at ``exec``; after a bare ``fork`` they have it too.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = open(descriptor, "rb", buffering=0)  # noqa: SIM115

    @property
    def path(self) -> str:
        """The path to give to an API; valid in this process until closed."""
        return f"{_DESCRIPTORS}/{self._file.fileno()}"

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Give the descriptor back; a sealed file cannot be overwritten, only freed."""
        self._file.close()

    def __fspath__(self) -> str:
        return self.path

    def __enter__(self) -> MemoryFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MemoryFile({'closed' if self._file.closed else self.path})"


def is_memory_file_supported() -> bool:
    """Whether this system has memory files that can be sealed, and paths for them.

    Linux from 3.17 on, where /proc is mounted, and Android.
    """
    return hasattr(os, "memfd_create") and os.path.isdir(_DESCRIPTORS)


def restore_to_memory_file(
    model: str | Path | bytes, payload: bytes, *, threads: int = 0
) -> MemoryFile:
    """Restore a public model into a sealed memory file.

    Args:
        model: path or content of the public ``.tflite``.
        payload: lock bytes from an opened sidecar.
        threads: CPU threads that restore; 0 chooses by the size of what is restored.

    Raises:
        WrongModelError: the payload belongs to another file.
        ConversionError: the file is empty or no TFLite model.
        InterpreterError: this system has no memory files, not so many threads, or
            refused the memory.

    Cost: memory of the model's size, whatever the lock touches: a path needs a file of
    its own. What takes a delegate or a buffer needs less (``open_interpreter``,
    ``restore_model``).
    """
    check_threads(threads, least=0)
    if not is_memory_file_supported():
        raise InterpreterError(
            "cannot restore to a memory file: expected Linux or Android with "
            f"{_DESCRIPTORS}, got {sys.platform} without.",
            "Use restore_model, which gives a buffer.",
        )
    hint = "Use restore_model, which gives a buffer and takes less memory."
    with telling_refusal("cannot restore to a memory file", hint):
        return _make(model, payload, threads)


def _make(model: str | Path | bytes, payload: bytes, threads: int) -> MemoryFile:
    # close-on-exec is Python's default for the flags, but not once they are given.
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        _fill(descriptor, model)
        _restore(descriptor, model, payload, threads)
        _seal(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return MemoryFile(descriptor)


def _fill(descriptor: int, model: str | Path | bytes) -> None:
    if isinstance(model, (str, Path)):
        with open(model, "rb") as source:
            while os.sendfile(descriptor, source.fileno(), None, 1 << 30):
                pass
    else:
        view = memoryview(model)
        while view:
            view = view[os.write(descriptor, view) :]


def _restore(
    descriptor: int, model: str | Path | bytes, payload: bytes, threads: int
) -> None:
    if os.fstat(descriptor).st_size == 0:
        raise empty_model(model)
    with mmap.mmap(descriptor, 0) as mapping:  # in place: no second copy
        native.restore_buffer(mapping, payload, threads=threads)


def _seal(descriptor: int) -> None:
    import fcntl  # not on Windows, where this module imports all the same

    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)
