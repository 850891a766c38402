"""How the workers of a run meet, before TensorFlow waits for ever."""

from __future__ import annotations

import socket
import time

import tensorflow as tf

from schedules.declaration import refuse

from .cluster import Cluster, WorkerLostError

LOOK_SECONDS = 0.2
"""How often it is seen which workers are there."""


def joined(cluster: Cluster, patience: float) -> tf.distribute.Strategy:
    """How the devices of all workers work together, once all of them are there.

    Raises:
        Lost: when one of them is not there after `patience` seconds.
        Refused: when TensorFlow has been at work in this process, or can't listen at its address.
    """
    _meet(cluster, patience)
    workers = tf.train.ClusterSpec({"worker": list(cluster.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        workers, task_type="worker", task_id=cluster.task, rpc_layer="grpc"
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except RuntimeError:
        rule = "must come before anything else that TensorFlow does in a process"
        raise refuse("device", "multi_worker", rule, "one run a process") from None
    except tf.errors.OpError as error:
        address = cluster.addresses[cluster.task]
        rule = f"could not begin at {address}: {error.message.splitlines()[0]}"
        raise refuse("device", "multi_worker", rule, "another port") from None


def _meet(cluster: Cluster, patience: float) -> None:
    """Waits until all workers answer; TensorFlow would wait for ever, and hear no signal.

    Until it begins to listen at this worker's address, we do.
    """
    port = int(cluster.addresses[cluster.task].rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        listening = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        rule = f"can't listen at {cluster.addresses[cluster.task]}: {error.strerror}"
        raise refuse("device", "multi_worker", rule, "another port, or end what uses it") from None
    missing, until = set(cluster.addresses), time.monotonic() + patience
    with listening:
        while missing := missing.intersection(silent(cluster)):
            if time.monotonic() > until:
                gone = ", ".join(sorted(missing))
                raise WorkerLostError(
                    f"waited {patience:g} seconds for the other workers; not there: {gone}"
                )
            time.sleep(LOOK_SECONDS)


def silent(cluster: Cluster) -> list[str]:
    """The addresses at which no worker listens."""
    silent = []
    for index, address in enumerate(cluster.addresses):
        host, _, port = address.rpartition(":")
        try:
            if index != cluster.task:
                socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
        except OSError:
            silent.append(address)
    return silent
