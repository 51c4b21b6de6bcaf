"""EdgePro for TensorFlow Lite: a `.tflite` that works only with its sidecar."""

__version__ = "0.1.0"
