"""Run a public model with its sidecar, in any TFLite runtime, without TensorFlow."""

from edgepro_tf.runtime.compiled_models import open_compiled_model
from edgepro_tf.runtime.interpreters import installed_runtimes
from edgepro_tf.runtime.memory_files import MemoryFile
from edgepro_tf.runtime.models import (
    load_delegate,
    open_interpreter,
    restore_model,
    restore_model_file,
)

__all__ = [
    "MemoryFile",
    "installed_runtimes",
    "load_delegate",
    "open_compiled_model",
    "open_interpreter",
    "restore_model",
    "restore_model_file",
]
