"""LiteRT's CompiledModel over a pair. The only door to that API."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepro_tf.errors import InterpreterError
from edgepro_tf.files import PathOrBytes
from edgepro_tf.runtime.interpreters import call_runtime
from edgepro_tf.runtime.memory_files import is_memory_file_supported
from edgepro_tf.runtime.models import restore_model, restore_model_file
from edgepro_tf.sidecar import Identity, IssuerKey, Passphrase

_MODULE = "ai_edge_litert.compiled_model"
# Ends of the names of options that make a runtime write what it was given to disk.
_WRITES_TO_DISK = ("_cache_path", "_cache_dir", "_dir")


def open_compiled_model(
    model: str | Path | bytes,
    sidecar: PathOrBytes,
    *,
    identity: Identity | Passphrase,
    issuer: IssuerKey,
    audience: str | None = None,
    threads: int = 0,
    **options: Any,
) -> Any:
    """Open a public model with its sidecar in LiteRT's ``CompiledModel``.

    For accelerators that only this API reaches. It takes no delegate, so the model is
    restored first: on Linux in a sealed memory file, which LiteRT maps and does not
    copy; elsewhere in a buffer. Nothing restored touches the disk.

    Args:
        model: path or content of the public ``.tflite``.
        sidecar: path or content.
        identity: the private key (or passphrase) that opens the sidecar.
        issuer: the public key of who must have signed it.
        audience: the application id it must be for; None if it names none.
        threads: CPU threads that restore; 0 chooses by the size of what is restored.
        **options: passed on to ``CompiledModel.from_file``, for example
            ``hardware_accel`` or ``options``.

    Returns:
        LiteRT's own ``CompiledModel``.

    Raises:
        SidecarError: the sidecar does not open; its subclasses say why.
        WrongModelError: it belongs to another model.
        InterpreterError: ai-edge-litert is missing or has no such API, refused the
            model, or an option would write restored weights to disk.

    Cost: SHA-256 of the model (about 1 ms a megabyte; LiteRT does not verify what it
    opens here), and the restored model once in memory (Linux: shared memory), beside
    what LiteRT packs for its kernels, which it packs for every model.
    """
    compiled_model = _find_compiled_model()
    _refuse_caches(options.get("options"))
    keys: dict[str, Any] = {
        "identity": identity,
        "issuer": issuer,
        "audience": audience,
        "threads": threads,
    }
    if is_memory_file_supported():
        with restore_model_file(model, sidecar, **keys) as file:
            return call_runtime(compiled_model.from_file, file.path, **options)
    restored = bytes(restore_model(model, sidecar, **keys))
    return call_runtime(compiled_model.from_buffer, restored, **options)


def has_compiled_model() -> bool:
    """Whether this environment has LiteRT's ``CompiledModel`` (ai-edge-litert 2)."""
    try:
        return importlib.util.find_spec(_MODULE) is not None
    except ModuleNotFoundError:
        return False


def _find_compiled_model() -> Any:
    if not has_compiled_model():
        raise InterpreterError(
            "cannot open a CompiledModel: expected ai-edge-litert 2.0 or later, found "
            "none.",
            'pip install "ai-edge-litert>=2", or use open_interpreter.',
        )
    return importlib.import_module(_MODULE).CompiledModel


def _refuse_caches(options: Any) -> None:
    """Refuse options that would leave restored weights on disk, where they are seen."""
    for name, value in _options_of_groups(options):
        if value and name.lower().endswith(_WRITES_TO_DISK):
            raise InterpreterError(
                f"cannot open a CompiledModel: expected no option {name!r}, which "
                "makes LiteRT write restored weights to disk, got one.",
                "Leave it empty for a protected model.",
            )


def _options_of_groups(options: Any) -> Iterator[tuple[str, Any]]:
    """All of them by name; a group may have a dict of further ones (OpenVINO's)."""
    for group in getattr(options, "__dict__", {}).values():
        for name, value in getattr(group, "__dict__", {}).items():
            yield from value.items() if isinstance(value, dict) else [(name, value)]
