"""EdgePro for TensorFlow Lite: a `.tflite` that works only with its sidecar.

What its parts are for, and which modules only serve another:

    locks, payload, native/    what a lock is, its bytes, the core that restores by it
    flatbuffer/                the constants and operators of a file
    sidecar/                   the payload sealed to devices, and opened on them
    runtime/                   interpreters and buffers over a restored model
    locking, training, layers  lock training of Keras models, over lock_training/
    audit/                     attacks on a public model, and what a thief gains
    cli/                       the command ``edgepro``
    files, inputs, errors      what all of these use; datasets and zoo, for examples
"""

__version__ = "0.1.0"
