"""What the network of a run says of examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

from ..config.experiment import Experiment
from ..data import Preparation, Split
from ..data.facts import Feature
from ..data.finite import check_finite
from ..data.inputs import Inputs
from ..data.kept_rows import source_of
from ..data.on_disk import Stored
from ..data.preparation import Names
from ..data.ragged import RaggedRows
from ..data.raw_data import RawData
from ..data.sources.encoded_images import EncodedImages
from ..data.sources.tables import Table
from ..data.trees import Tree, leaves, map_tree, named_leaves
from ..losses.given_step import GivenStep
from ..models.in_memory import GivenModel
from .data_part import as_the_run_had_it, part_of
from .predicted import Predicted
from .restored import Restored, left_as_it_is

if TYPE_CHECKING:
    import tensorflow as tf

    from ..engine.network import Network


PARTS = ("test", "train", "all", "next")


class RawPredictions:
    """What the network of a run says of raw inputs; it is restored and traced once.

    A model that a program gave has the run's weights within a call alone.
    """

    def __init__(self, this: Restored) -> None:
        """Restores the network.

        Raises:
            Refused: when only a step knows how to call it.
        """
        self._model, self._preparation = this.experiment.model, this.preparation
        with left_as_it_is(self._model):
            network = this.network()
            self._weights = [(one, one.numpy()) for one in network.model.variables]
        self._predictions, self._size = _predictions(network), network.evaluation_size
        self.class_names = _class_names(network, this.preparation.names)
        """What the classes of each output are called; None where outputs are numbers."""

    def __call__(self, raw: Tree[Inputs]) -> Tree[NDArray[np.float32]]:
        """Probabilities, or numbers, of raw inputs `[n, ...]`; of several labels each by its name.

        Raises:
            Refused: when the inputs are not what the run's preparation is for, or not finite.
        """
        import tensorflow as tf

        inputs = _prepared(raw, self._preparation)
        size = self._size or RAW_BATCH
        batches = []
        with left_as_it_is(self._model):
            self._restore()
            for number, start in enumerate(range(0, len(leaves(inputs)[0]), size)):
                rows = map_tree(lambda x: x[start : start + size], inputs)  # noqa: B023  # called here
                count = len(leaves(rows)[0])
                if self._size is not None:  # filled up with some of them over again
                    rows = map_tree(lambda x: np.resize(x, (size, *x.shape[1:])), rows)
                given = self._predictions(map_tree(tf.constant, rows), tf.constant(number))
                batches.append(map_tree(lambda x: np.asarray(x)[:count], given))  # noqa: B023
        return map_tree(lambda *parts: np.concatenate(parts), *batches)

    def _restore(self) -> None:
        """Gives a model that others may have changed meanwhile the weights of the run."""
        if isinstance(self._model, GivenModel):
            for variable, value in self._weights:
                variable.assign(value)


def _prepared(raw: Tree[Inputs], preparation: Preparation) -> Tree[Any]:
    """Raw inputs as the network takes them; images that are not decoded yet wait for their batch.

    Raises:
        Refused: when they are not what the preparation is for, or not finite.
    """
    if is_encoded(raw):
        assert not isinstance(preparation.inputs, Mapping)
        preparation.inputs.apply(raw[:1])
        return Stored(raw, preparation.inputs)
    inputs = preparation.apply(map_tree(_in_memory, raw))
    check_inputs(inputs)
    return inputs


def _in_memory(raw: Inputs | RaggedRows) -> Any:
    return raw if isinstance(raw, RaggedRows) else np.asarray(raw)


def is_encoded(raw: Tree[Inputs]) -> TypeGuard[Inputs]:
    """Whether raw inputs are images in a file format, which TensorFlow decodes."""
    return not isinstance(raw, Mapping) and isinstance(source_of(raw), EncodedImages)


RAW_BATCH = 256
"""How many raw inputs are predicted at a time."""


def check_inputs(inputs: Tree[NDArray[Any]]) -> None:
    """Whether prepared inputs are finite, and as many of each.

    Raises:
        Refused: naming the input.
    """
    for name, array in named_leaves(inputs):
        if array.dtype.kind == "f":
            check_finite(f"inputs.{name}" if name else "inputs", "a value", array)
    counts = {len(array) for array in leaves(inputs)}
    if len(counts) > 1:
        listed = " and ".join(f"{len(array)} of {name}" for name, array in named_leaves(inputs))
        raise refuse("inputs", ABSENT, f"must be as many of each, and are {listed}")
    if counts == {0}:
        raise refuse("inputs", ABSENT, "has no examples")


def predict(this: Restored, experiment: Experiment, part: str = "test") -> Predicted:
    """What the network of a run says of a part of an experiment's data: test, train or all."""
    import tensorflow as tf

    from ..data.feeds.order import ExampleOrder
    from ..data.feeds.select import make_feed
    from ..engine.evaluation import Evaluation

    if isinstance(experiment.data, RawData):
        data = experiment.data.prepared(this.preparation)
    else:
        data = experiment.data.load()
    data.check(replace(experiment.data.facts(), inputs=data.preparation.features()))
    examples = as_the_run_had_it(part_of(data, part), data.preparation, this.preparation)
    network = this.network()
    split = Split(data.train, examples, data.preparation)
    feed = make_feed(experiment.data, split, ExampleOrder(1, len(data.train), 1))
    # The very function that evaluates while training, so that the same data gives the same number.
    evaluation, predictions = Evaluation(network, feed), _predictions(network)
    step = experiment.loss
    measures = not isinstance(step, GivenStep) or step.is_here or step.evaluated is not None
    metrics = evaluation.result() if measures else {}
    batches = []
    for number, (batch, real) in enumerate(evaluation.tests()):
        given = predictions(batch.inputs, tf.constant(number))
        batches.append(map_tree(lambda x: np.asarray(x)[:real], given))  # noqa: B023  # called here
    outputs = map_tree(lambda *parts: np.concatenate(parts), *batches)
    named = {f"eval_{name}": value for name, value in metrics.items()}
    if not network.is_compared:
        nothing: Any = map_tree(lambda x: None, outputs)
        return Predicted(outputs, nothing, named)
    labels = map_tree(np.asarray, examples.labels)
    return Predicted(outputs, labels, named, this.preparation.names, number_names(this))


def number_names(this: Restored) -> Sequence[str]:
    """What the numbers of a label are called, where the data of a run has names for them."""
    data = this.experiment.data
    return (this.preparation.names is None and isinstance(data, Table) and data.names) or ()


def _class_names(network: Network, known: Tree[Names]) -> Tree[Names]:
    """What the classes of each output are called; None where outputs are numbers."""

    def names(label: Feature, given: Names) -> Names:
        return given or (None if label.classes is None else tuple(map(str, range(label.classes))))

    if not network.is_compared:
        return None
    labels = network.facts.labels
    own: Any = known
    if isinstance(labels, Mapping) and own is None:
        own = dict.fromkeys(labels)
    return map_tree(names, labels, own)


def _predictions(network: Network) -> Callable[[Any, tf.Tensor], Tree[tf.Tensor]]:
    """What the network predicts for a batch of inputs and its number, which draws go by.

    Raises:
        Refused: when only a step knows how to call the network.
    """
    import tensorflow as tf

    from .signatures import named_outputs

    if not network.takes_data:
        rule = "takes other inputs than the data has, which only the step calls it with"
        hint = "export=keras export.inputs=prepared leaves a file to call; outcome.model is it"
        raise refuse("model", ABSENT, rule, hint)

    def predictions(inputs: Any, number: tf.Tensor) -> Tree[tf.Tensor]:
        with network.draws.keyed("evaluation", number, fused=False):
            given = network.outputs(inputs)
            if network.is_compared:
                given = network.loss.predictions(given)
            else:  # what a step makes of them is its own
                by_name = named_outputs(network, given)
                given = by_name if len(by_name) > 1 else by_name.popitem()[1]
            return map_tree(lambda x: tf.cast(x, tf.float32), given)

    traced: Callable[[Any, tf.Tensor], Tree[tf.Tensor]] = tf.function(
        predictions, autograph=False, reduce_retracing=True
    )
    return traced


def check_option(option: str, value: Any, options: Sequence[Any]) -> None:
    """Checks that an option has one of these values.

    Raises:
        Refused: with those that it may have.
    """
    if value not in options:
        raise refuse(option, value, f"must be one of {', '.join(filter(None, options))}")
