"""One way to train one network, in a process of its own, for as long as it is told to.

    python scripts/bench/peers.py PEER JOB

Builds and warms up, says so on stdout, and answers each line on stdin, a number of seconds, by a
line of JSON: the updates it made and the seconds they took. `table.py` lets several take turns.
All train the network of the declared job on its own data and batches, by its optimizer under a
cosine. Every peer but Keras' `fit` has the data on the device and gets batches as indices.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from time import perf_counter
from typing import Any

from keras_peers import hand_written, keras_fit
from paces import LONGEST, Made, Run, repeated
from peer_jobs import HORIZON, MOMENTUM, RATE, Job, job
from torch_peers import torch_eager, torch_sparse


def trainer(given: Job) -> Run:
    """`python -m trainer`: its loop, with rows, events, checkpoints and progress as declared."""
    from trainer.config.plan import Plan
    from trainer.runs.folder import Folder
    from trainer.runs.signals import Stop
    from trainer.training import assembly, loop
    from trainer.training.progress import Progress
    from trainer.training.run_config import declare

    path = Path(mkdtemp(prefix="bench-"))
    atexit.register(rmtree, path, ignore_errors=True)
    folder = Folder(path)
    plan = Plan.of(given.declared)
    assembled = assembly.begin(declare(folder, plan), folder, alone=True)
    session = assembled.session
    progress, stop = Progress(plan.total_steps), Stop()
    saving = 0.0

    def finish() -> None:
        nonlocal saving
        began = perf_counter()
        saved()
        saving += perf_counter() - began

    # A turn of two seconds would end by writing the table.
    saved, session.finish = session.finish, finish  # type: ignore[method-assign]

    def run(seconds: float) -> Made:
        nonlocal saving
        before = session.step
        last = before + max(1, int(assembled.pace.rate * seconds))
        settings = plan.experiment.run.model_copy(update={"stop_after": _steps(last)})
        session.plan = Plan.of(plan.experiment.model_copy(update={"run": settings}))
        saving = 0.0
        began = perf_counter()
        loop.train(assembled, progress, stop)
        left_out = saving if given.is_large else 0.0
        return session.step - before, perf_counter() - began - left_out

    for _ in range(12):  # until the rate is known and a call has its length
        run(0.2)
    return run


def jax_scan(given: Job) -> Run:
    """`lax.scan` over the updates of a call, with optax. For a network of dense layers."""
    import jax
    import optax
    from jax import numpy as jnp

    train = given.data.train
    flat = jnp.asarray(train.inputs.reshape(len(train), -1))
    labels = jnp.asarray(train.labels)
    widths = [flat.shape[1], *given.declared.model.hidden, int(train.labels.max()) + 1]
    keys = jax.random.split(jax.random.PRNGKey(1), len(widths))
    glorot = jax.nn.initializers.glorot_uniform()
    weights = [
        (glorot(key, shape), jnp.zeros(shape[1]))
        for key, shape in zip(keys, pairwise(widths), strict=False)
    ]
    rule = optax.sgd(optax.cosine_decay_schedule(RATE, HORIZON), momentum=MOMENTUM)

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        for kernel, bias in weights[:-1]:
            x = jax.nn.relu(x @ kernel + bias)
        kernel, bias = weights[-1]
        logits = x @ kernel + bias
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def update(state: Any, chosen: Any) -> Any:
        weights, slots = state
        loss, gradients = jax.value_and_grad(loss_of)(weights, flat[chosen], labels[chosen])
        changes, slots = rule.update(gradients, slots, weights)
        return (optax.apply_updates(weights, changes), slots), loss

    updates = jax.jit(lambda state, chosen: jax.lax.scan(update, state, chosen), donate_argnums=0)
    state = weights, rule.init(weights)

    def call(step: int, count: int) -> None:
        nonlocal state
        state, losses = updates(state, jnp.asarray(given.stream.indices(step, count)))
        losses.block_until_ready()

    return repeated(call, LONGEST)


PEERS: dict[str, Callable[[Job], Run]] = {
    "trainer": trainer,
    "hand_graph": lambda given: hand_written(given, xla=False),
    "hand_xla": lambda given: hand_written(given, xla=True),
    "hand_xla_1": lambda given: hand_written(given, xla=True, threads=1),
    "jax": jax_scan,
    "torch": torch_eager,
    "torch_sparse": torch_sparse,
    "fit": lambda given: keras_fit(given, at_once=1),
    "fit_50": lambda given: keras_fit(given, at_once=50),
    "fit_50_piped": lambda given: keras_fit(given, at_once=50, piped=True),
}


def _steps(count: int) -> Any:
    from schedules import Duration

    return Duration.parse(count)


def main(peer: str, name: str, *overrides: str) -> None:
    """Answers on what was stdout; whatever the peer itself prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = PEERS[peer](job(name, list(overrides)))
    print("ready", file=answers)
    for line in sys.stdin:
        updates, seconds = run(float(line))
        print(json.dumps({"updates": updates, "seconds": seconds}), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
