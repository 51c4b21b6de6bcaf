"""What a user downloads of an update who has the version before.

    python -m benchmarks.update_size [--formats float32 int8]

MobileNetV2, its head trained anew and the rest as it was. A delta (an app store's,
bsdiff's) is measured as what the new file adds to an LZMA stream that has the old one.
"""

from __future__ import annotations

import argparse
import lzma
import os

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.networks import build_network, export_options
from converters import lock_tflite
from converters.keras_export import export_keras
from edgepro_tf.cli.console import format_table

FORMATS = ("float32", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    print(format_sizes(parser.parse_args().formats))


def format_sizes(formats: list[str]) -> str:
    """A table of shares of the file, a row for each way to ship it."""
    found = {name: measure_update(*make_versions(name)) for name in formats}
    rows = [
        [way, *(f"{found[name][way]:.1%}" for name in formats)]
        for way in next(iter(found.values()))
    ]
    return format_table(["delta, of the file", *formats], rows)


def make_versions(number_format: str) -> tuple[bytes, bytes]:
    """Two flatbuffers of a network, the second with another head."""
    name = "mobilenet_v2_int8" if number_format == "int8" else "mobilenet_v2"
    model, options = build_network(name), export_options(name)
    first = export_keras(model, options)
    head = model.layers[-1]
    head.set_weights([_trained(weights) for weights in head.get_weights()])
    return first, export_keras(model, options)


def _trained(weights: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return weights + rng.normal(size=weights.shape).astype(np.float32) * 0.01


def measure_update(first: bytes, second: bytes) -> dict[str, float]:
    """Size of the delta as a share of the new file, by way to ship."""
    before = lock_tflite(first)
    fast = lock_tflite(first, recipe="fast")
    return {
        "unprotected": _share(first, second),
        "whole-file AES-256-GCM": _share(_encrypt(first), _encrypt(second)),
        "standard, locked anew": _share(before.public, lock_tflite(second).public),
        "standard, --update_of": _share(
            before.public, lock_tflite(second, update_of=before).public
        ),
        "fast, --update_of": _share(
            fast.public, lock_tflite(second, recipe="fast", update_of=fast).public
        ),
    }


def _encrypt(model: bytes) -> bytes:
    nonce = os.urandom(12)
    return nonce + AESGCM(AESGCM.generate_key(256)).encrypt(nonce, model, None)


def _share(before: bytes, after: bytes) -> float:
    return (_packed(before + after) - _packed(before)) / len(after)


def _packed(content: bytes) -> int:
    reach = {"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 26}
    return len(lzma.compress(content, lzma.FORMAT_RAW, filters=[reach]))


if __name__ == "__main__":
    main()
