"""Ranges of channels, which the stock quantiser to int16x8 leaves in the file.

No runtime reads them. They are the quantisation scales again, in the channels' own
order, beside scales that a lock has shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.flatbuffer.views import Constant, ModelView


def level_ranges(model: bytes) -> bytes:
    """The same file, every channel of a tensor under the tensor's whole range.

    Args:
        model: a flatbuffer from the stock converter.
    """
    content = bytearray(model)
    for constant in _ranged(read_model(model)):
        for (offset, size), whole in zip(
            constant.ranges, (np.min, np.max), strict=True
        ):
            values = np.frombuffer(content, np.float32, size // 4, offset)
            level = np.full_like(values, whole(values))
            content[offset : offset + size] = level.tobytes()
    return bytes(content)


def find_ranges(view: ModelView, model: bytes) -> list[str]:
    """Names of the constants whose channels' ranges the file tells apart."""
    return [
        constant.name
        for constant in _ranged(view)
        if any(
            np.unique(np.frombuffer(model, np.float32, size // 4, offset)).size > 1
            for offset, size in constant.ranges
        )
    ]


def _ranged(view: ModelView) -> Iterator[Constant]:
    for operator in view.operators:
        for operand in operator.operands:
            if len(operand.constant.ranges) == 2:
                yield operand.constant
