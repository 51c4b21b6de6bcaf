"""Ways to train from nothing in ranges of activations: a file's, or one's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np

from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.ranges import (
    aim_at,
    inputs_of,
    make_trainer,
    match_ranges,
    measure_ranges,
    size_filters,
    with_ranges,
)
from edgepro_tf.audit.workbench.starts import fresh_start, heavy_tailed_start
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.flatbuffer.views import Range

_PULLS = (0.1, 1.0)


def in_ranges_of(bench: Bench, parameters: Arrays, thief: Thief) -> Bench:
    """The same workbench, as if the file stated what a thief's own network has."""
    found = measure_ranges(bench, parameters, inputs_of(bench, thief))
    mine = copy.copy(bench)
    mine.target = with_ranges(bench.target, [Range(*each) for each in found.values()])
    mine.network = mine.target.network
    return mine


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
) -> list[Candidate]:
    """Ways to train from nothing while ranges are pulled; the best, or all."""
    network = bench.network
    start = bench.settle(fresh_start(bench.target, rng), thief.x)
    x = inputs_of(bench, thief)
    start = match_ranges(bench, start, x, keeps_answers=True)
    count = len(start)
    aims = {f"all ranges pulled by {pull:g}": aim_at(network, pull) for pull in _PULLS}
    if every:
        aims["logits pulled"] = aim_at(network, _PULLS[-1], answers_alone=True)
    starts = {label: [*start, aim] for label, aim in aims.items()}
    return bench.sweep(
        thief, starts, learns=lambda i: i < count, trainer=make_trainer(bench, thief)
    )


def list_ways(
    bench: Bench, thief: Thief, rng: np.random.Generator, *, every: bool
) -> list[Candidate]:
    """Both, from starts drawn anew; the best of them, or all."""
    plain = bench.sweep(thief, dict(fresh_starts(bench, thief, rng, every=every)))
    return plain + pulled_ways(bench, thief, rng, every=every)
