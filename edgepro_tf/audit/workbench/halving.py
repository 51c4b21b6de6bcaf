"""Sequential halving: repeated measurements go where they decide which way is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np


def halve_ways(
    ways: Iterable[str], rounds: int, measure: Callable[[str, int], float]
) -> dict[str, list[float]]:
    """Measure all ways once, then the better half of them again, and so on.

    A way that is lucky once is measured again; one that is unlucky twice is not missed.

    Args:
        ways: their labels.
        rounds: how often the best one is measured.
        measure: of a label and the number of the round; higher is better.

    Returns:
        What was measured of each way, in the order of the labels.

    Source: Karnin, Koren and Somekh, "Almost Optimal Exploration in Multi-Armed
    Bandits", ICML 2013, algorithm 1 (earlier rounds' measurements are kept, as in
    Jamieson and Talwalkar, AISTATS 2016).
    """
    found: dict[str, list[float]] = {way: [] for way in ways}
    running = list(found)
    for number in range(rounds):
        for way in running:
            found[way].append(measure(way, number))
        running.sort(key=lambda way: -np.mean(found[way]))
        del running[-(-len(running) // 2) :]
    return found
