"""Ratios of alternating measurements, with intervals that respect their rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

_DRAWS = 2000


def summarize_ratios(ratios: np.ndarray) -> dict[str, Any]:
    """Median, 95 % bootstrap interval, and spread of the rounds' medians.

    Rounds are drawn, then pairs within them: what one round's pairs have in common
    (where the memory lies, say) counts once, however many pairs there are.

    Args:
        ratios: float64 [rounds, pairs].

    Source: Efron 1979; Davison and Hinkley 1997, section 3.8, for the two stages.
    """
    rounds, pairs = ratios.shape
    rng = np.random.default_rng(0)
    drawn = rng.integers(rounds, size=(_DRAWS, rounds, 1))
    within = rng.integers(pairs, size=(_DRAWS, rounds, pairs))
    medians = np.median(ratios[drawn, within], axis=(1, 2))
    each = np.median(ratios, axis=1)
    return {
        "ratio": float(np.median(ratios)),
        "interval": np.quantile(medians, [0.025, 0.975]).tolist(),
        "spread": [float(each.min()), float(each.max())],
    }


def rotate(items: tuple[str, ...], turn: int) -> tuple[str, ...]:
    """Items in their order from another start, so that nobody always goes first."""
    start = turn % len(items)
    return items[start:] + items[:start]
