"""Convolutions and pools: operators that slide a window over an image.

A convolution is written as slices and one matrix product: XLA's own was measured 25
times slower inside a compiled training loop. With stride 1 its gradient by the input is
written as a convolution again, where that of slices would be a sum of padded images: a
training step of a small network takes a third less.

Source: Dumoulin and Visin, "A Guide to Convolution Arithmetic for Deep Learning",
arXiv 1603.07285, section 4.2.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Options = dict[str, Any]
_VALID = 1  # The schema's Padding; 0 is SAME.


def convolve(options: Options, x: Any, w: Any) -> Any:
    """CONV_2D, grouped where the filter is less deep than the image.

    Args:
        options: the operator's, by the schema's names.
        x: float32 [batch, height, width, channels].
        w: float32 [filters, height, width, channels of a group].
    """
    depth = w.shape[-1]
    if depth != x.shape[-1]:
        groups = x.shape[-1] // depth
        parts = zip(tf.split(x, groups, -1), tf.split(w, groups, 0), strict=True)
        return tf.concat([convolve(options, a, b) for a, b in parts], -1)

    def by_filter(upstream: Any, x: Any) -> Any:
        columns, _ = _columns(options, x, w)
        rows = tf.reshape(upstream, [-1, w.shape[0]])
        return tf.linalg.matmul(rows, columns, transpose_a=True)

    return _slide(options, x, w, _multiply, by_filter, [3, 1, 2, 0])


def convolve_depthwise(options: Options, x: Any, w: Any) -> Any:
    """DEPTHWISE_CONV_2D; w is float32 [1, height, width, channels of the output]."""
    channels = w.shape[-1]
    if channels != x.shape[-1]:
        x = tf.repeat(x, channels // x.shape[-1], axis=-1)

    def by_filter(upstream: Any, x: Any) -> Any:
        seen = _windows(options, x, w.shape[1:3])
        return tf.stack([tf.reduce_sum(one * upstream, [0, 1, 2]) for one in seen])

    return _slide(options, x, w, _weigh, by_filter, [0, 1, 2, 3])


def pool(kind: str, options: Options, x: Any) -> Any:
    """MAX_POOL_2D or AVERAGE_POOL_2D of float32 [batch, height, width, channels]."""
    size = (options["filterHeight"], options["filterWidth"])
    if kind == "MAX_POOL_2D":
        if size == _stride(options) and not any(np.mod(x.shape[1:3], size)):
            return _greatest_of_tiles(x, size)
        return functools.reduce(tf.maximum, _windows(options, x, size, -1e30))
    ones = tf.ones_like(x[:1, :, :, :1])
    return tf.add_n(_windows(options, x, size)) / tf.add_n(
        _windows(options, ones, size)
    )


def _slide(
    options: Options,
    x: Any,
    w: Any,
    apply: Callable[[Options, Any, Any], Any],
    by_filter: Callable[[Any, Any], Any],
    axes: list[int],
) -> Any:
    """A convolution; with stride 1 its gradient by the image is one as well.

    Args:
        apply: the convolution, of (options, image, filter).
        by_filter: the gradient by the filter, flat, of (upstream gradient, image).
        axes: in which order the filter's axes take a gradient back.
    """
    if _stride(options) != (1, 1):
        return apply(options, x, w)

    @tf.custom_gradient
    def densely(x: Any, w: Any) -> Any:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            turned = tf.transpose(w[:, ::-1, ::-1], axes)
            by_image = apply(_inside(options), _widen(options, upstream, x, w), turned)
            return by_image, tf.reshape(by_filter(upstream, x), w.shape)

        return apply(options, x, w), gradient

    return densely(x, w)


def _greatest_of_tiles(x: Any, size: tuple[int, int]) -> Any:
    """Windows side by side; several elements that are the greatest share a gradient."""
    height, width = (side // s for side, s in zip(x.shape[1:3], size, strict=True))

    @tf.custom_gradient
    def reduce(tiles: Any) -> Any:
        greatest = tf.reduce_max(tiles, [2, 4], keepdims=True)

        def gradient(upstream: Any) -> Any:
            is_greatest = tf.cast(tiles == greatest, tf.float32)
            count = tf.reduce_sum(is_greatest, [2, 4], keepdims=True)
            return is_greatest * (upstream[:, :, None, :, None] / count)

        return greatest[:, :, 0, :, 0], gradient

    return reduce(tf.reshape(x, [-1, height, size[0], width, size[1], x.shape[3]]))


def _multiply(options: Options, x: Any, w: Any) -> Any:
    """A convolution as one matrix product."""
    columns, places = _columns(options, x, w)
    rows = tf.reshape(w, [w.shape[0], -1])
    z = tf.linalg.matmul(columns, rows, transpose_b=True)
    return tf.reshape(z, [*places, w.shape[0]])


def _weigh(options: Options, x: Any, w: Any) -> Any:
    """A depthwise convolution as a weighted sum of slices."""
    taps = tf.unstack(tf.reshape(w, [-1, w.shape[-1]]))
    windows = _windows(options, x, w.shape[1:3])
    return tf.add_n([a * b for a, b in zip(windows, taps, strict=True)])


def _columns(options: Options, x: Any, w: Any) -> tuple[Any, list[int]]:
    """float32 [places, window x channels], what each output sees; and [-1, places]."""
    seen = _windows(options, x, w.shape[1:3])
    columns = seen[0] if len(seen) == 1 else tf.concat(seen, -1)
    _, height, width, depth = columns.shape
    return tf.reshape(columns, [-1, depth]), [-1, height, width]


def _inside(options: Options) -> Options:
    return {**options, "padding": _VALID}


def _widen(options: Options, upstream: Any, x: Any, w: Any) -> Any:
    """A gradient with so much around it that the turned filter gives the image's."""
    size = w.shape[1:3]
    pads = _pads(options, x, size)
    span = _span(options, size)
    around = [(k - 1 - a, k - 1 - b) for k, (a, b) in zip(span, pads, strict=True)]
    return tf.pad(upstream, [(0, 0), *around, (0, 0)])


def _windows(
    options: Options, x: Any, size: tuple[int, int], pad_value: float = 0.0
) -> list[Any]:
    """The input shifted to every position of a window, strided."""
    pads = _pads(options, x, size)
    if any(map(any, pads)):
        x = tf.pad(x, [(0, 0), *pads, (0, 0)], constant_values=pad_value)
    s_h, s_w = stride = _stride(options)
    d_h, d_w = _dilation(options)
    reach_h, reach_w = (
        (side - k) // s * s + 1
        for side, k, s in zip(x.shape[1:3], _span(options, size), stride, strict=True)
    )
    return [
        x[:, i : i + reach_h : s_h, j : j + reach_w : s_w]
        for i in range(0, size[0] * d_h, d_h)
        for j in range(0, size[1] * d_w, d_w)
    ]


def _pads(options: Options, x: Any, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Zeros before and after height and width: TFLite's SAME, or none."""
    if options["padding"] == _VALID:
        return [(0, 0), (0, 0)]
    pads = []
    for side, s, k in zip(
        x.shape[1:3], _stride(options), _span(options, size), strict=True
    ):
        missing = max((-(-side // s) - 1) * s + k - side, 0)
        pads.append((missing // 2, missing - missing // 2))
    return pads


def _span(options: Options, size: tuple[int, int]) -> list[int]:
    """A window's height and width with the gaps of its dilation."""
    return [(k - 1) * d + 1 for k, d in zip(size, _dilation(options), strict=True)]


def _stride(options: Options) -> tuple[int, int]:
    return options["strideH"], options["strideW"]


def _dilation(options: Options) -> tuple[int, int]:
    return options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)
