r"""What a thief gains of a network that answers with a number: a digit's angle.

python -m benchmarks.regression --recipes standard paper untrained --seeds 6 --locks 6

scikit-learn's digits, each turned by an angle of its own, -60 to 60 degrees; a small
convolutional network says which. R2 in the place of accuracy; else as
``benchmarks.security``, whose control ``untrained`` is here, too. ``open`` is the file
with nothing but its biases locked.
"""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.security import UNTRAINED, audit_draws, draw_pairs, summarise_report
from converters.recipe import PRESETS, Recipe
from edgepro_tf.datasets import Dataset, load_dataset
from edgepro_tf.locks import Step

if TYPE_CHECKING:
    import keras

_MOST = np.pi / 3  # Radians, either way.
_EPOCHS, _BATCH = 40, 32
_RECIPES = {
    UNTRAINED: PRESETS["standard"],
    "open": Recipe("open", Step(0), Step(0), Step.SHUFFLE, Step(0)),
}


def main() -> None:
    args = _parse()
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(args.workers))
    from converters import convert_keras
    from edgepro_tf.audit.budget import QUICK
    from edgepro_tf.files import make_folder

    data = turn_digits()
    for recipe in args.recipes:
        folder = args.out / recipe
        model = train_network(data, recipe)
        make_folder(folder)
        convert = functools.partial(
            convert_keras,
            model,
            recipe=_RECIPES.get(recipe, recipe),
            samples=data.x_train[:16],
        )
        report = audit_draws(
            draw_pairs(folder, args.locks, convert),
            data,
            folder,
            args,
            name=f"{data.name}, cnn",
            recipe=recipe,
            budget=QUICK.with_seeds(args.seeds),
            facts={"unprotected_accuracy": None},
        )
        row = summarise_report(report)
        print(f"{recipe}\n{report}")
        for name in ("authorized", "released", "wrong_mean", "wrong_worst"):
            print(f"{name} {row[name]:.1%}")
        print(f"without labels {row['without_labels']:.1%}, {row['without_labels_by']}")
        print(f"worst AUC {row['worst_area']}, {row['worst_area_by']}", flush=True)


def turn_digits() -> Dataset:
    """Digits that are turned, float32 [samples, 8, 8, 1], and by how many radians."""
    from scipy.ndimage import rotate

    digits, rng = load_dataset("digits"), np.random.default_rng(0)
    parts = []
    for images in (digits.x_train, digits.x_test):
        angles = rng.uniform(-_MOST, _MOST, (len(images), 1))
        turned = [
            rotate(image, np.degrees(angle[0]), reshape=False, order=1)
            for image, angle in zip(images, angles, strict=True)
        ]
        parts += [np.stack(turned), angles.astype(np.float32)]
    return Dataset(*parts, "turned digits", 0)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--recipes", nargs="+", default=["standard"], choices=[*PRESETS, *_RECIPES]
    )
    parser.add_argument("--seeds", type=int, help="thieves, default 3")
    parser.add_argument("--locks", type=int, default=1, help="draws of each lock")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=Path("out/regression"))
    return parser.parse_args()


def train_network(data: Dataset, recipe: str) -> keras.Model:
    """The zoo's cnn with a linear unit; lock-trained, or never trained, by recipe."""
    import keras

    from edgepro_tf import locking, zoo
    from edgepro_tf.cli.training_job import falling_adam

    keras.utils.set_random_seed(0)
    body = zoo.build_model("cnn", data.input_shape, 2)
    angle = keras.layers.Dense(1, name="angle")(body.layers[-2].output)
    model = keras.Model(body.input, angle)
    if recipe == UNTRAINED:
        return model
    if recipe == "paper":
        samples = data.x_train[:512], data.y_train[:512]
        model = locking.lock_model(model, config="paper", samples=samples, loss="mse")
    model.compile(falling_adam(len(data.x_train), _EPOCHS, _BATCH), "mse")
    model.fit(data.x_train, data.y_train, epochs=_EPOCHS, batch_size=_BATCH, verbose=0)
    return model


if __name__ == "__main__":
    main()
