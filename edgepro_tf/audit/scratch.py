"""Training the same architecture from nothing: what every attack is held against."""

from __future__ import annotations

import functools

import numpy as np

from edgepro_tf.audit.bench import Bench, Candidate
from edgepro_tf.audit.starts import fresh_start, histogram_start
from edgepro_tf.audit.thief import LABELS, Attack, Outcome, Thief

SCRATCH = "scratch"
HISTOGRAM = "scratch, histograms"
_STARTS = 3


def train_scratch(bench: Bench, thief: Thief, *, start: str = "fresh") -> Outcome:
    """Train from nothing on the thief's labels, with its own best learning rate.

    The budget, the data, the batches and the validation are those of every attack.
    Starts are re-normalised on the data, and tried with halved weights as well. (Plain
    ones were never better, and validation sometimes takes them.) The accuracy is the
    mean over several starts of the chosen kind: luck with one would look like a
    thief's gain.

    Args:
        bench: the target's workbench.
        thief: his data.
        start: ``fresh`` (He) or ``histogram`` (the public tensors' own values in random
            places: what the histograms alone give).
    """
    purpose = f"scratch {start}"
    rng = thief.rng(purpose)
    candidates = _candidates(bench, thief, start, rng)
    first = bench.outcome(bench.weights, candidates, thief, purpose)
    found, everything = [first.accuracy], np.arange(len(thief.y))
    for _ in range(_STARTS - 1):
        again = {c.label: c for c in _candidates(bench, thief, start, rng)}
        theta = bench.train(
            bench.weights, again[first.chosen], thief.x, thief.y, everything, rng
        )
        found.append(bench.accuracy(theta))
    details = {"best_start": max(found), "worst_start": min(found), "starts": found}
    return Outcome(float(np.mean(found)), first.chosen, details)


def _candidates(
    bench: Bench, thief: Thief, start: str, rng: np.random.Generator
) -> list[Candidate]:
    draw = fresh_start if start == "fresh" else histogram_start
    plain = draw(bench.network, rng)
    starts = bench.variants(plain, thief.x)
    del starts["plain"]
    return [
        Candidate(f"{name}, rate {rate:g}", theta, bench.plan(thief, theta, rate))
        for name, theta in starts.items()
        for rate in bench.budget.rates
    ]


ATTACKS = (
    Attack(
        SCRATCH, "scratch", "He et al. 2015", LABELS, train_scratch, counts=False
    ),
    Attack(
        HISTOGRAM, "scratch", "ours", LABELS,
        functools.partial(train_scratch, start="histogram"),
    ),
)  # fmt: skip
