"""Attacking a public model as a thief would, and reporting what he gained.

``pair.audit_pair`` is the door. Data flows down this list:

    target, thief   what is attacked, and with what data
    network/        the public file as a network that can be trained
    scoring/        how right its answers are
    workbench/      starts, trainers, searches, and training from scratch beside them
    attack, budget  what an attack is, and what it may spend
    attacks/        one family a file, which use wrong_locks, guessing, matching,
                    statistics and element_statistics
    runner          every attack once
    reporting/      the thief's advantage, as JSON and as a page

An attack is a function of a bench and a thief that returns an ``Outcome``; it stands as
an ``Attack`` in its family's ``ATTACKS``, which ``attacks.all_attacks`` joins. What it
reaches over all thieves is a row of the report (``reporting.report``). Whoever changes
what an attack does raises ``runner.AUDIT_VERSION``.
"""
