"""Training from nothing: what every attack is held against."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from edgepro_tf.audit.attack import LABELS, Attack, Outcome
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.halving import halve_ways
from edgepro_tf.audit.workbench.range_training import in_ranges_of, list_ways
from edgepro_tf.audit.workbench.ranges import has_ranges
from edgepro_tf.audit.workbench.sign_training import sign_candidates
from edgepro_tf.audit.workbench.starts import (
    fresh_start,
    heavy_tailed_start,
    histogram_start,
)
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.locks import Step

SCRATCH, HISTOGRAM = "scratch", "scratch, histograms"
BY_PROCEDURE = "by_procedure"  # Detail: each procedure's accuracy, start by start.
_STARTS = 3
_RANGED = 4  # Ways in ranges at each learning rate, of ``list_ways``.
_HEAVY = "heavy-tailed, "
# Within five points of the best, on average over the networks of the README's table; of
# a network of 53 layers plain starts alone learn.
_TELLING = ("plain", f"{_HEAVY}plain", "halved")
_KINDS = {"": fresh_start, _HEAVY: heavy_tailed_start}
Ways = dict[str, Callable[[], Arrays]]


def train_scratch(bench: Bench, thief: Thief) -> Outcome:
    """Train from nothing on the thief's labels, in every way that an attack trains.

    Starts (He's, and heavy-tailed ones, as masked files are) are taken plain, or
    re-normalised on the data, with whole or halved weights, and trained at each
    learning rate. The halved one, once trained, is halved and trained again, as attacks
    do that begin with a network of one's own. And the signs of heavy-tailed weights are
    learned before their magnitudes, as attacks do that read masked ones. Of files that
    state ranges of activations, networks start and train in ranges, too: not the
    file's, but those of a network trained before (``in_ranges_of``). The budget, the
    data and the batches are those of every attack.

    Returns:
        The accuracy of the procedure that does best on the test set, a mean over
        several starts: luck with one would look like a thief's gain. All procedures
        train from a first start, the better half from a second, and so on. The details
        have every start's accuracy (``by_procedure``): the report takes the procedure
        that is best over all seeds, as it takes the best attack. Validation on a
        handful of labels chooses badly, and a weak scratch is no measure.
    """
    rng = thief.rng(SCRATCH)
    starts = [_procedures(bench, thief, rng) for _ in range(_STARTS)]
    known = bench.watch.so_far.get(BY_PROCEDURE, {})
    untried = len(starts[0].keys() - known.keys())
    ranged = _RANGED * len(bench.budget.rates)
    # Ranges take passes for every layer: there has to be time for all else first.
    if has_ranges(bench.network) and not bench.is_over(thief, ranged, runs=untried + 1):
        _add_ranges(bench, thief, starts)
    ways = starts[0]
    if bench.is_over(thief, 0, runs=2 * len(ways)):
        ways = _most_telling_first(bench, ways)

    def measure(label: str, number: int) -> float | None:
        train = starts[number][label]
        return bench.watch.if_whole(lambda: bench.accuracy(train()))

    found = halve_ways(
        ways,
        _STARTS,
        measure,
        known=known,
        is_over=functools.partial(bench.is_over, thief),
    )
    constant = bench.task.constant
    best = max(
        found,
        key=lambda label: (len(found[label]), np.mean(found[label])),
        default=constant,
    )
    found[constant] = [bench.task.score_constant(thief.y, bench.y_test)]
    if found[constant][0] > np.mean(found[best]):
        best = constant
    return Outcome(float(np.mean(found[best])), best, {BY_PROCEDURE: found})


def _procedures(bench: Bench, thief: Thief, rng: np.random.Generator) -> Ways:
    """Every way to train from one start of each kind, to be called if it is wanted."""
    ways: Ways = {}

    def add(candidate: Candidate, prefix: str = "") -> None:
        fit = functools.partial(bench.fit, candidate, thief, rng)
        ways[prefix + candidate.label] = functools.cache(fit)

    def train_again(first: Callable[[], Arrays], label: str, rate: float) -> Arrays:
        starts = {label: bench.settle(first(), thief.x)}
        (candidate,) = bench.sweep(thief, starts, rates=[rate])
        return bench.fit(candidate, thief, rng)

    for kind, draw in _KINDS.items():
        start = draw(bench.target, rng)
        starts = bench.variants(start, thief.x)
        starts = {kind + name: theta for name, theta in starts.items()}
        for candidate in bench.sweep(thief, starts):
            add(candidate)
        once = ways[candidate.label]  # Halved weights, at the highest rate.
        for rate in bench.budget.rates:
            label = f"{kind}halved and trained twice"
            again = functools.partial(train_again, once, label, rate)
            ways[f"{label}, rate {rate:g}"] = again
        if kind == _HEAVY and bench.tools.sign_space.layers:
            for candidate in sign_candidates(bench, thief, rng, start, full=False):
                add(candidate, kind)
    return ways


def _most_telling_first(bench: Bench, ways: Ways) -> Ways:
    """For a scratch that there may not be time for: first what is near the best."""
    rates = bench.budget.rates
    order = [f"{kind}, rate {rate:g}" for rate in rates for kind in _TELLING]
    return {label: ways[label] for label in (*order, *ways)}


def _add_ranges(bench: Bench, thief: Thief, starts: list[Ways]) -> None:
    """To every start's ways, those in ranges of its own: what is first trained has."""
    first = f"halved, rate {bench.budget.rates[-1]:g}"
    later = [
        functools.cache(functools.partial(_range_ways, bench, thief, i, ways[first]))
        for i, ways in enumerate(starts)
    ]
    for ways, find in zip(starts, later, strict=True):
        for label in later[0]():  # The others are made where they are wanted.
            ways[label] = functools.partial(lambda f, name: f()[name](), find, label)


def _range_ways(
    bench: Bench, thief: Thief, number: int, first: Callable[[], Arrays]
) -> Ways:
    rng = thief.rng(f"{SCRATCH} in ranges {number}")
    mine = in_ranges_of(bench, first(), thief)
    return {
        f"own ranges, {candidate.label}": functools.partial(
            mine.fit, candidate, thief, rng
        )
        for candidate in list_ways(mine, thief, rng, every=False)
    }


def train_histograms(bench: Bench, thief: Thief) -> Outcome:
    """Train from the public tensors' own values in random places, with random signs.

    What the histograms alone give. Those of masked tensors are their masks' own, which
    scratch begins with as well (``heavy_tailed_start``).
    """
    pairs = zip(bench.target.steps, bench.network.parameters, strict=True)
    if all(step & Step.MASK for step, p in pairs if p.role == "filter"):
        return bench.does_not_apply("every histogram is a mask's own")
    start = histogram_start(bench.target, thief.rng(HISTOGRAM))
    candidates = bench.sweep(thief, bench.variants(start, thief.x))
    return bench.outcome(candidates, thief, HISTOGRAM)


ATTACKS = (
    Attack(
        SCRATCH, "scratch", "He et al. 2015", LABELS, train_scratch, counts=False
    ),
    Attack(HISTOGRAM, "scratch", "ours", LABELS, train_histograms),
)  # fmt: skip
