"""What the command line prints: results, tables, errors and hints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgepro_tf.errors import EdgeProError


def say(text: str = "") -> None:
    """Print a result line."""
    print(text, flush=True)


def report_error(error: EdgeProError) -> None:
    """Print the error and hint lines, to standard error."""
    print(f"edgepro: error: {error.problem}", file=sys.stderr)
    if error.hint:
        print(f"edgepro: hint: {error.hint}", file=sys.stderr)


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
