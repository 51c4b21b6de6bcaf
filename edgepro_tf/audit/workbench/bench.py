"""The attacker's workbench: trains candidates for one target, and chooses."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.attack import Attack, Outcome
from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.scoring.scores import are_numbers
from edgepro_tf.audit.target import Arrays, Target
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench import training
from edgepro_tf.audit.workbench.answer_map import fit_answers
from edgepro_tf.audit.workbench.measuring import Meter
from edgepro_tf.audit.workbench.stopping import SCORES
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.inputs import flatten_inputs

_RECENT = 3


class Bench(Meter):
    """Trains, evaluates and re-normalises candidates for one target.

    Args:
        target: what is attacked.
        budget: what it may cost.
        x_train, y_train: where thieves draw their data from, as in ``Dataset``.
        x_test, y_test: what accuracy is measured on, or ``Budget.pick_test`` of them.
    """

    def __init__(
        self,
        target: Target,
        budget: Budget,
        x_train: np.ndarray,
        y_train: np.ndarray,
        x_test: np.ndarray,
        y_test: np.ndarray,
    ) -> None:
        self.task = target.network.task
        self._x_train = flatten_inputs(x_train)
        self._y_train = np.asarray(y_train)
        picked = budget.pick_test(len(x_test))
        self.test_inputs = x_test[picked]
        self.x_test = tf.constant(flatten_inputs(self.test_inputs))
        self.y_test = np.asarray(y_test)[picked]
        rows = budget.most_examples(len(self._y_train), self.task.least_labels)
        super().__init__(target, budget, rows)
        self._steps_took: deque[float] = deque(maxlen=_RECENT)

    @property
    def chance(self) -> float:
        """What the best constant answer scores."""
        return self.task.score_constant(self.y_test, self.y_test)

    def count_unseen(self) -> int:
        """Classes that are tested, and that no thief has an example of."""
        if are_numbers(self.y_test):
            return 0
        return len(np.setdiff1d(self.y_test, self._y_train))

    def thief(self, share: float, seed: int) -> Thief:
        """A thief's draw: as many examples of each class as the share allows."""
        rng = np.random.default_rng([seed, 77])
        order = self.task.order_examples(self._y_train, rng)
        count = self.count_labels(share)
        mine, others = order[:count], order[count:]
        # Who has labels for everything has no other inputs than those.
        pool = (others if len(others) else mine)[: self.budget.unlabelled]
        return Thief(
            share, seed, self._x_train[mine], self._y_train[mine], self._x_train[pool]
        )

    def accuracy(self, parameters: Arrays, truth: np.ndarray | None = None) -> float:
        """``Task.score`` on the test set, 0 to 1; by other labels if they are given."""
        answers = self.logits(parameters, self.x_test)
        return self.task.score(answers, self.y_test if truth is None else truth)

    def choose_unlabelled(
        self, variants: Iterable[tuple[str, Arrays]], thief: Thief
    ) -> Outcome:
        """The variant whose answers to the thief's inputs are least in doubt.

        Who has no labels has nothing better to choose by (``Task.doubt``); the details
        have every variant's accuracy.
        """
        doubts, found = {}, {}
        for name, p in variants:
            value = self.task.doubt(self.logits(p, thief.pool))
            doubts[name] = value if np.isfinite(value) else np.inf
            found[name] = self.accuracy(p)
        chosen = min(doubts, key=lambda name: doubts[name])
        return Outcome(found[chosen], chosen, found)

    def public_task(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and labels of the developer's data, for making a base network."""
        rng = np.random.default_rng([seed, 78])
        picked = rng.permutation(len(self._y_train))[: self.rows]
        return self._x_train[picked], self._y_train[picked]

    def pick(
        self,
        candidates: list[Candidate],
        thief: Thief,
        purpose: str,
        *,
        folds: list[np.ndarray] | None = None,
    ) -> tuple[Arrays, str]:
        """``choose``, then train what was chosen on all of the labels.

        Args:
            candidates: to choose among.
            thief: his labels choose and train.
            purpose: names the random numbers.
            folds: as in ``choose``.

        Returns:
            The network's parameters, and the label of what was chosen.
        """
        rng = thief.rng(purpose)
        best = self.choose(candidates, thief, rng, folds)
        return self.fit(best, thief, rng), best.label

    def choose(
        self,
        candidates: list[Candidate],
        thief: Thief,
        rng: np.random.Generator,
        folds: list[np.ndarray] | None = None,
    ) -> Candidate:
        """The candidate that the thief's own validation prefers.

        Every candidate is trained on a part of the labelled data and scored on the
        rest (``Task.prefer``). ``folds`` says what is held out where a start has seen a
        part of the labels.
        """
        if len(candidates) == 1:
            return candidates[0]
        folds = folds or thief.draw_folds(self.budget.folds, rng)
        scores = list(self.watch.so_far.get(SCORES, ()))
        for one in candidates[len(scores) :]:
            left, score = len(candidates) - len(scores), None
            # What is chosen is trained once more, on all of the labels.
            if not self.is_over(thief, left, runs=len(folds) + 1):
                validate = functools.partial(self._validate_all, one, thief, folds, rng)
                score = self.watch.if_whole(validate)
            if score is None:
                self.watch.keep_scores(scores)
                break
            scores.append(score)
        return candidates[int(np.argmax(scores)) if scores else 0]

    def outcome(
        self, candidates: list[Candidate], thief: Thief, purpose: str, **options: Any
    ) -> Outcome:
        """``pick``, whose options these are, then the accuracy of what it gave."""
        parameters, label = self.pick(candidates, thief, purpose, **options)
        return Outcome(self.accuracy(parameters), label)

    def does_not_apply(self, why: str) -> Outcome:
        """For an attack that finds nothing of its kind in this file."""
        return Outcome(self.accuracy(self.target.public), why, applies=False)

    def fit(
        self,
        candidate: Candidate,
        thief: Thief,
        rng: np.random.Generator,
        examples: np.ndarray | None = None,
    ) -> Arrays:
        """``train`` on a thief's examples (None for all): the network that it gives."""
        if examples is None:
            examples = np.arange(len(thief.y))
        y = self.task.make_targets(thief.y)
        theta = self.train(candidate, thief.x, y, examples, rng)
        last = 1.0 if candidate.temperature is None else candidate.temperature[-1]
        learned = self._trainer_of(candidate).parameters(theta, float(last))
        return self.calibrate(learned, thief, examples)

    def calibrate(
        self, parameters: Arrays, thief: Thief, examples: np.ndarray | None = None
    ) -> Arrays:
        """Numbers: their map, fitted on a thief's labels; a classifier as it is."""
        if not self.network.answer_map:
            return parameters
        examples = np.arange(len(thief.y)) if examples is None else examples
        answers = self.logits(parameters, self._pad(thief.x))[examples]
        targets = self.task.make_targets(thief.y[examples])
        return fit_answers(self.network, parameters, answers, targets)

    def train(
        self,
        candidate: Candidate,
        x: np.ndarray,
        y: np.ndarray,
        examples: np.ndarray,
        rng: np.random.Generator,
    ) -> Arrays:
        """Train one candidate; y is targets, float32 [examples, ..., units].

        Returns:
            What it learned, in the trainer's space; the start where it diverged, or
            where an attack that is needed has no time left for it.

        Raises:
            CancelledError: the audit is stopped, or there is no time left for it.
        """
        steps = len(candidate.plan)
        if self.watch.is_over(1, steps * self._step_seconds):
            return candidate.theta
        started = time.perf_counter()
        batches = training.draw_batches(examples, steps, self.budget.batch, rng)
        plan = np.array(candidate.plan)
        plan[:, self.network.answer_map] = 0  # In units that no learning rate fits.
        planned = dataclasses.replace(candidate, plan=plan)
        learned = self._trainer_of(candidate).train(
            planned, self._pad(x), self._pad(y), batches
        )
        self._steps_took.append((time.perf_counter() - started) / steps)
        if learned is not None:
            return learned
        self.watch.count_divergence()
        return candidate.theta

    def _trainer_of(self, candidate: Candidate) -> training.Trainer:
        return candidate.trainer or self.tools.weights

    def run(
        self,
        attack: Attack,
        thief: Thief,
        *,
        until: float = math.inf,
        is_needed: bool = False,
        so_far: Mapping[str, Any] = MappingProxyType({}),
    ) -> Outcome:
        """One attack; the details say what time cut short, and what diverged.

        Args:
            attack: what to do.
            thief: his data.
            until: of ``time.monotonic``: when it has to end.
            is_needed: whether it then makes do with what it has.
            so_far: its details from when it was cut short before.

        Raises:
            CancelledError: the audit is stopped, or time is up.
        """
        self.watch.begin(until, is_needed=is_needed, so_far=so_far)
        outcome = attack.run(self, thief)
        details = outcome.details | self.watch.notes()
        return dataclasses.replace(outcome, details=details)

    def is_over(self, thief: Thief, left: int, *, runs: int = 1) -> bool:
        """Whether an attack must do without what is left, as ``Watch.is_over``.

        Args:
            thief: says how long his training runs are.
            left: how much.
            runs: of training that come before this is asked again, or the attack ends.
        """
        return self.watch.is_over(left, runs * self.steps(thief) * self._step_seconds)

    @property
    def _step_seconds(self) -> float:
        """A training step's, of late; the first runs compile."""
        return min(self._steps_took, default=0.0)

    def steps(self, thief: Thief) -> int:
        """Steps of a training run over the thief's labels."""
        return self.budget.steps(len(thief.y))

    def plan(
        self,
        thief: Thief,
        theta: Arrays,
        rate: float,
        learns: Callable[[int], bool] = lambda _: True,
    ) -> np.ndarray:
        """Cosine learning rates for the parameters that learn."""
        columns = [float(learns(i)) for i in range(len(theta))]
        return rate * np.outer(training.cosine(self.steps(thief)), columns)

    def sweep(
        self,
        thief: Thief,
        starts: dict[str, Arrays],
        *,
        rates: Sequence[float] | None = None,
        learns: Callable[[int], bool] = lambda _: True,
        masks: Arrays | None = None,
        trainer: training.Trainer | None = None,
    ) -> list[Candidate]:
        """Every start at every learning rate, for ``outcome`` to choose among.

        Args:
            thief: says how many steps.
            starts: by their labels.
            rates: None for the budget's.
            learns: of a parameter's number; the others stay as they are.
            masks: elements that move; None for all.
            trainer: as in ``Candidate``.
        """
        return [
            Candidate(
                f"{label}, rate {rate:g}",
                theta,
                self.plan(thief, theta, rate, learns),
                masks,
                trainer=trainer,
            )
            for label, theta in starts.items()
            for rate in (self.budget.rates if rates is None else rates)
        ]

    def variants(self, parameters: Arrays, x: np.ndarray) -> dict[str, Arrays]:
        """A start as it is, re-normalised on inputs, and that with halved weights."""
        normal = self.renormalise(parameters, x)
        return {
            "plain": parameters,
            "normalised": normal,
            "halved": self._halve(normal),
        }

    def settle(self, parameters: Arrays, x: np.ndarray) -> Arrays:
        """A start re-normalised on inputs, its weights halved.

        Measured: from nothing, halved weights reach 2 to 9 points more with 1 % of the
        labels. Who does not try them loses to every attack that happens to.
        """
        return self._halve(self.renormalise(parameters, x))

    def _halve(self, parameters: Arrays) -> Arrays:
        return [
            0.5 * value if p.is_weight else value
            for p, value in zip(self.network.parameters, parameters, strict=True)
        ]

    def _validate_all(
        self,
        candidate: Candidate,
        thief: Thief,
        folds: list[np.ndarray],
        rng: np.random.Generator,
    ) -> float:
        """The mean of ``_validate`` over what is held out in turn."""
        found = [self._validate(candidate, thief, f, rng) for f in folds]
        return float(np.mean(found))

    def _validate(
        self,
        candidate: Candidate,
        thief: Thief,
        held_out: np.ndarray,
        rng: np.random.Generator,
    ) -> float:
        rest = thief.examples_but(held_out)
        parameters = self.fit(candidate, thief, rng, rest)
        answers = self.logits(parameters, self._pad(thief.x))[held_out]
        return self.task.prefer(answers, thief.y[held_out])

    def count_labels(self, share: float) -> int:
        """Labels of a thief with this share."""
        least = self.task.least_labels
        return self.budget.count_labels(share, len(self._y_train), least)
