"""How right a network's outputs are, by what its labels are; NumPy alone."""

from __future__ import annotations

import numpy as np

from edgepro_tf.runtime.running import predict_classes


def are_numbers(y: np.ndarray) -> bool:
    """Whether labels (``fit_labels``) are numbers, as against classes."""
    return y.dtype.kind == "f"


def score_outputs(outputs: np.ndarray, y: np.ndarray) -> float:
    """Accuracy of a classifier's outputs, R2 of numbers; 0 to 1.

    Args:
        outputs: [examples, ..., units].
        y: int [examples, ...] class numbers, or float numbers in the outputs' shape.
    """
    if are_numbers(y):
        return r_squared(outputs, y)
    return float(np.mean(predict_classes(outputs) == y))


def r_squared(outputs: np.ndarray, y: np.ndarray) -> float:
    """Coefficient of determination, at least 0: what always naming the mean gives.

    1 - sum of squared errors / sum of squares around each output's own mean, both sums
    over all outputs (elements of an answer). So an output counts by its variance, as in
    the loss that networks are trained by: a pixel that hardly ever changes weighs
    nothing, where in a mean over outputs it could outweigh all others. Outputs of
    different units should be scaled, as for training.

    Args:
        outputs: float [examples, ...].
        y: float, of the same shape.

    Source: scikit-learn, ``r2_score(multioutput="variance_weighted")``; never below 0.
    """
    truth = np.asarray(y, np.float64).reshape(len(y), -1)
    varies = np.ptp(truth, axis=0) > 0
    truth = truth[:, varies]
    with np.errstate(all="ignore"):  # A locked file's answers may be infinite.
        errors = np.asarray(outputs, np.float64).reshape(len(y), -1)[:, varies] - truth
        explained = 1 - np.sum(errors**2) / np.sum((truth - truth.mean(0)) ** 2)
    return float(max(0.0, explained)) if np.isfinite(explained) else 0.0
