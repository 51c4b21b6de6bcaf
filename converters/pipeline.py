"""The two doors: a Keras model, or an existing ``.tflite``, to a protected pair.

Both read as the same stages: export, split, plan, apply, verify.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.chance import MOST_DRAWS, Likeness, draw_by_chance, warn_of_answers
from converters.leftovers import warn_of_leftovers
from converters.packing import warn_of_packing
from converters.ranges import level_ranges
from converters.recipe import DEFAULT_PRESET, Recipe, find_recipe, plan_lock
from converters.samples import (
    COUNT,
    ELSEWHERE,
    MOST_ROWS,
    Sample,
    calibrate_with,
    count_inputs,
    make_samples,
    name_arrays,
    take_samples,
    vary_noise,
)
from converters.split import Split, clear_placeholders, split_models, unsplit
from converters.updates import Release, check_release, keep_draws
from converters.verify import (
    Run,
    run_authorized,
    verify_interpreter,
    verify_restored,
)
from converters.verify_keras import verify_keras
from edgepro_tf import native
from edgepro_tf.errors import ConversionError
from edgepro_tf.files import check_regular, name_of
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.locks import ModelLock, Step, Target, TensorLock
from edgepro_tf.payload import pack_lock

if TYPE_CHECKING:
    import keras

    from converters.keras_export import ExportOptions, RepresentativeDataset

MAX_BYTES = 2**31 - 1  # what the offsets of a flatbuffer reach
_MOST_DRAWS = 32


@dataclasses.dataclass(frozen=True, eq=False)
class ProtectedModel:
    """A public model and its lock, verified.

    Args:
        public: the ``.tflite`` that ships.
        payload: the lock, for ``seal_sidecar``; a secret.
        authorized: the unprotected ``.tflite``, what restoring gives; a secret.
        recipe: name of the recipe.
        lock: the lock as an object; its repr shows no secret.
        conversion_s: seconds spent in the stock converter.
        locking_s: seconds spent in splitting, locking and verifying.
        constant_bytes: bytes of all constants of the model, locked or not.
        agreement: of the public file's answers with the model's, of several outputs the
            worst; None without a hundred real inputs, or where answers differ in shape.
        keras_difference: largest |TFLite - Keras| over the samples, relative to the
            largest |Keras| output; None without a Keras model.
    """

    public: bytes = dataclasses.field(repr=False)
    payload: bytes = dataclasses.field(repr=False)
    authorized: bytes = dataclasses.field(repr=False)
    recipe: str
    lock: ModelLock
    conversion_s: float
    locking_s: float
    constant_bytes: int = 0
    agreement: Likeness | None = None
    keras_difference: float | None = None

    @property
    def tensors_protected(self) -> int:
        return len(self.lock.tensors)

    @property
    def bytes_rewritten(self) -> int:
        """Bytes that restoring writes when the model is loaded."""
        return self.lock.bytes_rewritten

    @property
    def bytes_left(self) -> int:
        """Bytes of constants that ship as they are."""
        return self.constant_bytes - sum(
            tensor.size_bytes
            for tensor in self.lock.tensors
            if tensor.target is Target.DATA
        )

    @property
    def bytes_kept(self) -> int:
        """Bytes of locked constants that are as in the version before."""
        return sum(tensor.size_bytes for tensor in self.lock.tensors if tensor.kept)

    def __str__(self) -> str:
        share = self.bytes_rewritten / len(self.public)
        left = f"; {self.bytes_left:,} bytes of constants are left as they are"
        kept = f"; {self.bytes_kept:,} of these as in the version before"
        is_little = self.bytes_left <= 0.01 * self.constant_bytes
        return (
            f"recipe {self.recipe}: {self.tensors_protected} tensors protected, "
            f"{self.bytes_rewritten:,} of {len(self.public):,} bytes rewritten on load "
            f"({share:.0%}){kept if self.bytes_kept else ''}{'' if is_little else left}"
            "; restored equals authorized, bit for bit"
            f"{f'; {self.agreement}' if self.agreement else ''}"
        )


def convert_keras(
    model: keras.Model,
    *,
    recipe: str | Recipe = DEFAULT_PRESET,
    number_format: str = "float32",
    representative_dataset: RepresentativeDataset | None = None,
    inference_type: str = "float32",
    samples: Any = None,
    restore_budget: float | None = None,
    update_of: Release | None = None,
) -> ProtectedModel:
    """Convert a Keras model, lock-trained or ordinary, to a protected pair.

    The user's model is not changed. Recurrent layers are unrolled where the stock
    converter takes no loop (a batch of any size; int8 and int16x8). Everything is
    verified before it is returned: the pair restores to the authorized flatbuffer bit
    for bit, a real interpreter gives the same outputs for it, and Keras agrees with
    both.

    Args:
        model: a ``LockedModel`` or any functional or Sequential model.
        recipe: a preset's name, or a ``Recipe``.
        number_format: ``float32``, ``float16``, ``dynamic``, ``int8``, ``int16x8``.
        representative_dataset: as for the stock converter, which finds the ranges of
            int8 and int16x8 with it; None for the first 200 samples.
        inference_type: type of inputs and outputs, int8 format only.
        samples: real inputs to verify with: an array [count, ...], a list or dict of
            arrays for several inputs, or a ``tf.data.Dataset`` as for ``fit``. None
            for the representative dataset's, or normal noise. With a hundred or more
            (up to a thousand are used) the public file is also seen to answer by
            chance.
        restore_budget: share of the model's bytes that restoring may rewrite, 0 to 1;
            the lock then takes what gives most for the fewest bytes.
        update_of: the version that shipped before, from ``read_pair``. Constants that
            have not changed since keep their public bytes, so that an update is small.
            Leave it out where that version's lock has got out, or where those who get
            the new one must not open the old file: its seed is among the new lock's.

    Raises:
        ConversionError: the model cannot be converted or locked, or ``update_of`` is
            no opened pair.
        WrongModelError: ``update_of`` does not belong together.
        VerificationError: the pair does not do what it should; nothing is returned.

    Cost: the stock conversion (twice for a locked model), plus a pass over the file.
    """
    from converters import keras_export
    from edgepro_tf import locking

    if isinstance(model, type) or not hasattr(model, "layers"):
        raise ConversionError(
            f"cannot convert: expected a Keras model, got {type(model).__name__}.",
            "Load it with keras.models.load_model; lock a .tflite with lock_tflite.",
        )
    chosen = find_recipe(recipe, restore_budget=restore_budget)  # Refused now.
    check_release(update_of)
    tensors = getattr(locking.network_of(model), "inputs", None)
    if samples is not None:
        if tensors:  # A subclassed model has none.
            samples = name_arrays(samples, {each.name: each.shape for each in tensors})
        if number_format in keras_export.QUANTIZED and representative_dataset is None:
            representative_dataset = calibrate_with(samples, tensors or ())
    started = time.perf_counter()
    plain, authorized, released = _export(
        model,
        keras_export.ExportOptions(
            number_format, representative_dataset, inference_type
        ),
    )
    converted = time.perf_counter()
    if samples is None and representative_dataset is not None:
        samples = take_samples(representative_dataset())
    protected, run = _protect(authorized, released, chosen, samples, update_of)
    difference = None
    if inference_type == "float32":
        difference = verify_keras(plain, run.samples, run.answers, number_format)
    return dataclasses.replace(
        protected, conversion_s=converted - started, keras_difference=difference
    )


def _export(
    model: keras.Model, options: ExportOptions
) -> tuple[keras.Model, bytes, bytes]:
    """A network with its lock folded in, its file, and that of the released network.

    The last is empty where the model was not lock-trained.
    """
    from converters import keras_export
    from converters.precision import in_float32
    from edgepro_tf import locking

    def export(network: keras.Model) -> bytes:
        content = keras_export.export_keras(network, options)
        # The others' files have no ranges: to look for them takes a pass over each.
        is_ranged = options.number_format == "int16x8"
        return level_ranges(content) if is_ranged else content

    if not locking.is_locked(model):
        plain = in_float32(model)
        return plain, export(plain), b""
    plain = in_float32(locking.fold_lock(model))
    released = in_float32(locking.strip_lock(model))
    keras_export.keep_additions(plain, released)
    return (
        plain,
        clear_placeholders(export(plain)),
        clear_placeholders(export(released)),
    )


def lock_tflite(
    model: str | Path | bytes,
    *,
    recipe: str | Recipe = DEFAULT_PRESET,
    samples: Any = None,
    restore_budget: float | None = None,
    update_of: Release | None = None,
    runs: bool = True,
) -> ProtectedModel:
    """Lock an existing ``.tflite``; no Keras, no training, no data.

    Args:
        model: path or content.
        recipe: a preset's name, or a ``Recipe``.
        samples: as for ``convert_keras``; None for noise.
        restore_budget, update_of: as for ``convert_keras``.
        runs: whether the pair is run to be verified. False for a model that no runtime
            here runs, with custom operators, say: its bytes alone are verified.

    Raises:
        ConversionError: it is no TFLite model, too large, or nothing in it can be
            locked; or ``update_of`` is no opened pair.
        WrongModelError: ``update_of`` does not belong together.
        VerificationError: the pair does not restore to the same bytes.
    """
    content = read_content(model)
    chosen = find_recipe(recipe, restore_budget=restore_budget)
    check_release(update_of)
    if samples is not None and not runs:
        raise ConversionError(
            "cannot lock model: expected no samples for a model that is not run.",
            "Leave samples out, or let it run.",
        )
    return _protect(content, b"", chosen, samples, update_of, runs=runs)[0]


def _protect(
    authorized: bytes,
    released: bytes,
    recipe: Recipe,
    samples: Any,
    update_of: Release | None,
    *,
    runs: bool = True,
) -> tuple[ProtectedModel, Run]:
    started = time.perf_counter()
    view = read_model(authorized)
    split = unsplit(authorized)
    if released:
        split = split_models(authorized, released, view, read_model(released))
        _check_complete(split, recipe)
    records = plan_lock(recipe, view, split.model, split.stored, split.stored_scales)
    if update_of is not None:
        records = keep_draws(records, view, split.model, update_of)
    rows, run = list[Sample](), Run({}, [], [])
    if runs:
        if view.is_for_micro:
            raise ConversionError(
                "cannot verify pair: expected a model that TFLite runs, got one for "
                "TFLite Micro, whose SVDF keeps its state in int8.",
                ELSEWHERE,
            )
        rows = make_samples(authorized, samples, most=MOST_ROWS)
        others = vary_noise(rows[:COUNT]) if samples is None else []
        run = run_authorized(authorized, [rows[:COUNT], *others])
    is_drawn = any(one.steps & ~Step.SET and not one.kept for one in records)
    public, lock, agreement = draw_by_chance(
        lambda: _draw(records, split.model, authorized),
        authorized,
        [] if samples is None else rows,
        options=run.options,
        most_draws=MOST_DRAWS if is_drawn else 1,
    )
    payload = pack_lock(lock)
    verify_restored(public, payload, authorized)
    if runs:
        verify_interpreter(public, payload, authorized, run)
    protected = ProtectedModel(
        public,
        payload,
        authorized,
        recipe.name,
        lock,
        conversion_s=0.0,
        locking_s=time.perf_counter() - started,
        constant_bytes=view.constant_bytes,
        agreement=agreement,
    )
    warn_of_leftovers(protected, recipe, view)
    warn_of_packing(lock, view, authorized)
    if runs:
        batch = count_inputs(run.samples[:1], run.answers[0])
        given = 0 if samples is None else len(rows) * batch
        warn_of_answers(agreement, run.answers, given, batch)
    return protected, run


def read_content(model: str | Path | bytes) -> bytes:
    """A model's bytes.

    Raises:
        ConversionError: there is no such file, or it is too large.
    """
    if isinstance(model, (bytes, bytearray, memoryview)):
        _check_size("the model", len(model))
        return bytes(model)
    try:
        check_regular(Path(model))
        _check_size(name_of(model), Path(model).stat().st_size)
        return Path(model).read_bytes()
    except OSError as error:
        raise ConversionError(
            f"cannot read model {model}: {error.strerror or 'the system refused'}.",
            "Name the .tflite file that the converter wrote.",
        ) from error


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ConversionError(
            f"cannot lock {name}: expected a file of at most {MAX_BYTES:,} bytes, got "
            f"{size:,}.",
            "Lock the parts of the model that are smaller.",
        )


def _check_complete(split: Split, recipe: Recipe) -> None:
    """A recipe that draws nothing must take out all that training put in."""
    if split.differs_elsewhere and not (recipe.hidden and recipe.biases):
        raise ConversionError(
            f"cannot convert with recipe {recipe.name!r}: expected a lock of locking "
            "values alone, got one with scale factors, offsets or an order (or of a "
            "layer without an activation, whose bias the converter adds to the next "
            "one's), which this recipe would leave in the public file.",
            "Use the recipe 'standard'.",
        )


def _draw(
    records: tuple[TensorLock, ...], model: bytes, authorized: bytes
) -> tuple[bytes, ModelLock]:
    """A lock that moves something: of a single weight, half of all locks do not."""
    for _ in range(_MOST_DRAWS):
        public, lock = _apply(ModelLock.with_new_seed(records), model)
        if public != authorized:
            break
    return public, lock


def _apply(lock: ModelLock, model: bytes) -> tuple[bytes, ModelLock]:
    public = bytearray(model)
    fingerprints = native.apply_lock(public, pack_lock(lock))
    return bytes(public), lock.with_fingerprints(fingerprints)
