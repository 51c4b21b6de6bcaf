"""Public model + sidecar -> something that runs."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgepro_tf.errors import WrongModelError, without_locals
from edgepro_tf.files import PathOrBytes
from edgepro_tf.runtime.buffers import restore_to_buffer
from edgepro_tf.runtime.delegates import Delegate, open_with_payload
from edgepro_tf.runtime.interpreters import Runtime, find_runtime
from edgepro_tf.runtime.memory_files import MemoryFile, restore_to_memory_file
from edgepro_tf.sidecar import (
    Identity,
    IssuerKey,
    OpenedSidecar,
    Passphrase,
    check_model,
    open_sidecar,
)
from edgepro_tf.sidecar.binding import ModelCheck


def load_delegate(
    sidecar: PathOrBytes,
    *,
    identity: Identity | Passphrase,
    issuer: IssuerKey,
    audience: str | None = None,
    model: str | Path | bytes | None = None,
) -> Delegate:
    """Open a sidecar and make the delegate for an interpreter of your own.

    The shape is the ecosystem's: ``Interpreter(model_path=...,
    experimental_delegates=[load_delegate(...)])``. The delegate must be the first in
    that list and serves one interpreter; the lock is never an option in plain.

    Args:
        sidecar: path or content.
        identity: the private key (or passphrase) that opens it.
        issuer: the public key of who must have signed it.
        audience: the application id it must be for; None if it names none.
        model: path or content of the public model, to check that it belongs (SHA-256,
            about 1 ms a megabyte); None leaves that to the core's fingerprints.

    Raises:
        SidecarError: the sidecar does not open; its subclasses say why.
        WrongModelError: it belongs to another model.
    """
    with _opened(sidecar, identity, issuer, audience, model, "full") as opened:
        return Delegate(opened.payload)


def open_interpreter(
    model: str | Path | bytes,
    sidecar: PathOrBytes,
    *,
    identity: Identity | Passphrase,
    issuer: IssuerKey,
    audience: str | None = None,
    runtime: str | None = None,
    num_threads: int | None = None,
    use_xnnpack: bool = True,
    experimental_delegates: Sequence[Any] | None = None,
    allocate: bool = True,
    **options: Any,
) -> Any:
    """Open a public model with its sidecar: one call, ready to run.

    Args:
        model: path or content of the public ``.tflite``. A path is memory-mapped.
        sidecar: path or content.
        identity: the private key (or passphrase) that opens the sidecar.
        issuer: the public key of who must have signed it.
        audience: the application id it must be for; None if it names none.
        runtime: ``litert``, ``tflite-runtime`` or ``tensorflow``; None for any.
        num_threads: CPU threads of the interpreter.
        use_xnnpack: False leaves out the runtime's XNNPACK delegate.
        experimental_delegates: further delegates from the runtime's ``load_delegate``
            (a GPU's), which see the model restored.
        allocate: False leaves that to the caller, for a model that does not allocate
            before its inputs are resized.
        **options: passed on to the runtime's ``Interpreter``.

    Returns:
        The runtime's own ``Interpreter``, tensors allocated.

    Raises:
        SidecarError: the sidecar does not open; its subclasses say why.
        WrongModelError: it belongs to another model.
        InterpreterError: the runtime refused.

    Cost: restoring is one pass over the protected constants, at load; none later.
    Where the runtime believes a file before it has verified it (tflite-runtime,
    tensorflow, ai-edge-litert before 2.3), the whole file is compared first: SHA-256,
    about 1 ms a megabyte.
    """
    found = find_runtime(runtime)
    check = _check_for(found)
    with _opened(sidecar, identity, issuer, audience, model, check) as opened:
        return open_with_payload(
            model,
            opened.payload,
            delegates=experimental_delegates or (),
            runtime=found,
            num_threads=num_threads,
            use_xnnpack=use_xnnpack,
            allocate=allocate,
            **options,
        )


def restore_model(
    model: str | Path | bytes,
    sidecar: PathOrBytes,
    *,
    identity: Identity | Passphrase,
    issuer: IssuerKey,
    audience: str | None = None,
    threads: int = 0,
) -> mmap.mmap | bytearray:
    """Restore a public model into private memory, for what takes no delegate.

    A path is mapped copy-on-write: untouched pages stay shared, the file unchanged. The
    whole file is compared first (SHA-256, about 1 ms a megabyte): what takes a buffer
    often follows its offsets unverified.

    Args:
        model: path or content of the public ``.tflite``.
        sidecar: path or content.
        identity: the private key (or passphrase) that opens the sidecar.
        issuer: the public key of who must have signed it.
        audience: the application id it must be for; None if it names none.
        threads: CPU threads that restore; 0 chooses by the size of what is restored.

    Returns:
        The authorized model's bytes, as a writable buffer of this process.

    Raises:
        SidecarError: the sidecar does not open; its subclasses say why.
        WrongModelError: it belongs to another model.
        InterpreterError: the system refused to map the file.
    """
    with _opened(sidecar, identity, issuer, audience, model, "full") as opened:
        return restore_to_buffer(model, opened.payload, threads=threads)


def restore_model_file(
    model: str | Path | bytes,
    sidecar: PathOrBytes,
    *,
    identity: Identity | Passphrase,
    issuer: IssuerKey,
    audience: str | None = None,
    threads: int = 0,
) -> MemoryFile:
    """Restore a public model into a sealed memory file, for what takes only a path.

    ``with restore_model_file(...) as file: open_somehow(file.path)``. Linux and Android
    only; needs memory of the model's size, so prefer ``open_interpreter`` or
    ``restore_model`` where they do. The whole file is compared first, as there.

    Args:
        model: path or content of the public ``.tflite``.
        sidecar: path or content.
        identity: the private key (or passphrase) that opens the sidecar.
        issuer: the public key of who must have signed it.
        audience: the application id it must be for; None if it names none.
        threads: CPU threads that restore; 0 chooses by the size of what is restored.

    Returns:
        The authorized model behind a path of this process; close it once opened.

    Raises:
        SidecarError: the sidecar does not open; its subclasses say why.
        WrongModelError: it belongs to another model.
        InterpreterError: this system has no memory files, or refused the memory.
    """
    with _opened(sidecar, identity, issuer, audience, model, "full") as opened:
        return restore_to_memory_file(model, opened.payload, threads=threads)


def _check_for(runtime: Runtime) -> ModelCheck:
    return "size" if runtime.verifies_models else "full"


@contextlib.contextmanager
def _opened(
    sidecar: PathOrBytes,
    identity: Identity | Passphrase,
    issuer: IssuerKey,
    audience: str | None,
    model: str | Path | bytes | None,
    model_check: ModelCheck,
) -> Iterator[OpenedSidecar]:
    """A sidecar's lock, for a model that passes this check.

    The core checks the constants' contents; where it refuses, the whole files are
    compared, and the error that names both takes the place of the core's.
    """
    opened = open_sidecar(
        sidecar,
        identity=identity,
        issuer=issuer,
        audience=audience,
        model=model,
        model_check=model_check,
    )
    try:
        with without_locals():
            yield opened
    except WrongModelError:
        if model is not None:
            check_model(opened.model, model)
        raise
