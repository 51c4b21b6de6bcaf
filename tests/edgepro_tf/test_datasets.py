"""Data sets: forms, scales and refusals."""

from __future__ import annotations

import dataclasses
import gzip
import pathlib

import numpy as np
import pytest

from edgepro_tf import datasets
from edgepro_tf.datasets import load_dataset
from edgepro_tf.errors import DatasetError
from edgepro_tf.inputs import flatten_inputs, join_inputs


def test_digits() -> None:
    data = load_dataset("digits")
    assert data.x_train.shape == (1437, 8, 8, 1) and data.x_test.shape == (360, 8, 8, 1)
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int32
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    assert data.classes == 10 and set(data.y_test) == set(range(10))
    np.testing.assert_array_equal(data.x_test, load_dataset("digits").x_test)
    assert "1437 training and 360 test samples" in str(data)


def _write_idx(path: pathlib.Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim])
    header += np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes()))


def _write_fashion(folder: pathlib.Path) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
    images[0, 0, 0] = 255
    for part, count in (("train", 6), ("t10k", 3)):
        _write_idx(folder / f"{part}-images-idx3-ubyte.gz", images[:count])
        labels = np.arange(count, dtype=np.uint8)
        _write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return images


def test_fashion_mnist_from_a_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _write_fashion(tmp_path)
    monkeypatch.setenv("EDGEPRO_FASHION_MNIST", str(tmp_path))
    data = load_dataset("fashion-mnist")
    assert data.x_train.shape == (6, 5, 4, 1) and data.x_test.shape == (3, 5, 4, 1)
    assert data.x_train.max() == 1
    np.testing.assert_array_equal(np.rint(data.x_train[..., 0] * 255), images)
    np.testing.assert_array_equal(data.y_train, np.arange(6))


@pytest.mark.skipif(
    not pathlib.Path(datasets._FASHION_FOLDERS[0]).is_dir(),
    reason="Debian's dataset-fashion-mnist is not installed",
)
def test_fashion_mnist_of_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEPRO_FASHION_MNIST", raising=False)
    data = load_dataset("fashion-mnist")
    assert data.x_train.shape == (60000, 28, 28, 1) and data.classes == 10
    assert (np.bincount(data.y_test) == 1000).all()


def test_damaged_files_are_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_fashion(tmp_path)
    monkeypatch.setenv("EDGEPRO_FASHION_MNIST", str(tmp_path))
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = gzip.decompress(path.read_bytes())
    for damaged in (b"", whole[:-1], whole + b"0", b"\x00\x00\x0d" + whole[3:]):
        path.write_bytes(gzip.compress(damaged))
        with pytest.raises(DatasetError, match="expected an IDX file"):
            load_dataset("fashion-mnist")
    path.write_bytes(b"no gzip")
    with pytest.raises(DatasetError, match="gzipped"):
        load_dataset("fashion-mnist")


def test_npz(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "d.npz"
    x = np.linspace(-2, 2, 24).astype(np.float16).reshape(6, 4)
    np.savez(path, x_train=x, y_train=np.arange(6), x_test=x[:2], y_test=np.arange(2))
    data = load_dataset(f"npz:{path}")
    assert data.x_train.dtype == np.float32 and data.classes == 6
    np.testing.assert_array_equal(data.x_train, x.astype(np.float32))


def test_npz_of_another_form(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(DatasetError, match="got no x_test, y_train, y_test but x_tr"):
        load_dataset(f"npz:{path}")
    np.save(tmp_path / "d.npy", np.zeros(3))
    with pytest.raises(DatasetError, match=r"got an array without a name \(.npy\)"):
        load_dataset(f"npz:{tmp_path / 'd.npy'}")
    arrays = {"x_train": np.zeros((3, 2)), "x_test": np.zeros((3, 2))}
    np.savez(path, y_train=np.zeros(2), y_test=np.zeros(3), **arrays)
    with pytest.raises(DatasetError, match="a label for each sample"):
        load_dataset(f"npz:{path}")


_X, _Y = np.zeros((6, 4), np.float32), np.arange(6)
_GOOD = {"x_train": _X, "y_train": _Y, "x_test": _X, "y_test": _Y}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": _Y + np.nan}, "finite labels, .* in 6 of 12"),
        ({"y_train": _Y * 1e300}, "finite labels"),
        ({"y_train": np.array(["a"] * 6)}, "labels that are class numbers"),
        ({"y_train": np.eye(6)}, "a label for each sample, got 6 and 36"),
        ({"x_train": _X + np.nan}, "finite numbers"),
        (
            {
                "x_test": np.where(
                    np.arange(6)[:, None] > 3, 1e39, 0.0 * _X.astype(float)
                )
            },
            "in 2 of the 6 samples of x_test, first in number 4",
        ),
        ({"x_train": np.array(["a"] * 6)}, "of numbers, in samples of one shape"),
        ({"x_test": _X[:, :3]}, "in samples of one shape"),
        ({"x_test": _X.astype(np.uint8)}, "one shape and type, got float32"),
        ({"y_test": np.zeros((6, 0), int)}, "y_train and y_test of one shape"),
        ({"y_train": np.zeros((6, 0)), "y_test": np.zeros((6, 0))}, "labels, got none"),
        ({name: value[:0] for name, value in _GOOD.items()}, "got none"),
        ({"x_train": np.array([{}] * 6)}, "Object arrays"),
        ({"y_train": _Y * 0, "y_test": _Y * 0}, "at least two classes"),
    ],
)
def test_npz_that_no_network_learns(
    tmp_path: pathlib.Path, changes: dict[str, np.ndarray], words: str
) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, **_GOOD | changes)
    with pytest.raises(DatasetError, match=words):
        load_dataset(f"npz:{path}")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(50)])
def test_npz_that_is_none(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="expected an npz file"):
        load_dataset(f"npz:{path}")


def test_unknown_names_and_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="'mnist'"):
        load_dataset("mnist")
    with pytest.raises(DatasetError, match=r"A file is npz:d.npz\."):
        load_dataset("d.npz")
    with pytest.raises(DatasetError, match=r"nowhere.npz.: No such file or dir"):
        load_dataset("npz:/nowhere.npz")
    monkeypatch.setenv("EDGEPRO_FASHION_MNIST", "/nowhere")
    with pytest.raises(DatasetError, match="/nowhere"):
        load_dataset("fashion-mnist")


def test_samples_are_as_an_input_takes_them(tmp_path: pathlib.Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
    labels = {"y_train": np.arange(6) % 2, "y_test": np.arange(6) % 2}
    np.savez(tmp_path / "d.npz", x_train=x, x_test=x, **labels)
    data = load_dataset(f"npz:{tmp_path / 'd.npz'}")
    assert data.x_train.shape == (6, 5, 4, 1) and data.scaled == {""}
    series = data.fit_inputs({"x": (3, True)})
    np.testing.assert_array_equal(series.x_test, x)
    image = data.fit_inputs({"x": (4, False)})
    np.testing.assert_array_equal(image.x_test, data.x_test)
    assert data.digest == load_dataset(data.name).digest != series.digest


def test_labels_of_other_forms_say_what_to_store(tmp_path: pathlib.Path) -> None:
    x = np.zeros((6, 2), np.float32)
    for y, words in {
        "one-hot": (np.eye(3)[np.arange(6) % 3], r"argmax\(-1\)"),
        "signs": (np.arange(6) % 2 * 2 - 1, r"got -1 and 1\. Store \(y == y.max"),
        "words": (np.array(["a", "b"] * 3), "return_inverse"),
    }.values():
        np.savez(tmp_path / "d.npz", x_train=x, x_test=x, y_train=y, y_test=y)
        with pytest.raises(DatasetError, match=words):
            load_dataset(f"npz:{tmp_path / 'd.npz'}")


@pytest.mark.parametrize("change", [lambda y: y - 1, lambda y: y * 10**9,
                                    lambda y: y + 0.5])  # fmt: skip
def test_labels_that_name_no_class_are_numbers(tmp_path: pathlib.Path, change) -> None:  # type: ignore[no-untyped-def]
    y = change(_Y)
    np.savez(tmp_path / "d.npz", **_GOOD | {"y_train": y, "y_test": y})
    data = load_dataset(f"npz:{tmp_path / 'd.npz'}")
    assert data.classes == 0 and "numbers of shape ()" in str(data)
    np.testing.assert_array_equal(data.y_train, y.astype(np.float32))
    np.savez(tmp_path / "d.npz", **_GOOD | {"y_train": _Y * 1.0})
    data = load_dataset(f"npz:{tmp_path / 'd.npz'}")
    assert data.classes == 6 and data.y_train.dtype == data.y_test.dtype == np.int32


def test_several_inputs_and_labels_at_places(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "d.npz"
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(0, 256, (6, 4, 4, 3)).astype(np.uint8),
        "table": rng.normal(size=(6, 2)).astype(np.float32),
    }
    stored = {f"x_{k}_{n}": x for k in ("train", "test") for n, x in arrays.items()}
    masks = np.arange(96).reshape(6, 4, 4, 1) % 3
    np.savez(path, y_train=masks, y_test=masks, **stored)
    data = load_dataset(f"npz:{path}")
    assert data.inputs == ("image", "table") and data.scaled == {"image"}
    assert data.y_test.shape == (6, 4, 4) and data.classes == 3
    np.testing.assert_array_equal(data.x_test["table"], arrays["table"])
    assert "samples of shape (4, 4, 3) and (2,)" in str(data)
    wanted = {"table": (2, False), "image": (4, True)}
    fitted = data.fit_inputs(wanted)
    assert fitted.inputs == ("table", "image")
    again = fitted.fit_inputs(wanted)
    for name, x in arrays.items():
        np.testing.assert_array_equal(fitted.x_train[name], x)
        np.testing.assert_array_equal(again.x_train[name], x)
    flat = flatten_inputs(fitted.x_test)
    assert flat.shape == (6, 2 + 48) and flat.dtype == np.float32
    np.testing.assert_array_equal(flat[:, 2:].reshape(6, 4, 4, 3), arrays["image"])
    assert data.digest != fitted.digest == dataclasses.replace(fitted).digest
    image = _X.astype(np.uint8)
    np.savez(path, x_train_image=image, x_test_image=image, y_train=_Y, y_test=_Y)
    alone = load_dataset(data.name)
    assert alone.inputs == ("",) and alone.scaled == {""}
    del stored["x_test_table"]
    np.savez(path, y_train=masks, y_test=masks, **stored)
    with pytest.raises(DatasetError, match="x_test_table"):
        load_dataset(data.name)
    with pytest.raises(DatasetError, match="y_train and y_test of one shape"):
        np.savez(path, **_GOOD | {"y_test": np.zeros((6, 2), int)})
        load_dataset(data.name)


def test_inputs_of_different_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="as many samples for each input"):
        join_inputs({"a": np.zeros(3), "b": np.zeros(4)})


def test_an_event_at_one_of_several_steps_is_no_class(tmp_path: pathlib.Path) -> None:
    series = np.zeros((6, 5, 2), np.float32)
    events = np.eye(5, dtype=int)[np.arange(6) % 5]
    arrays = {"x_train": series, "x_test": series, "y_train": events, "y_test": events}
    np.savez(tmp_path / "d.npz", **arrays)
    assert load_dataset(f"npz:{tmp_path / 'd.npz'}").y_test.shape == (6, 5)
