"""Measures what networks answer, and how their layers behave, in bounded memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.network.rows import scale_rows
from edgepro_tf.audit.network.sharing import run_once
from edgepro_tf.audit.target import Arrays, Target
from edgepro_tf.audit.workbench.answer_map import normalise_answers
from edgepro_tf.audit.workbench.stopping import Watch
from edgepro_tf.audit.workbench.tools import Tools

_MOST_BYTES = 2**31


class Meter:
    """Measures networks of one target's structure.

    Args:
        target: what is attacked.
        budget: what it may cost.
        rows: the number of examples that trainers are given: fewer are repeated, more
            are cut off.

    ``tools`` has whatever is compiled; ``watch`` ends attacks that are under way.
    ``measured_rows`` is how many examples a layer is measured on, ``rows`` at most: of
    large images not more than memory has room for.
    """

    def __init__(self, target: Target, budget: Budget, rows: int) -> None:
        self.target, self.budget, self.rows = target, budget, rows
        self.network = target.network
        self.watch = Watch()
        self._at_once = max(1, _MOST_BYTES // (4 * self.network.activations))
        self.measured_rows = min(rows, self._at_once)
        self.tools = Tools(target, budget, self.measured_rows)

    def logits(self, parameters: Arrays, x: Any) -> np.ndarray:
        """float32 [..., units]; compiled once for each number of examples."""
        self.watch.check()
        values = [tf.constant(p, tf.float32) for p in parameters]
        return self._in_slices(lambda part: self.tools.forward(values, part), x)

    def search_rows(self, examples: np.ndarray) -> np.ndarray:
        """int [rows]: examples for the search; always as many, so it compiles once."""
        rows = min(self.budget.search_rows, self.measured_rows)
        return examples[np.arange(rows) % len(examples)]

    def renormalise(self, parameters: Arrays, x: np.ndarray) -> Arrays:
        """Scale and shift every channel to mean 0, deviation 1 on inputs, in order.

        Dead and exploded channels come alive: what batch normalisation would do. A
        filter that is used at several places gets the mean of what they ask for.

        Source: Mishkin and Matas, "All You Need is a Good Init", ICLR 2016; Krahenbuhl
        et al., ICLR 2016, section 3.1 (per channel, as here).
        """
        out = [np.array(p, np.float32) for p in parameters]
        values = [tf.constant(p) for p in out]
        found = self.tools.normal_moments(values, self._sample(x))
        uses = defaultdict(list)
        for one, moments in zip(self.network.linears, found, strict=True):
            uses[one.filter].append(moments)
        for one in self.network.distinct_linears.values():
            mean, deviation = np.mean(uses[one.filter], axis=0)
            gain = 1 / deviation
            out[one.filter] = scale_rows(out[one.filter], gain, one.channel_axis)
            if one.bias is not None:
                out[one.bias] = (out[one.bias] - mean) * gain
        if not self.network.answer_map:
            return out
        return normalise_answers(self.network, out, self.logits(out, self._sample(x)))

    def activity(self, parameters: Arrays, x: np.ndarray) -> list[np.ndarray]:
        """float32 [channels] for each linear operator: mean of |z| + deviation."""
        return [np.abs(mean) + width for mean, width in self.moments(parameters, x)]

    def moments(
        self, parameters: Arrays, x: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean and deviation [channels] of every linear output, before activation."""
        values = [tf.constant(p, tf.float32) for p in parameters]
        found = self.tools.moments(values, self._sample(x))
        return [(mean.numpy(), width.numpy()) for mean, width in found]

    def gradient(
        self, parameters: Arrays, x: np.ndarray, y: np.ndarray
    ) -> tuple[float, Arrays]:
        """Mean loss on labelled examples, and its gradient by every parameter."""
        values = [tf.constant(p, tf.float32) for p in parameters]
        targets = self._sample(self.network.task.make_targets(y))
        loss, found = self.tools.gradient(values, self._sample(x), targets)
        return float(loss), [g.numpy() for g in found]

    def outputs(self, parameters: Arrays, x: Any, layer: int) -> np.ndarray:
        """float32 [examples, places, channels]: a linear output, rectified."""
        found = {}

        def observe(number: int, z: Any) -> Any:
            found[number] = z
            return z

        def measure(values: list[Any], x: Any) -> Any:
            self.network.forward(values, x, observe)
            z = tf.nn.relu(found[layer])  # A dense layer may have all places as rows.
            return tf.reshape(z, [tf.shape(x)[0], -1, z.shape[-1]])

        values = [tf.constant(p) for p in parameters]
        return self._in_slices(lambda part: run_once(measure, values, part), x)

    def _pad(self, array: np.ndarray) -> Any:
        """The first rows repeated up to one size, so that nothing compiles twice."""
        return _repeat(array, self.rows)

    def _sample(self, array: np.ndarray) -> Any:
        """The same for measurements."""
        self.watch.check()
        return _repeat(array, self.measured_rows)

    def _in_slices(self, measure: Callable[[Any], Any], x: Any) -> np.ndarray:
        """What a measurement gives of all examples, as many at once as there is room.

        Every slice has as many, so that nothing compiles twice.
        """
        x, count, size = tf.constant(x, tf.float32), len(x), self._at_once
        if count <= size:
            return np.asarray(measure(x))
        found = []
        for begin in range(0, count, size):
            self.watch.check()
            index = np.minimum(np.arange(begin, begin + size), count - 1)
            found.append(np.asarray(measure(tf.gather(x, index))))
        return np.concatenate(found)[:count]


def _repeat(array: np.ndarray, rows: int) -> Any:
    return tf.constant(np.asarray(array)[np.arange(rows) % len(array)], tf.float32)
