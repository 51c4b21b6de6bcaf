"""Train a ready-made network on a named data set.

Without --lock the network is an ordinary one, which 'edgepro convert' locks by itself
at no cost in accuracy. With --lock it is lock-trained: 'paper' is EdgePro as published
(one neuron in ten held at a locking value; an eighth of each batch runs released and is
trained on random labels), 'default' adds signs on every channel, 'rich' scale factors
and offsets as well.

data sets:
  digits          1,797 images 8 x 8, in scikit-learn
  fashion-mnist   70,000 images 28 x 28
  npz:PATH        a file with x_train, y_train, x_test, y_test: bytes are divided by
                  255, floats are taken as they are (of a model with several inputs, for
                  'run' and 'audit': x_train_NAME, x_test_NAME for each; labels that are
                  numbers, not classes, are for these two as well)

example:
  edgepro train --dataset digits --model cnn --lock paper --out digits.keras
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgepro_tf.cli import console
from edgepro_tf.cli.numbers import positive_int, seed
from edgepro_tf.cli.training_job import DEFAULT_EPOCHS, LOCKS, NETWORKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "--dataset", default="digits", metavar="NAME", help="see above; default digits"
    )
    parser.add_argument(
        "--model",
        choices=NETWORKS,
        default="cnn",
        help="the network; default cnn",
    )
    parser.add_argument("--lock", choices=LOCKS, default="none", help="default none")
    parser.add_argument(
        "--epochs",
        type=positive_int,
        default=None,
        metavar="N",
        help=f"passes over the training set; default {DEFAULT_EPOCHS}",
    )
    parser.add_argument(
        "--batch_size",
        type=positive_int,
        default=64,
        metavar="N",
        help="examples a step; default 64",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=None,
        metavar="N",
        help="for repeatable weights; never of the lock",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.keras",
        help="the trained network, unprotected: it never ships",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def run(args: argparse.Namespace) -> None:
    """Train, evaluate, save."""
    from edgepro_tf.cli import keras_files, training_job
    from edgepro_tf.datasets import load_dataset
    from edgepro_tf.errors import LockError
    from edgepro_tf.files import check_targets, filling_folder

    if args.out.suffix != ".keras":
        raise LockError(
            f"cannot save model to {args.out}: expected a name ending in .keras."
        )
    check_targets(
        args.out, overwrite=args.force, makes_folders=True, remedy="pass --force"
    )
    data = load_dataset(args.dataset)
    console.say(f"data set {data}")  # Whole numbers are classes here, ages too.
    epochs = args.epochs or training_job.default_epochs(data)
    trained = training_job.train_network(
        args.model,
        data,
        lock=args.lock,
        epochs=epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        verbose=1,
    )
    with filling_folder(args.out.parent):
        keras_files.save_model(trained.model, args.out)
    console.say(f"{args.out}: test accuracy {trained.authorized:.2%}")
    if trained.released is not None:
        console.say(f"released (no lock): {trained.released:.2%}")
