"""Make the keys of an issuer and of a device.

Writes four files:
  identity.jwk    a private key: opens sidecars. Keep it on the one device that it is
                  for, or, where devices have keys of their own, with you: 'edgepro
                  grant' needs it. Never among an app's files.
  recipient.jwk   its public half: sidecars are sealed to it.
  issuer.jwk      your private key: signs sidecars. Keep it where you convert.
  issuer_key.jwk  its public half: ships inside the app, which trusts it.

Hand out recipient.jwk and issuer_key.jwk, and no other. Existing keys are kept: a lost
identity or issuer cannot be made again.

An Android app makes its identity in the AndroidKeyStore and exports only the
recipient; these files are for a first walk, for servers and for tests.

example:
  edgepro keygen --out keys
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgepro_tf.cli import console, keyring


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument(
        "--out", type=Path, default=Path("keys"), metavar="DIR", help="default: keys"
    )
    parser.add_argument(
        "--kind",
        choices=("P-256", "RSA-3072"),
        default="P-256",
        help="the device's key; default P-256, which phones keep in hardware",
    )
    parser.add_argument(
        "--issuer_kind",
        choices=("ES256", "EdDSA"),
        default="ES256",
        help="the issuer's signature; default ES256",
    )


def run(args: argparse.Namespace) -> None:
    """Write the four files; none is overwritten."""
    from edgepro_tf.sidecar import generate_identity, generate_issuer

    identity = generate_identity(args.kind)
    issuer = generate_issuer(args.issuer_kind)
    keys = keyring.write_keys(args.out, identity, issuer)
    for name, key in keys.items():
        secret = "secret, mode 0600" if key.has_secret else "public"
        console.say(f"{args.out / name}  {key.kind} {key.short_id}  {secret}")
