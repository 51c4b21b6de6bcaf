"""The files that are measured: plain, protected, and in the ways of the alternatives.

Exports are kept on disk between runs; locks are drawn anew, so that a run measures the
lock of this very version.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import timeit
from pathlib import Path
from typing import Any

from benchmarks.bars import judge
from benchmarks.claiming import build_claiming_delegate

_OPENINGS = 21


@dataclasses.dataclass(frozen=True)
class Subject:
    """One network under one recipe, in all the ways it could ship.

    Args:
        name: ``mobilenet_v2``, ``mobilenet_v2_int8`` or ``resnet50``, and with a colon
            a preset of ``converters`` or ``depthwise``: ``resnet50:fast``.
        root: folder of all subjects.
    """

    name: str
    root: Path

    @property
    def network(self) -> str:
        return self.name.split(":")[0]

    @property
    def recipe(self) -> str:
        return self.name.partition(":")[2] or "standard"

    @property
    def folder(self) -> Path:
        return self.root / self.network / self.recipe

    def path(self, file: str) -> Path:
        """A file of the network, or (``public``, ``payload``) of its lock."""
        is_lock = file in ("public", "payload")
        return (self.folder if is_lock else self.root / self.network) / file

    @property
    def is_light(self) -> bool:
        """Whether loading is held to the bar of int8 and depthwise-only locks."""
        return self.network == "mobilenet_v2_int8" or self.recipe == "depthwise"


def build_subject(subject: Subject) -> dict[str, Any]:
    """Write the subject's files, and describe its lock and sidecar."""
    subject.folder.mkdir(parents=True, exist_ok=True)
    if not subject.path("multiplied").exists():
        _export(subject)
    plain = subject.path("plain").read_bytes()
    _encrypt(subject, plain)
    build_claiming_delegate(subject.path("libclaiming.so"))
    return {"model_bytes": len(plain)} | _lock(subject, plain)


def _export(subject: Subject) -> None:
    from benchmarks import networks
    from converters.keras_export import export_keras

    model = networks.build_network(subject.network)
    options = networks.export_options(subject.network)
    subject.path("plain").write_bytes(export_keras(model, options))
    multiplied = export_keras(networks.multiply_channels(model), options)
    subject.path("multiplied").write_bytes(multiplied)


def _encrypt(subject: Subject, plain: bytes) -> None:
    """The whole file under AES-256-GCM: what people do today."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, nonce = AESGCM.generate_key(256), os.urandom(12)
    subject.path("key").write_bytes(key + nonce)
    subject.path("encrypted").write_bytes(AESGCM(key).encrypt(nonce, plain, None))


def _lock(subject: Subject, plain: bytes) -> dict[str, Any]:
    from converters import lock_tflite
    from edgepro_tf.sidecar import (
        ModelBinding,
        generate_identity,
        generate_issuer,
        open_sidecar,
        seal_sidecar,
    )

    recipe, budget = subject.recipe, None
    if recipe == "depthwise":
        recipe, budget = "standard", _depthwise_budget(plain)
    protected = lock_tflite(plain, recipe=recipe, restore_budget=budget)
    subject.path("public").write_bytes(protected.public)
    subject.path("payload").write_bytes(protected.payload)
    identity, issuer = generate_identity(), generate_issuer()
    sidecar = seal_sidecar(
        protected.payload,
        model=ModelBinding.of(protected.public),
        recipients=[identity.recipient],
        issuer=issuer,
    )
    opening = timeit.repeat(
        lambda: open_sidecar(sidecar, identity=identity, issuer=issuer.issuer_key),
        number=1,
        repeat=_OPENINGS,
    )
    # Data and scales of one tensor are two records; the bar counts tensors.
    tensors = len({(lock.subgraph, lock.tensor) for lock in protected.lock.tensors})
    return {
        "bytes_rewritten": protected.bytes_rewritten,
        "tensors": tensors,
        "payload_bytes": len(protected.payload),
        "sidecar_bytes": len(sidecar),
        "opening_ms": 1e3 * statistics.median(opening),
        "sidecar_bar": judge(len(sidecar), 2048 + 16 * tensors),
    }


def _depthwise_budget(model: bytes) -> float:
    """The share that biases, scales, depthwise and first filters just fill."""
    from converters.recipe import find_recipe, plan_lock
    from edgepro_tf.flatbuffer.schema import read_model

    view = read_model(model)
    first = {
        operand.constant.tensor
        for operator in view.operators
        if operator.is_first
        for operand in operator.operands
    }
    spent = sum(
        record.size_bytes
        for record in plan_lock(find_recipe("standard"), view, model)
        if record.shape[2] == 1 or record.tensor in first
    )
    return (spent + 0.5) / len(model)  # half a byte, for rounding
