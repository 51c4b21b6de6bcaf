"""TFLite's operators, differentiable, in the form that compiles best on a CPU."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.network import resizing, windows
from edgepro_tf.flatbuffer import roles

# Of those that are computed here: position of what goes in.
_INPUT = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 0,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 2,
}
# Position of (input, filter, bias) among the operator's inputs.
LINEAR_INPUTS = {
    kind: (position, *(weight for weight, _, _ in roles.LINEAR[kind]))
    for kind, position in _INPUT.items()
} | {"BATCH_MATMUL": (0, 1, 2)}  # If the second is constant; it never has a third.
DENSE = ("FULLY_CONNECTED", "BATCH_MATMUL")  # Their filters have no window.
_FUSED = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH"}
_ACTIVATIONS = {
    "NONE": lambda x: x,
    "RELU": tf.nn.relu,
    "RELU6": tf.nn.relu6,
    "RELU_N1_TO_1": lambda x: tf.clip_by_value(x, -1.0, 1.0),
    "TANH": tf.tanh,
    "LOGISTIC": tf.sigmoid,
    "SOFTMAX": tf.nn.softmax,
    "ELU": tf.nn.elu,
    "HARD_SWISH": lambda x: x * tf.nn.relu6(x + 3.0) / 6.0,
    "ABS": tf.abs,
    "COS": tf.cos,
    "EXP": tf.exp,
    "FLOOR": tf.floor,
    "LOG": tf.math.log,
    "LOG_SOFTMAX": tf.nn.log_softmax,
    "NEG": tf.negative,
    "RELU_0_TO_1": lambda x: tf.clip_by_value(x, 0.0, 1.0),
    "ROUND": tf.round,
    "RSQRT": tf.math.rsqrt,
    "SIGN": tf.sign,
    "SIN": tf.sin,
    "SQRT": tf.sqrt,
    "SQUARE": tf.square,
    "CEIL": tf.math.ceil,
    "ZEROS_LIKE": tf.zeros_like,
    "LOGICAL_NOT": tf.logical_not,
}
# Of all inputs alike.
ELEMENT_WISE = {
    **{kind: of for kind, of in _ACTIVATIONS.items() if kind != "NONE"},
    "PRELU": lambda x, slope: tf.nn.relu(x) - slope * tf.nn.relu(-x),
    "SELECT": tf.where,
    "SELECT_V2": tf.where,
    "ADD": tf.add,
    "SUB": tf.subtract,
    "MUL": tf.multiply,
    "DIV": tf.divide,
    "MAXIMUM": tf.maximum,
    "MINIMUM": tf.minimum,
    "POW": tf.pow,
    "ATAN2": tf.atan2,
    "FLOOR_DIV": tf.math.floordiv,
    "FLOOR_MOD": tf.math.floormod,
    "SQUARED_DIFFERENCE": tf.math.squared_difference,
    "LESS": tf.less,
    "LESS_EQUAL": tf.less_equal,
    "GREATER": tf.greater,
    "GREATER_EQUAL": tf.greater_equal,
    "EQUAL": tf.equal,
    "NOT_EQUAL": tf.not_equal,
    "LOGICAL_AND": tf.logical_and,
    "LOGICAL_OR": tf.logical_or,
}
JOINS = {"CONCATENATION": tf.concat, "PACK": tf.stack}
WEIGHTED = ("ADD", "SUB", "MUL", "DIV")  # A constant of theirs may be a weight.
_REDUCTIONS = {
    "MEAN": tf.reduce_mean,
    "SUM": tf.reduce_sum,
    "REDUCE_MAX": tf.reduce_max,
    "REDUCE_MIN": tf.reduce_min,
    "REDUCE_PROD": tf.reduce_prod,
    "REDUCE_ANY": tf.reduce_any,
    "REDUCE_ALL": tf.reduce_all,
}
# What nothing vectorises; they take one image, or many, alike.
IMAGES = ("LOCAL_RESPONSE_NORMALIZATION", "MIRROR_PAD")
# Of (options, inputs): one output, whatever else than the first input is constant.
_REARRANGED = {
    "ADD_N": lambda _, *inputs: tf.add_n(inputs),
    "BATCH_TO_SPACE_ND": lambda _, x, block, crops: tf.batch_to_space(x, block, crops),
    "CUMSUM": lambda options, x, axis: tf.cumsum(
        x, int(axis), options["exclusive"], options["reverse"]
    ),
    "DEPTH_TO_SPACE": lambda options, x: tf.nn.depth_to_space(x, options["blockSize"]),
    "GATHER_ND": lambda _, x, index: tf.gather_nd(x, index),
    "GELU": lambda options, x: tf.nn.gelu(x, approximate=options["approximate"]),
    "L2_NORMALIZATION": lambda _, x: tf.math.l2_normalize(x, -1),
    "LEAKY_RELU": lambda options, x: tf.nn.leaky_relu(x, options["alpha"]),
    "LOCAL_RESPONSE_NORMALIZATION": lambda options, x: (
        tf.nn.local_response_normalization(
            x, options["radius"], options["bias"], options["alpha"], options["beta"]
        )
    ),
    "MIRROR_PAD": lambda options, x, pads: tf.pad(
        x, pads, "SYMMETRIC" if options["mode"] else "REFLECT"
    ),
    "ONE_HOT": lambda options, x, depth, on, off: tf.one_hot(
        tf.cast(x, tf.int32), int(depth), float(on), float(off), options["axis"]
    ),
    "PAD": lambda _, x, pads: tf.pad(x, pads),
    "PADV2": lambda _, x, pads, value: tf.pad(x, pads, constant_values=float(value)),
    "REVERSE_V2": lambda _, x, axes: tf.reverse(x, axes),
    # A dilated convolution stands between this and its counterpart.
    "SPACE_TO_BATCH_ND": lambda _, x, block, pads: tf.space_to_batch(x, block, pads),
    "SPACE_TO_DEPTH": lambda options, x: tf.nn.space_to_depth(x, options["blockSize"]),
    "TRANSPOSE": lambda _, x, axes: tf.transpose(x, axes),
    **{
        kind: functools.partial(windows.pool, kind)
        for kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D")
    },
    **{
        kind: functools.partial(resizing.resize, kind)
        for kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
    },
    **{
        kind: lambda options, x, axes, reduce=reduce: reduce(
            x, [int(axis) for axis in np.atleast_1d(axes)], keepdims=options["keepDims"]
        )
        for kind, reduce in _REDUCTIONS.items()
    },
}
# Of (options, inputs): parts of a tensor, as many as the operator has outputs.
PIECES = {
    "SPLIT": lambda options, axis, x: tf.split(x, options["numSplits"], int(axis)),
    "SPLIT_V": lambda _, x, sizes, axis: tf.split(x, sizes, int(axis)),
    "UNPACK": lambda options, x: tf.unstack(x, options["num"], options["axis"]),
    "GATHER": lambda options, x, index: [
        tf.gather(x, index, axis=options["axis"], batch_dims=options["batchDims"])
    ],
    "TILE": lambda _, x, counts: [tf.tile(x, counts)],
    "TOPK_V2": lambda _, x, count: list(tf.math.top_k(x, int(np.ravel(count)[0]))),
    "SLICE": lambda _, x, begin, size: [tf.slice(x, begin, size)],
    "STRIDED_SLICE": lambda options, x, *bounds: [_take_strided(options, x, *bounds)],
    **{
        kind: lambda options, *inputs, take=take: [take(options, *inputs)]
        for kind, take in _REARRANGED.items()
    },
}


def channel_axis(kind: str, rank: int, options: dict[str, Any]) -> int:
    """Axis of the output channels in an operator's filter."""
    if kind == "BATCH_MATMUL":
        return rank - 2 if options["adjY"] else rank - 1
    (_, _, axis), _ = roles.LINEAR[kind]
    return axis % rank


def activate(name: str | int, x: Any) -> Any:
    """An activation function by operator name or fused-activation code."""
    return _ACTIVATIONS[_FUSED[name] if isinstance(name, int) else name](x)


def linear(kind: str, options: dict[str, Any], x: Any, w: Any, out_shape: Any) -> Any:
    """Linear part of a weighted operator, without bias and activation.

    Args:
        kind: the operator's name.
        options: its options, by the schema's names.
        x: float32 [batch, ...].
        w: float32 filter in TFLite's layout.
        out_shape: the output's shape as the file states it.
    """
    if kind == "FULLY_CONNECTED":
        if not options.get("keepNumDims"):
            x = tf.reshape(x, [-1, w.shape[1]])
        return tf.linalg.matmul(x, w, transpose_b=True)
    if kind == "BATCH_MATMUL":
        return multiply(options, x, w)
    if kind == "CONV_2D":
        return windows.convolve(options, x, w)
    if kind == "DEPTHWISE_CONV_2D":
        return windows.convolve_depthwise(options, x, w)
    return tf.nn.conv2d_transpose(
        x,
        tf.transpose(w, [1, 2, 0, 3]),
        tf.concat([tf.shape(x)[:1], tf.constant(out_shape[1:], tf.int32)], 0),
        [options["strideH"], options["strideW"]],
        padding="SAME" if options["padding"] == 0 else "VALID",
    )


def multiply(options: dict[str, Any], x: Any, y: Any) -> Any:
    """BATCH_MATMUL: of two activations (attention), or with a constant on a side."""
    return tf.linalg.matmul(
        x, y, transpose_a=options["adjX"], transpose_b=options["adjY"]
    )


def _take_strided(
    options: dict[str, Any], x: Any, begin: Any, end: Any, strides: Any
) -> Any:
    return tf.strided_slice(
        x,
        begin,
        end,
        strides,
        begin_mask=options["beginMask"],
        end_mask=options["endMask"],
        ellipsis_mask=options["ellipsisMask"],
        new_axis_mask=options["newAxisMask"],
        shrink_axis_mask=options["shrinkAxisMask"],
    )


def take_all(
    kind: str, options: dict[str, Any], inputs: list[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """The options and inputs of a slice of the file's one example, for all of them."""
    if kind not in ("SLICE", "STRIDED_SLICE"):
        return options, inputs
    x, begin, end, *strides = inputs  # A slice's third input is its size.
    if (begin[0], end[0]) != (0, 1):
        return options, inputs
    if kind == "SLICE":
        return options, [x, begin, [-1, *end[1:]]]
    masks = {name: options[name] | 1 for name in ("beginMask", "endMask")}
    return options | masks, [x, begin, end, *strides]
