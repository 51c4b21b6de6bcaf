"""Training in which the sign of every weight is learned before its magnitude."""

from __future__ import annotations

import numpy as np

from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import fresh_parameter
from edgepro_tf.audit.workbench.training import Candidate, cosine_twice

# Measured on letters with one layer masked and nothing else: the most signs right.
_SIZE, _COLDEST = 0.2, 0.3
_SETTLED = 3.0
_BOLDNESS = 10.0  # The logit of a sign moves further than a weight.


def sign_candidates(
    bench: Bench,
    thief: Thief,
    rng: np.random.Generator,
    start: Arrays,
    *,
    full: bool,
) -> list[Candidate]:
    """Runs that learn signs: with every masked layer, and with the first one alone."""
    linears, layers = bench.network.linears, bench.tools.sign_space.layers
    kept = {"signs": set(layers)}
    first = {i for i in layers if linears[i].is_first}
    if first and len(first) < len(layers):
        kept["first layer's signs"] = first
    candidates = []
    for label, learned in kept.items():
        drawn = list(start)
        for layer in set(layers) - learned:
            i = linears[layer].filter
            drawn[i] = fresh_parameter(bench.network.parameters[i], rng)
        drawn = bench.renormalise(drawn, thief.x)
        candidates += [
            learn_signs_of(bench, thief, rng, drawn, learned, rate, label, full=full)
            for rate in bench.budget.rates
        ]
    return candidates


def learn_signs_of(
    bench: Bench,
    thief: Thief,
    rng: np.random.Generator,
    start: Arrays,
    learned: set[int],
    rate: float,
    label: str,
    *,
    full: bool,
) -> Candidate:
    """One run that learns the signs of some layers; the others keep what they have."""
    space = bench.tools.sign_space
    sizes = [_SIZE if layer in learned else _SETTLED for layer in space.layers]
    theta = space.start(start, rng, sizes)
    plan, temperature = _anneal(bench, thief, theta, rate, learned)
    masks = space.masks(start, full)
    trainer = bench.tools.signs
    return Candidate(
        f"{label}, rate {rate:g}", theta, plan, masks, temperature, trainer
    )


def _anneal(
    bench: Bench, thief: Thief, theta: Arrays, rate: float, learned: set[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Signs first, ever colder, magnitudes at rest; then magnitudes, signs settled."""
    linears, space = bench.network.linears, bench.tools.sign_space
    steps = bench.steps(thief)
    half = steps // 2
    plan = rate * np.outer(cosine_twice(steps), np.ones(len(theta)))
    for j, layer in enumerate(space.layers):
        plan[:, len(theta) - len(space.layers) + j] *= _BOLDNESS * (layer in learned)
    plan[:half, [linears[layer].filter for layer in learned]] = 0
    cooling = np.geomspace(1.0, _COLDEST, half)
    temperature = np.concatenate([cooling, np.full(steps - half, _COLDEST)])
    return plan, temperature.astype(np.float32)
