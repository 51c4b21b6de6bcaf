"""How each kind of linear layer stores its channels, and how a lock folds into it.

The only file that knows the order of a layer's weights.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from edgepro_tf.errors import LockError
from edgepro_tf.locks import ChannelLock

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D")
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
_SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
_KINDS = (*_CONVOLUTIONS, *_TRANSPOSED, *_DEPTHWISE, *_SEPARABLE)
KINDS = (*_KINDS, "Dense", "EinsumDense")


def is_linear(layer: Any) -> bool:
    """Whether a lock can fold into the layer: exactly one of Keras' own kinds.

    A subclass may compute something else, so it does not count; nor does a layer that
    is quantised or carries low-rank adapters.
    """
    if not _is_of_keras(layer) or _is_adapted(layer):
        return False
    return type(layer).__name__ != "EinsumDense" or _einsum_axis(layer) is not None


def output_axis(layer: keras.layers.Layer) -> int:
    """Channel axis of the layer's output, counted as the layer's data format does."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def filter_view(layer: keras.layers.Layer) -> np.ndarray:
    """float [..., channels]: the layer's filter with its output channels last."""
    return _channels_last(layer, layer.get_weights()[_filter_index(layer)])


def order_blocks(layer: keras.layers.Layer) -> int:
    """Number of equal runs of channels within which an order can fold.

    Channels of a grouped convolution read their own group's inputs, those of a
    depthwise one their own input: they cannot change places with others.
    """
    kind = type(layer).__name__
    if kind in _DEPTHWISE:
        return int(layer.get_weights()[0].shape[-2])
    if kind == "EinsumDense" and _reads_its_channel(layer):
        return int(filter_view(layer).shape[-1])
    return int(getattr(layer, "groups", 1) or 1)


def has_bias(layer: keras.layers.Layer) -> bool:
    return len(layer.get_weights()) > _filter_index(layer) + 1


def with_bias(config: dict[str, Any], layer: keras.layers.Layer) -> dict[str, Any]:
    """The layer's config with a bias added to it."""
    if type(layer).__name__ == "EinsumDense":
        return {**config, "bias_axes": layer.equation.split("->")[1][-1]}
    return {**config, "use_bias": True}


def fold_linear(
    layer: keras.layers.Layer, lock: ChannelLock, *, offset: bool, bias: bool
) -> list[np.ndarray]:
    """The layer's weights with the lock in them.

    ``kernel' = s * kernel[order]``, ``bias' = s * bias[order] (+ o)``: exact but for
    the one addition, since s is 0 or a signed power of two. Where s is 0 the kernel
    is +0.0.

    Args:
        layer: one for which ``is_linear`` holds.
        lock: the lock; the identity gives the weights as they are.
        offset: add the offsets here (no batch normalisation follows).
        bias: the new layer has a bias, whether or not this one has.

    Returns:
        Weights in the order of ``get_weights`` of the layer with ``bias``.
    """
    weights = [np.array(value) for value in layer.get_weights()]
    index = _filter_index(layer)
    view = _channels_last(layer, weights[index])
    weights[index] = _channels_back(layer, scale_channels(view, lock), weights[index])
    if not bias:
        return weights
    if not has_bias(layer):
        weights.append(np.zeros(lock.channels, view.dtype))
    weights[-1] = scale_channels(weights[-1], lock)
    if offset:
        weights[-1] = weights[-1] + lock.offset.astype(weights[-1].dtype)
    return weights


def fold_norm(
    norm: keras.layers.BatchNormalization, lock: ChannelLock, *, center: bool
) -> list[np.ndarray]:
    """The weights of a batch normalisation between a linear layer and its lock.

    The linear layer takes the scale factors, so the mean takes them too; beta takes
    them and the offsets. An authorization neuron gets gamma 1, mean 0, variance 1:
    its folded constants are exactly +0.0 and its locking value.

    Args:
        norm: the normalisation.
        lock: the lock after it.
        center: the new normalisation has a beta, whether or not this one has.

    Returns:
        Weights in the order of ``get_weights`` of the normalisation with ``center``.
    """
    weights = [np.array(value) for value in norm.get_weights()]
    closed = lock.scale == 0
    gamma = [weights.pop(0)[lock.order]] if norm.scale else []
    beta = weights.pop(0) if norm.center else np.zeros_like(weights[0])
    mean, variance = weights
    for value in gamma:
        value[closed] = 1
    beta = scale_channels(beta, lock) + lock.offset.astype(beta.dtype)
    variance = np.where(closed, 1, variance[lock.order]).astype(variance.dtype)
    shift = [beta] if center else []
    return [*gamma, *shift, scale_channels(mean, lock), variance]


def scale_channels(values: np.ndarray, lock: ChannelLock) -> np.ndarray:
    """``scale_c * values[..., order_c]``, with +0.0 where the scale factor is 0."""
    scaled = values[..., lock.order] * lock.scale.astype(values.dtype)
    return np.where(lock.scale == 0, np.zeros((), values.dtype), scaled)


def refuse(layer: Any, nearest: str | None) -> LockError:
    """The error for a layer that no lock folds into."""
    hint = f"Move the lock to {nearest!r}." if nearest else ""
    return LockError(
        f"cannot lock layer {layer.name!r}: expected {', '.join(KINDS[:-1])} or "
        f"{KINDS[-1]} before the lock, got {_describe(layer)}.",
        hint,
    )


def _describe(layer: Any) -> str:
    kind = type(layer).__name__
    if not _is_of_keras(layer):
        return kind
    if _is_adapted(layer):
        return f"a quantised {kind} or one with low-rank adapters"
    return (
        f"{kind} {layer.equation!r}, whose last output axis is missing in its kernel "
        "or its bias"
    )


def _is_of_keras(layer: Any) -> bool:
    kind = type(layer).__name__
    return kind in KINDS and type(layer) is getattr(keras.layers, kind)


def _is_adapted(layer: Any) -> bool:
    is_quantized = getattr(layer, "quantization_mode", None)
    return bool(is_quantized or getattr(layer, "lora_enabled", False))


def _filter_index(layer: keras.layers.Layer) -> int:
    return 1 if type(layer).__name__ in _SEPARABLE else 0


def _filter_axis(layer: keras.layers.Layer) -> int:
    kind = type(layer).__name__
    if kind in _TRANSPOSED:
        return -2
    if kind == "EinsumDense":
        axis = _einsum_axis(layer)
        assert axis is not None
        return axis
    return -1


def _channels_last(layer: keras.layers.Layer, kernel: np.ndarray) -> np.ndarray:
    if type(layer).__name__ in _DEPTHWISE:
        return kernel.reshape(*kernel.shape[:-2], -1)
    return np.moveaxis(kernel, _filter_axis(layer), -1)


def _channels_back(
    layer: keras.layers.Layer, view: np.ndarray, kernel: np.ndarray
) -> np.ndarray:
    if type(layer).__name__ in _DEPTHWISE:
        return view.reshape(kernel.shape)
    return np.ascontiguousarray(np.moveaxis(view, -1, _filter_axis(layer)))


def _einsum_axis(layer: keras.layers.EinsumDense) -> int | None:
    """Axis of the output's last label in the kernel; None: a lock cannot fold."""
    operands, output = layer.equation.split("->")
    kernel, label = operands.split(",")[1], output[-1]
    if label not in kernel or label not in (layer.bias_axes or label):
        return None
    return int(kernel.index(label))


def _reads_its_channel(layer: keras.layers.EinsumDense) -> bool:
    operands, output = layer.equation.split("->")
    return output[-1] in operands.split(",")[0]
