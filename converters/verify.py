"""Is the pair right? Restored equals authorized, bit for bit."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.samples import ELSEWHERE, Sample, make_samples
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

_REPORT = "Nothing was written. Please report this model's architecture."

# How runtimes say that they lack an operator.
_NO_OPERATOR = ("unresolved", "Didn't find op", "not supported", "Unsupported")
_NO_CUSTOM_OPERATOR = re.compile(r"unresolved custom op: (.+?)\.?$", re.MULTILINE)


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


class Run(NamedTuple):
    """How the authorized model was run.

    Args:
        options: of ``make_interpreter``.
        samples: inputs by name, for the first signature.
        answers: its outputs for each.
    """

    options: dict[str, Any]
    samples: Sequence[Sample]
    answers: list[Sample]


def run_authorized(authorized: bytes, choices: Sequence[Sequence[Sample]]) -> Run:
    """Run a model by the first interpreter that can.

    Few runtimes have every operator, and XNNPACK refuses what the built-in kernels run.
    What a runtime refuses for its inputs' sizes no other is asked: tf.lite of
    TensorFlow 2.21 ends the process over some of them. Nor for a custom operator: all
    of them have the same few.

    Args:
        choices: samples, and others to take where it does not run on them.

    Raises:
        VerificationError: no installed runtime runs the model, or its answers are no
            numbers.
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
            answers = _run_samples(authorized, samples, options)
        except InterpreterError as error:
            errors.append(error)
            custom = _NO_CUSTOM_OPERATOR.search(str(error.__cause__))
        else:
            _check_answers(answers)
            return Run(options, samples, answers)
    words = _words(errors[0]) if errors else "no runtime"
    hint = (
        "Pass real inputs as samples, or install a runtime with its operators. "
        f"{ELSEWHERE}"
    )
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


def verify_interpreter(
    public: bytes, payload: bytes, authorized: bytes, run: Run
) -> None:
    """Run the pair through a real interpreter, beside the authorized model.

    Args:
        run: the authorized model's, from ``run_authorized``.

    Raises:
        VerificationError: an output differs in any bit, or the public model alone does
            not open or gives the same answers (a warning, where the authorized model
            itself gives one answer to every sample, or another one each time: nothing
            can be seen there).
    """
    options, samples, expected = run
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


def _check_answers(outputs: Sequence[Sample]) -> None:
    numbers = [
        value
        for sample in outputs
        for value in sample.values()
        if value.dtype.kind in "biufc" and value.size
    ]
    if numbers and not any(np.isfinite(value).any() for value in numbers):
        raise VerificationError(
            "cannot verify pair: expected a model that answers with numbers, got "
            "nothing but NaN or infinity from the authorized model.",
            "Train it again: its weights are no numbers, or the samples are none.",
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
