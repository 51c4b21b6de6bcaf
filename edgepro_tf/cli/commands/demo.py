"""Train, convert, split, seal, restore, and print what it all gives.

Trains a network on real data twice, without a lock and under the paper's lock, and
locks the first one after training, by the recipe 'standard'. Converts and seals both,
opens them with their key, without it and with wrong ones, and compares accuracy, size,
load time and latency with the unprotected model. Writes the pairs, their keys, the
figures (JSON) and a picture to the output folder, over those of an earlier demo; keys
that are there are used again.

The data set is scikit-learn's digits; the variable EDGEPRO_DATASET=fashion-mnist (or
--dataset) takes the larger one.

example:
  edgepro demo
  edgepro demo --dataset fashion-mnist --out out/fashion
  edgepro run out/demo/cnn_standard.tflite --keys out/demo/keys --dataset digits
"""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgepro_tf.cli import console
from edgepro_tf.cli.numbers import positive_int, seed
from edgepro_tf.cli.training_job import DEFAULT_EPOCHS, NETWORKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgepro_tf.cli.showcase import Variant
    from edgepro_tf.cli.training_job import TrainedNetwork
    from edgepro_tf.datasets import Dataset
    from edgepro_tf.sidecar import Issuer, Recipient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "--dataset",
        default=os.environ.get("EDGEPRO_DATASET", "digits"),
        metavar="NAME",
        help="default: $EDGEPRO_DATASET or digits; see 'edgepro train --help'",
    )
    parser.add_argument(
        "--model",
        choices=NETWORKS,
        default="cnn",
        help="the network; default cnn",
    )
    parser.add_argument(
        "--epochs",
        type=positive_int,
        default=None,
        metavar="N",
        help=f"passes over the training set; default {DEFAULT_EPOCHS}",
    )
    parser.add_argument(
        "--wrong_keys",
        type=positive_int,
        default=200,
        metavar="N",
        help="wrong locks to try; default 200",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=1,
        metavar="N",
        help="random seed of weights and batches; default 1",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="output folder; default out/demo",
    )


def run(args: argparse.Namespace) -> None:
    """Run all stages and print the table."""
    from edgepro_tf.cli import keyring, picture, showcase, training_job
    from edgepro_tf.datasets import load_dataset
    from edgepro_tf.files import make_folder

    data = load_dataset(args.dataset)
    epochs = args.epochs or training_job.default_epochs(data)
    make_folder(args.out)
    identity, issuer = keyring.find_or_make_keys(args.out / "keys")
    protect = functools.partial(_protect, args, data, identity.recipient, issuer)
    console.say(
        f"data set {args.dataset}: {len(data.x_train):,} training and "
        f"{len(data.x_test):,} test examples, {data.classes} classes"
    )
    trained = {}
    for lock, purpose in (("none", "without a lock"), ("paper", "the paper's lock")):
        console.say(f"\ntraining a {args.model}, {purpose}, {epochs} epochs")
        trained[lock] = training_job.train_network(
            args.model, data, lock=lock, epochs=epochs, seed=args.seed, verbose=2
        )
    variants = [
        protect(trained["paper"], "paper", "paper's lock"),
        protect(trained["none"], "standard", "standard"),
    ]
    baseline = trained["none"].authorized
    console.say(f"\n{_table(variants, baseline, data.classes)}\n")
    facts = {"dataset": args.dataset, "model": args.model, "epochs": epochs}
    showcase.write_results(args.out / "results.json", variants, facts)
    picture.draw_picture(
        args.out / "results.png",
        variants,
        trained["paper"].history,
        title=f"{args.model} on {args.dataset}",
        chance=1 / data.classes,
        baseline=baseline,
    )
    console.say(f"pairs, keys, results.json and results.png are in {args.out}")


def _protect(
    args: argparse.Namespace,
    data: Dataset,
    recipient: Recipient,
    issuer: Issuer,
    trained: TrainedNetwork,
    recipe: str,
    name: str,
) -> Variant:
    """Convert, seal, write, and measure one variant."""
    from converters import convert_keras, write_pair
    from edgepro_tf.audit.pair import progress_bar
    from edgepro_tf.cli import showcase

    console.say(f"\nconverting with recipe {recipe}, sealing, restoring")
    # Not the test set: draws are rejected by what the public file answers to samples.
    protected = convert_keras(trained.model, recipe=recipe, samples=data.x_train)
    console.say(str(protected))
    written = write_pair(
        protected,
        args.out / f"{args.model}_{recipe}.tflite",
        recipients=[recipient],
        issuer=issuer,
        overwrite=True,
    )
    return showcase.measure_variant(
        name,
        protected,
        data,
        sidecar_bytes=written.sidecar_bytes,
        keras_authorized=trained.authorized,
        keras_released=trained.released,
        wrong_keys=args.wrong_keys,
        progress=progress_bar("wrong keys"),
    )


def _table(variants: list[Variant], baseline: float, classes: int) -> str:
    """A row a figure: its label, the unprotected model's, and each variant's."""
    first, last = variants[0], variants[-1]
    rows: list[tuple[str, str, Callable[[Variant], str]]] = [
        ("Keras, authorized", f"{baseline:.2%}", lambda v: f"{v.keras_authorized:.2%}"),
        (
            "Keras, released",
            "-",
            lambda v: "-" if v.keras_released is None else f"{v.keras_released:.2%}",
        ),
        ("TFLite, with its sidecar", "-", lambda v: f"{v.tflite_authorized:.2%}"),
        (
            f"TFLite, public file alone (chance {1 / classes:.0%})",
            "-",
            lambda v: f"{v.tflite_released:.2%}",
        ),
        (
            f"TFLite, {first.wrong_count} wrong keys: mean",
            "-",
            lambda v: f"{v.wrong_mean:.2%}",
        ),
        ("    the worst of them", "-", lambda v: f"{v.wrong_worst:.2%}"),
        ("sidecar, bytes", "-", lambda v: f"{v.sidecar_bytes:,}"),
        ("model, bytes", f"{first.model_bytes:,}", lambda v: f"{v.model_bytes:,}"),
        (
            "load, ms",
            f"{last.load.first_median_s * 1e3:.2f}",
            lambda v: f"{v.load.second_median_s * 1e3:.2f}",
        ),
        (
            "latency, µs",
            f"{last.latency.first_median_s * 1e6:.1f}",
            lambda v: f"{v.latency.second_median_s * 1e6:.1f}",
        ),
        ("    ratio, paired", "1", lambda v: f"{v.latency.ratio:.3f}"),
    ]
    header = ["", "unprotected", *[variant.name for variant in variants]]
    return console.format_table(
        header, [[label, plain, *map(show, variants)] for label, plain, show in rows]
    )
