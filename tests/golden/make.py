"""Write the golden pairs of a format version. Run once; what it wrote loads for ever.

python -m tests.golden.make tests/golden/v4_float32 tests/golden/v4_int8_standard_update
"""

import functools
import shutil
import sys
from pathlib import Path

import keras
import numpy as np

from converters import ProtectedModel, convert_keras, write_pair
from converters.keras_export import FORMATS
from edgepro_tf import zoo
from edgepro_tf.cli import keyring
from edgepro_tf.cli.training_job import train_network
from edgepro_tf.datasets import Dataset, load_dataset
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import run_model
from edgepro_tf.sidecar import (
    Passphrase,
    generate_identity,
    generate_issuer,
    write_key,
)

PASSPHRASE = "golden pair, not a secret"
_NARROW = 8  # Channels of the first convolution: these files stay small.


def lock_trained(data: Dataset, folder: Path) -> ProtectedModel:
    """Order, signs, scale factors, shuffles (the recipe of its day) and set channels.

    Made before masks were; ``v1`` is kept, so that such payloads open for ever.
    """
    trained = train_network("cnn", data, lock="paper", epochs=6, seed=1, verbose=0)
    trained.model.save(folder / "model.keras")
    return convert_keras(trained.model, samples=data.x_test[:8])


def drawn(
    data: Dataset, number_format: str, recipe: str, *, is_update: bool
) -> ProtectedModel:
    """An ordinary network under a recipe: masks and shuffles.

    An update keeps the draws of a version before, but for its head's.
    """
    # Shuffles of 4,096 elements and more are what version 3 changed.
    width = 3 * _NARROW if recipe == "strict" else _NARROW
    model = zoo.build_model("cnn", data.x_train.shape[1:], data.classes, width=width)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=40, batch_size=32, verbose=0)

    def representative() -> object:
        yield from ([x[None]] for x in data.x_train[:100])

    convert = functools.partial(
        convert_keras,
        model,
        recipe=recipe,
        number_format=number_format,
        representative_dataset=representative,
        samples=data.x_test[:8],
    )
    protected = convert()
    if not is_update:
        return protected
    for layer in model.layers[:-1]:
        layer.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=2, batch_size=32, verbose=0)
    return convert(update_of=protected)


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(1)
    data = load_dataset("digits")
    _, number_format, recipe, *rest = f"{folder.name}_standard_".split("_")
    if number_format in FORMATS:
        protected = drawn(data, number_format, recipe, is_update="update" in rest)
    else:
        protected = lock_trained(data, folder)
    identity, issuer = generate_identity(), generate_issuer()
    write_key(identity, folder / keyring.IDENTITY_FILE)
    write_key(issuer.issuer_key, folder / keyring.ISSUER_KEY_FILE)
    write_pair(
        protected,
        folder / "model.tflite",
        recipients=[identity.recipient, Passphrase(PASSPHRASE)],
        issuer=issuer,
        audience="com.example.golden",
    )
    (folder / "authorized.tflite").write_bytes(protected.authorized)
    interpreter = make_interpreter(protected.authorized)
    interpreter.allocate_tensors()
    x, y = data.x_test[:32], data.y_test[:32]
    name = next(iter(interpreter.get_signature_runner().get_input_details()))
    (scores,) = run_model(interpreter, {name: x}).values()
    np.savez_compressed(folder / "samples.npz", x=x, y=y, scores=scores)


if __name__ == "__main__":
    for target in map(Path, sys.argv[1:]):
        try:
            main(target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
