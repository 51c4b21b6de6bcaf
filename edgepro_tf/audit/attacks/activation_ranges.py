"""Ranges of activations, which a fully quantised file states whatever is locked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from edgepro_tf.audit.attack import INPUTS, LABELS, Attack, Outcome
from edgepro_tf.audit.thief import Arrays, Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.ranges import (
    aim_at,
    has_ranges,
    inputs_of,
    make_trainer,
    match_ranges,
    size_filters,
)
from edgepro_tf.audit.workbench.starts import (
    fresh_start,
    heavy_tailed_start,
    public_start,
    reads_nothing,
    unreadable,
)
from edgepro_tf.audit.workbench.training import Candidate, Trainer

_PULLS = (0.1, 1.0)
# Trainer and candidate of one way to train.
Way = tuple[Trainer, Candidate]


def train_in_ranges(bench: Bench, thief: Thief, *, public: bool) -> Outcome:
    """Train from starts whose every layer has the output range that the file states.

    Args:
        bench: the target's workbench.
        thief: his data; ranges are set on all of his inputs.
        public: whether the starts are the public weights, or drawn afresh: He's and
            heavy-tailed, re-normalised, with halved weights. A thorough audit takes
            whole ones, too, and rows as large as the file's filter scales say.

    Source: Jacob et al., "Quantization and Training of Neural Networks", CVPR 2018,
    section 3.1, for what the file states; the attack is ours.
    """
    if not has_ranges(bench.network):
        return _no_ranges(bench)
    purpose = f"starts in ranges {public}"
    rng = thief.rng(purpose)
    if public and reads_nothing(bench, unreadable(bench)):
        return bench.does_not_apply("every tensor is hidden: this would be a fresh one")
    if public:
        starts = dict(_public_starts(bench, thief))
    else:
        most = bench.budget.is_thorough
        starts = dict(fresh_starts(bench, thief, rng, every=most))
    return bench.outcome(bench.sweep(thief, starts), thief, purpose)


def pull_ranges(bench: Bench, thief: Thief) -> Outcome:
    """Train from nothing while every layer's range is pulled to the file's.

    Inputs without labels take part: their ranges are measured at each step. In a
    thorough audit the logits' range alone is pulled, too: how sure the network is.
    """
    if not has_ranges(bench.network):
        return _no_ranges(bench)
    purpose = "ranges pulled"
    most = bench.budget.is_thorough
    ways = pulled_ways(bench, thief, thief.rng(purpose), every=most)
    candidates = [candidate for _, candidate in ways]
    return bench.outcome(candidates, thief, purpose, trainer=ways[0][0])


def match_unlabelled(bench: Bench, thief: Thief) -> Outcome:
    """Set the ranges of the public weights, or of fresh ones; train nothing."""
    if not has_ranges(bench.network):
        return _no_ranges(bench)
    blind_x = thief.pool[np.arange(2 * bench.rows) % len(thief.pool)]
    fresh = fresh_start(bench.target, thief.rng("ranges without labels"))
    starts = {"public weights": bench.target.public, "fresh weights": fresh}
    matched = ((n, match_ranges(bench, p, blind_x)) for n, p in starts.items())
    return bench.choose_unlabelled(matched, thief)


def fresh_starts(
    bench: Bench, thief: Thief, rng: np.random.Generator, *, every: bool
) -> Iterator[tuple[str, Arrays]]:
    """Starts from nothing in the file's ranges, by their labels; the best, or all."""
    x = inputs_of(bench, thief)
    kinds: dict[str, Callable[..., Arrays]] = {
        "fresh": fresh_start, "heavy-tailed": heavy_tailed_start,
    }  # fmt: skip
    for kind, draw in kinds.items():
        start = draw(bench.target, rng)
        halved = bench.settle(start, thief.x)
        matched = match_ranges(bench, halved, x, keeps_answers=True)
        yield f"{kind}, hidden layers, halved", matched
        if not every:
            continue
        normal = bench.renormalise(start, thief.x)
        matched = match_ranges(bench, normal, x, keeps_answers=True)
        yield f"{kind}, hidden layers, normalised", matched
        yield f"{kind}, all layers", match_ranges(bench, normal, x)
        if kind == "fresh":
            sized = size_filters(bench, start)
            yield (
                "rows sized, hidden layers",
                match_ranges(bench, sized, x, keeps_answers=True, keeps_filters=True),
            )


def pulled_ways(
    bench: Bench, thief: Thief, rng: np.random.Generator, *, every: bool
) -> list[Way]:
    """Ways to train from nothing while ranges are pulled; the best, or all."""
    network, trainer = bench.network, make_trainer(bench, thief)
    start = bench.settle(fresh_start(bench.target, rng), thief.x)
    x = inputs_of(bench, thief)
    start = match_ranges(bench, start, x, keeps_answers=True)
    count = len(start)
    aims = {f"all ranges pulled by {pull:g}": aim_at(network, pull) for pull in _PULLS}
    if every:
        aims["logits pulled"] = aim_at(network, _PULLS[-1], answers_alone=True)
    starts = {label: [*start, aim] for label, aim in aims.items()}
    candidates = bench.sweep(thief, starts, learns=lambda i: i < count)
    return [(trainer, candidate) for candidate in candidates]


def list_ways(bench: Bench, thief: Thief, rng: np.random.Generator) -> list[Way]:
    """All of both, from starts drawn anew; about as many as scratch has."""
    starts = bench.sweep(thief, dict(fresh_starts(bench, thief, rng, every=True)))
    plain = [(bench.tools.weights, candidate) for candidate in starts]
    return plain + pulled_ways(bench, thief, rng, every=True)


def _public_starts(bench: Bench, thief: Thief) -> Iterator[tuple[str, Arrays]]:
    x, plain = inputs_of(bench, thief), public_start(bench, thief)
    for name, theta in bench.variants(plain, thief.x).items():
        yield f"public, {name}", match_ranges(bench, theta, x)


def _no_ranges(bench: Bench) -> Outcome:
    return bench.does_not_apply("the file has no range for every layer")


_JACOB = "Jacob et al., CVPR 2018, for the ranges"
ATTACKS = (
    Attack(
        "fresh starts in the file's ranges", "activation ranges", _JACOB, LABELS,
        functools.partial(train_in_ranges, public=False),
    ),
    Attack(
        "fine-tuning in the file's ranges", "activation ranges", _JACOB, LABELS,
        functools.partial(train_in_ranges, public=True),
    ),
    Attack(
        "ranges pulled while training", "activation ranges", _JACOB, LABELS,
        pull_ranges,
    ),
    Attack(
        "ranges without labels", "activation ranges", _JACOB, INPUTS, match_unlabelled,
    ),
)  # fmt: skip
