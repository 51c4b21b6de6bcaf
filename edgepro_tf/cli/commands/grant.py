"""Open a sidecar for another device.

Whoever can open a sidecar can grant it: the content key is wrapped once more, for the
new recipient. The model, the lock, the signature and the dates stay as they are. The
issuer's signature is judged where the sidecar is opened to run, not here.

example:
  edgepro grant shipped/digits.edgepro --keys keys --to phone2.jwk --out phone2.edgepro
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgepro_tf.cli import console, keyring


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "sidecar", type=Path, metavar="SIDECAR", help="the .edgepro file to grant"
    )
    parser.add_argument(
        "--to",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="public key of the further device (its recipient.jwk); may be given again",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the granted sidecar; the old one stays",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    keyring.add_opening_arguments(parser, verifies=False)


def run(args: argparse.Namespace) -> None:
    """Open, wrap again, write."""
    from edgepro_tf.files import check_targets, filling_folder, write_file
    from edgepro_tf.sidecar import grant_sidecar, inspect_sidecar, load_recipient

    check_targets(
        args.out, overwrite=args.force, makes_folders=True, remedy="pass --force"
    )
    if args.out.is_file():
        inspect_sidecar(args.out)  # Says no to what is none: a model, a key.
    granted = grant_sidecar(
        args.sidecar,
        identity=keyring.find_identity(args),
        recipients=[load_recipient(path) for path in args.to],
    )
    with filling_folder(args.out.parent):
        write_file(args.out, granted, overwrite=args.force)
    console.say(str(inspect_sidecar(args.out)))
