"""A whole training run in one compiled call, reused over rates, starts and seeds.

What differs between attacks (which parameters move, when, how fast, which elements are
pruned) is data given to the same compiled loop, so that an audit compiles once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.network.sharing import compile_function
from edgepro_tf.audit.target import Arrays

Loss = Callable[[Any, Any], Any]
Materialise = Callable[[list[Any], Any], list[Any]]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7


def differentiate(
    measure: Callable[[list[Any]], Any], parameters: list[Any]
) -> tuple[Any, list[Any]]:
    """A loss and its gradient by every parameter, zeros where it reads none.

    An embedding's gradient is as large as its table: TensorFlow gives the rows alone
    that were looked up, which no optimiser here adds to anything.
    """
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        loss = measure(parameters)
    found = tape.gradient(
        loss, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return loss, [tf.convert_to_tensor(gradient) for gradient in found]


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A start and a plan; the thief's validation chooses among several.

    Args:
        label: in words, for the report.
        theta: the start, in the trainer's space.
        plan: float32 [steps, arrays of theta], learning rates; 0 freezes.
        masks: 0 or 1 for each element of theta; where 0 it stays as it is. None for 1.
        temperature: float32 [steps], passed to the parametrisation; None for ones.
        trainer: None for that of the weights.
    """

    label: str
    theta: Arrays
    plan: np.ndarray
    masks: Arrays | None = None
    temperature: np.ndarray | None = None
    trainer: Trainer | None = None


def draw_batches(
    examples: np.ndarray, steps: int, batch: int, rng: np.random.Generator
) -> np.ndarray:
    """int32 [steps, batch]: shuffled epochs over the given example numbers."""
    needed = steps * batch
    epochs = -(-needed // len(examples))
    order = np.concatenate([rng.permutation(examples) for _ in range(epochs)])
    return order[:needed].reshape(steps, batch).astype(np.int32)


def cosine(steps: int) -> np.ndarray:
    """float32 [steps]: from 1 to 0 (Loshchilov and Hutter, ICLR 2017), warmed up."""
    t = np.arange(steps)
    warm = np.minimum(1.0, (t + 1) / max(1, steps // 20))
    return (warm * 0.5 * (1 + np.cos(np.pi * t / steps))).astype(np.float32)


def cosine_twice(steps: int) -> np.ndarray:
    """float32 [steps]: the same in each half, for runs of two stages."""
    half = steps // 2
    return np.concatenate([cosine(half), cosine(steps - half)])


class Trainer:
    """Adam over any parametrisation of a network, compiled once.

    Args:
        forward: (network parameters, x) -> answers.
        materialise: (what is learned, temperature) -> network parameters.
        most_steps: of any plan; shorter ones do not compile anew.
        loss: of (answers, targets).

    Source: Kingma and Ba, ICLR 2015, algorithm 1 with the reordering of section 2.
    """

    def __init__(
        self,
        forward: Callable[[list[Any], Any], Any],
        materialise: Materialise,
        most_steps: int,
        loss: Loss,
    ) -> None:
        self._forward, self._materialise, self._loss = forward, materialise, loss
        self._most_steps = most_steps
        self._run = compile_function(self._loop)
        self._parameters = tf.function(materialise, autograph=False)

    def train(
        self, candidate: Candidate, x: Any, y: Any, batches: np.ndarray
    ) -> list[np.ndarray] | None:
        """Train from a start.

        Args:
            candidate: the start, its plan, what moves.
            x: float32 [examples, ...]; keep its shape the same between calls.
            y: float32 [examples, ..., units], targets.
            batches: int32 [steps, batch], numbers of examples.

        Returns:
            theta after the last step; None where training diverged.
        """
        theta, masks = candidate.theta, candidate.masks
        temperature = candidate.temperature
        masks = [np.ones_like(t) for t in theta] if masks is None else masks
        if temperature is None:
            temperature = np.ones(len(batches))
        out = self._run(
            [tf.constant(t, tf.float32) for t in theta],
            [tf.constant(m, tf.float32) for m in masks],
            x,
            y,
            tf.constant(len(batches)),
            tf.constant(self._lengthen(candidate.plan), tf.float32),
            tf.constant(self._lengthen(batches), tf.int32),
            tf.constant(self._lengthen(temperature), tf.float32),
        )
        result = [t.numpy() for t in out]
        return result if all(np.isfinite(t).all() for t in result) else None

    def parameters(self, theta: Arrays, temperature: float = 1.0) -> list[np.ndarray]:
        """The network's parameters that theta stands for."""
        tensors = [tf.constant(t, tf.float32) for t in theta]
        return [p.numpy() for p in self._parameters(tensors, tf.constant(temperature))]

    def _lengthen(self, rows: np.ndarray) -> np.ndarray:
        missing = self._most_steps - len(rows)
        return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))

    def _loop(
        self,
        theta: list[Any],
        masks: list[Any],
        x: Any,
        y: Any,
        steps: Any,
        rates: Any,
        batches: Any,
        temperature: Any,
    ) -> list[Any]:
        def body(t: Any, theta: Any, first: Any, second: Any) -> Any:
            index = batches[t]
            # Static shapes let the convolutions' slices compile.
            xb = tf.ensure_shape(tf.gather(x, index), [batches.shape[1], *x.shape[1:]])

            def measure(theta: list[Any]) -> Any:
                answers = self._forward(self._materialise(theta, temperature[t]), xb)
                return self._loss(answers, tf.gather(y, index))

            _, gradients = differentiate(measure, theta)
            count = tf.cast(t + 1, tf.float32)
            correct = tf.sqrt(1 - _BETA_2**count) / (1 - _BETA_1**count)
            first = [
                _BETA_1 * a + (1 - _BETA_1) * g
                for a, g in zip(first, gradients, strict=True)
            ]
            second = [
                _BETA_2 * a + (1 - _BETA_2) * g * g
                for a, g in zip(second, gradients, strict=True)
            ]
            theta = [
                p - mask * rates[t, i] * correct * a / (tf.sqrt(b) + _EPSILON)
                for i, (p, mask, a, b) in enumerate(
                    zip(theta, masks, first, second, strict=True)
                )
            ]
            return t + 1, theta, first, second

        zeros = [tf.zeros_like(p) for p in theta]
        _, theta, _, _ = tf.while_loop(
            lambda t, *_: t < steps,
            body,
            (0, list(theta), zeros, list(zeros)),
        )
        return theta
