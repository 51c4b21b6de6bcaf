"""Keras model -> flatbuffer, by the stock converter. The only file that calls it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import re
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from converters.precision import computes_in_float32
from edgepro_tf.errors import ConversionError

RepresentativeDataset = Callable[[], Iterable[list[Any] | dict[str, Any]]]

_SCOPE = re.compile(r"[A-Za-z0-9_.\\/>-]+")
QUANTIZED = ("int8", "int16x8")  # Activations, too, by ranges of real inputs.
FORMATS = ("float32", "float16", "dynamic", *QUANTIZED)
# How systems say so (ENOSPC, EDQUOT, EFBIG).
_NO_ROOM = re.compile("No space left|Disk quota exceeded|File too large")
# As good as zero. A batch normalisation may multiply it, by a hundredth or by a hundred
# thousand.
_NO_BIAS = 2.0**-118
# What an export changes and sets back is the process's: loggers, filters, layers.
_ONE_AT_A_TIME = threading.RLock()


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """The stock converter's options.

    Args:
        number_format: one of ``FORMATS``.
        representative_dataset: yields inputs as the stock converter takes them;
            needed by int8 and int16x8.
        inference_type: ``float32``, ``int8`` or ``uint8``: type of the model's inputs
            and outputs (int8 format only).
    """

    number_format: str = "float32"
    representative_dataset: RepresentativeDataset | None = None
    inference_type: str = "float32"

    def __post_init__(self) -> None:
        if self.number_format not in FORMATS:
            raise ConversionError(
                f"cannot convert: expected a number format of {', '.join(FORMATS)}, "
                f"got {self.number_format!r}."
            )
        dataset = self.representative_dataset
        if dataset is not None and not callable(dataset):
            raise ConversionError(
                "cannot convert: expected representative_dataset as a function that "
                f"yields samples, got {type(dataset).__name__}.",
                "Pass the function itself, not what it returns; arrays go into "
                "samples.",
            )
        if self.needs_samples and dataset is None:
            raise ConversionError(
                f"cannot convert to {self.number_format}: expected real inputs to find "
                "the ranges of numbers with, got none.",
                "Pass samples, a hundred or so, or a representative_dataset.",
            )
        types = ("float32", "int8", "uint8")
        if self.inference_type not in types:
            raise ConversionError(
                f"cannot convert: expected an inference type of {', '.join(types)}, "
                f"got {self.inference_type!r}."
            )
        if self.inference_type != "float32" and not self.needs_samples:
            raise ConversionError(
                f"cannot convert: expected float32 inputs and outputs with number "
                f"format {self.number_format}, got {self.inference_type}.",
                "Take the number format int8.",
            )

    @property
    def needs_samples(self) -> bool:
        return self.number_format in QUANTIZED


def export_keras(model: keras.Model, options: ExportOptions) -> bytes:
    """Convert a plain Keras model with ``tf.lite.TFLiteConverter``.

    Args:
        model: without locks (``fold_lock`` or ``strip_lock`` first).
        options: number format and its data.

    Returns:
        The flatbuffer; equal models of equal structure give equal operator sequences.

    Raises:
        ConversionError: the stock converter refused the model, or would not survive it.
    """
    _check_names(model)
    with _ONE_AT_A_TIME, _quiet(), _unrolled(model, options):
        try:
            converter = tf.lite.TFLiteConverter.from_keras_model(_flatten(model))
            _configure(converter, options)
            return bytes(converter.convert())
        except ConversionError:  # Of samples that are no numbers.
            raise
        except (
            ValueError,
            RuntimeError,
            TypeError,
            tf.errors.OpError,
            ConverterError,
        ) as error:
            raise _refused(model, error) from error


def _flatten(model: keras.Model) -> keras.Model:
    """The same network over a flat list of inputs: the stock converter takes no dict.

    Inputs are known by their names, as in samples. Outputs keep their structure, a list
    or a dict; of one in another the names are joined ({"a": [x, y]}: a_0 and a_1).
    """
    inputs = getattr(model, "_inputs_struct", None)  # A functional model's alone.
    outputs = getattr(model, "_outputs_struct", None)
    is_list = not isinstance(inputs, dict) and _is_flat(inputs)
    if is_list and _is_flat(outputs):
        return model
    if not _is_flat(outputs):
        named = {
            "_".join(map(str, path)): output
            for path, output in keras.tree.flatten_with_path(outputs)
        }
        # Where two come to one name, or a list's would begin with a digit, none.
        is_named = len(named) == len(model.outputs) and isinstance(outputs, dict)
        outputs = named if is_named else model.outputs
    return keras.Model(model.inputs, outputs, name=model.name)


def _is_flat(structure: Any) -> bool:
    parts = structure.values() if isinstance(structure, dict) else structure
    return not keras.tree.is_nested(structure) or not any(
        map(keras.tree.is_nested, parts)
    )


def _check_names(model: keras.Model) -> None:
    """Refuse what TensorFlow takes for no scope: Keras opens it and never closes it."""
    for layer in model._flatten_layers():
        if not _SCOPE.fullmatch(layer.name):
            raise ConversionError(
                f"cannot convert model {model.name!r}: expected names of ASCII "
                "letters, digits, underscores, dots and dashes, got "
                f"{layer.name!r}.",
                "Rename it where it is made (name=...).",
            )


@contextlib.contextmanager
def _unrolled(model: keras.Model, options: ExportOptions) -> Iterator[None]:
    """Trace recurrent layers step by step where the stock converter takes no loop.

    It refuses a loop over batches of any size; its quantiser ends the process.
    """
    inputs = getattr(model, "inputs", None) or [None]
    is_free = any(each is None or each.shape[0] is None for each in inputs)
    loops = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.RNN) and not layer.unroll
        if is_free or options.needs_samples
    ]
    with contextlib.ExitStack() as stack:
        for layer in loops:
            layer.unroll = True
            stack.callback(setattr, layer, "unroll", False)
            if layer.go_backwards and layer.zero_output_for_mask:
                layer.inner_loop = _run_forwards(layer)
                stack.callback(delattr, layer, "inner_loop")
        yield


def _run_forwards(layer: keras.layers.RNN) -> Callable[..., Any]:
    """The loop of a layer that goes backwards, forwards over what is turned around.

    Keras 3.15 goes backwards over the mask as well, but unrolled it sets the outputs of
    masked steps to zero in the mask's own order: another answer than the loop's.
    """
    inner_loop = layer.inner_loop

    def run(sequences: Any, initial_state: Any, mask: Any, training: Any) -> Any:
        if mask is not None:
            sequences, mask = keras.tree.map_structure(
                lambda each: keras.ops.flip(each, axis=1), (sequences, mask)
            )
            layer.go_backwards = False
        try:
            return inner_loop(sequences, initial_state, mask, training)
        finally:
            layer.go_backwards = True

    return run


def keep_additions(authorized: keras.Model, released: keras.Model) -> None:
    """Have both networks of a lock convert to the same operators.

    The stock converter leaves out an addition of zeros: of biases that the layer did
    not have or that no training step has moved, where only the lock puts something in
    their place. They become as good as zero, and zeros again by
    ``converters.split.clear_placeholders``. It does add negative zeros, which a scale
    factor makes of zeros.

    Args:
        authorized, released: two networks of one structure; their weights may change.
    """
    for one, other in zip(authorized.weights, released.weights, strict=True):
        if one.path.rpartition("/")[2] not in ("bias", "beta"):
            continue
        is_zero = [not np.any(weight) for weight in (one, other)]
        value = 0 if all(is_zero) else _NO_BIAS
        for weight in itertools.compress((one, other), is_zero):
            weight.assign(np.full(weight.shape, value, weight.dtype))


def _refused(model: keras.Model, error: Exception) -> ConversionError:
    """The converter's own words, without the place in its graph."""
    if "'NoneType' object is not callable" in str(error):
        # TensorFlow says so of all that it could not trace, and forgets why.
        error = _tracing_error(model) or error
    first = _first_sentence(error)
    reason = first.rpartition("): ")[2] if "loc(" in first else first
    hint = ""
    if "Cannot unroll" in reason or "TensorList" in reason:
        hint = (
            "A recurrent layer is converted step by step and needs inputs of a fixed "
            "length, or, for a loop in float32, float16 or dynamic, a fixed batch: "
            "keras.Input(shape, batch_size=1)."
        )
    elif "'NoneType' object is not callable" in reason or "structure of" in reason:
        hint = (
            "It takes inputs as a list, not as a dict or nested, under names of ASCII "
            "letters, digits and underscores: wrap or rename them."
        )
    elif "input shapes have not been set" in reason:
        reason = "Keras knows no shapes of its inputs"
        hint = (
            "Wrap it: keras.Model(inputs, model(inputs)), inputs = keras.Input(shape)."
        )
    elif _NO_ROOM.search(str(error)):
        reason = (
            f"{tempfile.gettempdir()}, where it writes the model on its way, has no "
            "room for it"
        )
        hint = "Make room there, or name another folder in TMPDIR."
    elif "symbolic `tf.Tensor` as a Python `bool`" in reason:
        reason = "a layer asks for what only a run knows, an open size or a value"
        hint = "Give inputs fixed sizes: keras.Input(shape)."
    elif "16x8" in reason or "recorded during calibration" in reason:
        hint = "int16x8 has few operators: take int8, or dynamic."
    elif any(getattr(one, "quantization_mode", 0) for one in model._flatten_layers()):
        hint = "Convert it as it was before quantize(); number_format=... quantises."
    elif not computes_in_float32(model):
        hint = "TFLite computes in float32: copy the weights to a model that does."
    elif "neither a custom op nor a flex op" in reason:
        hint = "TFLite lacks it: leave that step to the app, before or after the model."
    return ConversionError(
        f"cannot convert model {model.name!r}: the TFLite converter refused it: "
        f"{reason.rstrip('. ')}.",
        hint,
    )


def _tracing_error(model: keras.Model) -> Exception | None:
    """What Keras itself says when it exports the model; None where it can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            model.export(folder, verbose=False)
        except Exception as error:  # Whatever the model's own code raises.
            return error
    return None


def _first_sentence(error: Exception) -> str:
    """Of an error's text, or of what Keras sets in bold in the midst of it, or of what
    follows the lines of code that AutoGraph begins with.
    """
    text = str(error) or repr(error)
    bold = re.search(r"\x1b\[1m(.+?)\x1b\[0m", text, re.DOTALL)
    traced = re.match(r"in user code:\n.*?^    (\w+: .+?)$", text, re.DOTALL | re.M)
    found = bold or traced
    return (found.group(1) if found else text).strip().splitlines()[0]


def _configure(converter: tf.lite.TFLiteConverter, options: ExportOptions) -> None:
    if options.number_format == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.number_format == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if not options.needs_samples:
        return
    converter.representative_dataset = _finite(options.representative_dataset)
    operators = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    if options.number_format == "int16x8":
        sets = tf.lite.OpsSet
        operators = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [operators]
    io_type = tf.dtypes.as_dtype(options.inference_type)
    converter.inference_input_type = io_type
    converter.inference_output_type = io_type


def _finite(dataset: RepresentativeDataset | None) -> RepresentativeDataset | None:
    """The same samples; the stock quantiser ends the process where one is no number."""
    if dataset is None:
        return None

    def generate() -> Iterator[Any]:
        for number, sample in enumerate(dataset()):
            arrays = sample.values() if isinstance(sample, dict) else sample
            if not all(np.all(np.isfinite(array)) for array in arrays):
                raise ConversionError(
                    "cannot find the ranges of numbers: expected finite samples, got "
                    f"one (number {number}) that is not."
                )
            yield sample

    return generate


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the export's progress chatter from the user; errors still raise.

    Nor is anything kept from him that others say meanwhile, in their threads.
    """
    level = logging.getLogger("tensorflow").level
    is_chatty = keras.config.is_interactive_logging_enabled()  # Each thread's own.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    keras.config.disable_interactive_logging()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(absl|keras|tensorflow)\b")
        try:
            yield
        finally:
            logging.getLogger("tensorflow").setLevel(level)
            if is_chatty:
                keras.config.enable_interactive_logging()
