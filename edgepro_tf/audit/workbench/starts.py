"""Where a training run starts: from nothing, from histograms, from the public file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgepro_tf.audit.network.importer import Parameter
from edgepro_tf.audit.target import Arrays, Target
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.locks import MASK_WINDOWS


def fresh_parameter(parameter: Parameter, rng: np.random.Generator) -> np.ndarray:
    """Random filter, zero bias and addition, scale factors of 1.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, equation 10.
    """
    if parameter.role != "filter":
        return np.full(parameter.shape, parameter.neutral, np.float32)
    channels = parameter.shape[parameter.channel_axis]
    fan_in = max(1, int(np.prod(parameter.shape)) // channels)
    values = rng.standard_normal(parameter.shape) * np.sqrt(2 / fan_in)
    return values.astype(np.float32)


def fresh_start(target: Target, rng: np.random.Generator) -> Arrays:
    """A network from nothing; element-wise constants stay where the file shows them."""
    network = target.network
    return [
        value
        if p.role == "constant" and not target.is_hidden(i)
        else fresh_parameter(p, rng)
        for i, (p, value) in enumerate(
            zip(network.parameters, network.values, strict=True)
        )
    ]


def heavy_tailed_start(target: Target, rng: np.random.Generator) -> Arrays:
    """A network from nothing whose weights look masked: a sign and 2^-16 .. 1 each.

    float16 weights 2^-8 .. 1, and integers any value. The mask's own distribution
    (docs/payload.md, MASK), which every thief knows without a file, at the variance of
    ``fresh_start``. Few weights are large, and small sets learn better from some such
    starts.
    """
    out = fresh_start(target, rng)
    for i, p in enumerate(target.network.parameters):
        if p.role == "filter":
            octaves = MASK_WINDOWS.get(p.element_type)
            sizes = rng.random(p.shape)
            values = sizes if octaves is None else np.exp2(-octaves * sizes)
            values *= rng.choice([-1.0, 1.0], p.shape) / np.sqrt(np.mean(values**2))
            out[i] = (values * np.std(out[i])).astype(np.float32)
    return out


def histogram_start(target: Target, rng: np.random.Generator) -> Arrays:
    """Every filter's own public values in random places with random signs.

    What the histograms alone give: an initialiser matched to the trained tensors.
    """
    out = fresh_start(target, rng)
    for i, p in enumerate(target.network.parameters):
        if p.role == "filter":
            flat = rng.permutation(target.public[i].reshape(-1))
            flat = flat * rng.choice([-1.0, 1.0], flat.size)
            out[i] = flat.reshape(p.shape).astype(np.float32)
    return out


def public_start(bench: Bench, thief: Thief, *, fresh: Iterable[int] = ()) -> Arrays:
    """The public constants; the parameters named are drawn afresh."""
    rng = thief.rng("public start")
    network = bench.network
    out = bench.target.public
    for i in fresh:
        out[i] = fresh_parameter(network.parameters[i], rng)
    return out


def unreadable(bench: Bench) -> list[int]:
    """Parameters that the recipe masks or shuffles: better drawn afresh than kept."""
    return [
        i for i in range(len(bench.network.parameters)) if bench.target.is_hidden(i)
    ]


def reads_nothing(bench: Bench, fresh: Iterable[int]) -> bool:
    """Whether a start draws afresh whatever could be learned from the file."""
    parameters = bench.network.parameters
    return set(fresh) >= {i for i, p in enumerate(parameters) if p.is_weight}


def shuffled(bench: Bench) -> list[int]:
    """What is unreadable but for masked filters, whose elements are in their places."""
    masked = {bench.network.linears[i].filter for i in bench.target.masked_layers}
    return [i for i in unreadable(bench) if i not in masked]
