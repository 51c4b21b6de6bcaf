"""Decrypt a sidecar to a file, for the C and C++ examples.

    write_payload.py MODEL SIDECAR IDENTITY ISSUER_KEY PAYLOAD [AUDIENCE]

This stands in for a host that opens the sidecar itself (any JOSE library can) and keeps
the payload in memory. The file written is the model's secret: delete it afterwards.
"""

import argparse
from pathlib import Path

from edgepro_tf.files import PRIVATE_MODE, write_file
from edgepro_tf.sidecar import load_identity, load_issuer_key, open_sidecar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "sidecar", "identity", "issuer_key", "payload"):
        parser.add_argument(name, type=Path)
    parser.add_argument("audience", nargs="?")
    given = parser.parse_args()
    opened = open_sidecar(
        given.sidecar,
        identity=load_identity(given.identity),
        issuer=load_issuer_key(given.issuer_key),
        audience=given.audience,
        model=given.model,
    )
    write_file(given.payload, opened.payload, mode=PRIVATE_MODE)


if __name__ == "__main__":
    main()
