"""Trains, in a process of its own with four logical CPU devices, what it is asked on its input.

`python -m tests.helpers.replicated` reads a JSON list of folders and overrides and trains in each.
An override `spoils=RANK` of these tests' own gives that replica's loss a NaN where the learning
rate is above 1. What each replica has in the end is left in `replicas.json`, by names of variables.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tests.helpers.runs import trained
from trainer.models.dense import Mlp

if TYPE_CHECKING:
    import keras

    from trainer.data import Facts
    from trainer.scheduled.dials import Dials


class Normed(Mlp):
    """A dense layer with batch normalization and dropout, declared by Keras' own layers."""

    kind: Literal["normed"] = "normed"

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras

        layers = keras.layers
        flow: list[Any] = [
            keras.Input(facts.shape, name="inputs"),
            layers.Flatten(name="flatten"),
            layers.Dense(16, name="dense"),
            layers.BatchNormalization(name="norm", momentum=0.9),
            layers.ReLU(name="relu"),
            layers.Dropout(0.25, name="drop"),
            layers.Dense(facts.outputs, name="logits"),
        ]
        return keras.Sequential(flow, name="model")


class Noisy(Mlp):
    """A model with random numbers that replicas can't share."""

    kind: Literal["noisy"] = "noisy"

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras

        layers = keras.layers
        flow: list[Any] = [
            keras.Input(facts.shape, name="inputs"),
            layers.Flatten(name="flatten"),
            layers.GaussianNoise(0.5, name="noise"),
            layers.Dense(facts.outputs, name="logits"),
        ]
        return keras.Sequential(flow, name="model")


def leave(session: Any) -> None:
    """Writes down what the replicas of a session have."""
    network = session.network
    networks = getattr(network, "networks", [network])
    found = [{name: array.tolist() for name, array in each.state().items()} for each in networks]
    (session.folder.path / "replicas.json").write_text(json.dumps(found))


def main() -> None:
    import tensorflow as tf

    from schedules import Refused
    from trainer.losses import CrossEntropy
    from trainer.training.session import Session

    close = Session.close

    def closed(session: Session) -> None:
        leave(session)
        close(session)

    Session.close = closed  # type: ignore[method-assign]

    plain = CrossEntropy.training
    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    message: list[tuple[str, Any]] = []
    for path, overrides in json.load(sys.stdin):
        spoils = [int(o.removeprefix("spoils=")) for o in overrides if o.startswith("spoils=")]

        def spoilt(
            self: Any, outputs: Any, labels: Any, dials: Any, spoils: list[int] = spoils
        ) -> Any:
            rank = tf.distribute.get_replica_context().replica_id_in_sync_group
            losses = plain(self, outputs, labels, dials)
            if tf.get_static_value(rank) not in spoils:
                return losses
            return losses + tf.where(dials.value("learning_rate") > 1, float("nan"), 0.0)

        CrossEntropy.training = spoilt if spoils else plain  # type: ignore[method-assign]
        asked = [o for o in overrides if not o.startswith("spoils=")]
        try:
            message.append((path, trained(Path(path), *asked)))
        except Refused as refused:
            message.append((path, str(refused)))
    print(json.dumps(message))


if __name__ == "__main__":
    main()
