"""Classify a picture with MediaPipe Tasks and a protected model (Linux, Android).

    classify_with_mediapipe.py MODEL SIDECAR IDENTITY ISSUER_KEY IMAGE [AUDIENCE]

MediaPipe makes its interpreter itself, from a path or from bytes. The path of a sealed
memory file spares it a copy of the model in bytes, and leaves nothing on disk. Labels
and normalisation are read from the model's metadata, which protection leaves in place.
"""

import argparse
from pathlib import Path

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision

from edgepro_tf.runtime import restore_model_file
from edgepro_tf.sidecar import load_identity, load_issuer_key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "sidecar", "identity", "issuer_key", "image"):
        parser.add_argument(name, type=Path)
    parser.add_argument("audience", nargs="?")
    given = parser.parse_args()
    with restore_model_file(
        given.model,
        given.sidecar,
        identity=load_identity(given.identity),
        issuer=load_issuer_key(given.issuer_key),
        audience=given.audience,
    ) as file:
        options = vision.ImageClassifierOptions(
            base_options=BaseOptions(model_asset_path=file.path), max_results=5
        )
        classifier = vision.ImageClassifier.create_from_options(options)
    with classifier:
        image = mediapipe.Image.create_from_file(str(given.image))
        (found,) = classifier.classify(image).classifications
        for one in found.categories:
            print(f"{one.category_name or one.index}\t{one.score:.6f}")


if __name__ == "__main__":
    main()
