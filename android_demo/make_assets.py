"""Make the demo app's assets: train, convert and seal digits, and write some samples.

Keys go to android_demo/keys and are used again; the assets are written anew. Run it
with a Python that has EdgePro and TensorFlow ('make android-assets' does).
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from edgepro_tf.datasets import load_dataset
from edgepro_tf.files import make_folder, write_file

HERE = Path(__file__).resolve().parent
KEYS = HERE / "keys"
ASSETS = HERE / "app" / "src" / "main" / "assets"
AUDIENCE = "dev.edgepro.demo"  # The app's applicationId.
SAMPLES = 60
_GREYS = 16  # Digits have 17 levels of grey; load_dataset scales them to 0 .. 1.


def edgepro(*words: object) -> None:
    """Run one command of the command line."""
    command = [sys.executable, "-m", "edgepro_tf.cli", *map(str, words)]
    subprocess.run(command, check=True)


def samples_json() -> bytes:
    """Test images and labels, as the app reads them: pixels are integers 0 .. 16."""
    data = load_dataset("digits")
    pixels = (data.x_test[:SAMPLES] * _GREYS).round().astype(int)
    samples = {
        "greys": _GREYS,
        "side": pixels.shape[1],
        "labels": data.y_test[:SAMPLES].tolist(),
        "images": pixels.reshape(SAMPLES, -1).tolist(),
    }
    return json.dumps(samples, separators=(",", ":")).encode()


def main() -> None:
    """Make all assets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=25, metavar="N")
    epochs = parser.parse_args().epochs
    if not KEYS.exists():
        edgepro("keygen", "--out", KEYS)
    shutil.rmtree(ASSETS, ignore_errors=True)
    make_folder(ASSETS)
    trained = ASSETS.parent / "digits.keras"
    try:
        edgepro("train", "--dataset", "digits", "--epochs", epochs, "--out", trained)
        edgepro(
            *("convert", trained, "--out", ASSETS / "digits.tflite"),
            *("--samples", "digits", "--keys", KEYS, "--audience", AUDIENCE),
        )
    finally:
        trained.unlink(missing_ok=True)
    write_file(ASSETS / "samples.json", samples_json())
    issuer_key = (KEYS / "issuer_key.jwk").read_bytes()
    write_file(ASSETS / "issuer_key.jwk", issuer_key)
    print(f"assets are in {ASSETS}, keys in {KEYS}")


if __name__ == "__main__":
    main()
