"""A Keras model or a file in, a pair out that restores to the bit, worthless bare."""

from pathlib import Path

import keras
import numpy as np
import pytest

from converters import convert_keras, lock_tflite
from converters.samples import make_samples
from edgepro_tf.errors import ConversionError, WrongModelError
from edgepro_tf.locking import lock_model, strip_lock
from edgepro_tf.runtime.buffers import restore_to_buffer
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import run_model
from tests.flatbuffers import FORMATS, build_cached, export_cached, representative
from tests.models import TOPOLOGIES

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


@pytest.mark.parametrize("config", ["paper", "default", "rich"])
@pytest.mark.parametrize("name", ["mobile", "residual"])
def test_lock_trained_models_restore_to_the_authorized_network(
    name: str, config: str
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
    locked = lock_model(build_cached("mobile"), config="rich", seed=3)
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


def test_secrets_stay_out_of_repr() -> None:
    protected = lock_tflite(export_cached("mobile"))
    shown = repr(protected) + str(protected) + repr(protected.lock)
    assert protected.lock.seed.hex() not in shown
    assert repr(protected.lock.seed) not in shown
    assert repr(protected.payload) not in shown


def test_restore_budget_bounds_what_loading_rewrites() -> None:
    original = export_cached("mobile")
    whole = lock_tflite(original)
    part = lock_tflite(original, restore_budget=0.1)
    assert part.bytes_rewritten <= 0.1 * len(original) < whole.bytes_rewritten
    with pytest.raises(ConversionError, match="restore_budget=2"):
        lock_tflite(original, restore_budget=2)


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
