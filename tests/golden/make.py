"""Write the golden pair of a format version. Run once; what it wrote loads for ever.

python -m tests.golden.make tests/golden/v1
"""

import shutil
import sys
from pathlib import Path

import keras
import numpy as np

from converters import convert_keras, write_pair
from edgepro_tf.cli import keyring
from edgepro_tf.cli.training_job import load_dataset, train_network
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import run_model
from edgepro_tf.sidecar import (
    Passphrase,
    generate_identity,
    generate_issuer,
    write_key,
)

PASSPHRASE = "golden pair, not a secret"


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(1)
    data = load_dataset("digits")
    trained = train_network("cnn", data, lock="paper", epochs=6, seed=1, verbose=0)
    trained.model.save(folder / "model.keras")
    protected = convert_keras(trained.model, samples=data.x_test[:8])
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
    target = Path(sys.argv[1])
    try:
        main(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
