"""Attack a public model as a thief would, and report what he gains.

The thief holds the public file, knows this source code and the recipe (not the lock),
and has labels for 1, 5 or 10 % of the training data, or inputs without labels, or
nothing. What counts is the thief's advantage: the best of all attacks minus what the
same labels give to someone who trains the same network from nothing (scratch). At 0
or below the file is worth nothing to him.

Models of any inputs and number format, as they ship; one answer for each example or one
at each place (a pixel, a step). Several outputs are audited one at a time (--answers).

What the labels are decides what is counted; the report says which it was:
  class numbers    accuracy
  numbers, in the  R2 in percent: 0 is always the mean. Floats, integers of more than
  answers' shape   two values that cannot be classes, 0 and 1 for each of several units

Three ways:
  - audit a pair that ships; you hold the sidecar's key, some measurements need it
  - lock a Keras model of yours, lock-trained or not, and audit it; no keys needed
  - with --model, train a ready-made network, lock it, audit it, all in one go

A quick audit takes two minutes (--minutes), the most telling attacks first; of a large
network that is a first look: the report gives no figure until one thief has trained
from nothing in every way, and says how long that takes. The same command goes on.

Writes audit.html (opens without a network), audit.json, and results.jsonl, from which
an audit that was stopped goes on.

example:
  edgepro audit --model cnn --dataset digits --recipe standard --out out/audit
  edgepro audit shipped/digits.tflite --keys keys --dataset digits --full --out out/a
  edgepro audit digits.keras --recipe fast --dataset digits --out out/fast
"""

from __future__ import annotations

import argparse
import functools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgepro_tf.cli import console, keyring, pairs
from edgepro_tf.cli.numbers import positive_int, positive_number, seed
from edgepro_tf.cli.training_job import DEFAULT_EPOCHS, LOCKS, NETWORKS
from edgepro_tf.errors import EdgeProError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras

    from edgepro_tf.datasets import Dataset

_QUICK_MINUTES = 2
_SAMPLES = 200  # To verify the lock with, and to see that it answers by chance.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "model",
        type=Path,
        nargs="?",
        metavar="MODEL",
        help="the .tflite that ships, or a Keras model (.keras), which is locked first",
    )
    parser.add_argument(
        "sidecar",
        type=Path,
        nargs="?",
        metavar="SIDECAR",
        help="of a .tflite; default: MODEL.edgepro, beside it",
    )
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="see 'edgepro train --help'"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the report"
    )
    parser.add_argument(
        "--answers",
        metavar="NAME",
        help="of several outputs, the one that the data set's labels are for",
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="BASE.tflite",
        help="the public network that yours was fine-tuned from; without, one is made "
        "from yours, which understates what a file that is open in part gives away",
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick",
        dest="is_full",
        action="store_false",
        help="the default: two minutes, enough for small networks on small images",
    )
    effort.add_argument(
        "--full",
        dest="is_full",
        action="store_true",
        help="every attack, generous budgets, as long as it takes",
    )
    parser.set_defaults(is_full=False)
    parser.add_argument(
        "--minutes",
        type=positive_number,
        metavar="N",
        help=f"that it may take, default {_QUICK_MINUTES} (--full: no limit), and "
        "what is under way by then, a few passes of a large network",
    )
    parser.add_argument(
        "--seeds",
        type=positive_int,
        metavar="N",
        help="thieves to average over, default 3",
    )
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=min(4, os.cpu_count() or 1),
        metavar="N",
        help="attacks at a time, default a core each up to 4",
    )
    group = parser.add_argument_group("instead of a pair")
    group.add_argument(
        "--model",
        dest="network",
        choices=NETWORKS,
        help="train this network, lock it and audit it",
    )
    group.add_argument(
        "--recipe", metavar="NAME", help="of a Keras model as well; default standard"
    )
    group.add_argument(
        "--lock",
        choices=LOCKS,
        help="lock training, see 'edgepro train --help'; default none, but paper with "
        "--recipe paper",
    )
    group.add_argument(
        "--epochs",
        type=positive_int,
        default=None,
        metavar="N",
        help=f"passes of its training; default {DEFAULT_EPOCHS}",
    )
    group.add_argument(
        "--network_seed",
        type=seed,
        default=None,
        metavar="N",
        help="random seed of the network's weights, default 0",
    )
    keyring.add_opening_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Get a pair, attack it, write the report."""
    is_pair = args.model is not None and args.model.suffix == ".tflite"
    _check_flags(args, is_pair=is_pair)
    # Measured: with fewer threads than workers they wait for each other.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(args.workers))
    from edgepro_tf.audit.budget import FULL, QUICK
    from edgepro_tf.audit.pair import (
        CACHE_FILE,
        JSON_FILE,
        PAGE_FILE,
        audit_pair,
        progress_bar,
        write_report,
    )
    from edgepro_tf.datasets import load_dataset
    from edgepro_tf.files import check_targets

    written = [args.out / name for name in (PAGE_FILE, JSON_FILE, CACHE_FILE)]
    check_targets(*written, overwrite=True, makes_folders=True)
    data = load_dataset(args.dataset)
    if is_pair:
        payload = keyring.open_for_run(args).payload
        public = args.model.read_bytes()
        name, recipe = args.model.stem, "as shipped"
    else:
        recipe = args.recipe or "standard"
        name, identity, make = (_choose_model if args.model else _choose_network)(
            args, data, recipe
        )
        public, payload = _make_pair(args.out, identity, make, recipe, data)
    budget = (FULL if args.is_full else QUICK).with_seeds(args.seeds)
    minutes = args.minutes or (math.inf if args.is_full else _QUICK_MINUTES)
    report = audit_pair(
        public,
        payload,
        data,
        name=name,
        recipe=recipe,
        output=args.answers,
        base=args.base,
        budget=budget,
        cache=args.out / CACHE_FILE,
        workers=args.workers,
        progress=progress_bar(f"audit of {name}"),
        expect=functools.partial(_say_how_long, limit=minutes),
        seconds=60 * minutes,
    )
    write_report(report, args.out)
    console.say(str(report))
    console.say(f"{args.out / PAGE_FILE}: the report")


def _check_flags(args: argparse.Namespace, *, is_pair: bool) -> None:
    """Refuse no model or two, and flags that would not be read."""
    if (args.model is None) == (args.network is None):
        raise EdgeProError(
            "cannot audit: expected either a model's file or --model, got "
            f"{'neither' if args.model is None else 'both'}.",
            "edgepro audit --model cnn --dataset digits --out out/audit",
        )
    ignored = ["recipe"] if is_pair else []
    ignored += ["lock", "epochs", "network_seed"] if args.network is None else []
    given = [name for name in ignored if getattr(args, name) is not None]
    if given:
        ways = "--model or a Keras model" if given[0] == "recipe" else "--model"
        raise EdgeProError(
            f"cannot audit {args.model}: expected --{given[0]} with {ways} alone, got "
            f"it with {'a pair as it ships' if is_pair else 'a model of yours'}.",
            f"Leave --{given[0]} out.",
        )


def _say_how_long(seconds: float, limit: float) -> None:
    needed = max(1, round(seconds / 60))
    words = f"about {needed:,} minute{'s' * (needed > 1)} on this machine"
    if needed > limit:
        words += f", of which {limit:g} are given (--minutes)"
    console.say(f"{words}; an audit that is stopped goes on")


def _choose_model(
    args: argparse.Namespace, data: Dataset, recipe: str
) -> tuple[str, str, Callable[[], keras.Model]]:
    """Name, identity and maker of a Keras model from a file."""
    from edgepro_tf.audit.target import digest
    from edgepro_tf.cli import keras_files

    model = keras_files.load_model(args.model)
    name = f"{args.model.stem}, recipe {recipe}"
    content = digest(args.model.read_bytes())
    return name, f"{name}, model {content}, data {data.digest}", lambda: model


def _choose_network(
    args: argparse.Namespace, data: Dataset, recipe: str
) -> tuple[str, str, Callable[[], keras.Model]]:
    """Name, identity and maker of a ready-made network."""
    from edgepro_tf.cli import training_job

    lock = args.lock or ("paper" if recipe == "paper" else "none")
    epochs = args.epochs or training_job.default_epochs(data)
    network_seed = args.network_seed or 0
    name = (
        f"{args.network} on {Path(data.name).stem}, recipe {recipe}, lock training "
        f"{lock}, {epochs} epochs, seed {network_seed}"
    )

    def make() -> keras.Model:
        console.say(f"training {name}")
        return training_job.train_network(
            args.network,
            data,
            lock=lock,
            epochs=epochs,
            seed=network_seed,
            verbose=2,
        ).model

    return name, f"{name}, data {data.digest}", make


def _make_pair(
    folder: Path,
    identity: str,
    make: Callable[[], keras.Model],
    recipe: str,
    data: Dataset,
) -> tuple[bytes, bytes]:
    """Convert and lock; an earlier pair in the folder is taken up again."""
    from converters import convert_keras
    from converters.recipe import find_recipe
    from edgepro_tf.audit.pair import CACHE_FILE
    from edgepro_tf.files import PRIVATE_MODE, PUBLIC_MODE, make_folder, write_files

    find_recipe(recipe)  # Refused now, not after training.
    files = [folder / n for n in ("model.tflite", "lock.payload", "model.txt")]
    is_made = all(file.exists() for file in files)
    known = files[2].read_bytes() if is_made else b""
    if known == identity.encode():
        console.say(f"{files[0]}: audited again, as it was made before")
        return files[0].read_bytes(), files[1].read_bytes()
    # Where data were refused nothing was audited: whoever mends them comes again.
    is_unused = b", data " in known and not os.path.lexists(folder / CACHE_FILE)
    if not is_unused:
        _check_unused(files, known)
    model = make()
    samples = pairs.fit_samples(data, lambda: pairs.list_keras_inputs(model))
    pair = convert_keras(model, recipe=recipe, samples=samples[:_SAMPLES])
    make_folder(folder)
    # The payload lies open here: this network is made to be attacked, not shipped.
    contents = (
        (pair.public, PUBLIC_MODE),
        (pair.payload, PRIVATE_MODE),
        (identity.encode(), PUBLIC_MODE),
    )
    write_files(dict(zip(files, contents, strict=True)), overwrite=is_unused)
    return pair.public, pair.payload


def _check_unused(files: Sequence[Path], known: bytes) -> None:
    """Refuse a folder with another pair in it: of an audit, or one that ships."""
    taken = [file for file in files if os.path.lexists(file)]
    if taken:
        what = f"a {taken[0].name} of something else"
        if known:
            what = "the audit of another network, or of other data"
        raise EdgeProError(
            f"cannot audit into {taken[0].parent}: it holds {what}.",
            "Choose another folder.",
        )
