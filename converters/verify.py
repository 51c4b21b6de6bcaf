"""Is the pair right? Restored equals authorized, bit for bit, and Keras agrees."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgepro_tf.errors import EdgeProError, VerificationError
from edgepro_tf.runtime.buffers import restore_to_buffer
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import run_model

if TYPE_CHECKING:
    import keras

Sample = dict[str, np.ndarray]
_REPORT = "Nothing was written. Please report this model's architecture."

# Share of the largest output. float32 sums in another order: measured below 1e-5 on
# networks of a hundred layers; float16 weights have 11 bits, errors add up by layer.
_KERAS_TOLERANCE = {"float32": 1e-3, "float16": 5e-2}


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
    public: bytes, payload: bytes, authorized: bytes, samples: Sequence[Sample]
) -> list[Sample]:
    """Run the pair through a real interpreter, beside the authorized model.

    Args:
        samples: inputs by name, for the first signature.

    Returns:
        The authorized model's outputs for each sample.

    Raises:
        VerificationError: an output differs in any bit, or the public model alone
            does not open or gives the same answers (a warning, where the authorized
            model itself gives one answer to every sample: nothing can be seen there).
    """
    plain = make_interpreter(authorized)
    plain.allocate_tensors()
    restored = open_with_payload(public, payload)
    bare = make_interpreter(public)
    bare.allocate_tensors()
    expected = [run_model(plain, sample) for sample in samples]
    _check_answers(expected)
    for sample, outputs in zip(samples, expected, strict=True):
        answers = run_model(restored, sample)
        if not _same_bits(answers, outputs):
            raise VerificationError(
                "cannot verify pair: expected the restored interpreter's outputs to "
                "equal the authorized model's to the bit, got others.",
                _REPORT,
            )
    if expected and all(
        _same_bits(run_model(bare, sample), outputs)
        for sample, outputs in zip(samples, expected, strict=True)
    ):
        if len(expected) > 1 and _are_constant(expected):
            warnings.warn(
                "the model gives one answer to every sample, so that its lock could "
                "not be seen to work; is it trained?",
                stacklevel=2,
            )
            return expected
        raise VerificationError(
            "cannot verify pair: expected the public model alone to give other answers "
            "than the authorized one, got the same.",
            "Lock more layers, or choose the recipe 'standard'.",
        )
    return expected


def _check_answers(outputs: Sequence[Sample]) -> None:
    values = [value for sample in outputs for value in sample.values()]
    if values and not any(np.isfinite(value).any() for value in values):
        raise VerificationError(
            "cannot verify pair: expected a model that answers with numbers, got "
            "nothing but NaN or infinity from the authorized model.",
            "Train it again: its weights are no numbers, or the samples are none.",
        )


def _are_constant(outputs: Sequence[Sample]) -> bool:
    return all(_same_bits(each, outputs[0]) for each in outputs[1:])


def _same_bits(ours: Sample, theirs: Sample) -> bool:
    return ours.keys() == theirs.keys() and all(
        ours[name].tobytes() == theirs[name].tobytes() for name in ours
    )


def compare_with_keras(
    model: keras.Model, samples: Sequence[Sample], outputs: Sequence[Sample]
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
    import keras

    names = [tensor.name for tensor in model.inputs]
    worst = 0.0
    for sample, answers in zip(samples, outputs, strict=True):
        given = [sample[name] for name in names if name in sample]
        if len(given) != len(names):
            given = list(sample.values())
        structured = given[0]
        if not isinstance(model, keras.Sequential):
            structured = keras.tree.pack_sequence_as(model.input, given)
        expected = keras.tree.flatten(model(structured, training=False))
        expected = [keras.ops.convert_to_numpy(output) for output in expected]
        largest = max(_largest(output) for output in expected) or 1.0
        for output in expected:
            distances = [
                _distance(output, answer)
                for answer in answers.values()
                if answer.shape == output.shape
            ]
            worst = max(worst, min(distances, default=np.inf) / largest)
    return worst


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


def verify_keras(
    model: keras.Model,
    samples: Sequence[Sample],
    outputs: Sequence[Sample],
    number_format: str,
) -> float:
    """``compare_with_keras``, and refuse a difference that rounding cannot explain.

    Raises:
        VerificationError: float32 differs by more than 0.1 %, float16 by more than 5 %
            (quantised formats change the answers; their difference is only reported).
    """
    difference = compare_with_keras(model, samples, outputs)
    tolerance = _KERAS_TOLERANCE.get(number_format, np.inf)
    if not difference <= tolerance:
        raise VerificationError(
            f"cannot verify pair: expected the {number_format} model to agree with "
            f"Keras within {tolerance:.1%}, got a difference of {difference:.1%}.",
            _REPORT,
        )
    return difference
