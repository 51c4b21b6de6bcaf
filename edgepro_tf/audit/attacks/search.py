"""Search for the lock's draws one at a time, then fine-tune."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.audit.bench import Bench, Candidate
from edgepro_tf.audit.searching import draw_proposals
from edgepro_tf.audit.starts import public_start, unreadable
from edgepro_tf.audit.thief import LABELS, Attack, Outcome, Thief

_HEAT = 0.02


def search_lock(bench: Bench, thief: Thief) -> Outcome:
    """Flip, swap, scale or drop channels while the loss falls; fine-tune the result.

    What the recipe shuffles cannot be searched: it is drawn afresh and trained first,
    before the still public rows, so that a right guess shows in the loss.
    """
    rng, groups = thief.rng("search"), bench.groups
    if not groups:
        return Outcome(bench.accuracy(bench.target.public), "nothing to search")
    free = unreadable(bench)
    start = public_start(bench, thief, fresh=free)
    if free:
        start = bench.renormalise(start, thief.x)
        start = _train_only(bench, thief, start, set(free), rng)
    rows = bench.search_rows(thief, rng)
    y = np.eye(bench.classes, dtype=np.float32)[thief.y[rows]]
    count = bench.search_proposals
    proposals = draw_proposals(groups, count, rng, _HEAT)
    found, loss = bench.search.run(start, thief.x[rows], y, proposals)
    searched = bench.accuracy(found)
    starts = {"searched": found, "normalised": bench.renormalise(found, thief.x)}
    candidates = [
        Candidate(f"{name}, rate {rate:g}", p, bench.plan(thief, p, rate))
        for name, p in starts.items()
        for rate in (bench.budget.rates[0] / 10, *bench.budget.rates)
    ]
    outcome = bench.outcome(bench.weights, candidates, thief, "search tuned")
    details = {"accuracy_before_tuning": searched, "loss": loss, "proposals": count}
    return dataclasses.replace(outcome, details=details)


def _train_only(bench: Bench, thief: Thief, start, moving, rng):  # type: ignore[no-untyped-def]
    plan = bench.plan(thief, start, bench.budget.rates[0], moving.__contains__)
    everything = np.arange(len(thief.y))
    candidate = Candidate("", start, plan)
    return bench.train(bench.weights, candidate, thief.x, thief.y, everything, rng)


ATTACKS = (
    Attack(
        "discrete search, fine-tuned", "search",
        "Kirkpatrick et al., Science 1983 (annealing); greedy search is ours", LABELS,
        search_lock,
    ),
)  # fmt: skip
