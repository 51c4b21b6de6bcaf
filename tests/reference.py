"""docs/payload.md restated slowly in Python: what the native core is held against.

Written from the page, not from the C code. Nothing here is fast or meant to be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from edgepro_tf.locks import VERSION, ElementType, ModelLock, Step, TensorLock

MASK_32, MASK_64 = (1 << 32) - 1, (1 << 64) - 1
SMALL = 4096
BLOCK = 64
CHUNK_BLOCKS = 1024
MASK_GROUP = 1024
# Width, bits of the fraction, size of a mask's window, masked bits of the fraction.
FLOAT_FORMATS = {
    ElementType.FLOAT32: (32, 23, 16, 11),
    ElementType.FLOAT16: (16, 10, 8, 10),
}
MASK_CHUNK = 65536


def chacha20_block(key: bytes, nonce: tuple[int, int, int], counter: int) -> bytes:
    """One block of 64 bytes. Source: RFC 8439, section 2.3."""
    constants = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
    start = [*constants, *struct.unpack("<8I", key), counter & MASK_32, *nonce]
    x = list(start)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for first, second, third, distance in (
            (a, b, d, 16),
            (c, d, b, 12),
            (a, b, d, 8),
            (c, d, b, 7),
        ):
            x[first] = (x[first] + x[second]) & MASK_32
            mixed = x[third] ^ x[first]
            x[third] = (mixed << distance | mixed >> (32 - distance)) & MASK_32

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack(
        "<16I", *((a + b) & MASK_32 for a, b in zip(x, start, strict=True))
    )


def keystream(
    key: bytes, nonce: tuple[int, int, int], counter: int, size: int
) -> bytes:
    blocks = -(-size // 64)
    stream = b"".join(chacha20_block(key, nonce, counter + i) for i in range(blocks))
    return stream[:size]


class Draws:
    """The draws of one record's chunk."""

    def __init__(
        self, seed: bytes, record: int, chunk: int = 0, purpose: int = 0
    ) -> None:
        self._words = self._all_words(seed, (record, chunk, purpose))

    @staticmethod
    def _all_words(seed: bytes, nonce: tuple[int, int, int]) -> Iterator[int]:
        counter = 0
        while True:
            yield from struct.unpack("<16I", chacha20_block(seed, nonce, counter))
            counter += 1

    def word(self) -> int:
        return next(self._words)

    def below(self, n: int) -> int:
        product = self.word() * n
        while product % 2**32 < 2**32 % n:
            product = self.word() * n
        return product >> 32

    def permutation(self, n: int) -> list[int]:
        p = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            p[i], p[j] = p[j], p[i]
        return p

    def bits(self, n: int) -> list[int]:
        words = [self.word() for _ in range(-(-n // 32))]
        return [words[i // 32] >> (i % 32) & 1 for i in range(n)]

    def block_permutation(self) -> list[int]:
        """The inner permutation of a block: below16 for i = 63 … 1."""
        halves = self._halves()
        k = list(range(BLOCK))
        for i in range(BLOCK - 1, 0, -1):
            product = next(halves) * (i + 1)
            while product % 2**16 < 2**16 % (i + 1):
                product = next(halves) * (i + 1)
            j = product >> 16
            k[i], k[j] = k[j], k[i]
        return k

    def octets(self, n: int) -> bytes:
        return struct.pack(f"<{n // 4}I", *(self.word() for _ in range(n // 4)))

    def _halves(self) -> Iterator[int]:
        while True:
            word = self.word()
            yield word & 0xFFFF
            yield word >> 16


def fingerprint(data: bytes, version: int = VERSION) -> int:
    if version < 4:
        return _earlier_fingerprint(data)
    prime = 0x9E3779B1
    lanes = [prime * (k + 1) & MASK_32 for k in range(32)]
    for start in range(0, len(data), 128):
        stripe = data[start : start + 128].ljust(128, b"\0")
        for k, word in enumerate(struct.unpack("<32I", stripe)):
            lane = (lanes[k] ^ word) * prime & MASK_32
            lanes[k] = lane ^ lane >> 15
    h = len(data)
    for lane in lanes:
        h = (h ^ lane) * 0x9E3779B97F4A7C15 & MASK_64
        h ^= h >> 32
    return h & MASK_32


def _earlier_fingerprint(data: bytes) -> int:
    prime = 0x9E3779B97F4A7C15
    lanes = [prime * (k + 1) & MASK_64 for k in range(4)]

    def mix(value: int, word: int) -> int:
        value = (value ^ word) * prime & MASK_64
        return value ^ value >> 32

    for start in range(0, len(data), 32):
        stripe = data[start : start + 32].ljust(32, b"\0")
        words = struct.unpack("<4Q", stripe)
        lanes = [mix(lane, word) for lane, word in zip(lanes, words, strict=True)]
    h = len(data)
    for lane in lanes:
        h = mix(h, lane)
    return h & MASK_32


def draws_of(lock: ModelLock, index: int, chunk: int = 0, purpose: int = 0) -> Draws:
    """The conversion's own draws, or those kept of an earlier one."""
    kept = lock.tensors[index].kept
    seed, number = (lock.seed, index) if kept is None else (kept.seed, kept.number)
    return Draws(seed, number, chunk, purpose)


def restore(
    lock: ModelLock, index: int, public: np.ndarray, *, with_set: bool = True
) -> np.ndarray:
    """Record ``index`` applied to a public constant, flat, in its element type."""
    record = lock.tensors[index]
    flat = public.reshape(-1)
    if record.steps & Step.SHUFFLE:
        x = _restore_elements(lock, index, record, flat)
    else:
        x = _restore_channels(lock, index, record, flat)
    if with_set and record.steps & Step.SET:
        x = _set(record, x)
    return x


def _restore_channels(
    lock: ModelLock, index: int, record: TensorLock, public: np.ndarray
) -> np.ndarray:
    draws = draws_of(lock, index)
    channels = record.channels
    order, signs, exponents = list(range(channels)), [0] * channels, [0] * channels
    if record.steps & Step.ORDER:
        order = draws.permutation(channels)
    if record.steps & Step.SIGNS:
        signs = draws.bits(channels)
    if record.steps & Step.EXPONENTS:
        span = record.exponent_range
        exponents = [draws.below(2 * span + 1) - span for _ in range(channels)]
    cube = public.reshape(record.shape)
    restored = np.empty_like(cube)
    for c in range(channels):
        row = _scaled(cube[:, order[c], :], exponents[c])
        restored[:, c, :] = _flipped(row, record.element_type) if signs[c] else row
    flat = restored.reshape(-1)
    return _masked(lock, index, record, flat) if record.steps & Step.MASK else flat


def _masked(
    lock: ModelLock, index: int, record: TensorLock, values: np.ndarray
) -> np.ndarray:
    out: list[int] = []
    for start in range(0, record.size, MASK_GROUP):
        if start % MASK_CHUNK == 0:
            draws = draws_of(lock, index, 1 + start // MASK_CHUNK)
            again = draws_of(lock, index, 1 + start // MASK_CHUNK, 1)
        group = values[start : start + MASK_GROUP]
        if record.element_type is ElementType.INT8:
            octets = draws.octets(MASK_GROUP)
            drawn = [again.below(255) if r == 255 else r for r in octets]
            pairs = zip(group.tolist(), drawn[: len(group)], strict=True)
            out += [_subtracted(q, r) for q, r in pairs]
            continue
        if record.element_type is ElementType.UINT8:
            pairs = zip(group.tolist(), draws.octets(MASK_GROUP), strict=False)
            out += [q ^ r for q, r in pairs]
            continue
        if record.steps & Step.FRACTION:
            lanes = np.frombuffer(draws.octets(4 * MASK_GROUP), "<u4")
            pairs = zip(group.view("u4").tolist(), lanes.tolist(), strict=False)
            out += [_moved_whole(word, draw, record) for word, draw in pairs]
            continue
        lanes = np.frombuffer(draws.octets(2 * MASK_GROUP), f"<u{values.itemsize}")
        for e, word in enumerate(group.view(f"u{values.itemsize}").tolist()):
            half, i = divmod(e, len(lanes))
            out.append(_moved(word, int(lanes[i]) >> 16 * half & 0xFFFF, record))
    return np.array(out, np.int64).astype(f"u{values.itemsize}").view(values.dtype)


def _subtracted(q: int, r: int) -> int:
    return (max(q, -127) + 127 - r) % 255 - 127


def _moved(word: int, draw: int, record: TensorLock) -> int:
    width, fraction, window_size, masked = FLOAT_FORMATS[record.element_type]
    exponent = word >> fraction & ((1 << (width - 1 - fraction)) - 1)
    place = exponent - record.window
    if 0 <= place < window_size:
        power = (draw >> 11) % window_size
        word += ((place ^ power) - place) << fraction
        word ^= draw % (1 << masked) << (fraction - masked)
    return word ^ draw >> 15 << (width - 1)


def _moved_whole(word: int, draw: int, record: TensorLock) -> int:
    place = (word >> 23) % 256 - record.window
    if 0 <= place < 16:
        word += ((place ^ (draw >> 23) % 16) - place) << 23
        word ^= draw % (1 << 23)
    return word ^ draw >> 31 << 31


def _restore_elements(
    lock: ModelLock, index: int, record: TensorLock, public: np.ndarray
) -> np.ndarray:
    draws = draws_of(lock, index)
    n, has_signs = record.size, bool(record.steps & Step.SIGNS)
    flipped = _flipped(public, record.element_type) if has_signs else public
    if n < SMALL or lock.version >= 3:
        p = draws.permutation(n)
        s = draws.bits(n) if has_signs else [0] * n
        return np.where(s, flipped[p], public[p]).astype(public.dtype)
    blocks = n // BLOCK
    start = BLOCK * blocks
    t = {i: draws.below(i + 1) for i in range(n - 1, start - 1, -1)}
    u = draws.bits(64) if has_signs else [0] * 64
    order = draws.permutation(blocks)
    x = np.empty_like(public)
    for b in range(blocks):
        if b % CHUNK_BLOCKS == 0:
            draws = draws_of(lock, index, 1 + b // CHUNK_BLOCKS)
        k = np.array(draws.block_permutation())
        v = draws.bits(64) if has_signs else [0] * 64
        source = 64 * order[b] + k
        x[b:start:blocks] = np.where(v, flipped[source], public[source])
    for j in range(n - start):
        x[start + j] = (flipped if u[j] else public)[start + j]
    for i in range(start, n):
        x[i], x[t[i]] = x[t[i]], x[i]
    return x


def _set(record: TensorLock, x: np.ndarray) -> np.ndarray:
    stored = record.set_values
    assert stored is not None
    if stored.channels is None:
        return stored.values.reshape(-1).copy()
    cube = x.reshape(record.shape).copy()
    values = np.broadcast_to(stored.values, len(stored.channels))
    for channel, value in zip(stored.channels, values, strict=True):
        cube[:, channel, :] = value
    return cube.reshape(-1)


def _flipped(values: np.ndarray, element_type: ElementType) -> np.ndarray:
    unsigned = values.view(f"u{values.itemsize}")
    if element_type.is_float:
        top = unsigned.dtype.type(1 << (8 * values.itemsize - 1))
        return (unsigned ^ top).view(values.dtype)
    return (~unsigned + unsigned.dtype.type(1)).view(values.dtype)


def _scaled(values: np.ndarray, k: int) -> np.ndarray:
    """IEEE 754 multiplication by 2^k; what is not finite stays as it is."""
    if k == 0:
        return values
    with np.errstate(all="ignore"):
        scaled = values * values.dtype.type(2.0**k)
    return np.where(np.isfinite(values), scaled, values)
