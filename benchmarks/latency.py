"""Latency of a restored model beside the unprotected one, with an A/A control."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.subjects import Subject
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.timing import time_pairs


def measure_latency(subject: Subject, *, threads: int, pairs: int) -> dict[str, Any]:
    """Ratios protected / plain and plain / plain, in one process.

    Args:
        subject: from ``build_subject``.
        threads: CPU threads of every interpreter.
        pairs: alternating pairs for each ratio.

    Returns:
        Medians in milliseconds, the ratios' medians and 95 % bootstrap intervals.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, subject.input_shape)
    x = (x * 127 if subject.input_dtype == "int8" else x).astype(subject.input_dtype)
    first = make_interpreter(subject.plain, num_threads=threads)
    second = make_interpreter(subject.plain, num_threads=threads)
    restored = open_with_payload(
        subject.public, subject.payload.read_bytes(), num_threads=threads
    )
    multiplied = subject.multiplied and make_interpreter(
        subject.multiplied, num_threads=threads
    )
    for interpreter in filter(None, (first, second, restored, multiplied)):
        interpreter.allocate_tensors()
        detail = interpreter.get_input_details()[0]
        interpreter.resize_tensor_input(detail["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(detail["index"], x)
    timing = time_pairs(first.invoke, restored.invoke, pairs=pairs)
    control = time_pairs(first.invoke, second.invoke, pairs=pairs)
    figures = {}
    if multiplied:
        layers = time_pairs(first.invoke, multiplied.invoke, pairs=pairs)
        figures["multiplied_ratio"] = layers.ratio
        figures["multiplied_interval"] = layers.ratio_interval()
    return figures | {
        "threads": threads,
        "pairs": pairs,
        "plain_ms": timing.first_median_s * 1e3,
        "protected_ms": timing.second_median_s * 1e3,
        "ratio": timing.ratio,
        "ratio_interval": timing.ratio_interval(),
        "control_ratio": control.ratio,
        "control_interval": control.ratio_interval(),
    }
