"""Convolutions and pools of an audit: values and gradients of TensorFlow's own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from edgepro_tf.audit.network.windows import convolve, convolve_depthwise, pool

PADDINGS = ("SAME", "VALID")


def _draw(*shape: int) -> tf.Tensor:
    rng = np.random.default_rng(shape)
    return tf.constant(rng.normal(size=shape), tf.float32)


def _options(padding: str, stride: int, dilation: int = 1) -> dict[str, int]:
    return {
        "padding": PADDINGS.index(padding),
        "strideH": stride,
        "strideW": stride,
        "dilationHFactor": dilation,
        "dilationWFactor": dilation,
    }


def _check(ours, theirs, *inputs):
    """The same values, and the same gradients of a sum that weighs every place anew."""
    found = []
    for function in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
            weights = tf.reshape(tf.range(tf.size(y), dtype=tf.float32), y.shape)
            total = tf.reduce_sum(y * tf.sin(weights))
        found.append([y, *tape.gradient(total, inputs)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("size", "stride", "dilation"),
    [
        ((3, 3), 1, 1),
        ((2, 4), 1, 1),
        ((1, 1), 1, 1),
        ((3, 2), 1, 2),
        ((3, 3), 2, 1),
        ((2, 2), 3, 1),
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_and_its_gradients(padding, size, stride, dilation, groups):
    x, w = _draw(3, 7, 8, 4), _draw(6, *size, 4 // groups)
    _check(
        lambda x, w: convolve(_options(padding, stride, dilation), x, w),
        lambda x, w: _convolve_group_by_group(x, w, groups, stride, padding, dilation),
        x, w,
    )  # fmt: skip


def _convolve_group_by_group(x, w, groups, stride, padding, dilation):
    """TensorFlow has no gradients of grouped or dilated convolutions on a CPU."""
    return tf.concat(
        [
            tf.nn.convolution(
                a, tf.transpose(b, [1, 2, 3, 0]), stride, padding, dilations=dilation
            )
            for a, b in zip(
                tf.split(x, groups, -1), tf.split(w, groups, 0), strict=True
            )
        ],
        -1,
    )


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("size", "stride", "dilation"),
    [((3, 3), 1, 1), ((2, 3), 1, 2), ((3, 3), 2, 1), ((1, 1), 1, 1)],
)
@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_depthwise_convolution_and_its_gradients(
    padding, size, stride, dilation, multiplier
):
    x, w = _draw(2, 8, 6, 3), _draw(1, *size, 3 * multiplier)
    _check(
        lambda x, w: convolve_depthwise(_options(padding, stride, dilation), x, w),
        lambda x, w: tf.nn.depthwise_conv2d(
            x, tf.reshape(w, [*size, 3, multiplier]), [1, stride, stride, 1], padding,
            dilations=[dilation, dilation],
        ),
        x, w,
    )  # fmt: skip


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 3), (2, 1), (4, 4)])
@pytest.mark.parametrize(
    ("kind", "theirs"),
    [("MAX_POOL_2D", tf.nn.max_pool2d), ("AVERAGE_POOL_2D", tf.nn.avg_pool2d)],
)
def test_a_pool_and_its_gradient(padding, size, stride, kind, theirs):
    options = _options(padding, stride) | {"filterHeight": size, "filterWidth": size}
    _check(
        lambda x: pool(kind, options, x),
        lambda x: theirs(x, size, stride, padding),
        _draw(2, 8, 12, 3),
    )


def test_equal_elements_share_the_gradient_of_a_greatest_one():
    options = _options("VALID", 2) | {"filterHeight": 2, "filterWidth": 2}
    x = tf.ones([1, 2, 2, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = pool("MAX_POOL_2D", options, x)
    np.testing.assert_array_equal(tape.gradient(y, x), np.full((1, 2, 2, 1), 0.25))
