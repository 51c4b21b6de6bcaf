"""``python -m edgepro_tf.cli``, where the console script is not on the path."""

from edgepro_tf.cli.main import run

if __name__ == "__main__":
    run()
