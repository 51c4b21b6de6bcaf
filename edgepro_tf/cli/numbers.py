"""Numbers on the command line; argparse says in its own words what is wrong."""

from __future__ import annotations

import argparse
import math

_SEEDS = 1 << 32  # numpy's and Keras' own range


def positive_int(text: str) -> int:
    """An integer from 1 on."""
    return _within(text, 1, None)


def positive_number(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def seed(text: str) -> int:
    """An integer from 0 to 2^32 - 1."""
    return _within(text, 0, _SEEDS - 1)


def _within(text: str, least: int, most: int | None) -> int:
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        upper = "on" if most is None else f"to {most:,}"
        raise argparse.ArgumentTypeError(
            f"expected an integer from {least} {upper}, got {text!r}"
        )
    return number
