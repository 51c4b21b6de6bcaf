"""What the command line prints: results, tables, errors and hints."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

from edgepro_tf.errors import EdgeProError

if TYPE_CHECKING:
    from edgepro_tf.datasets import Dataset


class _Output:
    """Standard output that its reader may leave, as ``head`` does: the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._until_left():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._until_left():
            self._stream.flush()

    @contextlib.contextmanager
    def _until_left(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            # What is still buffered goes nowhere, else it is tried again at the end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def prepare_output() -> None:
    """Let neither a reader who left nor a terminal that lacks a letter be an error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # The shell closed it; Keras writes to it.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, _Output(sys.stdout))


def say(text: str = "") -> None:
    """Print a result line."""
    print(text, flush=True)


def report_error(error: EdgeProError) -> None:
    """Print the error and hint lines, to standard error."""
    print(f"edgepro: error: {error.problem}", file=sys.stderr)
    if error.hint:
        print(f"edgepro: hint: {error.hint}", file=sys.stderr)


def report_warning(text: str) -> None:
    """Print a warning line, to standard error."""
    print(f"edgepro: warning: {text}", file=sys.stderr)


def warn_of_bytes(data: Dataset) -> None:
    """Say that a file's bytes are fed as shares of 255: many models divide, too."""
    if data.scaled and data.name.startswith("npz:"):
        report_warning(
            f"the bytes in {data.name} are divided by 255. If the model does so itself "
            "(a Rescaling layer), store them as floats, which are taken as they are."
        )


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain-text table; the first column is left-aligned, the others right."""
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
