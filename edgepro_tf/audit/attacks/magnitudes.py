"""What masked filters still show, magnitudes: statistics, fresh signs, tickets."""

from __future__ import annotations

import numpy as np

from edgepro_tf.audit.attack import LABELS, NO_ROWS, NOTHING, Attack, Outcome
from edgepro_tf.audit.attacks.element_signs import nothing_masked, set_signs
from edgepro_tf.audit.element_statistics import element_areas, element_statistics
from edgepro_tf.audit.network.rows import make_filter
from edgepro_tf.audit.statistics import summarise_areas
from edgepro_tf.audit.target import Arrays, relock
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import fresh_start, public_start, shuffled
from edgepro_tf.locks import SEED_BYTES

_REDRAWS, _SIGN = 3, "sign by "
_KEPT = (0.2, 0.5, 0.8)


def read_element_signs(bench: Bench, thief: Thief) -> Outcome:
    """Guess each element's sign from the magnitudes around it; set them so; measure.

    The areas, for signs and for sizes, are means over locks of the same network drawn
    by the native core.
    """
    target, rng = bench.target, thief.rng("element signs")
    if not target.masked_layers:
        return nothing_masked(bench)
    draws = [relock(target, rng.bytes(SEED_BYTES)) for _ in range(_REDRAWS)]
    areas, worst = element_areas(target, draws)
    of_signs = {
        name.removeprefix(_SIGN): float(np.mean(found))
        for name, found in areas.items()
        if name.startswith(_SIGN)
    }
    best = max(of_signs, key=lambda name: abs(of_signs[name] - 0.5))
    direction = 1.0 if of_signs[best] > 0.5 else -1.0
    out = target.public
    for layer in target.masked_layers:
        one = bench.network.linears[layer]

        def rule(rows: np.ndarray, one=one) -> np.ndarray:  # type: ignore[no-untyped-def]
            found = element_statistics(rows, one)
            if best not in found:  # Dense layers have no places in a window.
                return np.ones_like(rows)
            values = direction * found[best]
            return np.where(values >= np.median(values), 1.0, -1.0)

        out = set_signs(bench, out, (layer,), rule)
    details = summarise_areas(areas) | {"auc_worst_layer": worst}
    return Outcome(bench.accuracy(out), f"by {best}", details)


def redraw_signs(bench: Bench, thief: Thief) -> Outcome:
    """Magnitudes as initialiser: fresh signs many times, validation chooses."""
    layers = bench.target.masked_layers
    if not layers:
        return nothing_masked(bench)
    rng = thief.rng("fresh signs")
    plain = public_start(bench, thief, fresh=shuffled(bench))
    candidates = []
    for number in range(bench.budget.redraws):
        start = set_signs(
            bench, plain, layers, lambda rows: rng.choice([-1.0, 1.0], rows.shape)
        )
        theta = bench.settle(start, thief.x)
        rate = bench.budget.rates[number % len(bench.budget.rates)]
        candidates += bench.sweep(thief, {f"draw {number}": theta}, rates=[rate])
    return bench.outcome(candidates, thief, "fresh signs")


def draw_tickets(bench: Bench, thief: Thief) -> Outcome:
    """Train fresh weights where the public ones are largest; the rest is cut off.

    Source: Frankle and Carbin, "The Lottery Ticket Hypothesis", ICLR 2019, section 2;
    the original signs and values, which make a ticket, are what the lock hides.
    """
    layers = bench.target.readable_layers + bench.target.masked_layers
    if not layers:
        return bench.does_not_apply(NO_ROWS)
    start = fresh_start(bench.target, thief.rng("tickets"))
    candidates = []
    for kept in _KEPT:
        masks = _largest(bench, layers, kept)
        theta = [p * m for p, m in zip(start, masks, strict=True)]
        starts = {f"{kept:.0%} kept": bench.settle(theta, thief.x)}
        candidates += bench.sweep(thief, starts, masks=masks)
    return bench.outcome(candidates, thief, "tickets")


def _largest(bench: Bench, layers: tuple[int, ...], kept: float) -> Arrays:
    """1 at the largest elements of each row, 0 elsewhere; 1 in other parameters."""
    masks = [np.ones_like(p) for p in bench.target.public]
    for layer in layers:
        one = bench.network.linears[layer]
        public = bench.target.public[one.filter]
        rows = np.abs(np.moveaxis(public, one.channel_axis, 0))
        rows = rows.reshape(one.channels, -1)
        least = np.quantile(rows, 1 - kept, axis=1, keepdims=True)
        masks[one.filter] = make_filter(rows >= least, public.shape, one.channel_axis)
    return masks


ATTACKS = (
    Attack(
        "element signs from statistics", "no data", "ours", NOTHING, read_element_signs
    ),
    Attack(
        "magnitudes under fresh signs", "element signs",
        "Zhou et al., NeurIPS 2019, section 4", LABELS, redraw_signs, is_slow=True,
    ),
    Attack(
        "lottery tickets of public magnitudes", "element signs",
        "Frankle and Carbin, ICLR 2019", LABELS, draw_tickets, is_slow=True,
    ),
)  # fmt: skip
