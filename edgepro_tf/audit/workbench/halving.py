"""Sequential halving: repeated measurements go where they decide which way is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np


def halve_ways(
    ways: Iterable[str],
    rounds: int,
    measure: Callable[[str, int], float],
    *,
    known: Mapping[str, list[float]] | None = None,
    is_over: Callable[[int], bool] = lambda _: False,
) -> dict[str, list[float]]:
    """Measure all ways once, then the better half of them again, and so on.

    A way that is lucky once is measured again; one that is unlucky twice is not missed.

    Args:
        ways: their labels.
        rounds: how often the best one is measured.
        measure: of a label and the number of the round; higher is better.
        known: what was measured before, as returned.
        is_over: told before each measurement how many ways the round has left; if it is
            true, they are left out, and so are later rounds.

    Returns:
        What was measured of each way that was, in the order of the labels.

    Source: Karnin, Koren and Somekh, "Almost Optimal Exploration in Multi-Armed
    Bandits", ICML 2013, algorithm 1 (earlier rounds' measurements are kept, as in
    Jamieson and Talwalkar, AISTATS 2016).
    """
    found = {way: list((known or {}).get(way, [])) for way in ways}
    running = list(found)
    for number in range(rounds):
        left = [way for way in running if len(found[way]) <= number]
        for i, way in enumerate(left):
            if is_over(len(left) - i):
                return {way: values for way, values in found.items() if values}
            found[way].append(measure(way, number))
        running.sort(key=lambda way: -np.mean(found[way]))
        del running[-(-len(running) // 2) :]
    return found
