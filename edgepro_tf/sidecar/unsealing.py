"""From an envelope to its content: find the recipient, unwrap, decrypt."""

from __future__ import annotations

from collections.abc import Sequence

from edgepro_tf.errors import SidecarError, WrongKeyError
from edgepro_tf.sidecar import jose
from edgepro_tf.sidecar.encoding import short_key_id
from edgepro_tf.sidecar.envelope import (
    MAX_SIDECAR_BYTES,
    MAX_UNZIPPED_BYTES,
    Envelope,
    RecipientEntry,
)
from edgepro_tf.sidecar.keys import Identity, Passphrase

OpenWith = Identity | Passphrase

_MAX_LISTED = 8


def unseal(envelope: Envelope, identity: OpenWith, task: str) -> jose.OpenedContent:
    """Decrypt the content with the entry made for this identity.

    Raises:
        WrongKeyError: no entry is for it, or decryption failed.
        SidecarError: it is no identity.
    """
    if not isinstance(identity, OpenWith):
        raise SidecarError(
            f"{task}: expected an identity or a passphrase, got a "
            f"{type(identity).__name__}.",
            "Load one with load_identity; a recipient only seals.",
        )
    with_key = identity._wrap_for()
    candidates = [
        entry
        for entry in envelope.recipients
        if (entry.alg, entry.key_id) == (with_key.alg, with_key.key_id)
    ]
    if not candidates:
        raise _no_recipient(envelope, identity, task)
    limit = MAX_UNZIPPED_BYTES if envelope.zipped else MAX_SIDECAR_BYTES
    for entry in candidates:  # More than one only for passphrases.
        try:
            return jose.decrypt(
                envelope.members((entry,)), with_key=with_key, max_bytes=limit
            )
        except jose.JoseError:
            continue
    # One class and one text, whatever went wrong from here on.
    raise WrongKeyError(
        f"{task}: decryption failed.",
        "The key or passphrase is another's, or the file was altered.",
    )


def _list_recipients(entries: Sequence[RecipientEntry]) -> str:
    """Return who a sidecar is sealed to, as part of a sentence."""
    ids = [short_key_id(entry.key_id) for entry in entries if entry.key_id]
    passphrases = len(entries) - len(ids)
    parts = []
    if ids:
        more = len(ids) - _MAX_LISTED
        listed = ", ".join(ids[:_MAX_LISTED])
        listed += f" and {more:,} more" if more > 0 else ""
        parts.append(f"key{'s' if len(ids) > 1 else ''} {listed}")
    if passphrases:
        plural = passphrases > 1
        parts.append(f"{passphrases} passphrases" if plural else "a passphrase")
    return " and ".join(parts)


def _no_recipient(envelope: Envelope, identity: OpenWith, task: str) -> WrongKeyError:
    sealed_to = _list_recipients(envelope.recipients)
    if isinstance(identity, Passphrase):
        return WrongKeyError(
            f"{task}: it is sealed to {sealed_to}; a passphrase was given.",
            "Use one of those keys, or ask for a grant to the passphrase.",
        )
    return WrongKeyError(
        f"{task}: it is sealed to {sealed_to}; this identity is {identity.short_id}.",
        "Ask for a grant to this identity, or use one of those.",
    )
