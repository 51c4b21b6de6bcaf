"""Which constants get which step of the lock.

A recipe is public (a thief may know it); the seed that drives its draws is not.
"""

from __future__ import annotations

import dataclasses
import enum
import textwrap
from collections.abc import Iterator
from numbers import Real

from converters.exactness import FittedSteps, fit_steps
from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.views import ModelView, Operand, Role, Scales
from edgepro_tf.locks import ElementType, SetValues, Step, Target, TensorLock


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Steps by kind of constant; ``Step(0)`` leaves a kind alone.

    Args:
        hidden: filters of hidden linear operators.
        ends: filters of the first operators and of the heads.
        biases: biases and element-wise constants.
        scales: per-channel quantisation scales.
        exponent_range: e of the scale factors 2^-e .. 2^e, where a step asks for them.
        restore_budget: share of the model's bytes that restoring may rewrite; the lock
            then takes the constants that give most for the fewest bytes. None for no
            limit. What lock training set is always kept.
        least_budget_bytes: so many bytes may be rewritten in any case.
        always_first: whether filters of first operators, embeddings among them, are
            locked whatever the budget, and outside it.

    Raises:
        ConversionError: the budget is no share.
    """

    name: str
    hidden: Step
    ends: Step
    biases: Step
    scales: Step
    exponent_range: int = 2
    restore_budget: float | None = None
    least_budget_bytes: int = 0
    always_first: bool = False

    def __post_init__(self) -> None:
        budget = self.restore_budget
        is_share = budget is None or (isinstance(budget, Real) and 0 <= budget <= 1)
        if not is_share:
            raise ConversionError(
                "cannot plan lock: expected a restore budget from 0 to 1, got "
                f"restore_budget={budget!r}.",
                "It is a number, a share of the model's bytes.",
            )

    def __str__(self) -> str:
        return self.name


class Position(enum.Enum):
    """Where an operator stands: no other linear one before it, after it, or neither."""

    FIRST = "first"
    HEAD = "head"
    HIDDEN = "hidden"


_MASK = Step.ORDER | Step.MASK
_SHUFFLE = Step.SHUFFLE | Step.SIGNS
_NOTHING = Step(0)

# Restored in a tenth of a millisecond: a budget would save nothing and open a small
# network, whose biases alone are a tenth of it.
_SMALL_FILE_BYTES = 1 << 18

PRESETS = {
    # The paper's lock: only what lock training set, nothing drawn.
    "paper": Recipe("paper", _NOTHING, _NOTHING, _NOTHING, _NOTHING),
    "standard": Recipe("standard", _MASK, _MASK, _MASK, Step.SHUFFLE),
    "fast": Recipe(
        "fast",
        _MASK,
        _MASK,
        _MASK,
        Step.SHUFFLE,
        restore_budget=0.08,
        least_budget_bytes=_SMALL_FILE_BYTES,
        always_first=True,
    ),
    "strict": Recipe("strict", _SHUFFLE, _SHUFFLE, _SHUFFLE, Step.SHUFFLE),
}
DEFAULT_PRESET = "standard"


def find_recipe(recipe: str | Recipe, *, restore_budget: float | None = None) -> Recipe:
    """A preset by name, or the recipe itself.

    Args:
        recipe: a preset's name, or a recipe.
        restore_budget: takes the place of the recipe's own, if given.

    Raises:
        ConversionError: no preset has this name, or the budget is no share.
    """
    if restore_budget is not None:
        return dataclasses.replace(
            find_recipe(recipe),
            restore_budget=restore_budget,
            least_budget_bytes=0,
            always_first=False,
        )
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in PRESETS:
        raise ConversionError(
            f"cannot find recipe {recipe!r}: expected one of {', '.join(PRESETS)}.",
            f"{DEFAULT_PRESET!r} is the default.",
        )
    return PRESETS[recipe]


def plan_lock(
    recipe: Recipe,
    view: ModelView,
    model: bytes | bytearray,
    stored: dict[int, SetValues] | None = None,
    stored_scales: dict[tuple[int, int], SetValues] | None = None,
) -> tuple[TensorLock, ...]:
    """Choose the steps for every constant of a model.

    Args:
        recipe: steps by kind of constant.
        view: the file's operators, from ``read_model``.
        model: the file's bytes: what SET channels publish, the authorized elsewhere.
        stored: values that lock training set, by flatbuffer buffer.
        stored_scales: the same for quantisation scales, by their span in the file.

    Returns:
        One record for each buffer and each scale vector, in execution order; a step
        that would not be exact on a constant is left out.
    """
    stored, stored_scales = stored or {}, stored_scales or {}
    ranked: list[tuple[int, TensorLock]] = []
    seen_buffers, seen_scales = set(view.structural), set()
    # Equal bytes are stored once: others may compute with what picks rows here.
    picking = {c.buffer for c in view.constants.values() if c.picks_rows}
    for position, operand in _positions(view):
        constant = operand.constant
        rank = _rank(operand, position)
        decides = constant.picks_rows or constant.buffer not in picking
        if decides and constant.buffer not in seen_buffers:
            seen_buffers.add(constant.buffer)
            drawn = fit_steps(
                _data_steps(recipe, operand, position),
                constant.element_type,
                constant.read(model),
                exponent_range=recipe.exponent_range,
                takes_any_byte=constant.takes_any_byte,
            )
            values = stored.get(constant.buffer)
            if drawn.steps or values is not None:
                ranked.append((rank, _data_record(operand, drawn, values)))
        if constant.scales and constant.scales not in seen_scales:
            seen_scales.add(constant.scales)
            values = stored_scales.get(constant.scales)
            scales = Scales(constant.subgraph, constant.tensor, constant.scales)
            for record in _scales_record(recipe, scales, values):
                ranked.append((_RANK_SMALL, record))
    for scales in view.repeated_scales:
        for record in _scales_record(recipe, scales, None):
            ranked.append((_RANK_SMALL, record))
    records = _imply_scales(_within_budget(recipe, ranked, len(model)))
    if not records:
        raise _nothing_to_lock(recipe, ranked, view.custom_operators)
    return tuple(records)


def _nothing_to_lock(
    recipe: Recipe, ranked: list[tuple[int, TensorLock]], custom: tuple[str, ...]
) -> ConversionError:
    if ranked:
        least = min(record.size_bytes for _, record in ranked)
        return ConversionError(
            "cannot lock model: expected a restore budget for at least the smallest "
            f"constant, {least:,} bytes, got restore_budget={recipe.restore_budget:g}.",
            "Raise the budget; it is a share of the model's bytes.",
        )
    hint = "Check that the file is a trained network, frozen for inference."
    if recipe.name == "paper":
        hint = "Lock-train the model first, or use the recipe 'standard'."
    elif custom:
        names = textwrap.shorten(", ".join(map(repr, custom)), 200, placeholder=" ...")
        hint = (
            f"Weights of custom operators ({names}) cannot be locked. Those of a file "
            "that is not compiled for an accelerator can."
        )
    return ConversionError(
        "cannot lock model: expected weights that are constants of its graph, found "
        f"none that the recipe {recipe.name!r} protects.",
        hint,
    )


def _positions(view: ModelView) -> Iterator[tuple[Position, Operand]]:
    """Each operand with its operator's position; a shared buffer takes the first one
    that is not hidden.
    """
    positions: dict[int, Position] = {}
    for operator in view.operators:
        own = Position.HEAD if operator.is_head else Position.HIDDEN
        own = Position.FIRST if operator.is_first else own
        for operand in operator.operands:
            before = positions.get(operand.constant.buffer, Position.HIDDEN)
            positions[operand.constant.buffer] = (
                own if before is Position.HIDDEN else before
            )
    for operator in view.operators:
        for operand in operator.operands:
            yield positions[operand.constant.buffer], operand


# Order in which a restore budget is spent. Biases before the first filter once took its
# place: with that filter open, a network's statistics alone gave 95 % (letters). With
# its embedding open, a classifier of words gave a thief 26 to 40 points.
_RANK_FIRST, _RANK_DEPTHWISE, _RANK_SMALL, _RANK_HEAD, _RANK_HIDDEN = range(5)


def _rank(operand: Operand, position: Position) -> int:
    """First filters, depthwise ones, biases and scales, heads, all other filters."""
    if operand.role is Role.BIAS:
        return _RANK_SMALL
    if position is Position.FIRST:
        return _RANK_FIRST
    if operand.view[0] > 1:
        return _RANK_DEPTHWISE
    return _RANK_HEAD if position is Position.HEAD else _RANK_HIDDEN


def _within_budget(
    recipe: Recipe, ranked: list[tuple[int, TensorLock]], model_bytes: int
) -> list[TensorLock]:
    """Records in their own order, those left out that the budget does not reach."""
    if recipe.restore_budget is None:
        return [record for _, record in ranked]
    left = max(recipe.restore_budget * model_bytes, recipe.least_budget_bytes)
    chosen = set()
    by_price = sorted(
        range(len(ranked)), key=lambda i: (ranked[i][0], ranked[i][1].size_bytes)
    )
    for index in by_price:
        rank, record = ranked[index]
        if recipe.always_first and rank == _RANK_FIRST:
            chosen.add(index)
        elif record.size_bytes <= left or record.steps & Step.SET:
            left -= record.size_bytes
            chosen.add(index)
    return [record for index, (_, record) in enumerate(ranked) if index in chosen]


def _imply_scales(records: list[TensorLock]) -> list[TensorLock]:
    """Scales that are only shuffled, behind their tensor's data, take no bytes."""
    implied = [
        index > 0 and _is_shuffle_behind(records[index - 1], record)
        for index, record in enumerate(records)
    ]
    return [
        dataclasses.replace(record, is_implied=True) if is_implied else record
        for record, is_implied in zip(records, implied, strict=True)
    ]


def _is_shuffle_behind(data: TensorLock, scales: TensorLock) -> bool:
    return (
        (data.subgraph, data.tensor) == (scales.subgraph, scales.tensor)
        and data.target is Target.DATA
        and scales.target is Target.SCALES
        and scales.steps == Step.SHUFFLE
        and data.channels == scales.channels
    )


def _data_steps(recipe: Recipe, operand: Operand, position: Position) -> Step:
    steps = recipe.hidden if position is Position.HIDDEN else recipe.ends
    if operand.role is Role.BIAS:
        steps = recipe.biases
    if steps and operand.constant.picks_rows:
        # Numbers of rows that are not there would be out of the table.
        return Step.ORDER if operand.constant.picks_rows > 1 else Step.SHUFFLE
    return steps


def _data_record(
    operand: Operand, drawn: FittedSteps, values: SetValues | None
) -> TensorLock:
    constant = operand.constant
    if values is not None:  # In the record's type, which may be raw bytes.
        stored = values.values.view(drawn.element_type.dtype)
        values = SetValues(values.channels, stored)
    outer, channels, inner = operand.view
    width = constant.element_type.dtype.itemsize // drawn.element_type.dtype.itemsize
    return TensorLock(
        constant.subgraph,
        constant.tensor,
        drawn.element_type,
        (outer, channels, width * inner),
        drawn.steps if values is None else drawn.steps | Step.SET,
        exponent_range=drawn.exponent_range,
        window=drawn.window,
        set_values=values,
    )


def _scales_record(
    recipe: Recipe, scales: Scales, values: SetValues | None
) -> Iterator[TensorLock]:
    count = scales.span[1] // 4
    steps = recipe.scales if count > 1 else Step(0)
    if values is not None:
        steps |= Step.SET
    if steps:
        yield TensorLock(
            scales.subgraph,
            scales.tensor,
            ElementType.FLOAT32,
            (1, count, 1),
            steps,
            Target.SCALES,
            set_values=values,
        )
