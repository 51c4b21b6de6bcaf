"""What integers of a subgraph are for: where they go tells.

No type, shape or axis does: they may be a network's numbers, or indices and sizes that
wait for their own type. One walk against the order of execution gives each tensor a
use, by those of what operators make of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgepro_tf.flatbuffer.number_formats import BOOL, ELEMENT_TYPES, FLOATS, REALS
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

# A tensor with several uses has the greatest of them. Those between UNKNOWN and INDICES
# are how many of its numbers pick a row of a constant table: they may change places.
NUMBERS = -1  # They become floats: any others would do.
UNKNOWN = 0  # Likewise, as nothing says that they are indices; never of large integers.
INDICES = 1 << 30  # Or sizes: no others would do.

_LARGE_TYPES = {
    type_
    for type_, element in ELEMENT_TYPES.items()
    if element in (ElementType.INT32, ElementType.INT64)
}
_SMALL_TYPES = ELEMENT_TYPES.keys() - _LARGE_TYPES - {BOOL, *REALS}


class Call(NamedTuple):
    """An operator's name in TFLite's schema and its tensors; an absent one is -1."""

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]


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


def find_uses(
    calls: Sequence[Call],
    tensors: Sequence[Constant | None],
    kinds: Sequence[TensorKind],
) -> dict[int, int]:
    """The use of each tensor that an operator reads, by tensor number.

    Args:
        calls: operators of a subgraph, in execution order.
        tensors: constants by tensor number.
        kinds: of all tensors.
    """
    known = _find_known(calls, tensors)
    uses: dict[int, int] = {}
    for call in reversed(calls):
        name, ins, outs = call
        later = max((uses[out] for out in outs if out in uses), default=UNKNOWN)
        is_passed_on = name == "CAST" or (outs and kinds[outs[0]].type in _SMALL_TYPES)
        if later == INDICES and not is_passed_on:
            later = UNKNOWN  # Of a shape, a place or a truth that was found there.
        for position, tensor in enumerate(ins):
            use = _use_of_input(call, position, later, known, kinds)
            if use == UNKNOWN and kinds[tensor].type in _LARGE_TYPES:
                use = INDICES
            uses[tensor] = max(use, uses.get(tensor, use))
    return uses


def _find_known(calls: Sequence[Call], tensors: Sequence[Constant | None]) -> set[int]:
    """Constants, and what operators make of nothing else."""
    known = {tensor for tensor, constant in enumerate(tensors) if constant is not None}
    for _, ins, outs in calls:
        if ins and known.issuperset(ins):
            known.update(outs)
    return known


def _use_of_input(
    call: Call,
    position: int,
    later: int,
    known: set[int],
    kinds: Sequence[TensorKind],
) -> int:
    """The use of an operator's input, by that of its output."""
    name, ins, outs = call
    tensor, (table, numbers) = ins[position], PICKS.get(name, ((), -1))
    if name in MAKES_REAL and kinds[outs[0]].type in FLOATS:
        return NUMBERS
    picked = [ins[each] for each in table]
    if position == numbers and all(t in known and kinds[t].is_real for t in picked):
        return kinds[tensor].width if name in PICKS_BY_PLACE else 1
    joins, is_row = name in JOINS_INTEGERS, UNKNOWN < later < INDICES
    if joins and is_row and tensor in known and outs[0] not in known:
        # Where each field of an input has its rows; moved, they leave the table.
        return INDICES
    if joins or position == KEEPS_INTEGERS.get(name):
        return _before(name, later, kinds[tensor].width)
    is_custom = name == "CUSTOM" or name.startswith(SELECTED)
    is_index = position == numbers or is_custom or later == INDICES
    return INDICES if is_index else UNKNOWN


def _before(name: str, use: int, width: int) -> int:
    """The use of what an operator is given, by that of what it gives.

    Several numbers that pick a row stay together: a row's and a column's that changed
    places would leave the table.
    """
    if not 1 < use < INDICES or use == width or name in ("CAST", *RESHAPES):
        return use
    # Rows that are made of one number of each input are taken apart here.
    return 1 if width == 1 or name == "PACK" else INDICES
