"""Networks of half or double precision, computing in float32 as a phone does."""

from __future__ import annotations

from typing import Any

import keras

from edgepro_tf.lock_training.graph import (
    Edit,
    clone_layer,
    graphs_of,
    is_graph,
    rebuild,
    set_weights,
    weights_of,
)

_FLOAT32 = "float32"
_OTHERS = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")


def computes_in_float32(model: keras.Model) -> bool:
    """Whether no layer computes in another precision."""
    return not any(layer.compute_dtype in _OTHERS for layer in model._flatten_layers())


def in_float32(model: keras.Model) -> keras.Model:
    """The same network computing in float32; itself where it does, or is subclassed.

    Under ``mixed_float16`` Keras holds weights in float32 and casts at every layer: no
    weight changes. TFLite has no kernels for the casts' types.

    Args:
        model: without locks.

    Returns:
        A new, uncompiled model of the same structure and layer names.
    """
    if not is_graph(model) or computes_in_float32(model):
        return model
    copy, pairs = rebuild(model, Edit(_remake))
    for _, graph in graphs_of(copy):
        graph.dtype_policy = _FLOAT32
    for old, new in pairs:
        set_weights(new, weights_of(old))
    return copy


def _remake(layer: keras.layers.Layer) -> keras.layers.Layer:
    return clone_layer(layer, _with_float32(layer.get_config()))


def _with_float32(config: Any) -> Any:
    """A layer's config with other precisions replaced, in layers inside it too."""
    if isinstance(config, (list, tuple)):
        return type(config)(_with_float32(each) for each in config)
    if not isinstance(config, dict):
        return config
    return {
        key: _FLOAT32 if key == "dtype" and _is_other(value) else _with_float32(value)
        for key, value in config.items()
    }


def _is_other(policy: Any) -> bool:
    name = policy["config"]["name"] if isinstance(policy, dict) else policy
    return name in _OTHERS
