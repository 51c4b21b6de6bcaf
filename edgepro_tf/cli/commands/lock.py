"""Lock an existing .tflite, without Keras and without training.

Finds the weights that the file's operators compute with, draws a lock for them from a
fresh seed, and writes the public file and its sidecar. Restored, the model
equals the original bit for bit, in every number format; metadata stays where it was.

example:
  edgepro lock model.tflite --keys keys --out shipped/model.tflite
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgepro_tf.cli import console, keyring, pairs
from edgepro_tf.errors import ConversionError, InterpreterError, SidecarError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL.tflite", help="stays as it is; keep it safe"
    )
    pairs.add_pair_arguments(parser)
    parser.add_argument(
        "--no_run",
        action="store_true",
        help="verify the bytes alone, for a model that no runtime here runs (with "
        "custom operators, say); what the public file answers is then not looked at",
    )
    keyring.add_sealing_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Lock, verify, seal, write."""
    pairs.check_outputs(args)
    _check_unlocked(args.model)
    recipients, issuer = keyring.find_recipients(args), keyring.find_issuer(args)
    samples = pairs.read_samples(args.samples)
    before = pairs.read_before(args, recipients, issuer)

    from converters import lock_tflite

    console.say(f"locking {args.model} ...")
    protected = lock_tflite(
        args.model,
        recipe=args.recipe,
        restore_budget=args.restore_budget,
        samples=pairs.fit_samples(samples, lambda: _list_inputs(args)),
        update_of=before,
        runs=not args.no_run,
    )
    pairs.write_and_report(args, protected, recipients, issuer)


def _list_inputs(args: argparse.Namespace) -> dict[str, tuple[int, bool]]:
    """Of the model; none of one that no runtime opens, of which locking says more."""
    from edgepro_tf.runtime.interpreters import make_interpreter
    from edgepro_tf.runtime.running import list_inputs, ordered_details

    if args.no_run:
        return {}
    try:
        return list_inputs(ordered_details(make_interpreter(args.model)))
    except InterpreterError:
        return {}


def _check_unlocked(model: Path) -> None:
    """Refuse a public model whose own sidecar stands beside it."""
    from edgepro_tf.sidecar import ModelBinding, inspect_sidecar

    sidecar = keyring.sidecar_path(model, None)
    if not (sidecar.is_file() and model.is_file()):
        return
    try:
        described = inspect_sidecar(sidecar).model
    except SidecarError:
        return
    if described == ModelBinding.of(model):
        raise ConversionError(
            f"cannot lock {model}: expected an unprotected model, got the public file "
            f"of {sidecar}.",
            "Lock the original again.",
        )
