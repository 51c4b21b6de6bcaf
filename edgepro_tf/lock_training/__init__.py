"""What ``edgepro_tf.locking`` and ``edgepro_tf.training`` are made of.

A lock is put into a Keras model, trained under, and folded into its weights:

    presets, selection, placement   which lock, of which neurons, behind which layers
    graph, folding                  the model rebuilt, and the lock in its weights
    batches, objectives             what a training step takes, and towards what
"""
