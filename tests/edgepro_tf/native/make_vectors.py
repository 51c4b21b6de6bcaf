"""Writes ``tests/vectors/payload`` from the reference (never from the native core)."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np

from edgepro_tf.locks import (
    ElementType,
    KeptDraws,
    ModelLock,
    SetValues,
    Step,
    Target,
    TensorLock,
)
from edgepro_tf.payload import pack_lock
from tests import reference
from tests.edgepro_tf.native.locks_of_samples import (
    place,
    scalable_values,
    values_of,
)

FOLDER = Path(__file__).parents[2] / "vectors" / "payload"
SEED = bytes(range(32))
ALL_ROWS = Step.ORDER | Step.SIGNS | Step.EXPONENTS
Header = dict[str, str]


def one(
    steps: Step,
    shape: tuple[int, int, int],
    element_type: ElementType = ElementType.FLOAT32,
    **options: object,
) -> TensorLock:
    return TensorLock(0, 0, element_type, shape, steps, **options)


def restored(
    what: str, *tensors: TensorLock, version: int = 1, compress: bool = False
) -> tuple[str, Header]:
    lock = ModelLock(SEED, tensors, version)
    public = [
        scalable_values(t.element_type, t.size, i)
        if t.steps & Step.EXPONENTS
        else values_of(t.element_type, t.size, i)
        for i, t in enumerate(tensors)
    ]
    if compress:
        public = [np.resize(np.arange(7, dtype=p.dtype), p.size) for p in public]
    lock = lock.with_fingerprints(
        [reference.fingerprint(p.tobytes(), version) for p in public]
    )
    after = [reference.restore(lock, i, p) for i, p in enumerate(public)]
    model, expected = bytes(place(lock, public)), bytes(place(lock, after))
    header = {"payload": pack_lock(lock).hex()}
    if compress:
        header["model-zlib"] = zlib.compress(model, 9).hex()
        header["restored-sha256"] = hashlib.sha256(expected).hexdigest()
    else:
        header |= {"model": model.hex(), "restored": expected.hex()}
    header["written"] = str(lock.bytes_rewritten)
    return "restored", {"comment": what, **header}


def refused(
    verdict: str, what: str, payload: bytes, model: bytes
) -> tuple[str, Header]:
    return verdict, {"comment": what, "payload": payload.hex(), "model": model.hex()}


def scenarios() -> dict[str, tuple[str, Header]]:
    found = {
        "keystream_rfc8439_2_3_2": (
            "keystream",
            {
                "comment": "RFC 8439, section 2.3.2",
                "key": bytes(range(32)).hex(),
                "nonce": "000000090000004a00000000",
                "counter": "1",
                "output": reference.chacha20_block(
                    bytes(range(32)), (0x09000000, 0x4A000000, 0), 1
                ).hex(),
            },
        ),
        "rows_float32": restored(
            "order, signs and exponents of rows",
            one(ALL_ROWS, (1, 6, 5), exponent_range=2),
        ),
        "rows_float16": restored(
            "the same in float16",
            one(ALL_ROWS, (1, 6, 5), ElementType.FLOAT16, exponent_range=1),
        ),
        "depthwise_float32": restored(
            "channels last, outer 9", one(ALL_ROWS, (9, 7, 1), exponent_range=8)
        ),
        "rows_int8": restored(
            "int8 rows, the least integer included",
            one(Step.ORDER | Step.SIGNS, (2, 40, 3), ElementType.INT8),
        ),
        "mask_float32": restored(
            "order, and a mask of 1,100 elements: two groups",
            one(Step.ORDER | Step.MASK, (1, 11, 100), window=112),
        ),
        "mask_whole_float32": restored(
            "a mask of whole fractions, 1,100 elements: two groups",
            one(Step.MASK | Step.FRACTION, (1, 11, 100), window=112),
        ),
        "mask_float16": restored(
            "the same in float16",
            one(Step.MASK, (1, 10, 110), ElementType.FLOAT16, window=8),
        ),
        "mask_bytes": restored(
            "raw bytes, 1,100 of them: two groups",
            one(Step.MASK, (1, 1100, 1), ElementType.UINT8),
            version=4,
        ),
        "kept_draws": restored(
            "two earlier conversions' draws beside its own",
            one(Step.SHUFFLE, (1, 5, 4)),
            TensorLock(0, 1, ElementType.INT8, (1, 6, 5), Step.ORDER | Step.MASK,
                       kept=KeptDraws(bytes(range(32, 64)), 7)),
            TensorLock(0, 2, ElementType.UINT8, (1, 40, 1), Step.MASK,
                       kept=KeptDraws(bytes(range(64, 96)), 131_000)),
            version=4,
        ),
        "mask_two_chunks": restored(
            "65,540 elements: the last four are of chunk 2",
            one(Step.MASK, (2, 4, 65540 // 8), ElementType.INT8),
            version=2,
            compress=True,
        ),
        "mask_depthwise_int8": restored(
            "channels last, the least integer included",
            one(Step.ORDER | Step.MASK, (9, 11, 1), ElementType.INT8),
            version=2,
        ),
        "shuffle_small": restored(
            "one permutation of 100 elements, signs",
            one(Step.SHUFFLE | Step.SIGNS, (1, 10, 10), ElementType.INT16),
        ),
        "shuffle_blocks_and_tail": restored(
            "64 blocks and a tail of 3, signs",
            one(Step.SHUFFLE | Step.SIGNS, (1, 4099, 1), ElementType.INT8),
        ),
        "shuffle_two_chunks": restored(
            "1,025 blocks: the last one is of chunk 2",
            one(Step.SHUFFLE, (1, 1025, 64), ElementType.UINT8),
            compress=True,
        ),
        "shuffle_whole": restored(
            "version 3: one permutation of 4,099 elements, signs",
            one(Step.SHUFFLE | Step.SIGNS, (1, 4099, 1), ElementType.INT8),
            version=3,
        ),
        "set_one_value": restored(
            "channels 0, 3 and 4 hold one value",
            one(
                Step.SET | Step.ORDER,
                (2, 5, 2),
                set_values=SetValues((0, 3, 4), np.float32([0])),
            ),
        ),
        "set_a_value_a_channel": restored(
            "two locking values",
            one(
                Step.SET,
                (1, 9, 1),
                ElementType.INT32,
                set_values=SetValues((1, 8), np.int32([-5, 2**31 - 1])),
            ),
        ),
        "set_whole_tensor": restored(
            "nothing of it is public",
            one(
                Step.SET,
                (1, 4, 1),
                ElementType.INT64,
                set_values=SetValues(None, np.int64([1, -1, 2**40, 0])),
            ),
        ),
        "several_records": restored(
            "record numbers are nonces; scales and data",
            one(Step.SIGNS, (1, 4, 4)),
            TensorLock(0, 1, ElementType.FLOAT32, (1, 8, 1), Step.SHUFFLE,
                       Target.SCALES),
            TensorLock(0, 2, ElementType.INT8, (1, 5, 3), Step.ORDER),
        ),
    }  # fmt: skip
    good, masked = (
        {k: bytes.fromhex(found[name][1][k]) for k in ("payload", "model")}
        for name in ("rows_int8", "mask_depthwise_int8")
    )
    payload, model = good["payload"], good["model"]
    other = bytearray(model)
    other[-1] ^= 1
    wrong = {
        "wrong_model": refused(
            "wrong-model", "one byte differs", payload, bytes(other)
        ),
        "bad_model": refused("bad-model", "no TFL3", payload, b"\0" * 64),
        "truncated_model": refused("bad-model", "cut short", payload, model[:-1]),
        "truncated_payload": refused("bad-payload", "cut short", payload[:-1], model),
        "longer_payload": refused("bad-payload", "a byte more", payload + b"\0", model),
        "other_version": refused("bad-payload", "EPL5", b"EPL5" + payload[4:], model),
        "uneven_mask": refused(
            "bad-payload",
            "a masked int8 constant in version 1",
            b"EPL1" + masked["payload"][4:],
            masked["model"],
        ),
        "long_varint": refused(
            "bad-payload",
            "record count 1 in two bytes",
            payload[:36] + b"\x81\x00" + payload[37:],
            model,
        ),
        "same_record_twice": refused(
            "bad-payload",
            "two records with one address",
            payload[:36] + b"\x02" + payload[37:] * 2,
            model,
        ),
    }
    data = bytes(i % 251 for i in range(300))
    prints = {
        "fingerprint": (
            "fingerprint",
            {
                "comment": "two stripes and a padded one, version 4",
                "data": data.hex(),
                "output": reference.fingerprint(data).to_bytes(4, "little").hex(),
            },
        )
    }
    return found | wrong | prints


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (verdict, header) in scenarios().items():
        lines = [f"expect: {verdict}", *(f"{k}: {v}" for k, v in header.items())]
        (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
