"""The delegate inside every real runtime of this environment."""

import copy
import dataclasses
import gc
import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepro_tf import native
from edgepro_tf.errors import InterpreterError, PayloadError
from edgepro_tf.locks import ModelLock, Step
from edgepro_tf.payload import unpack_lock
from edgepro_tf.runtime.delegates import Delegate, open_with_payload
from edgepro_tf.runtime.interpreters import (
    Runtime,
    installed_runtimes,
    make_interpreter,
)
from tests.edgepro_tf.native.sample_models import (
    ELEMENTS,
    NAMES,
    ROWS,
    lock_model,
    make_pair,
    plan_lock,
    read_model,
)

OLD_NUMPY = int(np.__version__.split(".")[0]) < 2
RUNTIMES = [r for r in installed_runtimes() if r.name != "tflite-runtime" or OLD_NUMPY]
every_runtime = pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda r: r.name)
WRONG_MODEL = "cannot restore this model: the sidecar belongs to another model file"


def make_delegate(runtime: Runtime, payload: bytes) -> Any:
    return delegate_with(runtime, {"handle": str(native.hand_over(payload))})


def make_ours(runtime: Runtime, payload: bytes) -> Delegate:
    del runtime  # One for all of them.
    return Delegate(payload)


def delegate_with(runtime: Runtime, options: dict[str, str]) -> Any:
    return runtime.load().load_delegate(str(native.library_path()), options)


def is_complete(delegate: Any) -> bool:
    return native.delegate_is_complete(delegate._get_native_delegate_pointer())


def make_input(interpreter: Any) -> np.ndarray:
    (detail,) = interpreter.get_input_details()
    rng = np.random.default_rng(0)
    return rng.normal(size=detail["shape"]).astype(detail["dtype"])


def run(interpreter: Any, x: np.ndarray) -> np.ndarray:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def skip_if_too_old(runtime: Runtime, name: str) -> None:
    """tflite-runtime 2.14 has no per-channel dynamic-range dense layer."""
    try:
        make_interpreter(read_model(name), runtime=runtime, use_xnnpack=False)
    except InterpreterError as error:
        if "Didn't find op" not in str(error):
            raise
        pytest.skip(f"{runtime.name} {runtime.version} lacks an operator of {name}")


def answer(model: bytes | Path, runtime: Runtime, **options: Any) -> np.ndarray:
    interpreter = make_interpreter(model, runtime=runtime, **options)
    interpreter.allocate_tensors()
    return run(interpreter, make_input(interpreter))


@pytest.mark.parametrize("steps", [ROWS, ELEMENTS], ids=["rows", "elements"])
@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("use_xnnpack", [True, False], ids=["xnnpack", "builtin"])
@pytest.mark.parametrize("name", NAMES)
@every_runtime
def test_restored_model_answers_like_the_authorized_one(
    runtime: Runtime,
    name: str,
    use_xnnpack: bool,
    num_threads: int,
    steps: Step,
    tmp_path: Path,
) -> None:
    public, payload = make_pair(name, steps)
    path = tmp_path / "public.tflite"
    path.write_bytes(public)
    options = {"num_threads": num_threads, "use_xnnpack": use_xnnpack}
    skip_if_too_old(runtime, name)
    expected = answer(read_model(name), runtime, **options)
    for model, make in ((public, make_delegate), (path, make_ours)):
        delegate = make(runtime, payload)
        restored = answer(model, runtime, delegates=[delegate], **options)
        np.testing.assert_array_equal(restored, expected)
        assert is_complete(delegate)
        assert not np.array_equal(answer(model, runtime, **options), expected)
    assert path.read_bytes() == public


@every_runtime
def test_restored_constants_are_those_of_a_restored_file(runtime: Runtime) -> None:
    public, payload = make_pair("int8")
    buffer = bytearray(public)
    native.restore_buffer(buffer, payload)
    assert buffer == read_model("int8")
    delegates = [make_delegate(runtime, payload)]
    options = {"runtime": runtime, "use_xnnpack": False}
    restored = make_interpreter(public, delegates=delegates, **options)
    authorized = make_interpreter(read_model("int8"), **options)
    for interpreter in (restored, authorized):
        interpreter.allocate_tensors()
    pairs = zip(
        restored.get_tensor_details(), authorized.get_tensor_details(), strict=True
    )
    locked = {(t.subgraph, t.tensor) for t in plan_lock("int8", ELEMENTS).tensors}
    for ours, theirs in pairs:
        for key in ("scales", "zero_points"):
            np.testing.assert_array_equal(
                ours["quantization_parameters"][key],
                theirs["quantization_parameters"][key],
            )
        if (0, ours["index"]) in locked:
            np.testing.assert_array_equal(
                restored.get_tensor(ours["index"]), authorized.get_tensor(ours["index"])
            )


@pytest.mark.parametrize("use_xnnpack", [True, False], ids=["xnnpack", "builtin"])
@every_runtime
def test_resizing_and_allocating_again(runtime: Runtime, use_xnnpack: bool) -> None:
    public, payload = make_pair("two_signatures")
    options = {"runtime": runtime, "use_xnnpack": use_xnnpack}
    delegates = [make_delegate(runtime, payload)]
    restored = make_interpreter(public, delegates=delegates, **options)
    authorized = make_interpreter(read_model("two_signatures"), **options)
    for batch in (1, 7, 3, 3):
        answers = []
        for interpreter in (restored, authorized):
            index = interpreter.get_input_details()[0]["index"]
            interpreter.resize_tensor_input(index, [batch, 6])
            interpreter.allocate_tensors()
            answers.append(run(interpreter, make_input(interpreter)))
        np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("use_xnnpack", [True, False], ids=["xnnpack", "builtin"])
@every_runtime
def test_two_signatures_share_restored_weights(
    runtime: Runtime, use_xnnpack: bool
) -> None:
    public, payload = make_pair("two_signatures")
    options = {"runtime": runtime, "use_xnnpack": use_xnnpack}
    delegate = make_delegate(runtime, payload)
    restored = make_interpreter(public, delegates=[delegate], **options)
    authorized = make_interpreter(read_model("two_signatures"), **options)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    for signature in ("second", "first", "second"):
        ours = restored.get_signature_runner(signature)(x=x)
        theirs = authorized.get_signature_runner(signature)(x=x)
        np.testing.assert_array_equal(ours["y"], theirs["y"])
    assert is_complete(delegate)


@every_runtime
def test_lock_on_the_second_subgraph_alone(runtime: Runtime) -> None:
    """Subgraph 0 shares a buffer that only subgraph 1 has a record for."""
    every = plan_lock("two_signatures", ELEMENTS)
    shared = every.tensors[0]  # tensor 2 of both subgraphs
    moved = dataclasses.replace(shared, subgraph=1)
    tensors = [moved, *(t for t in every.tensors if t.subgraph == 1)]
    model = read_model("two_signatures")
    public, payload = lock_model(model, ModelLock(every.seed, tuple(tensors)))
    delegate = make_delegate(runtime, payload)
    restored = make_interpreter(public, delegates=[delegate], runtime=runtime)
    authorized = make_interpreter(model, runtime=runtime)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    for signature in ("first", "second"):
        ours = restored.get_signature_runner(signature)(x=x)
        theirs = authorized.get_signature_runner(signature)(x=x)
        np.testing.assert_array_equal(ours["y"], theirs["y"])
    assert is_complete(delegate)
    # A model without such a subgraph is left alone, and the delegate tells.
    delegate = make_delegate(runtime, payload)
    make_interpreter(read_model("float32"), delegates=[delegate], runtime=runtime)
    assert not is_complete(delegate)


@every_runtime
def test_wrong_model_is_refused(runtime: Runtime) -> None:
    _, payload = make_pair("float32")
    for model in (read_model("float32"), make_pair("int8")[0]):
        with pytest.raises(InterpreterError, match=WRONG_MODEL):
            make_interpreter(
                model, delegates=[make_delegate(runtime, payload)], runtime=runtime
            )


@every_runtime
def test_delegate_serves_one_interpreter(runtime: Runtime) -> None:
    public, payload = make_pair("float32")
    delegate = make_delegate(runtime, payload)
    options = {"delegates": [delegate], "runtime": runtime}
    first = make_interpreter(public, **options)
    first.allocate_tensors()
    x = make_input(first)
    expected = run(first, x)
    for model in (public, read_model("int8")):
        with pytest.raises(InterpreterError, match="one delegate for each interpreter"):
            make_interpreter(model, **options)
    np.testing.assert_array_equal(run(first, x), expected)


@every_runtime
def test_delegate_of_an_ended_interpreter_never_restores_half(runtime: Runtime) -> None:
    """Memory of the first one may come back in the second: refused, or right."""
    public, payload = make_pair("int8")
    expected = answer(read_model("int8"), runtime)
    delegate = make_delegate(runtime, payload)
    np.testing.assert_array_equal(
        answer(public, runtime, delegates=[delegate]), expected
    )
    for _ in range(5):
        gc.collect()
        with pytest.raises(InterpreterError, match="one delegate for each"):
            answer(public, runtime, delegates=[delegate])


@every_runtime
def test_delegate_must_be_first(runtime: Runtime) -> None:
    public, payload = make_pair("float32")
    interpreter = make_interpreter(public, runtime=runtime, use_xnnpack=True)
    interpreter.allocate_tensors()  # XNNPACK has taken its nodes.
    delegate = make_delegate(runtime, payload)
    pointer = delegate._get_native_delegate_pointer()
    with pytest.raises((RuntimeError, ValueError), match="to be the first"):
        interpreter._interpreter.ModifyGraphWithDelegate(pointer)
    del interpreter


@every_runtime
def test_what_applies_xnnpack_before_any_delegate_is_named(runtime: Runtime) -> None:
    option = "experimental_default_delegate_latest_features"
    if option not in inspect.signature(runtime.load().Interpreter).parameters:
        pytest.skip("this runtime has no such option")
    public, payload = make_pair("float32")
    with pytest.raises(InterpreterError, match=f"leave out {option}"):
        open_with_payload(public, payload, runtime=runtime, **{option: True})


@every_runtime
def test_handle_is_used_once(runtime: Runtime) -> None:
    _, payload = make_pair("float32")
    handle = native.hand_over(payload)
    options = {"handle": str(handle)}
    delegate = delegate_with(runtime, options)
    assert not is_complete(delegate)
    discarded = native.hand_over(payload)
    native.discard(discarded)
    unknown = {"0", str(2**63), str(discarded), "", "-1", "1e3", f"{handle}x", "9" * 40}
    for text in [str(handle), *sorted(unknown)]:
        with pytest.raises(ValueError, match="handed out and not used yet"):
            delegate_with(runtime, {"handle": text})


@every_runtime
def test_options_are_checked(runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="expected the option 'handle' alone"):
        delegate_with(runtime, {"key": "1"})
    with pytest.raises(ValueError, match="got none"):
        delegate_with(runtime, {})
    # Cut between letters, else the runtime's own door to Python cannot read it.
    with pytest.raises(ValueError, match=f"alone, got '{'_' * 39}'"):
        delegate_with(runtime, {"_" * 39 + "ä": "1"})


@every_runtime
def test_unused_delegate_is_freed(runtime: Runtime) -> None:
    _, payload = make_pair("float32")
    for _ in range(100):
        make_delegate(runtime, payload)
        make_ours(runtime, payload)


@every_runtime
def test_a_delegate_lives_as_long_as_its_interpreter(runtime: Runtime) -> None:
    """Whoever made it may let go of it."""
    public, payload = make_pair("float32")
    expected = answer(read_model("float32"), runtime)
    delegates = [make_ours(runtime, payload)]
    interpreter = make_interpreter(public, runtime=runtime, delegates=delegates)
    del delegates
    gc.collect()
    interpreter.allocate_tensors()
    np.testing.assert_array_equal(run(interpreter, make_input(interpreter)), expected)


@every_runtime
def test_a_view_outlives_its_interpreter(runtime: Runtime) -> None:
    """As the plain model's do: ``tensor()`` keeps what is behind the interpreter."""
    public, payload = make_pair("float32")
    options = {"runtime": runtime, "use_xnnpack": False}
    authorized = make_interpreter(read_model("float32"), **options)
    authorized.allocate_tensors()
    interpreter = open_with_payload(public, payload, **options)
    numbers = [t.tensor for t in unpack_lock(payload).tensors]
    views = [interpreter.tensor(number)() for number in numbers]
    del interpreter
    gc.collect()
    for number, view in zip(numbers, views, strict=True):
        np.testing.assert_array_equal(view, authorized.get_tensor(number))


def test_a_delegate_has_no_copy() -> None:
    """Two of them would free the same lock."""
    _, payload = make_pair("float32")
    delegate = Delegate(payload)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot copy a delegate"):
            duplicate(delegate)
    delegate.__del__()  # Ended twice, it is freed once.


def test_a_damaged_payload_makes_no_delegate() -> None:
    _, payload = make_pair("float32")
    with pytest.raises(PayloadError, match="more bytes"):
        Delegate(payload + b"x")
    with pytest.raises(PayloadError, match="its end"):
        Delegate(b"")
