"""A delegate that claims multiplications, compiled when it is needed (claiming.c)."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from edgepro_tf.runtime.interpreters import find_runtime, make_interpreter

_SOURCE = Path(__file__).with_name("claiming.c")
_HEADERS = Path(__file__).parent.parent / "edgepro_tf" / "native"
_FLAGS = "-std=c99 -O3 -march=native -fno-math-errno -fno-trapping-math -Wall -Wextra"


def build_claiming_delegate(library: Path) -> None:
    """Compile the delegate for this very machine, which is its best case."""
    command = shlex.split(os.environ.get("CC", "cc")) + shlex.split(_FLAGS)
    command += ["-Werror", "-fvisibility=hidden", "-fPIC", "-shared", f"-I{_HEADERS}"]
    subprocess.run([*command, str(_SOURCE), "-o", str(library), "-lm"], check=True)


def open_claimed(model: Path, library: Path, *, num_threads: int) -> Any:
    """An allocated interpreter whose multiplications by channel the delegate does.

    Raises:
        ValueError: the model has none, so that there is nothing to measure.
    """
    delegate = find_runtime().load().load_delegate(str(library))
    interpreter = make_interpreter(model, delegates=[delegate], num_threads=num_threads)
    interpreter.allocate_tensors()
    if ctypes.CDLL(str(library)).claiming_count() == 0:
        raise ValueError(f"cannot measure {model}: expected multiplications, got none.")
    return interpreter
