"""One sidecar test vector: a header of lines that tell what opens it, then the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from edgepro_tf.sidecar import (
    Identity,
    IssuerKey,
    ModelBinding,
    Passphrase,
    export_key,
)
from edgepro_tf.sidecar.encoding import encode_json
from tests.edgepro_tf.sidecar.material import (
    AUDIENCE,
    MODEL,
    NOW,
    identity,
    issuer,
    payload,
)

FOLDER = Path(__file__).parents[2] / "vectors" / "sidecar"
PHRASE = "correct horse battery staple"


def one_line(key: Identity | IssuerKey) -> str:
    return encode_json(json.loads(export_key(key)))


def write(
    name: str,
    comment: str,
    body: bytes,
    *,
    expect: str = "success",
    opener: Identity | Passphrase | None = None,
    trusted: IssuerKey | None = None,
    audience: str | None = AUDIENCE,
    now: Any = NOW,
    model: bytes = MODEL,
    content: bytes | None = None,
) -> None:
    opener = opener or identity()
    binding = ModelBinding.of(model)
    lines = {"comment": comment, "expect": expect}
    if isinstance(opener, Passphrase):
        lines["passphrase"] = PHRASE
    else:
        lines["identity"] = one_line(opener)
    lines["issuer"] = one_line(trusted or issuer().issuer_key)
    if audience is not None:
        lines["audience"] = audience
    lines["now"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    lines["model-id"] = binding.id
    lines["model-size"] = str(binding.size_bytes)
    if expect == "success":
        lines["payload-sha256"] = hashlib.sha256(content or payload()).hexdigest()
    header = "".join(f"{key}: {value}\n" for key, value in lines.items())
    (FOLDER / f"{name}.txt").write_bytes(header.encode() + b"\n" + body)
