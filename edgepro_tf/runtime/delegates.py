"""The EdgePro delegate inside a TFLite runtime."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from edgepro_tf import native
from edgepro_tf.errors import EdgeProError, InterpreterError, WrongModelError
from edgepro_tf.runtime.interpreters import (
    Runtime,
    call_runtime,
    make_interpreter,
)
from edgepro_tf.runtime.page_cache import read_ahead

# What the native core's sentences begin with, in the runtimes' error texts.
_CORE_SENTENCE = "cannot restore this model:"
_WRONG_MODEL_SENTENCE = f"{_CORE_SENTENCE} the sidecar belongs to another model"


class Delegate:
    """The delegate that restores one interpreter, for ``experimental_delegates``.

    Stands for the runtimes' own ``Delegate``: their interpreters ask both for an
    address, and keep both until they end. It is made without options, in a tenth of the
    time, and serves the interpreters of every runtime. With it end the restored
    constants: keep it as long as views that ``Interpreter.tensor()`` gave.

    Args:
        payload: lock bytes from an opened sidecar.

    Raises:
        PayloadError: the payload is damaged.
        NativeError: the native core is missing, or memory ran out.
    """

    def __init__(self, payload: bytes) -> None:
        self._destroy: Callable[[int], None] = native.destroy_delegate
        self._pointer = native.create_delegate(payload)

    @property
    def is_complete(self) -> bool:
        """Whether every constant of the lock is restored."""
        return native.delegate_is_complete(self._pointer)

    def _get_native_delegate_pointer(self) -> int:
        """What a runtime's ``Interpreter`` calls."""
        return self._pointer

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot copy a delegate: it holds the lock of one interpreter")

    def __del__(self) -> None:
        pointer = self.__dict__.pop("_pointer", None)
        if pointer is not None:
            self._destroy(pointer)


def open_with_payload(
    model: str | Path | bytes,
    payload: bytes,
    *,
    delegates: Sequence[Any] = (),
    runtime: Runtime | None = None,
    allocate: bool = True,
    **options: Any,
) -> Any:
    """Create an interpreter over the public model, restored and allocated.

    Args:
        model: path or content of the public ``.tflite``.
        payload: lock bytes from an opened sidecar.
        delegates: further ones, which see the model restored.
        runtime: from ``find_runtime``; None for the first one installed.
        allocate: False for a model whose inputs must be resized first.
        **options: as for ``make_interpreter``.

    Raises:
        WrongModelError: the payload belongs to another file.
        InterpreterError: the runtime refused.
    """
    delegate = Delegate(payload)
    if isinstance(model, (str, Path)):
        read_ahead(model)
    try:
        interpreter = make_interpreter(
            model, delegates=[delegate, *delegates], runtime=runtime, **options
        )
        if allocate:
            call_runtime(interpreter.allocate_tensors)
    except InterpreterError as error:
        raise _in_our_words(error) from error
    _keep_until_gone(delegate, interpreter)
    if not delegate.is_complete:
        raise InterpreterError(
            "cannot restore this model: the runtime did not show all of its subgraphs "
            "to the delegate.",
            "Update the runtime, or restore the file with edgepro_tf.runtime."
            "restore_model.",
        )
    return interpreter


def _keep_until_gone(delegate: Delegate, interpreter: Any) -> None:
    """Let the delegate end after the runtime's own object, whose constants it holds.

    ``Interpreter`` drops its delegates when it ends, but a view that ``tensor()`` gave
    keeps what is behind it, and the garbage collector may end a delegate in a cycle
    first.
    """
    behind = getattr(interpreter, "_interpreter", interpreter)
    weakref.finalize(behind, lambda kept: None, delegate).atexit = False


def _in_our_words(error: InterpreterError) -> EdgeProError:
    """The native core's own words, where the runtime's report carries it."""
    text = str(error.__cause__ or error)
    start = text.find(_CORE_SENTENCE)
    if start < 0:
        return error
    # Two sentences, what failed and a hint; the runtime's own words follow them.
    sentences = [f"{s.strip().rstrip('.')}." for s in text[start:].split(". ")]
    problem, hint = sentences[0], "".join(sentences[1:2])
    if problem.startswith(_WRONG_MODEL_SENTENCE):
        return WrongModelError(problem, hint)
    return InterpreterError(problem, hint)
