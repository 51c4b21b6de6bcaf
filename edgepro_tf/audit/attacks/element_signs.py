"""Signs of single elements: learned, or guessed from the magnitudes around them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from edgepro_tf.audit.attack import LABELS, Attack, Outcome
from edgepro_tf.audit.network.rows import filter_rows, make_filter
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.sign_training import sign_candidates
from edgepro_tf.audit.workbench.starts import public_start, shuffled


def learn_signs(bench: Bench, thief: Thief, *, full: bool) -> Outcome:
    """Learn each element's sign before frozen magnitudes; then let everything move.

    Args:
        bench: the target's workbench.
        thief: his data.
        full: a matrix per layer mixes the rows as well; without, a factor per row.

    Source: Zhou et al., NeurIPS 2019, section 5; Ramanujan et al., "What's Hidden in a
    Randomly Weighted Neural Network?", CVPR 2020, section 3.
    """
    if not bench.tools.sign_space.layers:
        return nothing_masked(bench)
    purpose = f"learned signs {full}"
    rng = thief.rng(purpose)
    start = public_start(bench, thief, fresh=shuffled(bench))
    candidates = sign_candidates(bench, thief, rng, start, full=full)
    return bench.outcome(candidates, thief, purpose)


def guess_signs(bench: Bench, thief: Thief) -> Outcome:
    """Set signs by magnitude so that rows (or columns) have mean zero; fine-tune.

    A trained row is skewed: few large elements of one sign stand against many small
    ones of the other. Large ones are taken for positive, or for negative.
    """
    layers = bench.target.masked_layers
    if not layers:
        return nothing_masked(bench)
    plain = public_start(bench, thief, fresh=shuffled(bench))
    rules, rates = list(_rules()), bench.budget.rates
    if not bench.budget.is_thorough:
        rules, rates = rules[:2], rates[-1:]
    starts = {
        label: bench.settle(set_signs(bench, plain, layers, rule), thief.x)
        for label, rule in rules
    }
    candidates = bench.sweep(thief, starts, rates=rates)
    return bench.outcome(candidates, thief, "guessed signs")


Rule = Callable[[np.ndarray], np.ndarray]


def _rules() -> Iterator[tuple[str, Rule]]:
    found: dict[str, Rule] = {
        "large in its row": balance_signs,
        "large in its column": lambda rows: balance_signs(rows.T).T,
        "large for its row and column": lambda rows: balance_signs(rows, _surprise),
    }
    for place, rule in found.items():
        yield f"{place} is positive", rule
        yield f"{place} is negative", lambda rows, rule=rule: -rule(rows)


def _surprise(rows: np.ndarray) -> np.ndarray:
    """Size beside what its row and column lead one to expect, as a logarithm."""
    log = np.log(np.maximum(rows, 1e-12))
    return np.asarray(log - log.mean(1, keepdims=True) - log.mean(0))


def balance_signs(rows: np.ndarray, rank: Rule = np.abs) -> np.ndarray:
    """Plus one for the first elements of each row that make up half of its sum.

    Args:
        rows: [rows, elements], magnitudes.
        rank: says of every element how early it comes; the largest first.

    Returns:
        float64 of the same shape, 1 or -1: rows times it have a mean near 0.
    """
    size = np.abs(rows).astype(np.float64)
    order = np.argsort(-rank(size), axis=1)
    sorted_ = np.take_along_axis(size, order, 1)
    before = np.cumsum(sorted_, axis=1) - sorted_ / 2
    signs = np.empty_like(size)
    large = before <= sorted_.sum(1, keepdims=True) / 2
    np.put_along_axis(signs, order, np.where(large, 1.0, -1.0), 1)
    return signs


def set_signs(
    bench: Bench, parameters: Arrays, layers: tuple[int, ...], rule: Rule
) -> Arrays:
    """Filters of some layers with the signs that a rule gives to their rows."""
    out = list(parameters)
    for layer in layers:
        one = bench.network.linears[layer]
        rows = np.abs(filter_rows(out[one.filter], one.channel_axis))
        shape = out[one.filter].shape
        out[one.filter] = make_filter(rows * rule(rows), shape, one.channel_axis)
    return out


def nothing_masked(bench: Bench) -> Outcome:
    """For recipes that mask no filter."""
    return bench.does_not_apply("no filter is masked")


_ZHOU = "Zhou et al., NeurIPS 2019; Ramanujan et al., CVPR 2020"
ATTACKS = (
    Attack(
        "learned element signs", "element signs", _ZHOU, LABELS,
        functools.partial(learn_signs, full=False),
    ),
    Attack(
        "learned element signs and mixing", "element signs", _ZHOU, LABELS,
        functools.partial(learn_signs, full=True), is_slow=True,
    ),
    Attack(
        "signs guessed from magnitudes", "element signs", "ours", LABELS, guess_signs,
    ),
)  # fmt: skip
