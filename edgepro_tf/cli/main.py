"""``edgepro``: one subcommand a file in ``commands``; heavy imports wait for use."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from absl import app, logging
from absl.flags import argparse_flags

import edgepro_tf
from edgepro_tf.cli import console
from edgepro_tf.errors import EdgeProError

COMMANDS = {
    "keygen": "make the keys of an issuer and of a device",
    "train": "train a ready-made network on a named data set, locked or not",
    "convert": "turn a Keras model into a public .tflite and a sealed sidecar",
    "lock": "lock an existing .tflite, without Keras and without training",
    "inspect": "show what a sidecar or a .tflite says without any key",
    "grant": "open a sidecar for another device",
    "run": "run a public model with its sidecar",
    "audit": "attack a public model as a thief would, and report what he gains",
    "demo": "train, convert, split, seal, restore, and print what it all gives",
}
_DESCRIPTION = """\
EdgePro: ship a .tflite that works only with its sidecar.

A first walk:
  edgepro demo                                      see it work, on real data
  edgepro keygen --out keys                         keys of an issuer and of a device
  edgepro train --dataset digits --out digits.keras
  edgepro convert digits.keras --keys keys --out shipped
  edgepro run shipped/digits.tflite --keys keys --dataset digits
"""


def make_parser() -> argparse_flags.ArgumentParser:
    """The parser of all subcommands."""
    parser = argparse_flags.ArgumentParser(
        prog="edgepro",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"edgepro {edgepro_tf.__version__}"
    )
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands"
    )
    for name, summary in COMMANDS.items():
        module = _module(name)
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            inherited_absl_flags=None,
        )
        module.add_arguments(subparser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Run one subcommand.

    Returns:
        0 done, 1 could not (2, usage, is argparse's own).
    """
    logging.set_verbosity(logging.ERROR)  # TensorFlow tells its progress through absl.
    try:
        _module(arguments.command).run(arguments)
    except EdgeProError as error:
        console.report_error(error)
        return 1
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        console.report_error(
            EdgeProError(f"cannot read or write {error.filename}: {error.strerror}.")
        )
        return 1
    except KeyboardInterrupt:
        console.report_error(EdgeProError("stopped before it was done."))
        return 1
    return 0


def run(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    app.run(
        main,
        argv=list(argv or sys.argv),
        flags_parser=lambda args: make_parser().parse_args(args[1:]),
    )


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"edgepro_tf.cli.commands.{command}")
