"""Show what a sidecar or a .tflite says without any key.

Of a sidecar: the model it belongs to, its recipients, its size and format version.
Of a .tflite: its model id, operators, and how many of its constants can be locked.
Nothing is verified: that takes a key, and is what 'edgepro run' does.

example:
  edgepro inspect shipped/digits.edgepro
  edgepro inspect shipped/digits.tflite
"""

from __future__ import annotations

import argparse
import stat
from collections import Counter
from pathlib import Path

from edgepro_tf.cli import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="an .edgepro or a .tflite file"
    )


def run(args: argparse.Namespace) -> None:
    """Print what the file says."""
    from edgepro_tf.sidecar import inspect_sidecar

    if stat.S_ISREG(args.file.stat().st_mode):  # Not of a pipe: it is read once.
        with open(args.file, "rb") as file:
            beginning = file.read(8)
        if beginning[4:8] == b"TFL3" or args.file.suffix == ".tflite":
            _describe_model(args.file.read_bytes())
            return
    console.say(str(inspect_sidecar(args.file)))


def _describe_model(content: bytes) -> None:
    from edgepro_tf.flatbuffer.schema import read_model
    from edgepro_tf.sidecar import ModelBinding

    view = read_model(content)
    kinds = Counter(name for graph in view.operator_kinds for name in graph)
    constants = {
        operand.constant.buffer: operand.constant.data[1]
        for operator in view.operators
        for operand in operator.operands
        if operand.constant.buffer not in view.structural
    }
    console.say(f"model      {ModelBinding.of(content)}")
    console.say(
        f"operators  {sum(kinds.values())} in {len(view.operator_kinds)} graphs"
    )
    rows = [[name, str(count)] for name, count in kinds.most_common()]
    console.say(console.format_table(["operator", "count"], rows))
    share = sum(constants.values()) / len(content)
    console.say(
        f"{len(constants)} constants can be locked: {share:.0%} of the file's bytes"
    )
