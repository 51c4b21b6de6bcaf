"""Finds and loads ``libedgepro``; declares its functions (edgepro.h)."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path

import edgepro_tf
from edgepro_tf.errors import NativeError

_COMPILERS = {"darwin": "xcode-select --install", "win32": "pip install ziglang"}
_COMPILER = _COMPILERS.get(sys.platform, "apt install gcc")
_INSTALL = f"Install again with a C compiler: {_COMPILER}, then pip install ."
_SUFFIXES = {"win32": ".dll", "darwin": ".dylib"}
_BYTES, _SIZE = ctypes.c_void_p, ctypes.c_size_t
_TEXT = ctypes.c_char_p
# name -> (result, arguments)
_SIGNATURES = {
    "edgepro_lock_parse": (
        ctypes.c_int,
        (_BYTES, _SIZE, ctypes.POINTER(ctypes.c_void_p), _TEXT, _SIZE),
    ),
    "edgepro_lock_free": (None, (ctypes.c_void_p,)),
    "edgepro_lock_record_count": (_SIZE, (ctypes.c_void_p,)),
    "edgepro_restore": (
        ctypes.c_int,
        (
            ctypes.c_void_p,
            _BYTES,
            _SIZE,
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_uint64),
            _TEXT,
            _SIZE,
        ),
    ),
    "edgepro_apply": (
        ctypes.c_int,
        (
            ctypes.c_void_p,
            _BYTES,
            _SIZE,
            ctypes.POINTER(ctypes.c_uint32),
            _TEXT,
            _SIZE,
        ),
    ),
    "edgepro_hand_over": (ctypes.c_uint64, (_BYTES, _SIZE, _TEXT, _SIZE)),
    "edgepro_discard": (None, (ctypes.c_uint64,)),
    "edgepro_keystream": (
        None,
        (_BYTES, ctypes.POINTER(ctypes.c_uint32), ctypes.c_uint32, _BYTES, _SIZE),
    ),
    "edgepro_fingerprint": (ctypes.c_uint32, (_BYTES, _SIZE)),
    "edgepro_version": (ctypes.c_char_p, ()),
    "edgepro_delegate_create": (
        ctypes.c_int,
        (_BYTES, _SIZE, ctypes.POINTER(ctypes.c_void_p), _TEXT, _SIZE),
    ),
    "edgepro_delegate_is_complete": (ctypes.c_int, (ctypes.c_void_p,)),
    "tflite_plugin_destroy_delegate": (None, (ctypes.c_void_p,)),
}


@functools.cache
def library_path() -> Path:
    """Where the native core lies: what ``load_delegate`` of a runtime takes."""
    suffix = _SUFFIXES.get(sys.platform, ".so")
    return Path(__file__).with_name(f"libedgepro{suffix}")


@functools.cache
def load_library() -> ctypes.CDLL:
    """The library with its functions declared.

    Raises:
        NativeError: it is missing, or of another machine or version.
    """
    path = library_path()
    if not path.exists():
        raise NativeError(
            f"cannot load the native core: expected {path}, found none.", _INSTALL
        )
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise _other(path, str(error)) from error
    version = library.edgepro_version().decode()
    if version != edgepro_tf.__version__:
        raise _other(path, f"version {version} beside {edgepro_tf.__version__}")
    return library


def _other(path: Path, what: str) -> NativeError:
    return NativeError(
        f"cannot load the native core: expected {path} of this machine and version, "
        f"got another ({what}).",
        _INSTALL,
    )
