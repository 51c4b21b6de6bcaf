"""The sidecar: a lock, signed by its issuer and encrypted to its recipients.

The format is FORMAT.md. Needs ``jwcrypto``; never TensorFlow.
"""

from edgepro_tf.sidecar.binding import ModelBinding, check_model, check_model_size
from edgepro_tf.sidecar.granting import grant_sidecar
from edgepro_tf.sidecar.inspecting import RecipientInfo, SidecarInfo, inspect_sidecar
from edgepro_tf.sidecar.keyfiles import (
    export_key,
    load_identity,
    load_issuer,
    load_issuer_key,
    load_recipient,
    write_key,
)
from edgepro_tf.sidecar.keys import (
    Identity,
    Issuer,
    IssuerKey,
    Passphrase,
    Recipient,
    generate_identity,
    generate_issuer,
)
from edgepro_tf.sidecar.opening import OpenedSidecar, open_sidecar, reopen_sidecar
from edgepro_tf.sidecar.sealing import seal_sidecar

__all__ = [
    "Identity",
    "Issuer",
    "IssuerKey",
    "ModelBinding",
    "OpenedSidecar",
    "Passphrase",
    "Recipient",
    "RecipientInfo",
    "SidecarInfo",
    "check_model",
    "check_model_size",
    "export_key",
    "generate_identity",
    "generate_issuer",
    "grant_sidecar",
    "inspect_sidecar",
    "load_identity",
    "load_issuer",
    "load_issuer_key",
    "load_recipient",
    "open_sidecar",
    "reopen_sidecar",
    "seal_sidecar",
    "write_key",
]
