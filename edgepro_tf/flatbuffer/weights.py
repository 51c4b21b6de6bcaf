"""Which constants of a subgraph are weights, and in which role operators read them.

A constant is a weight where an operator computes with its numbers:

- floats, and small integers with a scale, whatever reads them;
- what is listed as an operator's filter or bias (``roles.LINEAR``);
- more than sixteen integers that stand for themselves and whose use (``flow``) leaves
  them free: as numbers, or as rows of a table, which may change places.

It has the role of whoever reads it, behind a DEQUANTIZE, too; small integers also
behind a RESHAPE. What else is read is structural and stays: shapes, indices, what a
custom operator alone reads, and the few floats that a shape is computed from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from edgepro_tf.flatbuffer.flow import (
    INDICES,
    NUMBERS,
    Call,
    TensorKind,
    find_uses,
)
from edgepro_tf.flatbuffer.number_formats import FLOATS, as_numbers_of_rows
from edgepro_tf.flatbuffer.roles import (
    COMPUTES_SHAPE,
    MAKES_REAL,
    MOVES_ELEMENTS,
    PASSES_CONSTANTS,
    READS_SHAPE,
    find_operands,
    is_listed,
)
from edgepro_tf.flatbuffer.views import Constant, Operand, Role
from edgepro_tf.locks import ElementType

_SHAPE_TYPES = (ElementType.INT32, ElementType.INT64)
_SMALL_TYPES = (ElementType.INT8, ElementType.INT16, ElementType.UINT8)
_MOST_AXES = 8  # Of a tensor: no shape has more numbers.
_MOST_PADDINGS = 16  # Two for each axis; newer files have them in small types, too.


def find_weights(
    calls: Sequence[Call],
    tensors: Sequence[Constant | None],
    kinds: Sequence[TensorKind],
) -> tuple[dict[int, tuple[Operand, ...]], set[int]]:
    """Find the operators of a subgraph that have weights.

    Args:
        calls: its operators, in execution order.
        tensors: constants by tensor number.
        kinds: of all tensors.

    Returns:
        Weights by position of the operator, and buffers that are structural.
    """
    uses = find_uses(calls, tensors, kinds)
    found = [
        constant and _as_used(constant, kinds[tensor].type, uses.get(tensor, INDICES))
        for tensor, constant in enumerate(tensors)
    ]
    sources: dict[int, int] = {}  # Tensors that are a constant in another form.
    shapes: set[int] = set()
    structural: set[int] = set()
    weighted = {}
    for position, (name, ins, outs) in enumerate(calls):
        read = [sources.get(tensor, tensor) for tensor in ins]
        becomes_real = name in MAKES_REAL and kinds[outs[0]].type in FLOATS
        if name in PASSES_CONSTANTS or becomes_real:
            sources[outs[0]] = read[0]
            continue
        if name in READS_SHAPE:  # And no bytes.
            shapes.update(outs)
            continue
        is_moved = name in MOVES_ELEMENTS and not kinds[ins[0]].is_real
        if is_moved and _is_small(found[read[0]]) and uses[read[0]] != INDICES:
            sources[outs[0]] = read[0]
            read[0] = -1  # Who reads them there decides.
        constants = {t: one for t in read if t >= 0 and (one := found[t]) is not None}
        given = set(read).difference(constants, [-1])
        operands = tuple(_find_operands(name, ins, read, found, kinds))
        if name in COMPUTES_SHAPE and given and given <= shapes:
            # Unless a table is cut or scaled by it, of positions, say.
            operands = tuple(filter(_is_table, operands))
            if not operands:
                shapes.update(outs)
        if operands:
            weighted[position] = operands
        taken = {operand.constant.tensor for operand in operands}
        if name == "CUSTOM":  # Weights to it too, if to another operator.
            taken.update(tensor for tensor in constants if kinds[tensor].is_real)
        structural.update(constants[t].buffer for t in constants.keys() - taken)
    return weighted, structural


def _as_used(constant: Constant, type_: int, use: int) -> Constant:
    """A constant as its use lets it be locked."""
    if 0 < use < INDICES:
        return as_numbers_of_rows(constant, type_, use)
    is_wide = constant.element_type in (ElementType.INT16, *_SHAPE_TYPES)
    takes_any_byte = constant.takes_any_byte or (
        use == NUMBERS and is_wide and constant.scales is None
    )
    is_integer = takes_any_byte or constant.element_type is ElementType.INT16
    count = constant.data[1] // constant.element_type.dtype.itemsize
    is_number = is_integer and use != INDICES and count > _MOST_PADDINGS
    return dataclasses.replace(
        constant,
        takes_any_byte=takes_any_byte,
        is_real=constant.is_real or is_number,
    )


def _is_small(constant: Constant | None) -> bool:
    return constant is not None and constant.element_type in _SMALL_TYPES


def _find_operands(
    name: str,
    inputs: Sequence[int],
    read: Sequence[int],
    constants: Sequence[Constant | None],
    kinds: Sequence[TensorKind],
) -> Iterator[Operand]:
    """The weights of an operator, which reads constants behind some of its inputs."""
    for position, role, axis in find_operands(name, len(inputs)):
        constant = constants[read[position]] if read[position] >= 0 else None
        if constant is None or not constant.shape:
            continue
        if constant.picks_rows:
            if int(np.prod(constant.shape)) > 1:
                yield Operand(Role.FILTER, constant, 0)
            continue
        stands_for_others = is_listed(name, position) or constant.scales is not None
        is_weight = (
            constant.is_real
            or kinds[inputs[position]].type in FLOATS
            or (is_listed(name, position) and role is Role.BIAS)
            or (stands_for_others and constant.element_type not in _SHAPE_TYPES)
        )
        if is_weight:
            yield Operand(role, constant, axis % len(constant.shape))


def _is_table(operand: Operand) -> bool:
    return int(np.prod(operand.constant.shape)) > _MOST_AXES
