"""The calls of edgepro.h, with bytes and exceptions for pointers and statuses."""

from __future__ import annotations

import contextlib
import ctypes
import enum
import mmap
from collections.abc import Iterator

from edgepro_tf.errors import (
    ConversionError,
    EdgeProError,
    NativeError,
    PayloadError,
    WrongModelError,
)
from edgepro_tf.native._library import load_library

Buffer = bytearray | memoryview | mmap.mmap

_KEY_BYTES = 32
_NONCE_WORDS = 3
_ERROR_BYTES = 512


class _Status(enum.IntEnum):
    OK = 0
    BAD_ARGUMENT = 1
    BAD_PAYLOAD = 2
    BAD_MODEL = 3
    WRONG_MODEL = 4
    OUT_OF_MEMORY = 5


_ERRORS: dict[int, type[EdgeProError]] = {
    _Status.BAD_PAYLOAD: PayloadError,
    _Status.BAD_MODEL: ConversionError,
    _Status.WRONG_MODEL: WrongModelError,
}


def restore_buffer(buffer: Buffer, payload: bytes, *, threads: int = 0) -> int:
    """Restore a public model in place; nothing is changed where this fails.

    Args:
        buffer: the whole file, writable: a bytearray, a writable memoryview, or a
            private mapping (``mmap.ACCESS_COPY``).
        payload: lock bytes from an opened sidecar.
        threads: CPU threads that restore; 0 chooses by the size of what is restored.

    Returns:
        Bytes rewritten.

    Raises:
        PayloadError: the payload is damaged.
        WrongModelError: the payload belongs to another file.
        ConversionError: the bytes are no TFLite model, or a damaged one.
        NativeError: the native core is missing, or memory ran out.

    Cost: a pass over the protected constants at about the speed of memory, and a copy
    of the largest of them (for each thread).
    """
    written = ctypes.c_uint64()
    with _parsed(payload) as lock, _writable(buffer) as (address, size):
        error = _error_buffer()
        status = load_library().edgepro_restore(
            lock,
            address,
            size,
            threads,
            ctypes.byref(written),
            error,
            _ERROR_BYTES,
        )
        _check(status, error)
    return written.value


def apply_lock(buffer: Buffer, payload: bytes) -> list[int]:
    """Make a public model of an authorized one, in place; the inverse of restoring.

    Args:
        buffer: the whole file, writable, whose SET channels already hold what shall
            be published.
        payload: the lock; its fingerprints are not looked at.

    Returns:
        Fingerprints of the public bytes, one a record.

    Raises:
        PayloadError: the payload is damaged.
        WrongModelError: the lock names constants that the file lacks.
        ConversionError: the bytes are no TFLite model, or one that shares scales.
        NativeError: the native core is missing, or memory ran out.
    """
    library = load_library()
    with _parsed(payload) as lock, _writable(buffer) as (address, size):
        error = _error_buffer()
        count = library.edgepro_lock_record_count(lock)
        fingerprints = (ctypes.c_uint32 * count)()
        status = library.edgepro_apply(
            lock, address, size, fingerprints, error, _ERROR_BYTES
        )
        _check(status, error)
    return list(fingerprints)


def create_delegate(payload: bytes) -> int:
    """Make the delegate that restores one interpreter.

    Returns:
        Its address, a ``TfLiteDelegate*``: to be given to ``destroy_delegate`` once the
        interpreter has ended.

    Raises:
        PayloadError: the payload is damaged.
        NativeError: the native core is missing, or memory ran out.
    """
    error, delegate = _error_buffer(), ctypes.c_void_p()
    status = load_library().edgepro_delegate_create(
        payload, len(payload), ctypes.byref(delegate), error, _ERROR_BYTES
    )
    _check(status, error)
    assert delegate.value
    return delegate.value


def destroy_delegate(pointer: int) -> None:
    """Wipe and free a delegate and the constants that it restored."""
    load_library().tflite_plugin_destroy_delegate(pointer)


def hand_over(payload: bytes) -> int:
    """Leave a lock with the core for the next delegate that names the handle.

    For a runtime's own ``load_delegate``, which makes delegates by options alone.

    Returns:
        A single-use handle, for the delegate's only option ``handle``.

    Raises:
        PayloadError: the payload is damaged.
    """
    error = _error_buffer()
    handle = load_library().edgepro_hand_over(
        payload, len(payload), error, _ERROR_BYTES
    )
    if handle == 0:
        _check(_Status.BAD_PAYLOAD, error)
    return int(handle)


def discard(handle: int) -> None:
    """Wipe a lock that was handed over and not used; unknown handles are ignored."""
    load_library().edgepro_discard(handle)


def delegate_is_complete(pointer: int) -> bool:
    """Whether the delegate at this address has restored every record of its lock."""
    return bool(load_library().edgepro_delegate_is_complete(pointer))


def keystream(
    key: bytes, nonce: tuple[int, int, int], counter: int, size: int
) -> bytes:
    """ChaCha20 keystream.

    Args:
        key: 32 bytes.
        nonce: three 32-bit words.
        counter: number of the first block of 64 bytes.
        size: bytes wanted.

    Source: RFC 8439, section 2.4.
    """
    if len(key) != _KEY_BYTES or len(nonce) != _NONCE_WORDS:
        raise NativeError(
            f"cannot make a keystream: expected a key of {_KEY_BYTES} bytes and a "
            f"nonce of {_NONCE_WORDS} words, got {len(key)} and {len(nonce)}."
        )
    out = ctypes.create_string_buffer(size)
    words = (ctypes.c_uint32 * _NONCE_WORDS)(*nonce)
    load_library().edgepro_keystream(key, words, counter, out, size)
    return out.raw


def fingerprint(data: bytes) -> int:
    """The 32-bit fingerprint of docs/payload.md."""
    return int(load_library().edgepro_fingerprint(data, len(data)))


def version() -> str:
    """``major.minor.patch`` of the native core."""
    text: bytes = load_library().edgepro_version()
    return text.decode()


@contextlib.contextmanager
def _parsed(payload: bytes) -> Iterator[ctypes.c_void_p]:
    library, error, lock = load_library(), _error_buffer(), ctypes.c_void_p()
    status = library.edgepro_lock_parse(
        payload, len(payload), ctypes.byref(lock), error, _ERROR_BYTES
    )
    _check(status, error)
    try:
        yield lock
    finally:
        library.edgepro_lock_free(lock)


@contextlib.contextmanager
def _writable(buffer: Buffer) -> Iterator[tuple[int, int]]:
    """Address and size, pinned: a mapping cannot be closed meanwhile."""
    view = memoryview(buffer)
    if view.readonly or not view.c_contiguous:
        raise NativeError(
            "cannot restore a buffer: expected writable, contiguous memory, got "
            f"{type(buffer).__name__}.",
            "Pass a bytearray, or a mapping with mmap.ACCESS_COPY.",
        )
    size = view.nbytes
    empty = bytearray(1)  # The core refuses an empty file itself, but not NULL.
    pinned = (ctypes.c_char * (size or 1)).from_buffer(view if size else empty)
    try:
        yield ctypes.addressof(pinned), size
    finally:
        del pinned
        view.release()


def _error_buffer() -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(_ERROR_BYTES)


def _check(status: int, error: ctypes.Array[ctypes.c_char]) -> None:
    if status == _Status.OK:
        return
    problem, _, hint = error.value.decode().strip().partition(". ")
    raise _ERRORS.get(status, NativeError)(f"{problem.rstrip('.')}.", hint)
