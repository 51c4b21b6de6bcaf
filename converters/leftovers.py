"""What a lock leaves readable, said to whoever made it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from converters.ranges import find_ranges
from edgepro_tf.flatbuffer.views import ModelView, Operand, Role, WeightedOperator
from edgepro_tf.locks import ModelLock

if TYPE_CHECKING:
    from converters.pipeline import ProtectedModel
    from converters.recipe import Recipe

_LARGE = 0.05  # Of all constants' bytes.
_SOME = 4096


def warn_of_leftovers(
    protected: ProtectedModel, recipe: Recipe, view: ModelView
) -> None:
    """A lock that misses what tells much of a model is not to pass for a whole one."""
    for words in _leftovers(protected, recipe, view):
        warnings.warn(words, stacklevel=4)


def _leftovers(
    protected: ProtectedModel, recipe: Recipe, view: ModelView
) -> Iterator[str]:
    ranged = find_ranges(view, protected.public) if recipe.scales else []
    if ranged:
        yield (
            f"the file names the range of every channel of {len(ranged)} tensors, "
            "which no runtime reads: they tell the order of the scales. A conversion "
            "from Keras leaves them out."
        )
    sparse = sum(constant.is_sparse for constant in view.constants.values())
    if sparse and recipe.hidden:
        yield (
            f"the file names the places of zeros in {sparse} sparse tensors, which no "
            "lock reaches: a network that begins with these places may need fewer "
            "labels. A pruned model that is converted dense hides them."
        )
    if recipe.restore_budget is not None:
        ends = _open_ends(protected.lock, view)
        if ends:
            yield (
                f"the restore budget leaves open: {', '.join(ends)}. Whoever has a "
                "model's first layer, embedding or head needs few labels, and fewer "
                "with a public network of its kind. A larger restore_budget locks more."
            )
        others = _open_others(protected.lock, view)
        if others:
            yield (
                f"the restore budget leaves open: {', '.join(others)}, which may be "
                "filters: what reads them does not say. A larger restore_budget locks "
                "more."
            )
        left = _count_unknown(view)  # What a larger budget would leave as well.
    else:
        left = protected.bytes_left
    if recipe.hidden and _is_much(left, protected.constant_bytes):
        yield (
            f"the lock leaves {left:,} of the model's {protected.constant_bytes:,} "
            "bytes of constants as they are: scales of blocks, constants of operators "
            "that are not known to hold weights, buffers that no tensor names, or "
            "constants that are answers."
        )


def _count_unknown(view: ModelView) -> int:
    """Bytes of constants that no operator is known to compute with."""
    known = {
        constant.buffer: constant.data[1]
        for constant in view.constants.values()
        if constant.buffer not in view.structural
    }
    return view.constant_bytes - sum(known.values())


def _is_much(left: int, constants: int) -> bool:
    """Half of a tiny model is shapes; a tenth of any other may be filters."""
    return left > (constants / 10 if left >= _SOME else constants / 2)


def _open_ends(lock: ModelLock, view: ModelView) -> list[str]:
    """Names of first filters, embeddings and heads that a lock does not reach."""
    return _find_open(
        lock,
        view,
        lambda operator, operand: (
            operand.role is Role.FILTER and (operator.is_first or operator.is_head)
        ),
    )


def _open_others(lock: ModelLock, view: ModelView) -> list[str]:
    """Names of large constants without a known role that a lock does not reach."""
    least = _LARGE * view.constant_bytes
    return _find_open(
        lock,
        view,
        lambda _, operand: (
            operand.role is not Role.FILTER and operand.constant.data[1] >= least
        ),
    )


def _find_open(
    lock: ModelLock,
    view: ModelView,
    is_asked: Callable[[WeightedOperator, Operand], bool],
) -> list[str]:
    records = {(record.subgraph, record.tensor) for record in lock.tensors}
    locked, asked = set(), {}
    for operator in view.operators:
        for operand in operator.operands:
            constant = operand.constant
            if (constant.subgraph, constant.tensor) in records:
                locked.add(constant.buffer)
            if is_asked(operator, operand):
                asked[constant.buffer] = constant.name
    return [name for buffer, name in asked.items() if buffer not in locked]
