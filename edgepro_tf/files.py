"""Read what a caller names, and write files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from edgepro_tf.errors import EdgeProError, OutputExistsError

PathOrBytes = str | os.PathLike[str] | bytes | bytearray | memoryview

PUBLIC_MODE = 0o644
PRIVATE_MODE = 0o600
_PART_BYTES = 1 << 20
_KEPT_BYTES = 64  # of the name, in a temporary one: names end at 255
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
        path: where to; a symbolic link to a file is replaced, not followed.
        data: the whole content.
        overwrite: whether a file of this name may be replaced.
        mode: permission bits, in force from the moment of creation (the process's
            umask applies); 0o600 for secrets. On Windows the folder's rights hold.

    Returns:
        The path.

    Raises:
        OutputExistsError: the file exists and ``overwrite`` is false.
        EdgeProError: the system refused, for example for want of the folder.
    """
    target = Path(path)
    write_files({target: (data, mode)}, overwrite=overwrite)
    return target


def write_files(
    files: Mapping[Path, tuple[bytes, int]], *, overwrite: bool = False
) -> None:
    """Write several files that belong together: all of them, or none.

    Every file reaches the disk under a temporary name before the first one takes its
    own, so that a full disk leaves what was there before. What is overwritten keeps a
    second name until all are written: a failure half-way puts it back, and a process
    that is killed there leaves it under a name that ends in ``.tmp``. (On a file system
    without hard links, the first of several files is then lost.)

    Args:
        files: content and mode by path, as for ``write_file``.
        overwrite: whether files of these names may be replaced.

    Raises:
        OutputExistsError: a file exists and ``overwrite`` is false.
        EdgeProError: the system refused, for example for want of a folder.
    """
    check_targets(*files, overwrite=overwrite)
    temporaries = {target: _temporary_name(target) for target in files}
    earlier: dict[Path, Path] = {}
    named: list[Path] = []
    target = Path()
    try:
        for target, (data, mode) in files.items():
            _write_new(temporaries[target], data, mode)
        if overwrite:
            _keep_earlier(files, earlier)
        for target, temporary in temporaries.items():
            _give_name(temporary, target, overwrite)
            named.append(target)
            _sync_folder(target.parent)
    except BaseException as error:
        _put_back(named, earlier)
        if isinstance(error, FileExistsError):
            raise _exists(target, _ALLOW) from error
        if isinstance(error, OSError):
            raise _refused(target, error) from error
        raise
    finally:
        _remove([*temporaries.values(), *earlier.values()])


def check_targets(
    *paths: str | os.PathLike[str],
    overwrite: bool = False,
    makes_folders: bool = False,
    remedy: str = _ALLOW,
) -> None:
    """Refuse names that cannot be written, before the work that ends in writing them.

    Args:
        *paths: where files will go.
        overwrite: whether files of these names may be replaced.
        makes_folders: whether folders that are missing will be made.
        remedy: what else than another name helps where one is taken, for the hint.

    Raises:
        OutputExistsError: one of them exists, and ``overwrite`` is false.
        EdgeProError: one names a folder or a device; or the system would refuse it: it
            is too long, or goes where there is no folder, or none that may be written
            to.
    """
    for target in map(Path, paths):
        if not target.name or "\0" in str(target):
            raise EdgeProError(f"cannot write {target}: expected the name of a file.")
        is_folder = os.path.isdir(target)
        if os.path.exists(target) and not (is_folder or os.path.isfile(target)):
            raise EdgeProError(
                f"cannot write {target}: expected a file of that name, got a device or "
                "a pipe.",
                "Name a file: it is written beside its name, and then takes it.",
            )
        if os.path.lexists(target):
            if not overwrite:
                raise _exists(target, remedy)
            if is_folder:  # Or a link to one.
                raise EdgeProError(
                    f"cannot write {target}: expected a file of that name, got a "
                    "folder.",
                    "Name a file in it.",
                )
        _check_place(target, makes_folders=makes_folders)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and those above it; one that is there is taken as it is.

    Raises:
        EdgeProError: the system refused, for example for a file of that name.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise _no_folder(folder) from error
    except OSError as error:
        reason = error.strerror or "the system refused"
        raise EdgeProError(f"cannot make folder {folder}: {reason}.") from error


@contextlib.contextmanager
def filling_folder(path: str | os.PathLike[str]) -> Iterator[None]:
    """``make_folder`` for work that fills it: where that fails, empty ones go again.

    Raises:
        EdgeProError: as for ``make_folder``.
    """
    folder = Path(path)
    made = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    try:
        make_folder(folder)
        yield
    except BaseException:
        for each in made:
            with contextlib.suppress(OSError):  # Of what is in it, something stays.
                each.rmdir()
        raise


def read_bytes(source: PathOrBytes, *, limit_bytes: int) -> bytes:
    """Return the bytes given, or those of the file named.

    Args:
        source: a file, also a pipe, or bytes.
        limit_bytes: how many the caller takes. Of a longer file (a device has no end)
            one byte more is returned, so that he sees it.

    Raises:
        OSError: the file cannot be read; callers say so in their own words.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    with _possible_name(), open(source, "rb") as file:
        # In parts: a read takes the memory of all that it is asked for first.
        parts, left = [], limit_bytes + 1
        while left and (part := file.read(min(left, _PART_BYTES))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def size_of(source: PathOrBytes) -> int:
    """Return the size in bytes, of a file without reading it; 0 of a pipe.

    Raises:
        OSError: there is no such file.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).nbytes
    with _possible_name():
        return os.stat(source).st_size


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse what has no size and no place to map: folders, devices, pipes.

    Raises:
        OSError: it is no regular file, or there is none.
    """
    with _possible_name():
        mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)


def name_of(source: PathOrBytes) -> str:
    """Return the file's name for a sentence; empty for bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return ""
    return Path(source).name


def check_path(source: PathOrBytes) -> str:
    """The hint where a file cannot be read: the whole path, as it was given."""
    if isinstance(source, bytes | bytearray | memoryview):
        return ""
    return f"Check the path: {os.fspath(source)}"


@contextlib.contextmanager
def _possible_name() -> Iterator[None]:
    """A name with a zero byte, which no system takes, is an ``OSError`` as well."""
    try:
        yield
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error).capitalize()) from error


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


def _keep_earlier(targets: Iterable[Path], earlier: dict[Path, Path]) -> None:
    """Second names for the files that are about to be replaced, entered as made."""
    follows = os.link not in os.supports_follow_symlinks
    for target in targets:
        if os.path.lexists(target):
            earlier[target] = _temporary_name(target)
            with contextlib.suppress(OSError, NotImplementedError):
                os.link(target, earlier[target], follow_symlinks=follows)


def _put_back(named: Iterable[Path], earlier: Mapping[Path, Path]) -> None:
    """What was there before takes its names again; what is new goes."""
    _remove(target for target in named if target not in earlier)
    for target, kept in earlier.items():
        with contextlib.suppress(OSError):  # No second name: the new file stays.
            os.replace(kept, target)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where a folder can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_place(target: Path, *, makes_folders: bool) -> None:
    """Refuse a file's name if the folder that it goes to, or would, takes none such."""
    folder, new = target.parent, [target.name]
    while makes_folders and not os.path.lexists(folder):
        new.append(folder.name)
        folder = folder.parent
    number = 0
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except OSError as error:
        raise _refused(target, error) from error
    if not is_folder:
        if makes_folders:
            raise _no_folder(folder)
        number = errno.ENOTDIR
    elif os.name == "posix":
        longest = os.pathconf(folder, "PC_NAME_MAX")
        if any(len(os.fsencode(name)) > longest for name in new):
            number = errno.ENAMETOOLONG
        elif os.statvfs(folder).f_flag & os.ST_RDONLY:
            number = errno.EROFS
        elif not os.access(folder, os.W_OK | os.X_OK):
            number = errno.EACCES
    if number:
        raise _refused(target, OSError(number, os.strerror(number)))


def _temporary_name(target: Path) -> Path:
    encoded = os.fsencode(target.name)[:_KEPT_BYTES]
    beginning = encoded.decode(sys.getfilesystemencoding(), errors="ignore")
    return target.with_name(f".{beginning}.{secrets.token_hex(8)}.tmp")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _refused(target: Path, error: OSError) -> EdgeProError:
    hint = "Check that the folder exists, may be written to and has room."
    if error.errno == errno.ENAMETOOLONG:
        hint = "Choose a shorter name."
    return EdgeProError(
        f"cannot write {target}: {error.strerror or 'the system refused'}.", hint
    )


def _no_folder(folder: Path) -> EdgeProError:
    return EdgeProError(
        f"cannot make folder {folder}: expected no file of that name, got one.",
        "Choose another name.",
    )


def _exists(target: Path, remedy: str) -> OutputExistsError:
    return OutputExistsError(
        f"cannot write {target}: expected no file of that name, got one.",
        f"Choose another name, or {remedy}.",
    )
