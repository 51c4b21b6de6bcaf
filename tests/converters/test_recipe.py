"""Which constants get which step, and what is left out where it would not be exact."""

import dataclasses

import numpy as np
import pytest

from converters import lock_tflite
from converters.keras_export import ExportOptions, export_keras
from converters.recipe import PRESETS, Recipe, find_recipe, plan_lock
from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.locks import ElementType, SetValues, Step, Target, TensorLock
from tests import models
from tests.crafted import Crafted
from tests.flatbuffers import FORMATS, export_cached

CHANNELS = Recipe(
    "channels", Step.ORDER | Step.SIGNS | Step.EXPONENTS, Step(0), Step(0), Step(0)
)
SHUFFLE = Step.SHUFFLE | Step.SIGNS


def plan(model: bytes, recipe: str | Recipe = "standard") -> tuple[TensorLock, ...]:
    return plan_lock(find_recipe(recipe), read_model(model), model)


@pytest.mark.parametrize("number_format", FORMATS)
def test_standard_masks_all_but_wide_integers(number_format: str) -> None:
    model = export_cached("mobile", number_format)
    steps = {r.tensor: r.steps for r in plan(model) if r.target is Target.DATA}
    for operator in read_model(model).operators:
        for operand in operator.operands:
            constant = operand.constant
            # Where a mask leaves nothing readable an order has nothing to hide.
            expected = {
                ElementType.FLOAT32: Step.MASK | Step.FRACTION,
                ElementType.FLOAT16: Step.MASK | Step.ORDER,
                ElementType.INT8: Step.MASK,
                ElementType.INT32: SHUFFLE,
                ElementType.INT64: SHUFFLE,
            }
            assert steps[constant.tensor] == expected[constant.element_type]


@pytest.mark.parametrize("number_format", FORMATS)
def test_every_buffer_has_one_record(number_format: str) -> None:
    model = export_cached("mobile", number_format)
    records = plan(model)
    addresses = [(r.subgraph, r.tensor, r.target) for r in records]
    assert len(set(addresses)) == len(addresses)
    buffers = {
        operand.constant.buffer
        for operator in read_model(model).operators
        for operand in operator.operands
    }
    assert sum(r.target is Target.DATA for r in records) == len(buffers)


def test_integers_are_never_scaled() -> None:
    records = plan(export_cached("mobile", "int8"), CHANNELS)
    for record in records:
        if record.target is Target.DATA:
            assert not record.steps & Step.EXPONENTS


def with_first_elements(number_format: str, values: np.ndarray) -> tuple[bytes, int]:
    """A model whose first hidden filter begins with these; and that tensor."""
    model = bytearray(export_cached("mobile", number_format))
    hidden = next(
        o for o in read_model(model).operators if not (o.is_first or o.is_head)
    )
    constant = hidden.operands[0].constant
    offset, _ = constant.data
    model[offset : offset + values.nbytes] = values.tobytes()
    return bytes(model), constant.tensor


def steps_of(model: bytes, tensor: int, recipe: str | Recipe = "standard") -> Step:
    (record,) = [
        r for r in plan(model, recipe) if r.tensor == tensor and r.target is Target.DATA
    ]
    return record.steps


def test_scales_that_would_underflow_are_left_out() -> None:
    tiny = np.full(1, np.finfo(np.float32).smallest_normal)
    model, tensor = with_first_elements("float32", tiny)
    assert steps_of(model, tensor, CHANNELS) == Step.ORDER | Step.SIGNS


@pytest.mark.parametrize(
    ("number_format", "values"),
    [
        ("float32", np.zeros(20, np.float32)),  # pruned: their places would tell
        ("float32", np.full(1, np.inf, np.float32)),
        ("float16", np.full(1, np.nan, np.float16)),
    ],
)
def test_what_a_mask_would_not_hide_is_shuffled(
    number_format: str, values: np.ndarray
) -> None:
    model, tensor = with_first_elements(number_format, values)
    assert steps_of(model, tensor) == SHUFFLE


@pytest.mark.parametrize("position", [0, 1])  # A first filter, and a hidden one.
def test_lowest_integer_is_masked_as_a_byte(position: int) -> None:
    model = bytearray(export_cached("mobile", "int8"))
    constant = read_model(model).operators[position].operands[0].constant
    offset, _ = constant.data
    model[offset] = 0x80
    (record,) = (
        one
        for one in plan(bytes(model))
        if one.tensor == constant.tensor and one.target is Target.DATA
    )
    assert (record.steps, record.element_type) == (Step.MASK, ElementType.UINT8)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_budget_is_kept_and_spent_on_small_constants_first(share: float) -> None:
    model = export_cached("mobile")
    recipe = dataclasses.replace(PRESETS["standard"], restore_budget=share)
    records = plan_lock(recipe, read_model(model), model)
    assert sum(r.size_bytes for r in records) <= share * len(model)
    left_out = [r for r in plan(model) if r.tensor not in {k.tensor for k in records}]
    if left_out:
        assert min(r.size_bytes for r in records) <= min(r.size_bytes for r in left_out)


def test_a_budget_takes_first_and_depthwise_filters_before_biases() -> None:
    """Statistics alone undo a lock that leaves the first filter open."""
    model = export_cached("mobile")
    operators = read_model(model).operators
    filters = [operator.operands[0] for operator in operators]
    wanted = [filters[0], *(one for one in filters if one.view[0] > 1)]
    size = sum(one.constant.data[1] for one in wanted)
    recipe = dataclasses.replace(
        PRESETS["standard"], restore_budget=(size + 1) / len(model)
    )
    taken = {record.tensor for record in plan_lock(recipe, read_model(model), model)}
    assert taken == {one.constant.tensor for one in wanted}


def test_fast_leaves_no_small_file_open() -> None:
    model = export_cached("mobile")
    assert len(plan(model, "fast")) == len(plan(model, "standard"))


def test_fast_locks_an_embedding_whatever_its_size() -> None:
    """Whoever has the embedding needs few labels for the rest."""
    model = export_keras(models.reader(4000), ExportOptions())
    assert len(plan(model, "fast")) == len(plan(model, "standard"))
    bounded = find_recipe("fast", restore_budget=0.08)
    (embedding, *_) = plan(model, "standard")
    assert embedding.size_bytes > 0.9 * len(model)
    assert embedding.tensor not in {record.tensor for record in plan(model, bounded)}


def test_budget_never_drops_what_training_set() -> None:
    model = export_cached("mobile")
    view = read_model(model)
    constant = view.operators[0].operands[0].constant
    stored = {constant.buffer: SetValues((0,), np.zeros(1, np.float32))}
    recipe = dataclasses.replace(PRESETS["standard"], restore_budget=0.0)
    (record,) = plan_lock(recipe, view, model, stored)
    assert record.tensor == constant.tensor and record.steps & Step.SET


def test_nothing_to_lock_says_so() -> None:
    with pytest.raises(ConversionError, match="found none"):
        plan(export_cached("mobile"), "paper")


def test_unknown_recipe_says_so() -> None:
    with pytest.raises(ConversionError, match="expected one of"):
        find_recipe("heavy")


def test_a_lock_of_a_single_weight_moves_it() -> None:
    """Half of the draws would leave it as it is."""
    crafted = Crafted()
    content = crafted.finish_dense(crafted.add_weights(1, 1), 1, 1)
    for _ in range(12):
        assert lock_tflite(content, recipe="strict").public != content
