"""The attacker's workbench: trains and measures candidates for one target."""

from __future__ import annotations

import dataclasses
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.attack import Attack, Outcome
from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.network.rows import scale_rows
from edgepro_tf.audit.network.sharing import run_once
from edgepro_tf.audit.thief import Arrays, Target, Thief
from edgepro_tf.audit.workbench import training
from edgepro_tf.audit.workbench.answer_map import fit_answers, normalise_answers
from edgepro_tf.audit.workbench.stopping import Stop
from edgepro_tf.audit.workbench.tools import Tools
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.inputs import flatten_inputs


class Bench:
    """Trains, evaluates and re-normalises candidates for one target.

    Args:
        target: what is attacked.
        budget: what it may cost.
        x_train, y_train: where thieves draw their data from, as in ``Dataset``.
        x_test, y_test: what accuracy is measured on, or ``Budget.pick_test`` of them.

    ``tools`` has whatever is compiled; ``rows`` is the number of examples that each of
    them is given: fewer are repeated, more are cut off. Set, ``stopped`` ends attacks
    that are under way with ``CancelledError``, at their next training run or answer.
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
        self.target, self.budget = target, budget
        self.network = target.network
        self.task = self.network.task
        self._x_train = flatten_inputs(x_train)
        self._y_train = np.asarray(y_train)
        picked = budget.pick_test(len(x_test))
        self.test_inputs = x_test[picked]
        self.x_test = tf.constant(flatten_inputs(self.test_inputs))
        self.y_test = np.asarray(y_test)[picked]
        self.rows = self._most_examples()
        self.stopped = Stop()
        self._diverged = threading.local()  # Runs of the attack that is under way.
        self.tools = Tools(target, budget, self.rows)

    @property
    def chance(self) -> float:
        """What the best constant answer scores."""
        return self.task.score_constant(self.y_test, self.y_test)

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

    def logits(self, parameters: Arrays, x: Any) -> np.ndarray:
        """float32 [..., units]; compiled once for each number of examples."""
        self.stopped.check()
        values = [tf.constant(p, tf.float32) for p in parameters]
        return self.tools.forward(values, tf.constant(x, tf.float32)).numpy()

    def search_rows(self, examples: np.ndarray) -> np.ndarray:
        """int [rows]: examples for the search; always as many, so it compiles once."""
        rows = min(self.budget.search_rows, self.rows)
        return examples[np.arange(rows) % len(examples)]

    def pick(
        self,
        candidates: list[Candidate],
        thief: Thief,
        purpose: str,
        *,
        trainer: training.Trainer | None = None,
        folds: list[np.ndarray] | None = None,
    ) -> tuple[Arrays, str]:
        """``choose``, then train what was chosen on all of the labels.

        Args:
            candidates: made for the trainer.
            thief: his labels choose and train.
            purpose: names the random numbers.
            trainer: None for that of the weights.
            folds: as in ``choose``.

        Returns:
            The network's parameters, and the label of what was chosen.
        """
        rng, trainer = thief.rng(purpose), trainer or self.tools.weights
        best = self.choose(trainer, candidates, thief, rng, folds)
        return self.fit(trainer, best, thief, rng), best.label

    def choose(
        self,
        trainer: training.Trainer,
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
        scores = [
            np.mean([self._validate(trainer, c, thief, f, rng) for f in folds])
            for c in candidates
        ]
        return candidates[int(np.argmax(scores))]

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
        trainer: training.Trainer,
        candidate: Candidate,
        thief: Thief,
        rng: np.random.Generator,
        examples: np.ndarray | None = None,
    ) -> Arrays:
        """``train`` on a thief's examples (None for all): the network that it gives."""
        if examples is None:
            examples = np.arange(len(thief.y))
        y = self.task.make_targets(thief.y)
        theta = self.train(trainer, candidate, thief.x, y, examples, rng)
        last = 1.0 if candidate.temperature is None else candidate.temperature[-1]
        return self.calibrate(trainer.parameters(theta, float(last)), thief, examples)

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
        trainer: training.Trainer,
        candidate: Candidate,
        x: np.ndarray,
        y: np.ndarray,
        examples: np.ndarray,
        rng: np.random.Generator,
    ) -> Arrays:
        """Train one candidate; y is targets, float32 [examples, ..., units].

        Returns:
            What it learned, in the trainer's space; the start where it diverged.

        Raises:
            CancelledError: the audit is stopped.
        """
        self.stopped.check()
        steps = len(candidate.plan)
        batches = training.draw_batches(examples, steps, self.budget.batch, rng)
        plan = np.array(candidate.plan)
        plan[:, self.network.answer_map] = 0  # In units that no learning rate fits.
        temperature = candidate.temperature
        if temperature is None:
            temperature = np.ones(steps)
        schedule = training.Schedule(plan, batches, temperature)
        learned = trainer.train(
            candidate.theta, self._pad(x), self._pad(y), schedule, candidate.masks
        )
        if learned is not None:
            return learned
        self._diverged.count = getattr(self._diverged, "count", 0) + 1
        return candidate.theta

    def run(self, attack: Attack, thief: Thief) -> Outcome:
        """One attack; the details say how many of its training runs diverged."""
        self._diverged.count = 0
        outcome = attack.run(self, thief)
        diverged = {"diverged_runs": self._diverged.count}
        details = outcome.details | (diverged if self._diverged.count else {})
        return dataclasses.replace(outcome, details=details)

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
    ) -> list[Candidate]:
        """Every start at every learning rate, for ``outcome`` to choose among.

        Args:
            thief: says how many steps.
            starts: by their labels.
            rates: None for the budget's.
            learns: of a parameter's number; the others stay as they are.
            masks: elements that move; None for all.
        """
        return [
            Candidate(
                f"{label}, rate {rate:g}",
                theta,
                self.plan(thief, theta, rate, learns),
                masks,
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

    def renormalise(self, parameters: Arrays, x: np.ndarray) -> Arrays:
        """Scale and shift every channel to mean 0, deviation 1 on inputs, in order.

        Dead and exploded channels come alive: what batch normalisation would do. A
        filter that is used at several places gets the mean of what they ask for.

        Source: Mishkin and Matas, "All You Need is a Good Init", ICLR 2016; Krahenbuhl
        et al., ICLR 2016, section 3.1 (per channel, as here).
        """
        out = [np.array(p, np.float32) for p in parameters]
        values = [tf.constant(p) for p in out]
        found = self.tools.normal_moments(values, self._pad(x))
        uses = defaultdict(list)
        for one, moments in zip(self.network.linears, found, strict=True):
            uses[one.filter].append(moments)
        for one in self.network.distinct_linears.values():
            mean, deviation = np.mean(uses[one.filter], axis=0)
            gain = 1 / deviation
            out[one.filter] = scale_rows(out[one.filter], gain, one.channel_axis)
            if one.bias is not None:
                out[one.bias] = (out[one.bias] - mean) * gain
        if not self.network.answer_map:
            return out
        return normalise_answers(self.network, out, self.logits(out, self._pad(x)))

    def activity(self, parameters: Arrays, x: np.ndarray) -> list[np.ndarray]:
        """float32 [channels] for each linear operator: mean of |z| + deviation."""
        return [np.abs(mean) + width for mean, width in self.moments(parameters, x)]

    def moments(
        self, parameters: Arrays, x: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean and deviation [channels] of every linear output, before activation."""
        values = [tf.constant(p, tf.float32) for p in parameters]
        found = self.tools.moments(values, self._pad(x))
        return [(mean.numpy(), width.numpy()) for mean, width in found]

    def gradient(
        self, parameters: Arrays, x: np.ndarray, y: np.ndarray
    ) -> tuple[float, Arrays]:
        """Mean loss on labelled examples, and its gradient by every parameter."""
        values = [tf.constant(p, tf.float32) for p in parameters]
        targets = self._pad(self.task.make_targets(y))
        loss, found = self.tools.gradient(values, self._pad(x), targets)
        return float(loss), [g.numpy() for g in found]

    def outputs(self, parameters: Arrays, x: Any, layer: int) -> Any:
        """float32 tensor [examples, ..., channels]: a linear output, rectified."""
        found = {}

        def observe(number: int, z: Any) -> Any:
            found[number] = z
            return z

        def measure(values: list[Any], x: Any) -> Any:
            self.network.forward(values, x, observe)
            return tf.nn.relu(found[layer])

        values = [tf.constant(p) for p in parameters]
        return run_once(measure, values, tf.constant(x, tf.float32))

    def _validate(
        self,
        trainer: training.Trainer,
        candidate: Candidate,
        thief: Thief,
        held_out: np.ndarray,
        rng: np.random.Generator,
    ) -> float:
        rest = thief.examples_but(held_out)
        parameters = self.fit(trainer, candidate, thief, rng, rest)
        answers = self.logits(parameters, self._pad(thief.x))[held_out]
        return self.task.prefer(answers, thief.y[held_out])

    def _pad(self, array: np.ndarray) -> Any:
        """The first rows repeated up to one size, so that nothing compiles twice."""
        index = np.arange(self.rows) % len(array)
        return tf.constant(np.asarray(array)[index], tf.float32)

    def count_labels(self, share: float) -> int:
        """Labels of a thief with this share."""
        least = self.task.least_labels
        return self.budget.count_labels(share, len(self._y_train), least)

    def _most_examples(self) -> int:
        most = max(self.count_labels(share) for share in self.budget.shares)
        return max(most, self.budget.unlabelled)
