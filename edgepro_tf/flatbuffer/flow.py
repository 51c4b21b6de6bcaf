"""On which ways constants of a subgraph reach the operators that compute with them.

Small integers that stand for themselves may be a network's numbers, or indices that
wait for their own type; where they go tells which. No shape and no axis is one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from edgepro_tf.flatbuffer.number_formats import BOOL, ELEMENT_TYPES, FLOATS, REALS
from edgepro_tf.flatbuffer.roles import (
    MAKES_REAL,
    MOVES_ELEMENTS,
    PASSES_CONSTANTS,
    SELECTED,
)
from edgepro_tf.flatbuffer.views import Constant
from edgepro_tf.locks import ElementType

_SMALL_ELEMENTS = (ElementType.INT8, ElementType.INT16, ElementType.UINT8)
_SMALL = {
    type_ for type_, element in ELEMENT_TYPES.items() if element in _SMALL_ELEMENTS
} - {BOOL, *REALS}
_KEEPS_CODES = ("CAST", "GATHER", *MOVES_ELEMENTS)  # Their first input's.
_MOST_PADDINGS = 16  # Two for each axis; newer files have them in small types, too.


@dataclasses.dataclass(frozen=True)
class Flow:
    """The constants behind tensors that an operator made of them.

    Args:
        passed: tensors that are a constant as real numbers, and that constant.
        moved: likewise small integers in another order or shape, or a part of them.
        counted: tensors that become larger integers, which may be indices, or are a
            custom operator's.
        picking: tensors that do nothing but pick rows of a constant table.
    """

    passed: dict[int, int]
    moved: dict[int, int]
    counted: set[int]
    picking: set[int]

    def source_of(self, tensor: int) -> int:
        """The constant behind a tensor, or itself."""
        return self.passed.get(tensor, self.moved.get(tensor, tensor))

    def has_moved(
        self, source: int, target: int, tensors: Sequence[Constant | None]
    ) -> bool:
        """Whether what was moved are small integers, which the target then has."""
        origin = self.moved.get(source, source)
        if origin in self.counted or not _is_code(tensors[origin]):
            return False
        self.moved[target] = origin
        return True

    def is_number(self, constant: Constant) -> bool:
        """Whether it is small integers that whoever reads them computes with."""
        is_small = constant.takes_any_byte or constant.element_type is ElementType.INT16
        count = constant.data[1] // constant.element_type.dtype.itemsize
        is_index = constant.tensor in self.counted
        return is_small and count > _MOST_PADDINGS and not is_index


def find_counted(
    names: Sequence[str],
    inputs: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    type_of: Callable[[int], int],
) -> set[int]:
    """Tensors that become larger integers, or are a custom operator's.

    Args:
        names: operators of a subgraph, in execution order.
        inputs: their tensors.
        outputs: likewise.
        type_of: gives a tensor's TensorType of the schema.
    """
    found: set[int] = set()
    for name, ins, outs in zip(names[::-1], inputs[::-1], outputs[::-1], strict=True):
        becomes_larger = name == "CAST" and type_of(outs[0]) not in FLOATS
        is_on_the_way = any(out in found and type_of(out) in _SMALL for out in outs)
        is_custom = name == "CUSTOM" or name.startswith(SELECTED)
        if is_custom or becomes_larger or is_on_the_way:
            found.update(ins)
            found.discard(-1)  # Of an absent input.
    return found


def find_picking(
    names: Sequence[str],
    inputs: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    tensors: Sequence[Constant | None],
) -> set[int]:
    """Tensors that do nothing but pick rows of a constant table of weights.

    Constants among them are weights, too: numbers of values in a codebook.

    Args:
        names, inputs, outputs: as for ``find_counted``.
        tensors: constants by tensor number.
    """
    source: dict[int, int] = {}
    for name, ins, outs in zip(names, inputs, outputs, strict=True):
        if name in (*PASSES_CONSTANTS, *MAKES_REAL):
            source[outs[0]] = source.get(ins[0], ins[0])

    def is_table(tensor: int) -> bool:
        constant = tensors[source.get(tensor, tensor)]
        return constant is not None and (
            constant.is_real or constant.scales is not None
        )

    picking: set[int] = set()
    others: set[int] = set()
    for name, ins, outs in zip(names[::-1], inputs[::-1], outputs[::-1], strict=True):
        goes_on = name in _KEEPS_CODES and outs[0] in picking - others
        picks = name == "GATHER" and is_table(ins[0])
        for position, tensor in enumerate(ins):
            is_code = (goes_on, picks)[position] if position < 2 else False
            (picking if is_code else others).add(tensor)
    return picking - others


def _is_code(constant: Constant | None) -> bool:
    """Small integers, or booleans, that stand for themselves."""
    return (
        constant is not None
        and constant.scales is None
        and constant.element_type in _SMALL_ELEMENTS
    )
