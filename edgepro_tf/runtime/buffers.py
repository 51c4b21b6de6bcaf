"""A restored private copy of the model, for what takes a buffer and no delegate."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from edgepro_tf import native
from edgepro_tf.errors import ConversionError, InterpreterError
from edgepro_tf.files import name_of
from edgepro_tf.runtime.interpreters import check_threads


def restore_to_buffer(
    model: str | Path | bytes, payload: bytes, *, threads: int = 0
) -> mmap.mmap | bytearray:
    """Restore a public model in memory of this process.

    A path is mapped copy-on-write: pages that restoring does not touch stay shared
    with the page cache, and nothing is ever written to the file. Bytes are copied.

    Args:
        model: path or content of the public ``.tflite``.
        payload: lock bytes from an opened sidecar.
        threads: CPU threads that restore; 0 chooses by the size of what is restored.

    Raises:
        WrongModelError: the payload belongs to another file.
        ConversionError: the file is empty or no TFLite model.
        InterpreterError: there is no such number of threads, or the system refused to
            map the file.

    Cost: memory for the pages rewritten (path), or the model's size (bytes).
    """
    check_threads(threads, least=0)
    buffer: mmap.mmap | bytearray
    if isinstance(model, (str, Path)):
        hint = "Close files and other programs, or use a smaller model."
        with telling_refusal(f"cannot restore {name_of(model)}", hint):
            buffer = _map(model)
    else:
        buffer = bytearray(model)
    native.restore_buffer(buffer, payload, threads=threads)
    return buffer


def _map(model: str | Path) -> mmap.mmap:
    with open(model, "rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except ValueError as error:
            raise empty_model(model) from error


@contextlib.contextmanager
def telling_refusal(problem: str, hint: str) -> Iterator[None]:
    """Make an InterpreterError of what the system refuses: memory, descriptors.

    A file that is not there stays a FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or "the system refused"
        raise InterpreterError(f"{problem}: {reason}.", hint) from error


def empty_model(model: str | Path | bytes) -> ConversionError:
    """The error for a model file without a byte in it."""
    return ConversionError(
        f"cannot restore {name_of(model) or 'the model'}: expected a TFLite model, got "
        "an empty file.",
        "Transfer the file again.",
    )
