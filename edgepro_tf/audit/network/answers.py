"""An imported network held against the interpreter before an audit trains for hours."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.network import operators
from edgepro_tf.audit.network.forward import find_head, find_last, unsupported
from edgepro_tf.audit.network.importer import Network
from edgepro_tf.audit.network.sharing import run_once
from edgepro_tf.errors import ConversionError
from edgepro_tf.inputs import flatten_inputs, join_inputs
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import (
    are_probabilities,
    ordered_details,
    output_details,
    pick_output,
    quantize_inputs,
    run_model,
    sum_to_one,
)

_BATCHES = 8
_MOST_WRONG = 0.01  # Of the largest answer; float32 sums differ by a thousandth of it.
_FOLDED = (
    "Its converter may have folded the batch into other axes: convert it for one "
    "example or for batches of any size, or audit a part of it."
)


def find_answers(model: str, content: bytes, output: str | None) -> int:
    """Tensor number of an output.

    Args:
        model: its name, for the error.
        content: the file.
        output: the output's name; None for the only one.

    Raises:
        InterpreterError: there are several and none is named, or none of this name.
    """
    interpreter = make_interpreter(content)
    name = pick_output(model, interpreter, output)
    return int(output_details(interpreter)[name]["index"])


def check_answers(
    network: Network, values: list[np.ndarray], content: bytes
) -> Network:
    """Answer a few examples as the interpreter does, before an audit trains for hours.

    Args:
        network: imported from this file or another of its structure.
        values: the constants of this file.
        content: the file. Where it is quantised its answers are rounded on the way,
            and only their shape is compared.

    Returns:
        The network that does: one that takes examples by themselves where the file's
        batch of one is folded into other axes; its task says where outputs are
        probabilities that no last softmax or sigmoid makes.

    Raises:
        ConversionError: the graph does not compute here, or something else, or an
            answer depends on the other examples of its batch.
    """
    asked = _ask_interpreter(content, network.output)
    try:
        return _hold_against(network, values, *asked)
    except ConversionError:
        if any(network.graph.shapes[t][0] != 1 for t in network.graph.inputs):
            raise
    return _hold_against(dataclasses.replace(network, is_single=True), values, *asked)


def _hold_against(
    network: Network,
    values: list[np.ndarray],
    examples: np.ndarray,
    expected: np.ndarray,
) -> Network:
    """The network with its task, if its answers are what is expected."""
    plain = [  # The interpreter's answers are mapped to nothing.
        np.full_like(value, p.neutral) if p.role == "answers" else value
        for p, value in zip(network.parameters, values, strict=True)
    ]
    rows = tf.constant(flatten_inputs(examples), tf.float32)
    try:
        logits, alone = (
            run_once(network.forward, [tf.constant(p) for p in plain], x).numpy()
            for x in (rows, rows[:1])
        )
    except (
        tf.errors.OpError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as e:
        raise unsupported(f"one that fails ({_first_words(e)})", _FOLDED) from e
    logits = logits[..., -network.units :]
    if not tuple(logits.shape) == expected.shape or len(logits) != len(examples):
        raise unsupported(
            f"answers of shape {list(logits.shape)} to {len(examples)} examples",
            _FOLDED,
        )
    if not _are_near(alone[..., -network.units :], logits[:1]):
        raise unsupported("one that answers an example by others beside it", _FOLDED)
    head = find_head(network.graph)
    kind = "" if head is None else network.graph.nodes[head].kind
    found = operators.activate(kind, logits) if kind else logits
    is_rounded = bool(network.graph.quantizations.keys() - network.graph.codes)
    if not is_rounded and not _are_near(found, expected):
        raise unsupported("one that answers otherwise here than in the interpreter")
    last = find_last(network.graph)
    is_linear = any(one.node == last for one in network.linears)
    is_plain = kind or is_linear or network.answer_map
    if is_plain or not are_probabilities(expected):
        return network
    are_mixed = network.units == 1 or sum_to_one(expected)
    task = dataclasses.replace(network.task, are_probabilities=are_mixed)
    return dataclasses.replace(network, task=task)


def _first_words(error: Exception) -> str:
    """What an error says, without TensorFlow's own place for it."""
    line = (str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"\{\{.*?\}\}|\[Op:.*", "", line).strip()


def _are_near(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether answers differ by no more than sums in another order do."""
    difference = np.abs(found - expected).max()
    return bool(difference <= _MOST_WRONG * max(1, np.abs(expected).max()))


def _ask_interpreter(content: bytes, output: int) -> tuple[np.ndarray, np.ndarray]:
    """Some random batches of the model's own size, and a real interpreter's answers."""
    interpreter = make_interpreter(content)
    rng = np.random.default_rng(0)
    inputs = ordered_details(interpreter)
    batches = {tuple(detail["shape"][:1]) for detail in inputs.values()}
    if len(batches) != 1 or () in batches:
        raise unsupported("inputs of different batches")
    examples = join_inputs({n: _draw_examples(d, rng) for n, d in inputs.items()})
    (name,) = [
        n for n, d in output_details(interpreter).items() if d["index"] == output
    ]
    answers = []
    for batch in np.split(examples, _BATCHES):
        sample = quantize_inputs(batch, inputs)
        answers.append(call_runtime(run_model, interpreter, sample, _task="run")[name])
    return examples, np.concatenate(answers)


def _draw_examples(detail: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    shape = (_BATCHES * int(detail["shape"][0]), *detail["shape"][1:])
    if np.dtype(detail["dtype"]).kind == "f" or detail["quantization"][0]:
        return rng.standard_normal(shape).astype(np.float32)
    return rng.integers(0, 2, shape)
