"""Ranges of activations, which a fully quantised file states whatever is locked."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from edgepro_tf.audit.attack import INPUTS, LABELS, Attack, Outcome
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.range_training import fresh_starts, pulled_ways
from edgepro_tf.audit.workbench.ranges import (
    has_ranges,
    inputs_of,
    match_ranges,
    repeat_rows,
)
from edgepro_tf.audit.workbench.starts import (
    fresh_start,
    public_start,
    reads_nothing,
    unreadable,
)


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
    candidates = pulled_ways(bench, thief, thief.rng(purpose), every=most)
    return bench.outcome(candidates, thief, purpose)


def match_unlabelled(bench: Bench, thief: Thief) -> Outcome:
    """Set the ranges of the public weights, or of fresh ones; train nothing."""
    if not has_ranges(bench.network):
        return _no_ranges(bench)
    blind_x = repeat_rows(bench, thief.pool)
    fresh = fresh_start(bench.target, thief.rng("ranges without labels"))
    starts = {"public weights": bench.target.public, "fresh weights": fresh}
    matched = ((n, match_ranges(bench, p, blind_x)) for n, p in starts.items())
    return bench.choose_unlabelled(matched, thief)


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
