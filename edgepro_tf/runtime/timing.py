"""Latency and load time of two variants of a model, fairly compared.

Runs alternate A, B, A, B in one process, so that a machine's drift meets both alike.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable

import numpy as np

_WARMUP = 3


@dataclasses.dataclass(frozen=True)
class Timing:
    """Alternating pairs of two variants.

    Args:
        first_s, second_s: float64 [pairs], seconds each.
    """

    first_s: np.ndarray = dataclasses.field(repr=False)
    second_s: np.ndarray = dataclasses.field(repr=False)

    @property
    def ratio(self) -> float:
        """Median of second / first, pair by pair."""
        return float(np.median(self.second_s / self.first_s))

    def ratio_interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the median (Efron 1979, percentile method)."""
        ratios = self.second_s / self.first_s
        rng = np.random.default_rng(0)
        draws = rng.choice(ratios, (2000, len(ratios)))
        low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
        return float(low), float(high)

    @property
    def first_median_s(self) -> float:
        return float(np.median(self.first_s))

    @property
    def second_median_s(self) -> float:
        return float(np.median(self.second_s))


def time_pairs(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    pairs: int,
    calls: int = 1,
) -> Timing:
    """Time two functions in alternating pairs; who goes first alternates too.

    Args:
        first, second: called without arguments.
        pairs: so many, after a few calls of each that do not count.
        calls: calls timed together as one figure, for very short functions.
    """
    for _ in range(_WARMUP):
        first()
        second()
    times: tuple[list[float], list[float]] = ([], [])
    collects = gc.isenabled()
    gc.disable()
    try:
        for pair in range(pairs):
            order = ((0, first), (1, second))
            for which, function in order if pair % 2 == 0 else order[::-1]:
                started = time.perf_counter()
                for _ in range(calls):
                    function()
                times[which].append((time.perf_counter() - started) / calls)
    finally:
        if collects:
            gc.enable()
    return Timing(np.array(times[0]), np.array(times[1]))
