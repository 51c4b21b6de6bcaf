"""Training from nothing: what every attack is held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from edgepro_tf.audit.bench import Bench, Candidate
from edgepro_tf.audit.sign_training import sign_candidates
from edgepro_tf.audit.starts import (
    fresh_start,
    heavy_tailed_start,
    histogram_start,
)
from edgepro_tf.audit.thief import LABELS, Arrays, Attack, Outcome, Thief
from edgepro_tf.audit.training import Trainer

SCRATCH, HISTOGRAM = "scratch", "scratch, histograms"
_STARTS = 3
_HEAVY = "heavy-tailed, "
_KINDS = {"": fresh_start, _HEAVY: heavy_tailed_start}


def train_scratch(bench: Bench, thief: Thief) -> Outcome:
    """Train from nothing on the thief's labels, in every way that an attack trains.

    Starts (He's, and heavy-tailed ones, as masked files are) are re-normalised on the
    data, with whole or halved weights, and trained at each learning rate. The halved
    one, once trained, is halved and trained again, as attacks do that begin with a
    network of one's own. And the signs of heavy-tailed weights are learned before their
    magnitudes, as attacks do that read masked ones. The budget, the data and the
    batches are those of every attack. (Plain starts were never better.)

    Returns:
        The accuracy of the procedure that does best on the test set, a mean over
        several starts: luck with one would look like a thief's gain. The details have
        every start's accuracy (``by_procedure``): the report takes the procedure that
        is best over all seeds, as it takes the best attack. Validation on a handful of
        labels chooses badly, and a weak scratch is no measure.
    """
    rng = thief.rng(SCRATCH)
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(_STARTS):
        for kind, draw in _KINDS.items():
            start = draw(bench.target, rng)
            for label, parameters in _procedures(bench, thief, kind, start, rng):
                found[label].append(bench.accuracy(parameters))
    means = {label: float(np.mean(values)) for label, values in found.items()}
    best = max(means, key=lambda label: means[label])
    return Outcome(means[best], best, {"by_procedure": dict(found)})


def _procedures(
    bench: Bench, thief: Thief, kind: str, start: Arrays, rng: np.random.Generator
) -> Iterator[tuple[str, Arrays]]:
    """Every way to train from one start: its label, and the network it ends with."""

    def fit(trainer: Trainer, candidate: Candidate) -> tuple[str, Arrays]:
        return candidate.label, bench.fit(trainer, candidate, thief, rng)

    once = [fit(bench.weights, c) for c in _candidates(bench, thief, start, kind)]
    yield from once
    _, halved = once[-1]
    again = bench.settle(halved, thief.x)
    for candidate in _sweep(bench, thief, f"{kind}halved and trained twice", again):
        yield fit(bench.weights, candidate)
    if kind == _HEAVY and bench.sign_space.layers:
        for candidate in sign_candidates(bench, thief, rng, start, full=False):
            label, fitted = fit(bench.signs, candidate)
            yield f"{kind}{label}", fitted


def train_histograms(bench: Bench, thief: Thief) -> Outcome:
    """Train from the public tensors' own values in random places, with random signs.

    What the histograms alone give.
    """
    start = histogram_start(bench.target, thief.rng(HISTOGRAM))
    candidates = _candidates(bench, thief, start)
    return bench.outcome(bench.weights, candidates, thief, HISTOGRAM)


def _candidates(
    bench: Bench, thief: Thief, start: Arrays, kind: str = ""
) -> list[Candidate]:
    starts = bench.variants(start, thief.x)
    return [
        candidate
        for name in ("normalised", "halved")
        for candidate in _sweep(bench, thief, f"{kind}{name}", starts[name])
    ]


def _sweep(bench: Bench, thief: Thief, name: str, theta: Arrays) -> list[Candidate]:
    return [
        Candidate(f"{name}, rate {rate:g}", theta, bench.plan(thief, theta, rate))
        for rate in bench.budget.rates
    ]


ATTACKS = (
    Attack(
        SCRATCH, "scratch", "He et al. 2015", LABELS, train_scratch, counts=False
    ),
    Attack(HISTOGRAM, "scratch", "ours", LABELS, train_histograms),
)  # fmt: skip
