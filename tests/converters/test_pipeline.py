"""A Keras model or a file in, a pair out that restores to the bit, worthless bare."""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from converters import convert_keras, lock_tflite
from converters.keras_export import ExportOptions, export_keras
from converters.samples import make_samples
from edgepro_tf.errors import ConversionError, WrongModelError
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.flatbuffer.views import Role
from edgepro_tf.locking import LockConfig, lock_model, strip_lock
from edgepro_tf.locks import ElementType
from edgepro_tf.runtime.buffers import restore_to_buffer
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import installed_runtimes, make_interpreter
from edgepro_tf.runtime.memory_files import restore_to_memory_file
from edgepro_tf.runtime.running import run_model
from tests.flatbuffers import FORMATS, build_cached, export_cached, representative
from tests.models import EVERY_PART, TOPOLOGIES

RUNTIMES = [each for each in installed_runtimes() if each.name != "tflite-runtime"]
SAMPLES = Path(__file__).parents[1] / "edgepro_tf" / "native" / "models"


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
def test_every_topology_converts_and_restores(name: str) -> None:
    model = build_cached(name)
    before = [np.copy(weight) for weight in model.get_weights()]
    protected = convert_keras(model)
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == (
        protected.authorized
    )
    assert protected.public != protected.authorized
    # float32 sums in another order; these networks have a few layers.
    assert protected.keras_difference is not None
    assert protected.keras_difference < 1e-4
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("recipe", ["standard", "fast", "strict"])
@pytest.mark.parametrize("number_format", FORMATS)
def test_every_number_format_restores(number_format: str, recipe: str) -> None:
    original = export_cached("mobile", number_format)
    protected = lock_tflite(original, recipe=recipe)
    assert protected.authorized == original
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == original
    assert len(protected.public) == len(original)


@pytest.mark.parametrize("recipe", ["standard", "strict"])
def test_dynamic_range_with_small_tensors_left_in_float(recipe: str) -> None:
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((40,))
    for units in (40, 4):
        x = keras.layers.Dense(units, activation="tanh")(x)
    model = keras.Model(inputs, x)
    protected = convert_keras(model, recipe=recipe, number_format="dynamic")
    types = {
        operand.constant.element_type
        for operator in read_model(protected.public).operators
        for operand in operator.operands
        if operand.role is Role.FILTER
    }
    assert types == {ElementType.INT8, ElementType.FLOAT32}
    assert protected.bytes_left == 0


@pytest.mark.parametrize("number_format", FORMATS)
def test_every_number_format_runs_in_every_way(number_format: str) -> None:
    original = export_cached("mobile", number_format)
    protected = lock_tflite(original)
    (sample, *_) = make_samples(original)
    for runtime, use_xnnpack in itertools.product(RUNTIMES, (True, False)):
        options = {"runtime": runtime, "use_xnnpack": use_xnnpack}
        plain = make_interpreter(original, **options)
        restored = open_with_payload(protected.public, protected.payload, **options)
        ours, theirs = (run_model(each, sample) for each in (restored, plain))
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
    with restore_to_memory_file(protected.public, protected.payload) as file:
        restored_answer = _run_compiled(file.path, sample)
    with tempfile.NamedTemporaryFile(suffix=".tflite") as plain_file:
        Path(plain_file.name).write_bytes(original)
        assert restored_answer == _run_compiled(plain_file.name, sample)


def _run_compiled(path: str, sample: dict[str, np.ndarray]) -> bytes:
    """One answer of LiteRT's CompiledModel; float32, as all of FORMATS have it."""
    compiled = pytest.importorskip("ai_edge_litert.compiled_model")
    model = compiled.CompiledModel.from_file(path)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    inputs[0].write(next(iter(sample.values())))
    model.run_by_index(0, inputs, outputs)
    return bytes(outputs[0].read(4, np.float32).tobytes())


@pytest.mark.parametrize("config", ["paper", "default", EVERY_PART])
@pytest.mark.parametrize("name", ["mobile", "residual"])
def test_lock_trained_models_restore_to_the_authorized_network(
    name: str, config: str | LockConfig
) -> None:
    model = build_cached(name)
    (batch,) = representative(model, 1)
    samples = np.repeat(batch[0], 16, 0) if config == "paper" else None
    locked = lock_model(model, config=config, samples=samples, seed=3)
    recipe = "paper" if config == "paper" else "standard"
    protected = convert_keras(locked, recipe=recipe)
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == (
        protected.authorized
    )
    # The restored interpreter computes what Keras computes under the lock.
    sample = make_samples(protected.authorized)[0]
    restored = open_with_payload(protected.public, protected.payload)
    (answer,) = run_model(restored, sample).values()
    expected = keras.ops.convert_to_numpy(locked(next(iter(sample.values()))))
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4)


def test_paper_recipe_publishes_the_released_network() -> None:
    model = build_cached("mobile")
    (batch,) = representative(model, 1)
    locked = lock_model(model, config="paper", samples=np.repeat(batch[0], 16, 0))
    protected = convert_keras(locked, recipe="paper")
    public = make_interpreter(protected.public)
    public.allocate_tensors()
    sample = make_samples(protected.public)[0]
    (answer,) = run_model(public, sample).values()
    released = strip_lock(locked)(next(iter(sample.values())))
    expected = keras.ops.convert_to_numpy(released)
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4)


def test_paper_recipe_refuses_a_lock_it_would_publish() -> None:
    locked = lock_model(build_cached("mobile"), config=EVERY_PART, seed=3)
    with pytest.raises(ConversionError, match="Use the recipe 'standard'"):
        convert_keras(locked, recipe="paper")


def test_two_conversions_have_unrelated_locks() -> None:
    original = export_cached("mobile")
    first, second = lock_tflite(original), lock_tflite(original)
    assert first.public != second.public
    # Same recipe and addresses, other fingerprints: the core refuses the other's lock.
    with pytest.raises(WrongModelError):
        restore_to_buffer(first.public, second.payload)


def test_structure_and_names_are_those_of_the_stock_conversion() -> None:
    model = build_cached("mobile")
    locked = lock_model(model, config="default", seed=3)
    protected = convert_keras(locked)
    assert b"lock" not in protected.public
    assert sorted(read_names(protected.public)) == sorted(
        read_names(export_cached("mobile"))
    )


def read_names(model: bytes) -> list[str]:
    interpreter = make_interpreter(model)
    return [detail["name"] for detail in interpreter.get_tensor_details()]


def test_signature_names_stay_the_users() -> None:
    protected = convert_keras(build_cached("shared"))
    interpreter = make_interpreter(protected.public)
    signature = interpreter.get_signature_list()
    (inputs,) = [s["inputs"] for s in signature.values()]
    names = {tensor.name for tensor in build_cached("shared").inputs}
    assert set(inputs) == names


def test_quantised_formats_ask_for_samples() -> None:
    with pytest.raises(ConversionError, match="representative_dataset"):
        convert_keras(build_cached("mobile"), number_format="int8")


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(ConversionError, match="expected samples of shape"):
        convert_keras(build_cached("mobile"), samples=np.zeros((4, 3), np.float32))


@pytest.mark.parametrize("samples", [np.zeros((0, 12, 12, 3), np.float32), []])
def test_no_samples_are_refused(samples: object) -> None:
    """Nothing would be verified."""
    with pytest.raises(ConversionError, match="expected a sample at least, got none"):
        convert_keras(build_cached("mobile"), samples=samples)


def test_samples_of_several_lengths_are_refused() -> None:
    samples = [np.zeros((count, 8, 8, 2), np.float32) for count in (3, 5)]
    with pytest.raises(ConversionError, match="for every input, got 3, 5"):
        convert_keras(build_cached("shared"), samples=samples)


def test_calibration_samples_must_be_finite() -> None:
    """The stock quantiser ends the process on the first NaN."""
    model = build_cached("mlp")
    samples = np.full((3, *model.input_shape[1:]), np.nan, np.float32)
    with pytest.raises(ConversionError, match="expected finite samples"):
        convert_keras(
            model,
            number_format="int8",
            representative_dataset=lambda: ([one[None]] for one in samples),
        )


def test_secrets_stay_out_of_repr() -> None:
    protected = lock_tflite(export_cached("mobile"))
    shown = repr(protected) + str(protected) + repr(protected.lock)
    assert protected.lock.seed.hex() not in shown
    assert repr(protected.lock.seed) not in shown
    assert repr(protected.payload) not in shown


def test_lists_of_samples_follow_the_models_inputs() -> None:
    inputs = [keras.Input((5,), name="zeta"), keras.Input((7,), name="alpha")]
    x = keras.layers.Concatenate()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(4, name="head")(x))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(8, n)).astype(np.float32) for n in (5, 7)]
    by_name = {"zeta": arrays[0], "alpha": arrays[1]}
    assert convert_keras(model, samples=arrays).keras_difference < 1e-5
    assert convert_keras(model, samples=by_name).keras_difference < 1e-5
    rows = [[each[i : i + 1] for each in arrays] for i in range(8)]
    convert_keras(
        model, number_format="int8", representative_dataset=lambda: iter(rows)
    )
    with pytest.raises(ConversionError, match="samples of shape"):
        convert_keras(model, samples=arrays[::-1])


def test_a_subclassed_model_converts() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = keras.layers.Dense(8, activation="relu")
            self.head = keras.layers.Dense(3)

        def call(self, x):  # type: ignore[no-untyped-def]
            return self.head(self.hidden(x))

    model = Own()
    model(np.zeros((1, 4), np.float32))
    assert convert_keras(model).keras_difference < 1e-5
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    options = {"number_format": "int8", "samples": rows}
    with pytest.raises(ConversionError, match=r"inputs have names.*Wrap it: keras\.M"):
        convert_keras(model, **options)
    inputs = keras.Input((4,))
    wrapped = keras.Model(inputs, model(inputs))
    assert convert_keras(wrapped, **options).tensors_protected == 4


def test_a_model_whose_shapes_keras_forgets_is_told_the_way_out() -> None:
    """It remembers none where a class builds itself, whatever it is called on."""

    class Own(keras.Model):
        def build(self, shape: tuple[int | None, ...]) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 3))

        def call(self, x):  # type: ignore[no-untyped-def]
            return x @ self.kernel

    model = Own()
    model.build((None, 4))
    with pytest.raises(ConversionError, match=r"knows no shapes.*Wrap it: keras\.Mod"):
        convert_keras(model)
    inputs = keras.Input((4,))
    assert convert_keras(keras.Model(inputs, model(inputs))).tensors_protected == 1


def recurrent(steps: int | None = 6, **options: Any) -> keras.Model:
    inputs = keras.Input((steps, 4), batch_size=options.pop("batch_size", None))
    x = keras.layers.Bidirectional(keras.layers.GRU(8, **options))(inputs)
    x = keras.layers.Dense(5, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def test_recurrent_layers_run_in_loops_over_a_fixed_batch() -> None:
    protected = convert_keras(recurrent(batch_size=1))
    assert "WHILE" in read_model(protected.public).operator_kinds[0]
    assert protected.bytes_left < 0.1 * protected.constant_bytes


def test_other_recurrent_layers_are_unrolled() -> None:
    model = recurrent()
    protected = convert_keras(model)
    kinds = read_model(protected.public).operator_kinds
    stock = export_keras(recurrent(unroll=True), ExportOptions())
    assert kinds == read_model(stock).operator_kinds
    assert "WHILE" not in kinds[0]
    assert protected.keras_difference < 1e-5
    cells = [one for one in model._flatten_layers() if hasattr(one, "unroll")]
    assert [one.unroll for one in cells] == [False, False]  # As they were.
    with pytest.raises(ConversionError, match=r"Cannot unroll.*a fixed length"):
        convert_keras(recurrent(None))


@pytest.mark.parametrize("number_format", ["float32", "dynamic"])
def test_masked_steps_stay_masked_where_a_layer_goes_backwards(
    number_format: str,
) -> None:
    """Unrolled by itself, Keras lays the mask on their outputs the wrong way round."""
    layers = [
        keras.Input((4, 4)),
        keras.layers.Masking(),
        keras.layers.Bidirectional(keras.layers.LSTM(6, return_sequences=True)),
        keras.layers.Bidirectional(keras.layers.GRU(6, return_sequences=True)),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    model = keras.Sequential(layers)
    x = np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32)
    for row, steps in zip(x, [[0], [2, 3], [1], range(4)], strict=True):
        row[list(steps)] = 0
    before = model.predict(x, verbose=0)
    protected = convert_keras(model, samples=x, number_format=number_format)
    assert protected.keras_difference < (1e-5 if number_format == "float32" else 0.05)
    assert np.array_equal(model.predict(x, verbose=0), before)
    assert not any("inner_loop" in vars(one) for one in model._flatten_layers())


@pytest.mark.parametrize("number_format", ["float32", "int8"])
def test_a_representative_dataset_that_is_no_function_is_refused(
    number_format: str,
) -> None:
    rows = [[np.zeros((1, 8, 8, 1), np.float32)]]
    with pytest.raises(ConversionError, match=r"as a function.*got list\. Pass the"):
        convert_keras(
            build_cached("mlp"),
            number_format=number_format,
            representative_dataset=rows,
        )


def test_restore_budget_bounds_what_loading_rewrites() -> None:
    original = export_cached("mobile")
    whole = lock_tflite(original)
    part = lock_tflite(original, restore_budget=0.1)
    assert part.bytes_rewritten <= 0.1 * len(original) < whole.bytes_rewritten
    assert f"{part.bytes_rewritten:,} of {len(original):,} bytes" in str(part)
    assert f"{part.bytes_left:,} bytes of constants are left" in str(part)
    with pytest.raises(ConversionError, match="restore_budget=2"):
        lock_tflite(original, restore_budget=2)
    with pytest.raises(ConversionError, match=r"got restore_budget='0\.1'.*a number"):
        lock_tflite(original, restore_budget="0.1")
    with pytest.raises(ConversionError, match=r"smallest constant.*Raise the budget"):
        lock_tflite(original, restore_budget=0)


@pytest.mark.parametrize("use_xnnpack", [True, False])
def test_restored_model_resizes(use_xnnpack: bool) -> None:
    protected = lock_tflite(export_cached("mobile"))
    options = {"use_xnnpack": use_xnnpack, "num_threads": 2}
    restored = open_with_payload(protected.public, protected.payload, **options)
    plain = make_interpreter(protected.authorized, **options)
    plain.allocate_tensors()
    rng = np.random.default_rng(0)
    for batch in (3, 1, 7):
        sample = {"image": rng.normal(size=(batch, 8, 8, 2)).astype(np.float32)}
        (ours,), (theirs,) = (
            run_model(interpreter, sample).values() for interpreter in (restored, plain)
        )
        assert ours.shape[0] == batch
        assert ours.tobytes() == theirs.tobytes()


def test_every_signature_of_a_file_is_restored() -> None:
    original = (SAMPLES / "two_signatures.tflite").read_bytes()
    protected = lock_tflite(original)
    restored = open_with_payload(protected.public, protected.payload)
    plain, bare = make_interpreter(original), make_interpreter(protected.public)
    keys = list(plain.get_signature_list())
    assert len(keys) == 2
    for key in keys:
        details = plain.get_signature_runner(key).get_input_details()
        rng = np.random.default_rng(0)
        sample = {
            name: rng.normal(size=detail["shape"]).astype(np.float32)
            for name, detail in details.items()
        }
        ours, theirs, alone = (
            next(iter(each.get_signature_runner(key)(**sample).values())).tobytes()
            for each in (restored, plain, bare)
        )
        assert ours == theirs != alone
