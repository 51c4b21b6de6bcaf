"""LockedModel: lock training as an ordinary Keras model."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

import keras
import tensorflow as tf

from edgepro_tf.errors import LockError
from edgepro_tf.layers import NeuronLock, lock_run
from edgepro_tf.lock_training.batches import (
    batch_size,
    check_share,
    count_authorized,
    others,
    split,
    take,
)
from edgepro_tf.lock_training.graph import producer
from edgepro_tf.lock_training.objectives import (
    OutputKind,
    check_objective,
    find_kind,
    match_labels,
    released_loss,
)


@keras.saving.register_keras_serializable("edgepro_tf")
class LockedModel(keras.Model):
    """A network with locks, trained to work with them and to fail without.

    Use it as any Keras model: ``compile``, ``fit``, ``evaluate``, ``predict`` (which
    is the authorized run), ``save``. ``loss`` and the compiled metrics are those of
    the authorized run; ``released_loss`` and, for each metric that counts right
    answers, ``released_<metric>`` stand beside them. ``keras.saving.load_model``
    needs no custom_objects once ``edgepro_tf.training`` is imported.

    A training step shuffles the batch; its first part runs authorized towards the true
    labels, the rest released towards the released objective, both in one forward pass.
    Evaluation runs every example both ways. Sample weights and loss weights count in
    the authorized run alone; a batch of one example has no released one.

    Args:
        network: functional or Sequential model with ``NeuronLock`` layers, from
            ``lock_model``.
        objective: ``uniform`` or ``random_labels``, see ``released_loss``.
        released_weight: weight of the released loss.
        authorized_share: share of each training batch that runs authorized, above 0
            and at most 1.

    Cost: see docs/decisions/0001-lock-training-batch.md for the measured step.

    Source: EdgePro (arXiv 2303.12397), lock training, which alternates the two runs;
        mixing them in each batch lets batch normalisation see both.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        objective: str = "uniform",
        released_weight: float = 1.0,
        authorized_share: float = 0.5,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", f"locked_{network.name}")
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(**kwargs)
        check_objective(objective, {})
        check_share(authorized_share)
        self.network = network
        self.objective = objective
        self.released_weight = released_weight
        self.authorized_share = authorized_share
        self.output_names = list(getattr(network, "output_names", ["output"]))
        self._released_tracker = keras.metrics.Mean(name="released_loss")
        self._released = _Released({}, [])
        self.built = True

    def call(self, inputs: Any, training: Any = None, authorized: Any = None) -> Any:
        """Run the network.

        Args:
            inputs: as the network takes them.
            training: Keras' flag.
            authorized: None for an authorized run, False for a released one, or
                bool [batch].
        """
        with lock_run(authorized):
            return self.network(inputs, training=training)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configure training; arguments are those of ``keras.Model.compile``.

        Raises:
            LockError: the released objective does not suit an output.
        """
        losses = _per_output(loss, self.output_names)
        targets = {
            index: (find_kind(each, self._last_activation(index)), each)
            for index, each in enumerate(losses[: len(self.output_names)])
            if each is not None
        }
        kinds = {self.output_names[i]: kind for i, (kind, _) in targets.items()}
        check_objective(self.objective, kinds)
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )
        with self.distribute_strategy.scope():
            found = _released_metrics(
                (metrics, weighted_metrics), self.output_names, targets
            )
        self._released = _Released(targets, found)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras' own order, then the released metrics."""
        return [*super().metrics, *(metric for _, metric in self._released.metrics)]

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train; arguments are those of ``keras.Model.fit``.

        Warns where every lock is empty: ``keras.models.clone_model`` draws no locks, as
        it draws no weights.
        """
        locks = [
            layer
            for layer in self.network._flatten_layers()
            if isinstance(layer, NeuronLock)
        ]
        if locks and all(lock.read_lock().is_identity for lock in locks):
            warnings.warn(
                f"every lock of {self.name!r} is empty, and nothing is trained under "
                "one: a clone takes its locks with set_weights, or anew with "
                "lock_model.",
                stacklevel=2,
            )
        return super().fit(*args, **kwargs)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save as .keras; arguments are those of ``keras.Model.save``.

        Raises:
            LockError: the name is one of Keras' older format.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise LockError(
                f"cannot save {self.name!r} to {filepath}: expected a name ending in "
                ".keras, the only format that keeps locks.",
                "strip_lock or fold_lock (edgepro_tf.locking) give an ordinary model.",
            )
        super().save(filepath, *args, **kwargs)

    def export(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a SavedModel of a locked network would be one without its lock.

        Raises:
            LockError: always.
        """
        raise LockError(
            f"cannot export {self.name!r}: expected a network without locks, which a "
            "SavedModel would not keep.",
            "converters.convert_keras makes the pair that ships; "
            "edgepro_tf.locking.fold_lock(model).export(...) the unprotected network.",
        )

    def train_step(self, data: Any) -> Any:
        """One optimizer step on a batch, part authorized and part released."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        size = batch_size(x)
        order = tf.random.shuffle(tf.range(size))
        x, y, weight = (take(part, order) for part in (x, y, weight))
        count = count_authorized(size, self.authorized_share)
        with tf.GradientTape() as tape:
            prediction = self(x, training=True, authorized=tf.range(size) < count)
            sizes = tf.stack([count, size - count])
            own, other = split(prediction, sizes)
            own_y, other_y = split(y, sizes)
            own_x, own_weight = split(x, sizes)[0], split(weight, sizes)[0]
            loss = self.compute_loss(own_x, own_y, own, own_weight, training=True)
            taken = other_y
            if self._released.takes_values:
                taken = split(others(y), sizes)[1]
            released = self._released_loss(taken, other)
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            total = loss + tf.cast(released, loss.dtype) * (
                self.released_weight / replicas
            )
            scaled = self.optimizer.scale_loss(total)
        variables = self.trainable_weights
        if variables:
            gradients = tape.gradient(scaled, variables)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self._track(loss * replicas, count, released, size - count)
        self._released.update(self._flat(other_y), self._flat(other))
        return self.compute_metrics(own_x, own_y, own, own_weight)

    def test_step(self, data: Any) -> Any:
        """Evaluate a batch twice: every example authorized, and released."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        size = batch_size(x)
        own = self(x, training=False)
        loss = self.compute_loss(x, y, own, weight, training=False)
        other = self(x, training=False, authorized=False)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        taken = others(y) if self._released.takes_values else y
        released = self._released_loss(taken, other)
        self._track(loss * replicas, size, released, size)
        self._released.update(self._flat(y), self._flat(other))
        return self.compute_metrics(x, y, own, weight)

    def _track(self, loss: Any, count: Any, released: Any, released_count: Any) -> None:
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=count)
        self._released_tracker.update_state(released, sample_weight=released_count)

    def _released_loss(self, y: Any, prediction: Any) -> tf.Tensor:
        if not self._released.targets:
            raise LockError(
                f"cannot train {self.name!r}: expected compile(loss=...), got no loss."
            )
        labels, predictions = self._flat(y), self._flat(prediction)
        return tf.add_n(
            [
                released_loss(
                    kind,
                    self.objective,
                    predictions[index],
                    labels[index],
                    loss,
                )
                for index, (kind, loss) in self._released.targets.items()
            ]
        )

    def _flat(self, value: Any) -> list[Any]:
        """One entry for each output, in the order of ``output_names``."""
        if isinstance(value, dict) and set(value) <= set(self.output_names):
            return [value.get(name) for name in self.output_names]
        return list(keras.tree.flatten(value))

    def _last_activation(self, index: int) -> Any:
        operation = producer(self.network, index)
        if type(operation).__name__ == "Softmax":
            return keras.activations.softmax
        if type(operation).__name__ == "Sigmoid":
            return keras.activations.sigmoid
        return getattr(operation, "activation", None)

    def get_config(self) -> dict[str, Any]:
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "objective": self.objective,
            "released_weight": self.released_weight,
            "authorized_share": self.authorized_share,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> LockedModel:
        network = keras.saving.deserialize_keras_object(
            config["network"], custom_objects=custom_objects
        )
        return cls(**{**config, "network": network})


class _Released:
    """What ``compile`` found out; no Keras object, so that Keras tracks none of it.

    Args:
        targets: by output number, its kind and loss.
        metrics: output number and metric.
    """

    def __init__(
        self,
        targets: dict[int, tuple[OutputKind, Any]],
        metrics: list[tuple[int, keras.metrics.Metric]],
    ) -> None:
        self.targets = targets
        self.metrics = metrics

    @property
    def takes_values(self) -> bool:
        """Whether an output of values is trained towards other examples' ones."""
        return any(kind is OutputKind.VALUES for kind, _ in self.targets.values())

    def update(self, labels: list[Any], predictions: list[Any]) -> None:
        for index, metric in self.metrics:
            metric.update_state(labels[index], predictions[index])


def _released_metrics(
    specs: tuple[Any, Any],
    names: list[str],
    targets: dict[int, tuple[OutputKind, Any]],
) -> list[tuple[int, keras.metrics.Metric]]:
    """Metrics of their own for those compiled ones that count right answers."""
    found: dict[str, tuple[int, keras.metrics.Metric]] = {}
    for spec in specs:
        for index, wanted in enumerate(_metrics_per_output(spec, names)):
            prefix = f"released_{names[index]}_" if len(names) > 1 else "released_"
            for each in wanted:
                kind = targets[index][0] if index in targets else OutputKind.VALUES
                metric = _released_metric(each, kind, prefix)
                if metric is not None:
                    found.setdefault(metric.name, (index, metric))
    return list(found.values())


def _released_metric(
    metric: Any, kind: OutputKind, prefix: str
) -> keras.metrics.Metric | None:
    if metric in ("accuracy", "acc"):
        if kind is OutputKind.VALUES:
            return None
        return keras.metrics.MeanMetricWrapper(
            lambda y, prediction: match_labels(kind, y, prediction), prefix + metric
        )
    metric = keras.metrics.get(metric)
    if "accuracy" not in getattr(metric, "__name__", type(metric).__name__).lower():
        return None
    if isinstance(metric, keras.metrics.Metric):
        config = {**metric.get_config(), "name": prefix + metric.name}
        try:
            return type(metric).from_config(config)
        except TypeError:  # It does not say what it was made with: no twin of it.
            return None
    return keras.metrics.MeanMetricWrapper(metric, prefix + metric.__name__)


def _per_output(spec: Any, names: list[str]) -> list[Any]:
    if isinstance(spec, dict):
        known = set(spec) <= set(names)
        return [spec.get(name) for name in names] if known else list(spec.values())
    if isinstance(spec, (list, tuple)):
        return list(spec)
    return [spec] * len(names)


def _metrics_per_output(spec: Any, names: list[str]) -> list[list[Any]]:
    if not spec:
        return []
    if len(names) == 1:
        spec = [spec]
    elif not isinstance(spec, dict) and len(spec) != len(names):
        return []
    return [
        [each for each in keras.tree.flatten(part) if each is not None]
        for part in _per_output(spec, names)
    ]
