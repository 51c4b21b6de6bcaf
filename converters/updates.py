"""What an update keeps of the version before it.

A constant that has not changed keeps its draws, and so its public bytes: whoever has
the version before downloads what is new. The keystream meets the same weights again, or
none: what has changed is drawn from a fresh seed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Iterator
from typing import Protocol

from edgepro_tf import native
from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.flatbuffer.views import Constant, ModelView
from edgepro_tf.locks import KeptDraws, Step, Target, TensorLock
from edgepro_tf.payload import implied_scales, unpack_lock

_FIRST_TO_KEEP = 3  # Version of the payload; the shuffles of earlier ones were others.


class Release(Protocol):
    """A version that has shipped, opened: ``read_pair``'s, or a ``ProtectedModel``."""

    @property
    def public(self) -> bytes:
        """The public ``.tflite``."""

    @property
    def payload(self) -> bytes:
        """Its lock; a secret."""


def check_release(before: Release | None) -> None:
    """Refuse what is none now, not when the new version is converted.

    Raises:
        ConversionError: it is a path, or the sidecar alone.
    """
    parts = (getattr(before, name, None) for name in ("public", "payload"))
    if before is not None and not all(isinstance(each, bytes) for each in parts):
        raise ConversionError(
            "cannot make an update: expected the version before as an opened pair, got "
            f"{type(before).__name__}.",
            "Open it: update_of=read_pair(...).",
        )


def keep_draws(
    records: tuple[TensorLock, ...], view: ModelView, model: bytes, before: Release
) -> tuple[TensorLock, ...]:
    """Let constants that have not changed since a release keep its draws.

    Args:
        records: the new model's, as planned.
        view: of the new model.
        model: its bytes, as planned for.
        before: the release.

    Returns:
        The same records; those of the same bytes, type, shape and steps as one of the
        release's with its draws. Channels that lock training set are drawn anew. What
        the release hid and these do not is warned of.

    Raises:
        PayloadError: the release's payload is damaged.
        WrongModelError: its parts do not belong together.
    """
    lock, restored = unpack_lock(before.payload), bytearray(before.public)
    native.restore_buffer(restored, before.payload)
    view_before = read_model(restored)
    hidden = set[object]()
    for constant in _find_hidden(lock.tensors, view_before):
        hidden |= {constant.name, _digest(restored, constant.data)}
    _warn_of_opened(hidden - {""}, records, view, model)
    known: dict[object, dict[object, KeptDraws]] = {}
    are_in_place = False
    if lock.version >= _FIRST_TO_KEEP:
        are_in_place = _places(view_before) == _places(view)
        for number, key, place in _find_keys(lock.tensors, view_before, restored):
            kept = lock.tensors[number].kept or KeptDraws(lock.seed, number)
            known.setdefault(key, {})[place] = kept
    wanted: dict[object, dict[object, int]] = {}
    for number, key, place in _find_keys(records, view, model):
        wanted.setdefault(key, {})[place] = number
    kept_by: dict[int, KeptDraws] = {}
    for key, numbers in wanted.items():
        kept_by.update(_match(numbers, known.get(key, {}), are_in_place=are_in_place))
    if not kept_by:
        warnings.warn(
            "nothing stays of the version before: no constant is what it was there, or "
            "an earlier EdgePro locked it. The update is as large as the model.",
            stacklevel=4,
        )
    return _keep(records, kept_by)


def _find_hidden(
    records: tuple[TensorLock, ...], view: ModelView
) -> Iterator[Constant]:
    """Constants of which a lock draws every element, not single channels' values."""
    for record in records:
        constant = view.constants.get((record.subgraph, record.tensor))
        if constant and record.target is Target.DATA and record.steps & ~Step.SET:
            yield constant


def _warn_of_opened(
    hidden: set[object],
    records: tuple[TensorLock, ...],
    view: ModelView,
    model: bytes | bytearray,
) -> None:
    """What a release hid, by name or by content, is not to open without a word."""
    locked = {constant.buffer for constant in _find_hidden(records, view)}
    weights = [each.constant for one in view.operators for each in one.operands]
    opened = {
        each.buffer: each.name
        for each in weights
        if each.buffer not in locked
        and not hidden.isdisjoint((each.name, _digest(model, each.data)))
    }
    if opened:
        warnings.warn(
            "the update opens what the version before locked: "
            f"{', '.join(opened.values())}. Whoever has the new file reads these. The "
            "recipe and restore_budget of the version before keep them locked.",
            stacklevel=5,
        )


def _places(view: ModelView) -> dict[tuple[int, int], str]:
    """Where the constants of a network are, and by which names."""
    return {at: constant.name for at, constant in view.constants.items()}


def _match(
    numbers: dict[object, int], known: dict[object, KeptDraws], *, are_in_place: bool
) -> Iterator[tuple[int, KeptDraws]]:
    """Constants of one content, by place, and draws of those before; each once.

    One that stays must not take the draws of another that was equal and has changed:
    they would tell that the two were. In another network than before, as many as there
    were are the same ones, in their order; of more or fewer nobody knows which.
    """
    if are_in_place:
        yield from ((numbers[at], known[at]) for at in numbers.keys() & known.keys())
    elif len(numbers) == len(known):
        yield from zip(numbers.values(), known.values(), strict=True)


def _keep(
    records: tuple[TensorLock, ...], kept_by: dict[int, KeptDraws]
) -> tuple[TensorLock, ...]:
    out: list[TensorLock] = []
    for number, record in enumerate(records):
        if record.is_implied:  # It draws behind its data, which stands before it.
            out.append(implied_scales(out[-1]))
        else:
            out.append(dataclasses.replace(record, kept=kept_by.get(number)))
    return tuple(out)


def _find_keys(
    records: tuple[TensorLock, ...], view: ModelView, model: bytes | bytearray
) -> Iterator[tuple[int, object, object]]:
    """Number of each record that draws alone or with the scales it implies; all that
    its draws and public bytes depend on; and where it is.
    """
    data = {at: constant.data for at, constant in view.constants.items()}
    scales = {at: constant.scales for at, constant in view.constants.items()}
    scales |= {(one.subgraph, one.tensor): one.span for one in view.repeated_scales}
    names = _places(view)
    for number, record in enumerate(records):
        at = record.subgraph, record.tensor
        span = scales.get(at) if record.target else data.get(at)
        if span is None or record.is_implied or record.steps & Step.SET:
            continue
        behind = records[number + 1 : number + 2]
        scales_too = bool(behind and behind[0].is_implied)
        yield (
            number,
            (
                record.target,
                record.element_type,
                record.shape,
                record.steps,
                record.exponent_range,
                record.window,
                scales_too,
                _digest(model, span, scales[at] if scales_too else None),
            ),
            (*at, names.get(at)),
        )


def _digest(model: bytes | bytearray, *spans: tuple[int, int] | None) -> bytes:
    digest = hashlib.sha256()
    for offset, size in filter(None, spans):
        digest.update(memoryview(model)[offset : offset + size])
    return digest.digest()
