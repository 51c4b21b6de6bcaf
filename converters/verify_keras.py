"""Is the authorized file right? Keras agrees with it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.samples import Sample
from edgepro_tf.errors import VerificationError

if TYPE_CHECKING:
    import keras

_COMPARE = (
    "Nothing was written. Before any lock the file is what TensorFlow's converter "
    "makes of the model: compare that with Keras. TensorFlow 2.21 loses the ReLU of a "
    "dense layer without a bias, or with one of zeros, whose filter is computed (an "
    "untrained layer in Keras' int4)."
)

# Share of the largest output. float32 sums in another order: measured below 1e-5 on
# networks of a hundred layers; float16 weights have 11 bits, errors add up by layer.
_KERAS_TOLERANCE = {"float32": 1e-3, "float16": 5e-2}
# Quantised formats change the answers, a network that is badly calibrated all of them.
_WORTH_A_WORD = 0.5


def compare_answers(
    asked: Sequence[list[np.ndarray]], outputs: Sequence[Mapping[Any, np.ndarray]]
) -> float:
    """How far a flatbuffer's answers are from those of the Keras model it came from.

    Args:
        asked: Keras' outputs for each sample.
        outputs: the flatbuffer's, by name.

    Returns:
        Largest absolute difference over all outputs, as a share of the largest
        absolute Keras output. Outputs are matched by shape, then by nearest value.
    """
    worst = 0.0
    for expected, answers in zip(asked, outputs, strict=True):
        largest = max(_largest(output) for output in expected) or 1.0
        for output in expected:
            distances = [
                _distance(output, answer)
                for answer in answers.values()
                if answer.shape == output.shape
            ]
            worst = max(worst, min(distances, default=np.inf) / largest)
    return worst


def _ask_keras(model: keras.Model, samples: Sequence[Sample]) -> list[list[np.ndarray]]:
    """Its outputs for each sample, one after the other, from the state that it has."""
    with _keeping_state(model):
        return [_ask_once(model, sample) for sample in samples]


def _ask_once(model: keras.Model, sample: Sample) -> list[np.ndarray]:
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
    """``compare_answers``, and refuse a difference that rounding cannot explain.

    Args:
        model: the authorized network, without locks.
        samples: inputs of one batch by name, as the flatbuffer was given them.
        outputs: its answers to each.
        number_format: the flatbuffer's.

    Returns:
        The difference; None, with a warning, where Keras itself cannot run the model
        on this machine (channels first on a CPU), or answers otherwise each time.

    Raises:
        VerificationError: float32 differs by more than 0.1 %, float16 by more than 5 %
            (quantised formats change the answers: from 50 % on, a warning says so).
    """
    try:
        asked = _ask_keras(model, samples)
        difference = compare_answers(asked, outputs)
    except Exception as error:  # Whatever the model's own code raises.
        _warn(
            f"Keras could not run the model on the samples ({type(error).__name__}): "
            "the pair is verified, its agreement with Keras is not."
        )
        return None
    tolerance = _KERAS_TOLERANCE.get(number_format, _WORTH_A_WORD)
    if difference <= tolerance:
        return difference
    again = [dict(enumerate(answers)) for answers in _ask_keras(model, samples)]
    if compare_answers(asked, again) > tolerance:
        _warn(
            "Keras' answers differ from run to run: the pair is verified, its "
            "agreement with Keras cannot be."
        )
        return None
    found = f"got a difference of {difference:.1%}."
    if not np.isfinite(difference):
        found = "got NaN, infinity or another shape in the one or the other."
    if number_format in _KERAS_TOLERANCE:
        raise VerificationError(
            f"cannot verify pair: expected the {number_format} model to agree with "
            f"Keras within {tolerance:.1%}, {found}",
            _COMPARE,
        )
    _warn(
        f"expected the {number_format} model to answer nearly as Keras does, {found} "
        "Compare its accuracy before it ships; real inputs as samples calibrate it "
        "better."
    )
    return difference


def _warn(words: str) -> None:
    warnings.warn(words, stacklevel=4)  # Of whoever converts.
