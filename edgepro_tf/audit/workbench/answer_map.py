"""The map behind a network that answers with numbers: a gain and a shift a unit.

It stands in no file. Whoever has some idea of how the answers lie may turn it, with the
public file and without: a competent thief does, and so does scratch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edgepro_tf.audit.network.importer import Network
    from edgepro_tf.audit.target import Arrays

_NARROWEST = 1e-3  # Deviation of answers that say anything, in that of the labels.


def normalise_answers(network: Network, parameters: Arrays, answers: Any) -> Arrays:
    """The map turned so that answers have the labels' mean and deviation.

    Args:
        network: without a map its parameters stay as they are.
        parameters: in its order.
        answers: float [..., units], what they give to some inputs.
    """
    flat = _by_unit(answers)
    gain = network.task.spread / np.maximum(flat.std(0), _NARROWEST)
    return _turn(network, parameters, gain, -flat.mean(0) * gain)


def fit_answers(
    network: Network, parameters: Arrays, answers: Any, targets: np.ndarray
) -> Arrays:
    """The map fitted by least squares, each unit by itself.

    Args:
        network: without a map its parameters stay as they are.
        parameters: in its order.
        answers: float [..., units], what they give to labelled inputs.
        targets: of the same shape, what they should be.
    """
    flat, wanted = _by_unit(answers), _by_unit(targets)
    mean, middle = flat.mean(0), wanted.mean(0)
    spread = np.mean((flat - mean) ** 2, 0)
    together = np.mean((flat - mean) * (wanted - middle), 0)
    gain = together / np.maximum(spread, _NARROWEST**2)
    return _turn(network, parameters, gain, middle - gain * mean)


def _turn(
    network: Network, parameters: Arrays, gain: np.ndarray, shift: np.ndarray
) -> Arrays:
    """Answers times a gain, plus a shift; as they are where one is not finite."""
    if not np.all(np.isfinite([gain, shift])):
        return parameters
    out = list(parameters)
    by, to = network.answer_map
    out[by] = np.asarray(out[by] * gain, np.float32)
    out[to] = np.asarray(out[to] * gain + shift, np.float32)
    return out


def _by_unit(values: Any) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(-1, values.shape[-1])
