"""Is the pair right? Restored equals authorized, bit for bit, and Keras agrees."""

from __future__ import annotations

import contextlib
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.samples import Sample, make_samples
from edgepro_tf.errors import EdgeProError, InterpreterError, VerificationError
from edgepro_tf.runtime.buffers import restore_to_buffer
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import (
    call_runtime,
    installed_runtimes,
    make_interpreter,
)
from edgepro_tf.runtime.running import (
    allocate_for,
    input_details,
    run_model,
    signatures_of,
)

if TYPE_CHECKING:
    import keras

_REPORT = "Nothing was written. Please report this model's architecture."
_COMPARE = (
    "Nothing was written. Before any lock the file is what TensorFlow's converter "
    "makes of the model: compare that with Keras. TensorFlow 2.21 loses the ReLU of a "
    "dense layer without a bias, or with one of zeros, whose filter is computed (an "
    "untrained layer in Keras' int4)."
)

# How runtimes say that they lack an operator.
_NO_OPERATOR = ("unresolved", "Didn't find op", "not supported", "Unsupported")
_NO_CUSTOM_OPERATOR = re.compile(r"unresolved custom op: (.+?)\.?$", re.MULTILINE)

# Share of the largest output. float32 sums in another order: measured below 1e-5 on
# networks of a hundred layers; float16 weights have 11 bits, errors add up by layer.
_KERAS_TOLERANCE = {"float32": 1e-3, "float16": 5e-2}
# Quantised formats change the answers, a network that is badly calibrated all of them.
_WORTH_A_WORD = 0.5


def verify_restored(public: bytes, payload: bytes, authorized: bytes) -> None:
    """Check that restoring the public bytes gives the authorized bytes.

    Raises:
        VerificationError: it does not, or the lock changed nothing.
    """
    if public == authorized:
        raise VerificationError(
            "cannot verify pair: expected the public model to differ from the "
            "authorized one, got the same bytes.",
            "The recipe protects nothing in this model.",
        )
    try:
        restored = bytes(restore_to_buffer(public, payload))
    except EdgeProError as error:
        raise VerificationError(
            f"cannot verify pair: restoring failed: {error.problem}", _REPORT
        ) from error
    if restored != authorized:
        different = np.frombuffer(restored, np.uint8) != np.frombuffer(
            authorized, np.uint8
        )
        raise VerificationError(
            "cannot verify pair: expected the restored model to equal the authorized "
            f"one, got {int(different.sum()):,} different bytes.",
            _REPORT,
        )


def verify_interpreter(
    public: bytes,
    payload: bytes,
    authorized: bytes,
    samples: Sequence[Sample],
    others: Sequence[Sequence[Sample]] = (),
) -> tuple[Sequence[Sample], list[Sample]]:
    """Run the pair through a real interpreter, beside the authorized model.

    Args:
        samples: inputs by name, for the first signature.
        others: to take in their place, where the model does not run on them.

    Returns:
        The samples taken, and the authorized model's outputs for each.

    Raises:
        VerificationError: no installed runtime runs the model, an output differs in
            any bit, or the public model alone does not open or gives the same answers
            (a warning, where the authorized model itself gives one answer to every
            sample, or another one each time: nothing can be seen there).
    """
    options, samples, expected = _run_authorized(authorized, [samples, *others])
    _check_answers(expected)
    restored = open_with_payload(public, payload, allocate=False, **options)
    answers = [call_runtime(run_model, restored, sample) for sample in samples]
    if not all(map(_same_bits, answers, expected)):
        again = _run_samples(authorized, samples, options)
        if all(map(_same_bits, again, expected)):
            raise VerificationError(
                "cannot verify pair: expected the restored interpreter's outputs to "
                "equal the authorized model's to the bit, got others.",
                _REPORT,
            )
        warnings.warn(
            "the model's own answers differ from run to run; the restored file's bytes "
            "are verified, its answers cannot be.",
            stacklevel=2,
        )
    if _gives_same_answers(public, options, samples, expected) and not any(
        _differs(public, authorized, signature, options)
        for signature in signatures_of(restored)[1:]
    ):
        _refuse_same_answers(expected)
    return samples, expected


def _check_answers(outputs: Sequence[Sample]) -> None:
    numbers = [
        value
        for sample in outputs
        for value in sample.values()
        if value.dtype.kind in "biufc"
    ]
    if numbers and not any(np.isfinite(value).any() for value in numbers):
        raise VerificationError(
            "cannot verify pair: expected a model that answers with numbers, got "
            "nothing but NaN or infinity from the authorized model.",
            "Train it again: its weights are no numbers, or the samples are none.",
        )


def _run_authorized(
    authorized: bytes, choices: Sequence[Sequence[Sample]]
) -> tuple[dict[str, Any], Sequence[Sample], list[Sample]]:
    """The first interpreter that runs the model: options, the samples, its answers.

    Few runtimes have every operator, and XNNPACK refuses what the built-in kernels run.
    What a runtime refuses for its inputs' sizes no other is asked: tf.lite of
    TensorFlow 2.21 ends the process over some of them. Nor for a custom operator: all
    of them have the same few.
    """
    errors: list[InterpreterError] = []
    custom = None
    for runtime, use_xnnpack, samples in itertools.product(
        installed_runtimes(), (True, False), choices
    ):
        is_next = errors and use_xnnpack and samples is choices[0]
        if custom or (is_next and not _lacks_operator(errors[-1])):
            break
        options = {"runtime": runtime, "use_xnnpack": use_xnnpack}
        try:
            return options, samples, _run_samples(authorized, samples, options)
        except InterpreterError as error:
            errors.append(error)
            custom = _NO_CUSTOM_OPERATOR.search(str(error.__cause__))
    words = _words(errors[0]) if errors else "no runtime"
    hint = "Pass real inputs as samples, or install a runtime with its operators."
    if custom:
        words = f"none with the custom operator {custom[1]!r}"
        hint = (
            "A model is verified by running it. Pass --no_run, in Python runs=False, "
            "and its bytes alone are; the device's runtime must have the operator."
        )
    elif "Flex delegate" in words:
        words = "none with TensorFlow's own operators (Select TF)"
        hint = (
            "No runtime on PyPI links their delegate: convert it without "
            "SELECT_TF_OPS, or pass --no_run, in Python runs=False, and its bytes "
            "alone are verified."
        )
    raise VerificationError(
        "cannot verify pair: expected an installed runtime to run the model, got: "
        f"{words}.",
        hint,
    )


def _run_samples(
    model: bytes, samples: Sequence[Sample], options: dict[str, Any]
) -> list[Sample]:
    interpreter = make_interpreter(model, **options)
    return [call_runtime(run_model, interpreter, sample) for sample in samples]


def _lacks_operator(error: InterpreterError) -> bool:
    return any(words in str(error.__cause__) for words in _NO_OPERATOR)


def _words(error: InterpreterError) -> str:
    return error.problem.partition(": ")[2].rstrip(".")


def _gives_same_answers(
    public: bytes,
    options: dict[str, Any],
    samples: Sequence[Sample],
    expected: Sequence[Sample],
) -> bool:
    """Whether the public model alone does; it must open, but need not get through.

    Some operators check their inputs (boxes whose sides are positive), which are
    worthless here.
    """
    try:
        interpreter = make_interpreter(public, **options)
        for sample in samples[:1]:
            call_runtime(allocate_for, interpreter, sample)
    except InterpreterError as error:
        raise VerificationError(
            "cannot verify pair: expected the public model to open like the authorized "
            f"one, got: {_words(error)}.",
            _REPORT,
        ) from error
    try:
        alone = [call_runtime(run_model, interpreter, sample) for sample in samples]
    except InterpreterError:
        return False
    return bool(alone) and all(map(_same_bits, alone, expected))


def _differs(
    public: bytes, authorized: bytes, signature: str, options: dict[str, Any]
) -> bool:
    """Whether the public model answers differently through another signature.

    One that takes words is not run: it may be the path of a file to write.
    """
    both = [make_interpreter(model, **options) for model in (authorized, public)]
    details = input_details(both[0], signature).values()
    if any(np.dtype(detail["dtype"]).kind not in "fiubc" for detail in details):
        return False
    try:
        samples = make_samples(authorized, signature=signature)
        expected, alone = (
            [call_runtime(run_model, one, sample, signature) for sample in samples]
            for one in both
        )
    except InterpreterError:  # It may ask for more than noise.
        return False
    return not all(map(_same_bits, alone, expected))


def _refuse_same_answers(expected: Sequence[Sample]) -> None:
    if len(expected) > 1 and all(_same_bits(e, expected[0]) for e in expected[1:]):
        warnings.warn(
            "the model gives one answer to every sample, so that its lock could "
            "not be seen to work; is it trained?",
            stacklevel=3,
        )
        return
    raise VerificationError(
        "cannot verify pair: expected the public model alone to give other answers "
        "than the authorized one, got the same.",
        "Lock more layers, or choose the recipe 'standard'.",
    )


def _same_bits(ours: Sample, theirs: Sample) -> bool:
    return ours.keys() == theirs.keys() and all(
        _bits(ours[name]) == _bits(theirs[name]) for name in ours
    )


def _bits(values: np.ndarray) -> object:
    """Strings come as objects, whose bytes are addresses."""
    return values.tolist() if values.dtype == object else values.tobytes()


def compare_with_keras(
    model: keras.Model,
    samples: Sequence[Sample],
    outputs: Sequence[Mapping[Any, np.ndarray]],
) -> float:
    """How far the authorized flatbuffer is from the Keras model it came from.

    Args:
        model: the authorized network, without locks.
        samples: float inputs of batch 1 by input name.
        outputs: the flatbuffer's outputs for them.

    Returns:
        Largest absolute difference over all outputs, as a share of the largest
        absolute Keras output. Outputs are matched by shape, then by nearest value.
    """
    worst = 0.0
    for sample, answers in zip(samples, outputs, strict=True):
        expected = _ask_keras(model, sample)
        largest = max(_largest(output) for output in expected) or 1.0
        for output in expected:
            distances = [
                _distance(output, answer)
                for answer in answers.values()
                if answer.shape == output.shape
            ]
            worst = max(worst, min(distances, default=np.inf) / largest)
    return worst


def _ask_keras(model: keras.Model, sample: Sample) -> list[np.ndarray]:
    import keras

    inputs = getattr(model, "inputs", None)  # A subclassed model may have none.
    names = [tensor.name for tensor in inputs or ()]
    given = [sample[name] for name in names if name in sample]
    if not names or len(given) != len(names):
        given = list(sample.values())
    structured = given[0] if len(given) == 1 or inputs else sample
    if inputs and not isinstance(model, keras.Sequential):
        structured = keras.tree.pack_sequence_as(model.input, given)
    outputs = keras.tree.flatten(model(structured, training=False))
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def _largest(output: np.ndarray) -> float:
    return float(
        np.abs(output, where=np.isfinite(output), out=np.zeros_like(output)).max()
    )


def _distance(output: np.ndarray, answer: np.ndarray) -> float:
    """Largest difference; infinite where only one of both is a number."""
    is_same = (output == answer) | (np.isnan(output) & np.isnan(answer))
    with np.errstate(invalid="ignore"):
        gaps = np.where(is_same, 0, np.abs(output - answer))
    return float(np.where(np.isnan(gaps), np.inf, gaps).max())


@contextlib.contextmanager
def _keeping_state(model: keras.Model) -> Iterator[None]:
    """Set back what recurrent layers keep from call to call: it is the caller's."""
    import keras

    variables = [
        variable
        for layer in model._flatten_layers()
        if getattr(layer, "stateful", False)
        for variable in keras.tree.flatten(getattr(layer, "states", None) or ())
    ]
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in variables]
    try:
        yield
    finally:
        for variable, values in zip(variables, before, strict=True):
            variable.assign(values)


def verify_keras(
    model: keras.Model,
    samples: Sequence[Sample],
    outputs: Sequence[Sample],
    number_format: str,
) -> float | None:
    """``compare_with_keras``, and refuse a difference that rounding cannot explain.

    Returns:
        The difference; None, with a warning, where Keras itself cannot run the model
        on this machine (channels first on a CPU), or answers otherwise each time.

    Raises:
        VerificationError: float32 differs by more than 0.1 %, float16 by more than 5 %
            (quantised formats change the answers: from 50 % on, a warning says so).
    """
    try:
        with _keeping_state(model):
            difference = compare_with_keras(model, samples, outputs)
    except Exception as error:  # Whatever the model's own code raises.
        warnings.warn(
            f"Keras could not run the model on the samples ({type(error).__name__}): "
            "the pair is verified, its agreement with Keras is not.",
            stacklevel=3,
        )
        return None
    tolerance = _KERAS_TOLERANCE.get(number_format, _WORTH_A_WORD)
    if not difference <= tolerance:
        with _keeping_state(model):
            again = [dict(enumerate(_ask_keras(model, each))) for each in samples]
        with _keeping_state(model):
            repeated = compare_with_keras(model, samples, again)
        if repeated > tolerance:
            warnings.warn(
                "Keras' answers differ from run to run: the pair is verified, its "
                "agreement with Keras cannot be.",
                stacklevel=3,
            )
            return None
        found = f"got a difference of {difference:.1%}."
        if number_format not in _KERAS_TOLERANCE:
            warnings.warn(
                f"expected the {number_format} model to answer nearly as Keras does, "
                f"{found} Compare its accuracy before it ships; real inputs as samples "
                "calibrate it better.",
                stacklevel=3,
            )
            return difference
        raise VerificationError(
            f"cannot verify pair: expected the {number_format} model to agree with "
            f"Keras within {tolerance:.1%}, {found}",
            _COMPARE,
        )
    return difference
