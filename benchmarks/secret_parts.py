"""Networks whose public part stays at a draw from a published seed.

Only a secret part learns, so that the public file knows nothing of the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from edgepro_tf.lock_training.folding import filter_view, is_linear

# A scale factor above zero can move through a ReLU into the layer behind it.
_LEAST_SCALE = 1e-2


@dataclasses.dataclass(frozen=True)
class Family:
    """What of every linear layer is secret and learns; biases always are.

    Args:
        name: in tables.
        rows: share of the output channels, at least one.
        entries: share of the elements, at random places.
        rank: of an update added to the draw; 0 for none.
        ends: all of the first layer and of the head.
        depthwise: all depthwise filters.
        everything: the ordinary network.
        normalised: whether batch normalisation, secret too, stands behind the layers.
    """

    name: str
    rows: float = 0.0
    entries: float = 0.0
    rank: int = 0
    ends: bool = False
    depthwise: bool = False
    everything: bool = False
    normalised: bool = True


ORDINARY = Family("ordinary", everything=True)
FAMILIES = (
    ORDINARY,
    *(Family(f"rows {share:.0%}", rows=share) for share in (0.1, 0.3, 0.5)),
    Family("rows 30%, not normalised", rows=0.3, normalised=False),
    *(Family(f"entries {share:.0%}", entries=share) for share in (0.1, 0.3)),
    *(Family(f"rank {rank}", rank=rank, depthwise=True) for rank in (1, 4)),
    Family("normalisation alone"),
    Family("first, head", ends=True),
    Family("first, head, depthwise", ends=True, depthwise=True),
)


@dataclasses.dataclass(frozen=True)
class Price:
    """Bytes of float32 values.

    Args:
        secret: what the sidecar must carry: learned values and scale factors. Places
            cost nothing, they are drawn from the published seed.
        rewritten: what restoring writes into constants.
        weights: all filters and biases.
    """

    secret: int
    rewritten: int
    weights: int


def linear_layers(model: keras.Model) -> list[Any]:
    """Convolutions and dense layers in the order of execution (of a chain)."""
    return [layer for layer in model.layers if is_linear(layer)]


def draw_filters(model: keras.Model, seed: int) -> list[np.ndarray]:
    """What a published seed gives for every filter.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, equation 10.
    """
    rng = np.random.default_rng([seed, 1])
    out = []
    for layer in linear_layers(model):
        view = filter_view(layer)
        deviation = np.sqrt(2 * view.shape[-1] / view.size)
        drawn = rng.standard_normal(layer.kernel.shape) * deviation
        out.append(drawn.astype(np.float32))
    return out


def draw_places(model: keras.Model, family: Family, seed: int) -> list[np.ndarray]:
    """bool arrays, one for each filter: where the secret values stand."""
    rng = np.random.default_rng([seed, 2])
    layers = linear_layers(model)
    out = []
    for layer in layers:
        secret = np.zeros(filter_view(layer).shape, bool)
        channels = secret.shape[-1]
        is_end = family.ends and layer in (layers[0], layers[-1])
        is_depthwise = type(layer) is keras.layers.DepthwiseConv2D
        if family.everything or is_end or (family.depthwise and is_depthwise):
            secret[...] = True
        elif family.rows:
            count = max(1, round(family.rows * channels))
            secret[..., rng.permutation(channels)[:count]] = True
        elif family.entries:
            secret = rng.random(secret.shape) < family.entries
        out.append(secret.reshape(layer.kernel.shape))
    return out


def make_secret(model: keras.Model, family: Family, seed: int) -> keras.Model:
    """A copy of a model of which only the family's secret part will learn.

    Args:
        model: a chain of the zoo, not compiled; it is left as it is.
        family: what is secret.
        seed: the published one, of draws and places.

    Returns:
        A new model with the drawn filters; train it as any other.
    """
    copy = keras.models.clone_model(
        model,
        clone_function=_cloner(family),
        # Normalisation is called with a mask, which what stands in its place is not.
        call_function=lambda layer, x, **_: layer(x),
    )
    drawn, places = draw_filters(copy, seed), draw_places(copy, family, seed)
    for layer, values, secret in zip(linear_layers(copy), drawn, places, strict=True):
        layer.kernel.assign(values)
        if family.rank and not secret.all():
            layer.enable_lora(family.rank)
        elif not secret.all():
            layer.kernel.constraint = _keep_public(values, secret)
    if not family.everything:
        for layer in copy.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.gamma.constraint = _stay_positive
    return copy


def price_of(model: keras.Model, family: Family, places: list[np.ndarray]) -> Price:
    """What restoring this family costs on this network.

    A scale factor of batch normalisation rewrites its whole row, unless the row is
    secret anyway, or all of the layer behind is: then it moves there through the ReLU.
    """
    secret = rewritten = weights = 0
    layers = linear_layers(model)
    for index, (layer, mask) in enumerate(zip(layers, places, strict=True)):
        rows = mask.reshape(filter_view(layer).shape)
        channels, inner = rows.shape[-1], rows.size // rows.shape[-1]
        learned = int(rows.sum())
        is_updated = bool(family.rank) and not rows.all()
        scaled = 0
        if (
            family.normalised
            and index + 1 < len(layers)
            and not places[index + 1].all()
        ):
            scaled = int((~rows.reshape(inner, channels).all(0)).sum())
        secret += learned + scaled + channels
        secret += family.rank * (inner + channels) if is_updated else 0
        rewritten += channels + (rows.size if scaled or is_updated else learned)
        weights += channels + rows.size
    return Price(4 * secret, 4 * rewritten, 4 * weights)


def to_file(values: np.ndarray) -> np.ndarray:
    """A Keras filter as TFLite stores it: output channels first."""
    return np.ascontiguousarray(np.moveaxis(values, -1, 0), np.float32)


def _cloner(family: Family) -> Callable[[Any], Any]:
    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if family.normalised:
            return type(layer).from_config(config)
        if isinstance(layer, keras.layers.BatchNormalization):
            return keras.layers.Activation("linear", name=layer.name)
        if is_linear(layer):
            config["use_bias"] = True
        return type(layer).from_config(config)

    return clone


def _keep_public(values: np.ndarray, secret: np.ndarray) -> Callable[[Any], Any]:
    return lambda trained: ops.where(secret, trained, values)


def _stay_positive(gamma: Any) -> Any:
    return ops.maximum(gamma, _LEAST_SCALE)
