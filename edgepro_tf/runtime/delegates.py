"""The EdgePro delegate inside a TFLite runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepro_tf import native
from edgepro_tf.errors import EdgeProError, InterpreterError, WrongModelError
from edgepro_tf.runtime.interpreters import (
    Runtime,
    call_runtime,
    find_runtime,
    make_interpreter,
)

# What the native core's sentences begin with, in the runtimes' error texts.
_CORE_SENTENCE = "cannot restore this model:"
_WRONG_MODEL_SENTENCE = f"{_CORE_SENTENCE} the sidecar belongs to another model"


def make_delegate(payload: bytes, *, runtime: Runtime | None = None) -> Any:
    """Create the delegate that restores one interpreter.

    Args:
        payload: lock bytes from an opened sidecar.
        runtime: the runtime whose interpreter will take it.

    Returns:
        The runtime's own ``Delegate``, for ``experimental_delegates``; it must be the
        first in that list, and serves one interpreter.

    Raises:
        PayloadError: the payload is damaged.
        NativeError: the native core is missing.
    """
    module = (runtime or find_runtime()).load()
    handle = native.hand_over(payload)
    try:
        return call_runtime(
            module.load_delegate, str(native.library_path()), {"handle": str(handle)}
        )
    except EdgeProError:
        native.discard(handle)
        raise


def open_with_payload(
    model: str | Path | bytes,
    payload: bytes,
    *,
    runtime: Runtime | None = None,
    allocate: bool = True,
    **options: Any,
) -> Any:
    """Create an interpreter over the public model, restored and allocated.

    Args:
        model: path or content of the public ``.tflite``.
        payload: lock bytes from an opened sidecar.
        runtime: from ``find_runtime``; None for the first one installed.
        allocate: False for a model whose inputs must be resized first.
        **options: as for ``make_interpreter``.

    Raises:
        WrongModelError: the payload belongs to another file.
        InterpreterError: the runtime refused.
    """
    runtime = runtime or find_runtime()
    delegate = make_delegate(payload, runtime=runtime)
    further = options.pop("delegates", ())
    try:
        interpreter = make_interpreter(
            model, delegates=[delegate, *further], runtime=runtime, **options
        )
        if allocate:
            call_runtime(interpreter.allocate_tensors)
    except InterpreterError as error:
        raise _in_our_words(error) from error
    if not native.delegate_is_complete(delegate._get_native_delegate_pointer()):
        raise InterpreterError(
            "cannot restore this model: the runtime did not show all of its subgraphs "
            "to the delegate.",
            "Update the runtime, or restore the file with edgepro_tf.runtime."
            "restore_model.",
        )
    return interpreter


def _in_our_words(error: InterpreterError) -> EdgeProError:
    """The native core's own sentence, where the runtime's report carries it."""
    text = str(error.__cause__ or error)
    start = text.find(_CORE_SENTENCE)
    if start < 0:
        return error
    sentence = text[start:].split(". ")[0].rstrip(".") + "."
    if sentence.startswith(_WRONG_MODEL_SENTENCE):
        return WrongModelError(sentence, "Ship the pair that one conversion wrote.")
    return InterpreterError(sentence)
