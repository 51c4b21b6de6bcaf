"""``edgepro``: one subcommand a file in ``commands``; heavy imports wait for use."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from absl import app, flags, logging

import edgepro_tf
from edgepro_tf.cli import console
from edgepro_tf.cli.quiet import quieten_tensorflow
from edgepro_tf.errors import EdgeProError

_OURS = {"edgepro_tf", "converters"}
_SIGNALLED = 128  # What shells report of a program ended by a signal, plus its number.
# What some commands need: module -> its package, and the extra that installs it.
_EXTRAS = {
    "keras": ("keras", "tensorflow"),
    "matplotlib": ("matplotlib", "demo"),
    "scipy": ("scipy", "tensorflow"),
    "sklearn": ("scikit-learn", "demo"),
    "tensorflow": ("tensorflow", "tensorflow"),
}
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
  edgepro convert digits.keras --samples digits --keys keys --out shipped/digits.tflite
  edgepro run shipped/digits.tflite --keys keys --dataset digits

Each command explains itself: edgepro convert --help
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = argparse.ArgumentParser(
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
        )
        module.add_arguments(subparser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Run one subcommand.

    Returns:
        0 done, 1 could not (2, usage, is argparse's own; 130, interrupted, run's).
    """
    logging.set_verbosity(logging.ERROR)  # TensorFlow tells its progress through absl.
    try:
        _module(arguments.command).run(arguments)
    except EdgeProError as error:
        console.report_error(error)
        return 1
    except OSError as error:
        reason = error.strerror or str(error)
        place = f" {error.filename}" if error.filename else ""
        console.report_error(EdgeProError(f"cannot read or write{place}: {reason}."))
        return 1
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRAS:
            raise
        package, extra = _EXTRAS[module]
        console.report_error(
            EdgeProError(
                f"cannot {arguments.command}: expected {package} to be installed, got "
                "none.",
                f'pip install ".[{extra}]" in EdgePro\'s sources.',
            )
        )
        return 1
    except MemoryError:
        console.report_error(
            EdgeProError(
                "cannot go on: expected enough free memory, got less.",
                "Close other programs, or take a smaller model or data set.",
            )
        )
        return 1
    return 0


def run(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    # Lines to read at most, whatever PYTHONWARNINGS makes of them elsewhere.
    warnings.simplefilter("default")
    warnings.showwarning = _show_warning
    quieten_tensorflow()
    console.prepare_output()
    for name in ("SIGTERM", "SIGHUP"):  # Half-written files go, as with Ctrl-C.
        number = getattr(signal, name, None)  # Windows lacks one; nohup ignores one.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    try:
        app.run(
            main,
            argv=list(argv or sys.argv),
            flags_parser=_parse,
        )
    except KeyboardInterrupt:
        _stop(signal.SIGINT)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    arguments = make_parser().parse_args(argv[1:])
    # absl wants them read; its own (--pdb, --only_check_args) are developers'.
    flags.FLAGS.mark_as_parsed()
    return arguments


def _stop(number: int, _: Any = None) -> NoReturn:
    console.report_error(EdgeProError("stopped before it was done."))
    sys.exit(_SIGNALLED + number)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Ours in one line; those of libraries are for who develops with them."""
    if category is UserWarning and _OURS.intersection(Path(filename).parts):
        console.report_warning(str(message))


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"edgepro_tf.cli.commands.{command}")
