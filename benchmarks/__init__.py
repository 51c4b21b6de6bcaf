"""What protection costs and what thieves gain; nothing here gates anything.

Cost, ``make bench``:

    subjects, networks, variants, claiming     what is measured
    latency, loading, child, conversion        how
    ratios, bars, tables, charts               what is said of it
    restore_speed, training_step, update_size  programs of their own

Thieves, each a program: ``security`` (``security_tables``), ``regression``,
``activation_ranges``, ``numbers_by_luck``.

Studies behind decisions, which share ``studies``: ``nothing_to_find`` with
``secret_parts`` (0003), ``lock_training_value`` with ``partial_keys`` (0004).
"""

from edgepro_tf.cli.quiet import quieten_tensorflow

quieten_tensorflow()  # Here: some programs import it in their first lines.
