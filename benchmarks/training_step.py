"""What a lock-training step costs beside an ordinary one of the same batch.

    python -m benchmarks.training_step [--network cnn] [--batch_size 64] [--rounds 5]

In one process, in alternating pairs, with an A/A control: the same network unlocked,
unlocked once more, and under each preset of lock training. The ratio grows as a network
gets smaller: a lock adds operations, whose number does not depend on their size.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.bars import STEP_RATIO, judge, verdict
from benchmarks.ratios import summarize_ratios
from edgepro_tf.cli.console import format_table
from edgepro_tf.cli.training_job import build_network
from edgepro_tf.datasets import Dataset, load_dataset
from edgepro_tf.locking import PRESETS
from edgepro_tf.runtime.timing import time_pairs

CONTROL = "A/A"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--network", default="cnn")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=100, help="in each round")
    args = parser.parse_args()
    data = load_dataset(args.dataset)
    rows = []
    for name in (CONTROL, *PRESETS):
        figures = measure_step(
            data, args.network, name, args.batch_size, args.rounds, args.pairs
        )
        low, high = figures["interval"]
        bar = judge(figures["ratio"], STEP_RATIO)
        rows.append(
            [
                name,
                f"{figures['ms']:.2f}",
                f"{figures['ratio']:.3f} [{low:.3f}, {high:.3f}]",
                "-" if name == CONTROL else verdict(bar),
            ]
        )
    print(format_table(["training", "ms", "to ordinary", f"<= {STEP_RATIO}"], rows))


def measure_step(
    data: Dataset, network: str, preset: str, batch_size: int, rounds: int, pairs: int
) -> dict[str, Any]:
    """Ratios of elapsed time, ``preset`` over an ordinary step; ``A/A`` for none.

    Each round builds both anew: where their memory lies moves a ratio as well.
    """
    batch = data.x_train[:batch_size], data.y_train[:batch_size]
    timings = []
    for _ in range(rounds):
        plain = build_network(network, data, lock="none")
        lock = "none" if preset == CONTROL else preset
        other = build_network(network, data, lock=lock)
        timings.append(
            time_pairs(_step(plain, batch), _step(other, batch), pairs=pairs)
        )
    first = np.array([timing.first_s for timing in timings])
    second = np.array([timing.second_s for timing in timings])
    return {"ms": float(np.median(second)) * 1e3} | summarize_ratios(second / first)


def _step(model: keras.Model, batch: tuple[np.ndarray, np.ndarray]) -> Any:
    """The step that ``fit`` repeats, and no more.

    ``train_on_batch`` sets every metric to zero before each step, which ``fit`` does
    once an epoch; of a small network's step that is a third.
    """
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    batches = tf.data.Dataset.from_tensor_slices(batch).batch(len(batch[0])).repeat()
    model.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0)  # Traces, builds.
    return functools.partial(model.train_function, iter(batches))


if __name__ == "__main__":
    main()
