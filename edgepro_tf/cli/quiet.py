"""TensorFlow without what it says of its progress, processors and graphics cards."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_STDERR = 2
_NAME = "tensorflow"
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


class _Finder:
    """Finds TensorFlow as everyone does, and keeps its first messages back."""

    _is_asking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _NAME or self._is_asking:
            return None
        self._is_asking = True  # The others, this time.
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_asking = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_quietly(module: ModuleType) -> None:
            with _keeping_messages():
                execute(module)

        spec.loader.exec_module = execute_quietly  # type: ignore[method-assign]
        return spec


def quieten_tensorflow() -> None:
    """From now on it says nothing, on its import neither, unless that fails.

    Its libraries write six lines before their logging is set up, which no variable
    silences. ``TF_CPP_MIN_LOG_LEVEL`` below 3 leaves all that it says.
    """
    if os.environ.setdefault(_LEVEL, "3") == "3" and _NAME not in sys.modules:
        sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]


@contextlib.contextmanager
def _keeping_messages() -> Iterator[None]:
    """What native code writes to standard error: shown where an error follows."""
    try:
        shown = os.dup(_STDERR)
    except OSError:  # The shell closed it.
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield
        except Exception:  # Not of who stops the command.
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            os.dup2(shown, _STDERR)
            os.close(shown)
