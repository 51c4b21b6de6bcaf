"""What a lock leaves readable, said to whoever made it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from converters.ranges import find_ranges
from converters.views import ModelView, Role
from edgepro_tf.locks import ModelLock

if TYPE_CHECKING:
    from converters.pipeline import ProtectedModel
    from converters.recipe import Recipe


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
    if recipe.restore_budget is not None:
        ends = _open_ends(protected.lock, view)
        if ends:
            yield (
                f"the restore budget leaves open: {', '.join(ends)}. Whoever has a "
                "model's first layer, embedding or head needs few labels, and fewer "
                "with a public network of its kind. A larger restore_budget locks more."
            )
    elif recipe.hidden and protected.bytes_left > protected.constant_bytes / 2:
        yield (
            f"the lock leaves {protected.bytes_left:,} of the model's "
            f"{protected.constant_bytes:,} bytes of constants as they are: the "
            "operators that read them are not known to hold weights."
        )


def _open_ends(lock: ModelLock, view: ModelView) -> list[str]:
    """Names of first filters, embeddings and heads that a lock does not reach."""
    records = {(record.subgraph, record.tensor) for record in lock.tensors}
    locked, ends = set(), {}
    for operator in view.operators:
        for constant in (
            each.constant for each in operator.operands if each.role is Role.FILTER
        ):
            if (constant.subgraph, constant.tensor) in records:
                locked.add(constant.buffer)
            if operator.is_first or operator.is_head:
                ends[constant.buffer] = constant.name
    return [name for buffer, name in ends.items() if buffer not in locked]
