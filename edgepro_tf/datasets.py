"""The small data sets of examples, tests and result tables."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from edgepro_tf.errors import DatasetError
from edgepro_tf.files import check_path
from edgepro_tf.inputs import ONLY, join_inputs, split_inputs

_FASHION_FOLDERS = ("/usr/share/datasets/fashion-mnist",)
_FASHION_VARIABLE = "EDGEPRO_FASHION_MNIST"
_UNREADABLE = (EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)
_MOST_CLASSES = 1_000_000
_MOST_NAMED = 10
_DIGITS_TRAIN = 1437  # four fifths; the set's files are in no particular order


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples.

    Args:
        x_train: float32 [samples, ...], or what ``join_inputs`` makes of several
            inputs; x_test the same.
        y_train: int32 [samples], 0 .. classes-1, or [samples, ...] where a model
            answers at several places (pixels, steps); or float32 [samples, ...],
            numbers; y_test the same.
        name: as ``load_dataset`` takes it.
        classes: number of classes; 0 where labels can only be numbers.
        scaled: names of the inputs that were bytes, 0 to 255; ``ONLY`` of a lone one.
    """

    x_train: np.ndarray = dataclasses.field(repr=False)
    y_train: np.ndarray = dataclasses.field(repr=False)
    x_test: np.ndarray = dataclasses.field(repr=False)
    y_test: np.ndarray = dataclasses.field(repr=False)
    name: str
    classes: int
    scaled: frozenset[str] = frozenset()

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.x_train.shape[1:])

    @property
    def inputs(self) -> tuple[str, ...]:
        """Their names; ``ONLY`` of a lone one."""
        return tuple(split_inputs(self.x_train))

    @property
    def answers(self) -> str:
        """What its labels are, in words."""
        if self.classes:
            return f"{self.classes} classes"
        return f"numbers of shape {tuple(self.y_train.shape[1:])}"

    @functools.cached_property
    def digest(self) -> str:
        """Sixteen hex digits of all samples and labels: names say nothing of them."""
        found = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            found.update(str((array.shape, array.dtype)).encode())
            found.update(np.ascontiguousarray(array))
        return found.hexdigest()[:16]

    def find_mismatch(self, wanted: Collection[str]) -> str:
        """What is wrong with its inputs for a model's; empty where each has its own.

        Args:
            wanted: the model's names. A lone input may have any.
        """
        are_lone = len(wanted) == len(self.inputs) == 1
        if are_lone or set(wanted) == set(self.inputs):
            return ""
        given = ", ".join(self.inputs) if len(self.inputs) > 1 else "one input"
        return f"expected samples of {', '.join(wanted)}, got {given} in {self.name}"

    def fit_inputs(self, wanted: Mapping[str, tuple[int, bool]]) -> Dataset:
        """The same samples as a model's inputs take them.

        Args:
            wanted: by name, in the model's order: the input's rank, the batch included
                (arrays [samples, a, b] were taken for images and given a channel axis,
                which goes where it does not fit), and whether samples that were bytes
                shall be 0 to 255 again. A lone input may have any name.
        """
        names = dict(zip(wanted, self.inputs, strict=True))
        if len(names) > 1:
            names = {name: name for name in wanted}
        parts = []
        for x in (self.x_train, self.x_test):
            given = split_inputs(x)
            fitted = {}
            for name, (rank, takes_bytes) in wanted.items():
                array = given[names[name]]
                if array.ndim == rank + 1 and array.shape[-1] == 1:
                    array = array[..., 0]
                if takes_bytes and names[name] in self.scaled:
                    array = np.rint(array * 255)
                fitted[name] = array
            parts.append(join_inputs(fitted))
        given_back = {
            names[name] for name, (_, takes_bytes) in wanted.items() if takes_bytes
        }
        return dataclasses.replace(
            self,
            x_train=parts[0],
            x_test=parts[1],
            scaled=self.scaled - given_back,
        )

    def __str__(self) -> str:
        shapes = [str(x.shape[1:]) for x in split_inputs(self.x_train).values()]
        return (
            f"{self.name}: {len(self.x_train)} training and {len(self.x_test)} test "
            f"samples of shape {' and '.join(shapes)}, {self.answers}"
        )


def load_dataset(name: str) -> Dataset:
    """Load a data set by name, always with the same split.

    Args:
        name: ``digits`` (scikit-learn's 8 x 8 images, scaled to 0..1);
            ``fashion-mnist`` (28 x 28, scaled to 0..1; from the folder in
            $EDGEPRO_FASHION_MNIST, Debian's package dataset-fashion-mnist, or Keras'
            downloader, in that order); or ``npz:PATH``, a file with x_train, y_train,
            x_test and y_test (bytes are scaled to 0..1, floats taken as they are). Of
            several inputs, x_train_NAME and x_test_NAME for each; labels are [samples],
            or [samples, ...] where the model answers at several places. Labels that are
            no class numbers are numbers, in the shape of the model's answers.

    Returns:
        The data set; images have a channel axis.

    Raises:
        DatasetError: the name is unknown, or the file is missing or of another form.
    """
    if name == "digits":
        return _load_digits()
    if name == "fashion-mnist":
        return _load_fashion()
    if name.startswith("npz:"):
        return _load_npz(name)
    raise DatasetError(
        f"cannot load data set {name!r}: expected digits, fashion-mnist or npz:PATH, "
        "got another name.",
        f"A file is npz:{name}." if name.endswith(".npz") else "",
    )


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits  # Only this set needs scikit-learn.

    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    mixed = np.random.RandomState(0).permutation(len(x))
    x, y = x[mixed], y[mixed]
    n = _DIGITS_TRAIN
    return _dataset("digits", *_lone(x[:n], y[:n], x[n:], y[n:]))


def _load_fashion() -> Dataset:
    folder = _fashion_folder()
    if folder is None:
        import keras

        train, test = keras.datasets.fashion_mnist.load_data()
        return _dataset("fashion-mnist", *_lone(*train, *test))
    parts = [
        _read_idx(folder / f"{part}-{kind}-ubyte.gz")
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    return _dataset("fashion-mnist", *_lone(*parts))


def _fashion_folder() -> pathlib.Path | None:
    asked = os.environ.get(_FASHION_VARIABLE)
    for folder in (asked,) if asked else _FASHION_FOLDERS:
        if pathlib.Path(folder).is_dir():
            return pathlib.Path(folder)
    if asked:
        raise DatasetError(
            f"cannot load data set 'fashion-mnist': expected ${_FASHION_VARIABLE} to "
            f"name a folder, got {asked!r}."
        )
    return None


def _read_idx(path: pathlib.Path) -> np.ndarray:
    """Read a gzipped IDX file of bytes.

    Source: Y. LeCun, The MNIST database of handwritten digits, "File formats".
    """
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"cannot load {path}: expected a gzipped IDX file, got {error}."
        ) from error
    rank = data[3] if len(data) > 3 else 0
    shape = tuple(np.frombuffer(data, ">u4", rank, 4)) if len(data) > 4 * rank else ()
    size = int(np.prod(shape)) if shape else -1
    if data[:3] != b"\x00\x00\x08" or len(data) != 4 + 4 * rank + size:
        raise DatasetError(f"cannot load {path}: expected an IDX file of bytes.")
    return np.frombuffer(data, np.uint8, size, 4 + 4 * rank).reshape(shape)


def _load_npz(name: str) -> Dataset:
    path = name.removeprefix("npz:")
    try:
        with np.load(path, allow_pickle=False) as stored:
            named = [k for k in stored if k.startswith("x_train_") and k != "x_train_"]
            keys = ["x_train"] if "x_train" in stored or not named else named
            several = {key.removeprefix("x_train_"): key for key in keys}
            of = several if len(several) > 1 else {ONLY: keys[0]}
            wanted = [
                {end: key.replace("train", part, 1) for end, key in of.items()}
                for part in ("train", "test")
            ]
            all_keys = [*wanted[0].values(), *wanted[1].values(), "y_train", "y_test"]
            if missing := [key for key in all_keys if key not in stored]:
                held = ", ".join(list(stored)[:_MOST_NAMED]) or "nothing"
                raise _no_npz(name, f"no {', '.join(missing)} but {held}")
            parts = [{end: stored[k] for end, k in part.items()} for part in wanted]
            labels = [np.atleast_1d(stored[key]) for key in ("y_train", "y_test")]
    except DatasetError:
        raise
    except (TypeError, AttributeError) as error:  # A lone array is no `with`.
        raise _no_npz(name, "an array without a name (.npy)") from error
    except OSError as error:
        reason = error.strerror or "the system refused"
        raise DatasetError(
            f"cannot load data set {name!r}: {reason}.", check_path(path)
        ) from error
    except _UNREADABLE as error:
        raise _no_npz(name, f"{type(error).__name__}: {error}") from error
    parts = [{k: np.atleast_1d(x) for k, x in part.items()} for part in parts]
    return _dataset(name, parts[0], labels[0], parts[1], labels[1])


def _no_npz(name: str, got: str) -> DatasetError:
    return DatasetError(
        f"cannot load data set {name!r}: expected an npz file with x_train, y_train, "
        f"x_test and y_test, got {got}.",
        "Write it with numpy.savez(path, x_train=..., y_train=..., ...).",
    )


def _lone(
    x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> tuple[Any, ...]:
    return {ONLY: x_train}, y_train, {ONLY: x_test}, y_test


def _dataset(
    name: str,
    x_train: dict[str, np.ndarray],
    y_train: np.ndarray,
    x_test: dict[str, np.ndarray],
    y_test: np.ndarray,
) -> Dataset:
    for end in x_train:
        _check_counts(name, x_train[end], y_train, x_test[end], y_test)
        _check_kinds(name, end, x_train[end], x_test[end])
    labels = [_fit_labels(y) for y in (y_train, y_test)]
    classes = _count_classes(name, *labels)
    dtype = np.int32 if classes else np.float32
    return Dataset(
        join_inputs({end: _samples(x) for end, x in x_train.items()}),
        labels[0].astype(dtype),
        join_inputs({end: _samples(x) for end, x in x_test.items()}),
        labels[1].astype(dtype),
        name,
        classes,
        frozenset(end for end, x in x_test.items() if x.dtype == np.uint8),
    )


def _check_counts(
    name: str,
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
) -> None:
    is_one_hot = _is_one_hot(y_train) and x_train.shape[1:2] != y_train.shape[1:2]
    differ = len(x_train) != len(y_train) or len(x_test) != len(y_test)
    if differ or is_one_hot:
        raise DatasetError(
            f"cannot load data set {name!r}: expected a label for each sample, got "
            f"{len(x_train)} and {y_train.size}, {len(x_test)} and {y_test.size}.",
            "Store class numbers: y.argmax(-1)." if is_one_hot else "",
        )


def _is_one_hot(y: np.ndarray) -> bool:
    if y.ndim < 2 or y.shape[-1] < 2 or y.dtype.kind not in "biuf":
        return False
    return bool(np.all((y == 0) | (y == 1)) and np.all(y.sum(-1) == 1))


def _fit_labels(y: np.ndarray) -> np.ndarray:
    """[samples, ...]: a mask's one channel goes."""
    return y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 else y


def _check_kinds(name: str, end: str, x_train: np.ndarray, x_test: np.ndarray) -> None:
    task = f"cannot load data set {name!r}"
    if not len(x_train) or not len(x_test):
        raise DatasetError(f"{task}: expected samples to train and to test, got none.")
    kinds = {x_train.dtype.kind, x_test.dtype.kind}
    are_bytes = {x_train.dtype == np.uint8, x_test.dtype == np.uint8}
    is_alike = x_train.shape[1:] == x_test.shape[1:] and len(are_bytes) == 1
    if not kinds <= set("biuf") or not is_alike:
        keys = [f"{key}_{end}" if end else key for key in ("x_train", "x_test")]
        raise DatasetError(
            f"{task}: expected {' and '.join(keys)} of numbers, in samples of one "
            f"shape and type, got {x_train.dtype} {list(x_train.shape[1:])} and "
            f"{x_test.dtype} {list(x_test.shape[1:])}."
        )
    for part, x in (("train", x_train), ("test", x_test)):
        with np.errstate(over="ignore"):  # Models take float32.
            are_finite = np.isfinite(x.astype(np.float32)).reshape(len(x), -1).all(1)
        if not are_finite.all():
            key = f"x_{part}_{end}" if end else f"x_{part}"
            raise DatasetError(
                f"{task}: expected finite numbers, got NaN or infinity (in float32) in "
                f"{np.sum(~are_finite):,} of the {len(x):,} samples of {key}, first in "
                f"number {np.argmin(are_finite)}.",
                "Leave these samples out, or fill them as in training.",
            )


def _count_classes(name: str, y_train: np.ndarray, y_test: np.ndarray) -> int:
    """How many classes labels name; 0 where they are numbers."""
    task = f"cannot load data set {name!r}"
    if y_train.shape[1:] != y_test.shape[1:]:
        raise DatasetError(
            f"{task}: expected y_train and y_test of one shape, got "
            f"{list(y_train.shape)} and {list(y_test.shape)}."
        )
    labels = np.append(y_train, y_test)
    if not y_train.size or not y_test.size:
        raise DatasetError(f"{task}: expected labels, got none.")
    is_number = labels.dtype.kind in "biuf"
    if not is_number:
        raise DatasetError(
            f"{task}: expected labels that are class numbers, or numbers, got "
            f"{labels.dtype}.",
            "Store np.unique(y, return_inverse=True)[1].",
        )
    if not np.all(are_finite := abs(labels) <= np.finfo(np.float32).max):
        raise DatasetError(
            f"{task}: expected finite labels, got NaN or infinity (in float32) in "
            f"{np.sum(~are_finite):,} of {labels.size:,}.",
            "Leave these samples out.",
        )
    if labels.min() == labels.max():
        raise DatasetError(
            f"{task}: expected at least two classes, got nothing but {labels[0]:g}."
        )
    if not np.any(labels % 1) and 0 <= labels.min() <= labels.max() < _MOST_CLASSES:
        return int(labels.max()) + 1
    if len(np.unique(labels)) == 2:
        raise DatasetError(
            f"{task}: expected two classes to be 0 and 1, got {labels.min():g} and "
            f"{labels.max():g}.",
            "Store (y == y.max()).astype(int).",
        )
    return 0


def _samples(x: np.ndarray) -> np.ndarray:
    scale = 255 if x.dtype == np.uint8 else 1
    x = x.astype(np.float32) / np.float32(scale)
    return x[..., None] if x.ndim == 3 else x
