"""Read what a caller names, and write files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from edgepro_tf.errors import EdgeProError, OutputExistsError

PathOrBytes = str | os.PathLike[str] | bytes | bytearray | memoryview

PUBLIC_MODE = 0o644
PRIVATE_MODE = 0o600
_ALLOW = "allow it to be overwritten"


def write_file(
    path: str | os.PathLike[str],
    data: bytes,
    *,
    overwrite: bool = False,
    mode: int = PUBLIC_MODE,
) -> Path:
    """Write a file atomically.

    The bytes go to a temporary file in the same folder, reach the disk, and only then
    take the name: a reader sees the old file or the new one, never a part of it.

    Args:
        path: where to; a symbolic link there is replaced, not followed.
        data: the whole content.
        overwrite: whether a file of this name may be replaced.
        mode: permission bits, in force from the moment of creation (the process's
            umask applies); 0o600 for secrets.

    Returns:
        The path.

    Raises:
        OutputExistsError: the file exists and ``overwrite`` is false.
        EdgeProError: the system refused, for example for want of the folder.
    """
    target = Path(path)
    if not overwrite:
        check_absent(target)
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(8)}.tmp")
    try:
        _write_new(temporary, data, mode)
        _give_name(temporary, target, overwrite)
        _sync_folder(target.parent)
    except FileExistsError as error:
        raise _exists(target, _ALLOW) from error
    except OSError as error:
        raise EdgeProError(
            f"cannot write {target}: {error.strerror or 'the system refused'}.",
            "Check that the folder exists and may be written to.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


def check_absent(*paths: str | os.PathLike[str], remedy: str = _ALLOW) -> None:
    """Refuse names that are taken, before the work that ends in writing them.

    Args:
        *paths: where files will go.
        remedy: what else than another name helps, for the error's hint.

    Raises:
        OutputExistsError: one of them exists.
    """
    for path in paths:
        if os.path.lexists(path):
            raise _exists(Path(path), remedy)


def read_bytes(source: PathOrBytes) -> bytes:
    """Return the bytes given, or those of the file named.

    Raises:
        OSError: the file cannot be read; callers say so in their own words.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    return Path(source).read_bytes()


def size_of(source: PathOrBytes) -> int:
    """Return the size in bytes, of a file without reading it."""
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).nbytes
    return os.stat(source).st_size


def name_of(source: PathOrBytes) -> str:
    """Return the file's name for a sentence; empty for bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return ""
    return Path(source).name


def _write_new(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _give_name(temporary: Path, target: Path, overwrite: bool) -> None:
    """Rename; a name taken in the meantime is refused unless ``overwrite``."""
    if not overwrite:
        try:
            os.link(temporary, target)  # Unlike a rename it fails on an existing name.
            return
        except FileExistsError:
            raise
        except (OSError, NotImplementedError, AttributeError):
            if os.path.lexists(target):  # A file system without hard links.
                raise FileExistsError(target) from None
    os.replace(temporary, target)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where a folder can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exists(target: Path, remedy: str) -> OutputExistsError:
    return OutputExistsError(
        f"cannot write {target}: expected no file of that name, got one.",
        f"Choose another name, or {remedy}.",
    )
