"""Turn a Keras model into a public .tflite and a sealed sidecar.

The model may be lock-trained ('edgepro train --lock ...') or any ordinary functional or
Sequential model: then the lock is drawn at conversion and costs no accuracy. The pair
is verified before it is written: restored, it equals the unprotected .tflite bit for
bit, gives the same outputs in a real interpreter, and agrees with Keras.

recipes (README has the price of each, and what it leaves a thief):
  standard   a mask of its own for every weight: sign, power of two and fraction, or the
             whole of an int8; float16 in channels of another order, too (default)
  fast       the same of first filters and embeddings; of the rest 8 % of the file's
             bytes (at least 256 KB), depthwise filters first; what is left open can
             be read
  strict     every protected tensor shuffled element by element
  paper      only what lock training set; nothing drawn: to compare, not to ship, since
             a few labels undo it

example:
  edgepro convert digits.keras --samples digits --keys keys --out shipped/digits.tflite
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgepro_tf.cli import console, keyring, pairs
from edgepro_tf.errors import ConversionError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL.keras",
        help="written by model.save or 'edgepro train'; stays as it is, keep it safe",
    )
    parser.add_argument(
        "--format",
        choices=("float32", "float16", "dynamic", "int8", "int16x8"),
        default="float32",
        help="number format; default float32; int8 and int16x8 need --samples",
    )
    parser.add_argument(
        "--io",
        choices=("float32", "int8", "uint8"),
        default="float32",
        help="type of inputs and outputs, with --format int8; default float32",
    )
    pairs.add_pair_arguments(parser, recipes=(*pairs.RECIPES, "paper"))
    keyring.add_sealing_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Convert, split, verify, seal, write."""
    pairs.check_outputs(args)
    if args.format in ("int8", "int16x8") and args.samples is None:
        raise ConversionError(
            f"cannot convert to {args.format}: expected real inputs to find the ranges "
            "of numbers with, got none.",
            "Pass --samples, a hundred or so inputs.",
        )
    recipients, issuer = keyring.find_recipients(args), keyring.find_issuer(args)
    samples = pairs.read_samples(args.samples)
    before = pairs.read_before(args, recipients, issuer)

    from converters import convert_keras
    from edgepro_tf.cli import keras_files

    model = keras_files.load_model(args.model)
    console.say(f"converting {args.model} ...")
    protected = convert_keras(
        model,
        recipe=args.recipe,
        restore_budget=args.restore_budget,
        number_format=args.format,
        inference_type=args.io,
        samples=pairs.fit_samples(samples, lambda: pairs.list_keras_inputs(model)),
        update_of=before,
    )
    pairs.write_and_report(args, protected, recipients, issuer)
