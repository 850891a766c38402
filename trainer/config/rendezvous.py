"""Waiting for all workers of a run, with a limit that TensorFlow does not have."""

from __future__ import annotations

import socket
import time

import tensorflow as tf

from schedules.declaration import refuse

from .cluster import Cluster, WorkerLostError

POLL_SECONDS = 0.2
"""The pause between two attempts to connect to the workers."""


def join_cluster(cluster: Cluster, patience: float) -> tf.distribute.Strategy:
    """TensorFlow's strategy for the devices of all workers, once all workers are there.

    Raises:
        WorkerLostError: when a worker is missing after `patience` seconds.
        Refused: when TensorFlow has been at work in this process, or can't listen at its address.
    """
    _wait_for_workers(cluster, patience)
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


def _wait_for_workers(cluster: Cluster, patience: float) -> None:
    """Waits until all workers answer; TensorFlow would wait for ever, and block signals.

    This process listens at its own address until TensorFlow does.
    """
    port = int(cluster.addresses[cluster.task].rpartition(":")[2])
    dualstack = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dualstack else socket.AF_INET
    try:
        listening = socket.create_server(("", port), family=family, dualstack_ipv6=dualstack)
    except OSError as error:
        rule = f"can't listen at {cluster.addresses[cluster.task]}: {error.strerror}"
        raise refuse("device", "multi_worker", rule, "another port, or end what uses it") from None
    missing, deadline = set(cluster.addresses), time.monotonic() + patience
    with listening:
        while missing := missing.intersection(unreachable(cluster)):
            if time.monotonic() > deadline:
                addresses = ", ".join(sorted(missing))
                raise WorkerLostError(
                    f"waited {patience:g} seconds for the other workers; not there: {addresses}"
                )
            time.sleep(POLL_SECONDS)


def unreachable(cluster: Cluster) -> list[str]:
    """The addresses at which no other worker listens."""
    addresses = []
    for index, address in enumerate(cluster.addresses):
        host, _, port = address.rpartition(":")
        try:
            if index != cluster.task:
                socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
        except OSError:
            addresses.append(address)
    return addresses
