"""A network that the thief trains himself, and public layers put in its order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from edgepro_tf.audit.attack import LABELS, NO_ROWS, Attack, Outcome
from edgepro_tf.audit.matching import match_filters
from edgepro_tf.audit.network.operators import DENSE
from edgepro_tf.audit.network.rows import make_filter
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.sign_training import learn_signs_of
from edgepro_tf.audit.workbench.starts import fresh_start
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.locks import Step

_BLENDS = (0.3, 0.6, 1.0)
_MOST_STITCHED = 3


@dataclasses.dataclass(frozen=True, eq=False)
class OwnNetwork:
    """What the thief trained from nothing, and the examples it has not seen."""

    parameters: Arrays
    held_out: np.ndarray


def match_own(bench: Bench, thief: Thief) -> Outcome:
    """Match public rows and columns to one's own network; blend both; fine-tune.

    Weights decide, or (where signs are not hidden element by element) activations.
    Where they are masked, sizes are matched and one's own signs are kept.

    Source: Ainsworth, Hayase and Srinivasa, "Git Re-Basin", ICLR 2023, sections 3.1
    (activations) and 3.2 (weights).
    """
    if not any(_layers(bench)):
        return bench.does_not_apply(NO_ROWS)
    own = train_own(bench, thief)
    rng = thief.rng("match own")
    matched = {}
    plain, masked = _layers(bench)
    if plain:
        matched["weights"] = match_layers(bench, own.parameters, plain, rng)
        matched["activations"] = match_activations(
            bench, own.parameters, matched["weights"], thief.x
        )
    if masked:
        everything = (*plain, *masked)
        matched["sizes"] = match_layers(bench, own.parameters, everything, rng)
    starts = {}
    for name, adopted in matched.items():
        for blend in _BLENDS:
            start = [
                ((1 - blend) * a + blend * b).astype(np.float32)
                for a, b in zip(own.parameters, adopted, strict=True)
            ]
            starts[f"{name}, {blend:.0%} public"] = bench.settle(start, thief.x)
    candidates = bench.sweep(thief, starts)
    return bench.outcome(candidates, thief, "match own tuned", folds=[own.held_out])


def stitch_own(bench: Bench, thief: Thief) -> Outcome:
    """Put one public layer into one's own network, behind a matrix that is learned.

    Signs that are hidden element by element are learned as well.

    Source: Bansal, Nakkiran and Barak, "Revisiting Model Stitching", NeurIPS 2021.
    """
    plain, masked = _layers(bench)
    layers = plain or masked
    if not layers:
        return bench.does_not_apply(NO_ROWS)
    own = train_own(bench, thief)
    rng = thief.rng("stitch")
    size = lambda i: bench.target.public[bench.network.linears[i].filter].size  # noqa: E731
    chosen = sorted(layers, key=size, reverse=True)[:_MOST_STITCHED]
    candidates = []
    for layer in chosen:
        start = _with_public(bench, own.parameters, layer, thief.x)
        for rate in bench.budget.rates:
            label = f"layer {layer}"
            candidates.append(
                learn_signs_of(
                    bench, thief, rng, start, {layer}, rate, label, full=True
                )
                if not plain
                else _mixed(bench, thief, start, layer, rate, label)
            )
    return bench.outcome(candidates, thief, "stitched", folds=[own.held_out])


def train_own(bench: Bench, thief: Thief) -> OwnNetwork:
    """The same architecture trained from nothing on two thirds of the labels."""
    rng = thief.rng("own network")
    held_out = thief.draw_folds(bench.budget.folds, rng)[0]
    seen = thief.examples_but(held_out)
    start = bench.settle(fresh_start(bench.target, rng), thief.x)
    plan = bench.plan(thief, start, bench.budget.rates[0])
    trained = bench.fit(Candidate("", start, plan), thief, rng, seen)
    return OwnNetwork(trained, held_out)


def match_layers(
    bench: Bench, own: Arrays, layers: Sequence[int], rng: np.random.Generator
) -> Arrays:
    """One's own network with some public filters in their places and order."""
    target, out = bench.target, [np.array(p) for p in own]
    for layer in layers:
        one = bench.network.linears[layer]
        mine = _blocks(bench, own[one.filter], layer)
        theirs = _blocks(bench, target.public[one.filter], layer)
        masked = target.has_step(layer, Step.MASK)
        found = match_filters(
            np.abs(mine) if masked else mine,
            np.abs(theirs) if masked else theirs,
            moves_rows=True,
            moves_columns=not one.is_first and mine.shape[2] > 1,
            flips=target.has_step(layer, Step.SIGNS),
            rng=rng,
        )
        adopted = found.apply(np.abs(theirs) if masked else theirs)
        if masked:
            adopted = adopted * np.where(mine < 0, -1.0, 1.0)
        adopted = adopted * _gain(mine, adopted)
        out[one.filter] = make_filter(adopted, out[one.filter].shape, one.channel_axis)
    return out


def match_activations(
    bench: Bench, own: Arrays, adopted: Arrays, x: np.ndarray
) -> Arrays:
    """Rows that weights placed, placed anew by how their outputs correlate.

    Each layer reads one's own network's activations; masked layers stay as they are.
    """
    out = [np.array(p) for p in adopted]
    for layer in _layers(bench)[0]:
        one = bench.network.linears[layer]
        mixed = list(own)
        mixed[one.filter] = adopted[one.filter]
        mine, theirs = (
            bench.outputs(p, x[:256], layer).reshape(-1, one.channels)
            for p in (own, mixed)
        )
        with np.errstate(invalid="ignore"):  # A dead channel is like no other.
            likeness = np.corrcoef(mine.T, theirs.T)[: one.channels, one.channels :]
        likeness = np.nan_to_num(likeness)
        flips = bench.target.has_step(layer, Step.SIGNS)
        score = np.abs(likeness) if flips else likeness
        _, rows = linear_sum_assignment(-score)
        matched = likeness[np.arange(one.channels), rows]
        sign = np.where(matched < 0, -1.0, 1.0) if flips else np.ones(one.channels)
        blocks = _blocks(bench, adopted[one.filter], layer)[rows]
        blocks = blocks * sign[:, None, None]
        blocks = blocks * _gain(_blocks(bench, own[one.filter], layer), blocks)
        out[one.filter] = make_filter(blocks, out[one.filter].shape, one.channel_axis)
    return out


def _layers(bench: Bench) -> tuple[list[int], list[int]]:
    """Layers to match, the heads aside: with whole rows, and masked ones."""
    linears = bench.network.linears
    plain, masked = (
        [i for i in layers if not linears[i].is_head]
        for layers in (bench.target.readable_layers, bench.target.masked_layers)
    )
    return plain, masked


def _blocks(bench: Bench, w: np.ndarray, layer: int) -> np.ndarray:
    """float64 [rows, groups, columns]: columns are the channels that are read."""
    one = bench.network.linears[layer]
    rows = np.moveaxis(np.asarray(w, np.float64), one.channel_axis, 0)
    if one.kind == "DEPTHWISE_CONV_2D":
        return rows.reshape(len(rows), -1, 1)
    before = bench.network.linears[layer - 1].channels if layer else rows.shape[-1]
    columns = rows.shape[-1]
    if one.kind in DENSE and columns % before == 0:
        columns = before  # A flattened image keeps its channels last.
    return rows.reshape(len(rows), -1, columns)


def _gain(mine: np.ndarray, adopted: np.ndarray) -> np.ndarray:
    """What gives adopted rows the norms of one's own: float64 [rows, 1, 1]."""
    norms = [np.linalg.norm(w.reshape(len(w), -1), axis=1) for w in (mine, adopted)]
    return (norms[0] / np.maximum(norms[1], 1e-12))[:, None, None]


def _with_public(bench: Bench, own: Arrays, layer: int, x: np.ndarray) -> Arrays:
    one = bench.network.linears[layer]
    out = list(own)
    out[one.filter] = bench.target.public[one.filter]
    normal = bench.renormalise(out, x)
    out[one.filter] = normal[one.filter]
    return out


def _mixed(
    bench: Bench, thief: Thief, start: Arrays, layer: int, rate: float, label: str
) -> Candidate:
    """A matrix before one still public layer; the others learn as they are."""
    space = bench.tools.mix_space
    theta = space.start(start)
    plan = bench.plan(thief, theta, rate)
    plan[: len(plan) // 2, bench.network.linears[layer].filter] = 0
    masks = space.masks(start, True)
    for position, other in enumerate(space.layers):
        if other != layer:
            plan[:, len(start) + position] = 0
    label, trainer = f"{label}, rate {rate:g}", bench.tools.mix
    return Candidate(label, theta, plan, masks, trainer=trainer)


_REBASIN = "Ainsworth et al. (Git Re-Basin), ICLR 2023"
ATTACKS = (
    Attack(
        "own network matched", "own network", _REBASIN, LABELS, match_own
    ),
    Attack(
        "public layers stitched to an own network", "own network",
        "Bansal, Nakkiran and Barak, NeurIPS 2021", LABELS, stitch_own, is_slow=True,
    ),
)  # fmt: skip
