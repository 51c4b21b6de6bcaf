"""Training the same architecture from nothing: what every attack is held against."""

from __future__ import annotations

import functools

from edgepro_tf.audit.bench import Bench, Candidate
from edgepro_tf.audit.starts import fresh_start, histogram_start
from edgepro_tf.audit.thief import LABELS, Attack, Outcome, Thief

SCRATCH = "scratch"
HISTOGRAM = "scratch, histograms"


def train_scratch(bench: Bench, thief: Thief, *, start: str = "fresh") -> Outcome:
    """Train from nothing on the thief's labels, with its own best learning rate.

    The budget, the data, the batches and the validation are those of every attack.
    Starts are tried plain and re-normalised on the data.

    Args:
        bench: the target's workbench.
        thief: his data.
        start: ``fresh`` (He) or ``histogram`` (the public tensors' own values in random
            places: what the histograms alone give).
    """
    rng = thief.rng(f"scratch {start}")
    draw = fresh_start if start == "fresh" else histogram_start
    plain = draw(bench.network, rng)
    starts = {"plain": plain, "normalised": bench.renormalise(plain, thief.x)}
    candidates = [
        Candidate(f"{name}, rate {rate:g}", theta, bench.plan(thief, theta, rate))
        for name, theta in starts.items()
        for rate in bench.budget.rates
    ]
    return bench.outcome(bench.weights, candidates, thief, f"scratch {start}")


ATTACKS = (
    Attack(
        SCRATCH, "scratch", "He et al. 2015", LABELS, train_scratch, counts=False
    ),
    Attack(
        HISTOGRAM, "scratch", "ours", LABELS,
        functools.partial(train_scratch, start="histogram"),
    ),
)  # fmt: skip
