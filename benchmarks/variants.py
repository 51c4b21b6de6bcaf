"""The ways a model can be opened; each gives an allocated interpreter."""

from __future__ import annotations

import ctypes
from typing import Any

from benchmarks.claiming import open_claimed
from benchmarks.subjects import Subject
from edgepro_tf import native
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import find_runtime, make_interpreter

# What the tables call them. `again` is plain once more: the A/A control.
VARIANTS = {
    "plain": "plain",
    "again": "A/A",
    "protected": "protected",
    "encrypted": "AES-256-GCM",
    "multiplied": "MUL layers",
    "claimed": "claiming",
}
_FILES = {"protected": "public", "claimed": "multiplied", "again": "plain"}


def file_of(variant: str) -> str:
    """The model file that a variant reads."""
    return _FILES.get(variant, variant)


def load_libraries(subject: Subject) -> None:
    """Import and load what any variant needs."""
    import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401

    find_runtime().load()
    native.version()
    ctypes.CDLL(str(subject.path("libclaiming.so")))


def read_secret(subject: Subject, variant: str) -> bytes:
    """What a load begins with: an opened sidecar's payload, or the whole file's key."""
    names = {"protected": "payload", "encrypted": "key"}
    return subject.path(names[variant]).read_bytes() if variant in names else b""


def open_variant(
    subject: Subject, variant: str, *, threads: int, secret: bytes | None = None
) -> Any:
    """Open the subject's file; needs no TensorFlow. Reads a secret not given."""
    path = subject.path(file_of(variant))
    secret = read_secret(subject, variant) if secret is None else secret
    if variant == "protected":
        return open_with_payload(path, secret, num_threads=threads)
    if variant == "claimed":
        library = subject.path("libclaiming.so")
        return open_claimed(path, library, num_threads=threads)
    model = _decrypt(subject, secret) if variant == "encrypted" else path
    interpreter = make_interpreter(model, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _decrypt(subject: Subject, secret: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = subject.path("encrypted").read_bytes()
    return AESGCM(secret[:32]).decrypt(secret[32:], sealed, None)
