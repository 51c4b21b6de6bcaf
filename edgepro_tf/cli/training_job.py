"""Training for the command line: a ready-made network on a named data set."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from edgepro_tf.errors import EdgeProError

if TYPE_CHECKING:
    import keras

    from edgepro_tf.datasets import Dataset

# The zoo's kinds and locking's presets, here for --help, which loads no Keras.
NETWORKS = ("cnn", "mlp", "resnet", "depthwise", "transformer", "lstm")
LOCKS = ("none", "paper", "default", "rich")
_MANY_EXAMPLES, _FEW_EPOCHS, _EPOCHS = 20_000, 5, 25
DEFAULT_EPOCHS = f"{_EPOCHS}, or {_FEW_EPOCHS} with over {_MANY_EXAMPLES:,} examples"
_RANKING_SAMPLES = 512
LEARNING_RATE = 2e-3


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network and its test accuracies; ``released`` only when locked."""

    model: keras.Model = dataclasses.field(repr=False)
    authorized: float
    released: float | None
    history: dict[str, list[float]] = dataclasses.field(repr=False)


def default_epochs(data: Dataset) -> int:
    """Few passes over many examples, more over few."""
    return _FEW_EPOCHS if len(data.x_train) > _MANY_EXAMPLES else _EPOCHS


def falling_adam(
    examples: int, epochs: int, batch_size: int, *, rate: float = LEARNING_RATE
) -> keras.optimizers.Adam:
    """Adam whose learning rate falls to 0 along a cosine, over a whole ``fit``.

    The last epochs settle, and a network's accuracy does not depend on which step was
    the last.
    """
    import keras

    steps = max(1, epochs * -(-examples // batch_size))
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))


def build_network(
    kind: str, data: Dataset, *, lock: str, width: int | None = None
) -> keras.Model:
    """A network of the zoo for a data set, locked or not, untrained.

    Args:
        kind: see ``edgepro_tf.zoo``.
        data: training set; samples of it rank the neurons.
        lock: one of ``LOCKS``; a preset of ``edgepro_tf.locking``, or ``none``.
        width: see ``edgepro_tf.zoo``; None for its own.
    """
    from edgepro_tf import locking, zoo

    if len(data.inputs) > 1 or data.y_train.ndim > 1 or not data.classes:
        raise EdgeProError(
            f"cannot train {kind} on {data.name}: expected samples of one input and "
            f"one class number each, got {len(data.inputs)} inputs and labels "
            f"{data.y_train.dtype} {list(data.y_train.shape)}.",
            "Train your own Keras model, and 'edgepro convert' it.",
        )
    shape = data.x_train.shape[1:]
    width = zoo.WIDTH if width is None else width
    model = zoo.build_model(kind, shape, data.classes, width=width)
    if lock == "none":
        return model
    samples = (data.x_train[:_RANKING_SAMPLES], data.y_train[:_RANKING_SAMPLES])
    is_ranked = locking.PRESETS[lock].selection == "importance"
    return locking.lock_model(
        model,
        config=lock,
        samples=samples if is_ranked else None,
        loss="sparse_categorical_crossentropy",
    )


def train_network(
    kind: str,
    data: Dataset,
    *,
    lock: str,
    epochs: int,
    batch_size: int = 64,
    width: int | None = None,
    seed: int | None = None,
    verbose: int = 1,
) -> TrainedNetwork:
    """Train a network of the zoo, locked or not, and evaluate it.

    Args:
        kind: see ``edgepro_tf.zoo``.
        data: training and test set.
        lock: one of ``LOCKS``; a preset of ``edgepro_tf.locking``, or ``none``.
        epochs: passes over the training set.
        batch_size: examples a step.
        width: see ``edgepro_tf.zoo``; None for its own.
        seed: of the weights and batches, never of the lock; None for a fresh one.
        verbose: Keras' own: 1 progress bars, 2 a line an epoch.
    """
    import keras

    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = build_network(kind, data, lock=lock, width=width)
    model.compile(
        optimizer=falling_adam(len(data.x_train), epochs, batch_size),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        data.x_train,
        data.y_train,
        epochs=epochs,
        batch_size=batch_size,
        validation_data=(data.x_test, data.y_test),
        verbose=verbose,
    )
    scores: dict[str, Any] = model.evaluate(
        data.x_test, data.y_test, batch_size=256, verbose=0, return_dict=True
    )
    return TrainedNetwork(
        model,
        float(scores["accuracy"]),
        scores.get("released_accuracy"),
        history.history,
    )
