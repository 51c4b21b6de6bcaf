"""The TFLite runtimes that may be installed. The only door to their interpreters."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import os
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgepro_tf.errors import InterpreterError

_MOST_THREADS = 256
_MOST_LETTERS = 200
_BEYOND_TABLE = (
    "An input has a number that names no row of a table in the model (an embedding): "
    "compare its least and greatest with those it was trained on."
)


@dataclasses.dataclass(frozen=True)
class Runtime:
    """One installed TFLite runtime.

    Args:
        name: the word to ask for it by.
        module: the module that has ``Interpreter`` and ``load_delegate``.
        distribution: what pip calls it.
        verifies_from: the first version known to look at every offset of a file before
            it follows one; None for none. Others crash on a damaged file.
    """

    name: str
    module: str
    distribution: str
    verifies_from: tuple[int, int] | None = None

    @property
    def version(self) -> str:
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu and the like
            return "of unknown version"

    @property
    def verifies_models(self) -> bool:
        """Whether a damaged file ends in an error rather than in a crash."""
        numbers = re.match(r"(\d+)\.(\d+)", self.version)
        if numbers is None or self.verifies_from is None:
            return False
        return (int(numbers[1]), int(numbers[2])) >= self.verifies_from

    @property
    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.module.split(".")[0]) is not None

    def load(self) -> ModuleType:
        """Import the runtime.

        Raises:
            InterpreterError: it is not installed, or not with this numpy.
        """
        if not self.is_installed:
            raise InterpreterError(
                f"cannot use runtime {self.name!r}: expected {self.distribution} to be "
                "installed, found none.",
                f"pip install {self.distribution}",
            )
        if self.name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
            raise InterpreterError(
                f"cannot use tflite-runtime {self.version}: expected numpy below 2, "
                f"got {np.__version__}.",
                'pip install "numpy<2", or use ai-edge-litert.',
            )
        return importlib.import_module(self.module)


RUNTIMES = (
    Runtime("litert", "ai_edge_litert.interpreter", "ai-edge-litert", (2, 3)),
    Runtime(
        "tflite-runtime",
        "tflite_runtime.interpreter",
        "tflite-runtime",
        None,  # 2.14: measured, a quarter of damaged files crash it
    ),
    Runtime(
        "tensorflow",
        "tensorflow.lite.python.interpreter",
        "tensorflow",
        None,  # 2.21: nor those given by path
    ),
)


def installed_runtimes() -> tuple[Runtime, ...]:
    """The runtimes of this environment, in the order they are preferred."""
    return tuple(runtime for runtime in RUNTIMES if runtime.is_installed)


def find_runtime(name: str | None = None) -> Runtime:
    """The runtime asked for, or the first one installed.

    Args:
        name: ``litert``, ``tflite-runtime`` or ``tensorflow``; None for any.

    Raises:
        InterpreterError: there is none, or no runtime has this name.
    """
    if name is not None:
        for runtime in RUNTIMES:
            if runtime.name == name:
                return runtime
        names = ", ".join(runtime.name for runtime in RUNTIMES)
        raise InterpreterError(
            f"cannot find runtime {name!r}: expected one of {names}."
        )
    # A look for what is not there searches every folder of the path: 0.1 ms.
    first = next((runtime for runtime in RUNTIMES if runtime.is_installed), None)
    if first is None:
        raise InterpreterError(
            "cannot find a TFLite runtime: expected ai-edge-litert, tflite-runtime or "
            "tensorflow, found none.",
            "pip install ai-edge-litert",
        )
    return first


def make_interpreter(
    model: str | Path | bytes,
    *,
    delegates: Sequence[Any] = (),
    runtime: Runtime | None = None,
    num_threads: int | None = None,
    use_xnnpack: bool = True,
    **options: Any,
) -> Any:
    """Create a runtime's own ``Interpreter``; tensors are not allocated yet.

    Args:
        model: path or content of a ``.tflite``.
        delegates: from ``load_delegate``; an EdgePro delegate comes first.
        runtime: from ``find_runtime``; None for the first one installed.
        num_threads: CPU threads, at most 256; None for the runtime's default.
        use_xnnpack: False leaves out the XNNPACK delegate that runtimes add.
        **options: passed on to ``Interpreter``.

    Raises:
        InterpreterError: the runtime refused the model or a delegate.
    """
    if num_threads is not None:
        check_threads(num_threads)
    runtime = runtime or find_runtime()
    module = runtime.load()
    if isinstance(model, (str, Path)):
        options["model_path"] = _name_for_runtimes(model)
    else:
        options["model_content"] = bytes(model)
    if not use_xnnpack:
        options["experimental_op_resolver_type"] = (
            module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
    with _quiet() if runtime.name == "tensorflow" else contextlib.nullcontext():
        return call_runtime(
            module.Interpreter,
            num_threads=num_threads,
            experimental_delegates=list(delegates) or None,
            **options,
        )


def _name_for_runtimes(path: str | Path) -> str:
    """Runtimes take names as UTF-8; a file system may have others."""
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError as error:
        raise InterpreterError(
            "cannot open model: expected a path in UTF-8, which runtimes take, got "
            f"{str(path)!r}.",
            "Rename the file, or give its content.",
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without tf.lite's announcement of its move, which it makes each time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is depre")
        yield


def check_threads(count: int, *, least: int = 1) -> None:
    """Runtimes crash where the system has no more threads to give.

    Raises:
        InterpreterError: there are too few or too many.
    """
    if not isinstance(count, int) or not least <= count <= _MOST_THREADS:
        raise InterpreterError(
            f"cannot open model: expected {least} to {_MOST_THREADS} threads, got "
            f"{count!r}.",
            "Take as many as the machine has cores.",
        )


def call_runtime(
    function: Callable[..., Any], *args: Any, _task: str = "open", **kwargs: Any
) -> Any:
    """Call into a runtime; its refusals become ``InterpreterError``."""
    try:
        return function(*args, **kwargs)
    except (ValueError, RuntimeError, OSError) as error:
        words = _own_words(error)
        raise InterpreterError(
            f"cannot {_task} model: {words}",
            _BEYOND_TABLE if "gather index out of bounds" in words else "",
        ) from error


def _own_words(error: Exception) -> str:
    """The first line of the runtime's report, which may be one long line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    apart = re.sub(r"(?<=\w)(?=Node number \d)", ". ", lines[0])  # TFLite joins them.
    return textwrap.shorten(apart, _MOST_LETTERS, placeholder=" ...")
