"""Sequential halving: repeated measurements go where they decide which way is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np


def halve_ways(
    ways: Iterable[str],
    rounds: int,
    measure: Callable[[str, int], float | None],
    *,
    known: Mapping[str, list[float]] | None = None,
    is_over: Callable[[int], bool] = lambda _: False,
) -> dict[str, list[float]]:
    """Measure all ways once, then the better half of them again, and so on.

    A way that is lucky once is measured again; one that is unlucky twice is not missed.

    Args:
        ways: their labels.
        rounds: how often the best one is measured.
        measure: of a label and the number of the round; higher is better; None where
            there was no time left for it.
        known: what was measured before, as returned.
        is_over: told before each measurement how many are left, those of later rounds
            among them; if it is true, they are left out.

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
            later = sum(-(-len(running) // 2**k) for k in range(1, rounds - number))
            is_late = is_over(len(left) - i + later)
            value = None if is_late else measure(way, number)
            if value is None:
                return {way: values for way, values in found.items() if values}
            found[way].append(value)
        # Known ways may have later rounds' measurements already.
        running.sort(key=lambda way: -np.mean(found[way][: number + 1]))
        del running[-(-len(running) // 2) :]
    return found
