"""On which ways constants of a subgraph reach the operators that compute with them.

Integers that stand for themselves may be a network's numbers, or indices that wait for
their own type; where they go tells which. No shape and no axis is one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from edgepro_tf.flatbuffer.number_formats import (
    BOOL,
    ELEMENT_TYPES,
    FLOATS,
    REALS,
    as_numbers_of_rows,
)
from edgepro_tf.flatbuffer.roles import (
    JOINS_INTEGERS,
    KEEPS_INTEGERS,
    MAKES_REAL,
    PICKS,
    PICKS_BY_PLACE,
    RESHAPES,
    SELECTED,
)
from edgepro_tf.flatbuffer.views import Constant
from edgepro_tf.locks import ElementType

_SMALL_ELEMENTS = (ElementType.INT8, ElementType.INT16, ElementType.UINT8)
_LARGER_ELEMENTS = (ElementType.INT16, ElementType.INT32, ElementType.INT64)
_SMALL = {
    type_ for type_, element in ELEMENT_TYPES.items() if element in _SMALL_ELEMENTS
} - {BOOL, *REALS}
_MOST_PADDINGS = 16  # Two for each axis; newer files have them in small types, too.


class TensorKind(NamedTuple):
    """What any tensor of a subgraph is.

    Args:
        type: TensorType of the schema.
        is_real: whether it stands for real numbers, as floats or as integers.
        width: of its last axis.
    """

    type: int
    is_real: bool
    width: int


@dataclasses.dataclass(frozen=True)
class Flow:
    """The constants behind tensors that an operator made of them.

    Args:
        passed: tensors that are a constant as real numbers, and that constant.
        moved: likewise small integers in another order or shape, or a part of them.
        counted: tensors that become larger integers, which may be indices, or are a
            custom operator's.
        picking: tensors that pick rows of a constant table.
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
        """Whether it is integers that whoever reads them computes with."""
        is_any = constant.takes_any_byte or constant.element_type is ElementType.INT16
        count = constant.data[1] // constant.element_type.dtype.itemsize
        is_index = constant.tensor in self.counted
        return is_any and count > _MOST_PADDINGS and not is_index


def find_counted(
    names: Sequence[str],
    inputs: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    kinds: Sequence[TensorKind],
    uses: dict[int, int],
) -> set[int]:
    """Tensors that become larger integers, or are a custom operator's.

    Args:
        names: operators of a subgraph, in execution order.
        inputs: their tensors.
        outputs: likewise.
        kinds: by tensor number.
        uses: from ``find_uses``: larger integers that only become real are no indices.
    """
    found: set[int] = set()
    for name, ins, outs in zip(names[::-1], inputs[::-1], outputs[::-1], strict=True):
        becomes_larger = (
            name == "CAST"
            and kinds[outs[0]].type not in FLOATS
            and uses.get(outs[0]) != 0
        )
        is_on_the_way = any(out in found and kinds[out].type in _SMALL for out in outs)
        is_custom = name == "CUSTOM" or name.startswith(SELECTED)
        if is_custom or becomes_larger or is_on_the_way:
            found.update(ins)
            found.discard(-1)  # Of an absent input.
    return found


def find_uses(
    names: Sequence[str],
    inputs: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    tensors: Sequence[Constant | None],
    kinds: Sequence[TensorKind],
) -> dict[int, int]:
    """Tensors of integers that become real numbers, or pick rows of a constant table.

    Constants among them are weights, too: codes that are taken apart and scaled, and
    numbers of values in a codebook.

    Args:
        names, inputs, outputs, kinds: as for ``find_counted``.
        tensors: constants by tensor number.

    Returns:
        How many of its numbers pick a row, the most of all its uses, by tensor; 0 where
        they only become real. Tensors with any other use are left out.
    """
    steps = list(zip(names, inputs, outputs, strict=True))
    known = _find_known(steps, tensors)
    tables = {tensor for tensor in known if kinds[tensor].is_real}
    uses: dict[int, int] = {}
    others: set[int] = set()
    for name, ins, outs in reversed(steps):
        becomes_real = name in MAKES_REAL and kinds[outs[0]].type in FLOATS
        table, numbers = PICKS.get(name, ((), -1))
        picks = tables.issuperset(ins[each] for each in table)
        later = None
        if others.isdisjoint(outs):
            later = max((uses[out] for out in outs if out in uses), default=None)
        for position, tensor in enumerate(ins):
            # Where each field of an input has its rows; moved, they leave the table.
            is_start = later and tensor in known and outs[0] not in known
            use = None
            if becomes_real:
                use = 0
            elif picks and position == numbers:
                use = kinds[tensor].width if name in PICKS_BY_PLACE else 1
            elif position == KEEPS_INTEGERS.get(name) or (
                name in JOINS_INTEGERS and not is_start
            ):
                use = _before(name, later, kinds[tensor].width)
            if use is None:
                others.add(tensor)
            else:
                uses[tensor] = max(use, uses.get(tensor, 0))
    return {tensor: use for tensor, use in uses.items() if tensor not in others}


def _find_known(
    steps: Sequence[tuple[str, Sequence[int], Sequence[int]]],
    tensors: Sequence[Constant | None],
) -> set[int]:
    """Constants, and what operators make of nothing else."""
    known = {tensor for tensor, constant in enumerate(tensors) if constant is not None}
    for _, ins, outs in steps:
        if ins and known.issuperset(ins):
            known.update(outs)
    return known


def _before(name: str, use: int | None, width: int) -> int | None:
    """The use of what an operator is given, by that of what it gives.

    Several numbers that pick a row stay together: a row's and a column's that changed
    places would leave the table.
    """
    if use in (None, 0, 1, width) or name in ("CAST", *RESHAPES):
        return use
    # Rows that are made of one number of each input are taken apart here.
    return 1 if width == 1 or name == "PACK" else None


def as_used(constant: Constant, kind: TensorKind, use: int) -> Constant:
    """A constant whose use ``find_uses`` knows, as it may be locked."""
    if use:
        return as_numbers_of_rows(constant, kind.type, use)
    is_plain = constant.element_type in _LARGER_ELEMENTS and constant.scales is None
    return dataclasses.replace(
        constant, takes_any_byte=constant.takes_any_byte or is_plain
    )


def _is_code(constant: Constant | None) -> bool:
    """Small integers, or booleans, that stand for themselves."""
    return (
        constant is not None
        and constant.scales is None
        and constant.element_type in _SMALL_ELEMENTS
    )
