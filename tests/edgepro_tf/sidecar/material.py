"""Keys and payloads the sidecar tests share; each kind of key is made once."""

from __future__ import annotations

import datetime
import functools
import random
import traceback
from typing import Any

import numpy as np

from edgepro_tf.locks import ElementType, ModelLock, SetValues, Step, TensorLock
from edgepro_tf.payload import pack_lock
from edgepro_tf.sidecar import (
    Identity,
    Issuer,
    ModelBinding,
    Passphrase,
    Recipient,
    generate_identity,
    generate_issuer,
    open_sidecar,
    seal_sidecar,
)

MODEL = b"the bytes of a public model"
NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
AUDIENCE = "com.example.demo"


def identity(kind: Any = "P-256", number: int = 0) -> Identity:
    return _identity(kind, number)


def issuer(kind: Any = "ES256", number: int = 0) -> Issuer:
    return _issuer(kind, number)


@functools.cache
def _identity(kind: Any, number: int) -> Identity:
    return generate_identity(kind)


@functools.cache
def _issuer(kind: Any, number: int) -> Issuer:
    return generate_issuer(kind)


PASSPHRASE = Passphrase("correct horse battery staple")


def recipient_of(opener: Identity | Passphrase) -> Recipient | Passphrase:
    return opener if isinstance(opener, Passphrase) else opener.recipient


def name_kind(opener: Any) -> str:
    """A test's name for openers: their kinds, which are the same in every run."""
    if isinstance(opener, tuple):
        return "-".join(map(name_kind, opener))
    return repr(opener).partition(",")[0].partition("(")[2].rstrip(")") or "passphrase"


def payload(
    *, tensors: int = 4, neurons: int = 0, seed: int = 0, whole: int = 0
) -> bytes:
    """A payload as a locked network gives it: filters and biases by turns.

    Args:
        neurons: authorization neurons of each layer; needs 64 channels.
        whole: elements of one more tensor that is withheld outright.
    """
    rng = random.Random(seed)
    locks: list[TensorLock] = []
    for index in range(tensors):
        is_bias = index % 2 == 1
        channels = 64 if neurons else rng.choice([16, 32, 64, 96, 160, 320, 1280])
        inner = 1 if is_bias else rng.choice([9, 16, 32, 96, 160, 288])
        steps = rng.choice(
            [Step.ORDER | Step.SIGNS, Step.ORDER | Step.SIGNS | Step.EXPONENTS]
        )
        stored = None
        if neurons:
            steps |= Step.SET
            if is_bias:
                previous = locks[-1].set_values
                assert previous is not None
                numbers = previous.channels
                values = [rng.gauss(0, 1) for _ in range(neurons)]
            else:
                numbers = tuple(sorted(rng.sample(range(channels), neurons)))
                values = [0.0]
            stored = SetValues(numbers, np.array(values, np.float32))
        locks.append(
            TensorLock(
                subgraph=0,
                tensor=3 * index + rng.randrange(3),
                element_type=ElementType.FLOAT32,
                shape=(1, channels, inner),
                steps=steps,
                exponent_range=4 if steps & Step.EXPONENTS else 0,
                fingerprint=rng.getrandbits(32),
                set_values=stored,
            )
        )
    if whole:
        data = np.frombuffer(rng.randbytes(whole), np.int8)
        locks.append(
            TensorLock(
                0,
                3 * tensors + 3,
                ElementType.INT8,
                (1, 1, whole),
                Step.SET,
                set_values=SetValues(None, data),
            )
        )
    return pack_lock(ModelLock(rng.randbytes(32), tuple(locks)))


def seal(*openers: Identity | Passphrase, **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "model": ModelBinding.of(MODEL),
        "recipients": [recipient_of(opener) for opener in openers or (identity(),)],
        "issuer": issuer(),
        "audience": AUDIENCE,
        "issuer_name": "Example",
        "not_before": NOW - DAY,
        "expires": NOW + DAY,
        "issued_at": NOW - DAY,
    }
    arguments |= changes
    return seal_sidecar(arguments.pop("payload", payload()), **arguments)


def open_(sidecar: Any, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "identity": identity(),
        "issuer": issuer().issuer_key,
        "audience": AUDIENCE,
        "model": MODEL,
        "now": NOW,
    }
    return open_sidecar(sidecar, **(arguments | changes))


def show_with_locals(error: BaseException | None) -> str:
    """An error and what led to it, as reporters show them: with local variables."""
    shown = ""
    while error is not None:
        one = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown += "".join(one.format(chain=False))
        error = error.__context__
    return shown
