"""Run a public model with its sidecar, in any TFLite runtime, without TensorFlow."""

from edgepro_tf.runtime.interpreters import installed_runtimes
from edgepro_tf.runtime.models import load_delegate, open_interpreter, restore_model

__all__ = ["installed_runtimes", "load_delegate", "open_interpreter", "restore_model"]
