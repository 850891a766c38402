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
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from trainer.config.experiment import Experiment  # noqa: E402
from trainer.config.hydra import compose  # noqa: E402  # from this checkout, installed or not
from trainer.data.feeds.order import ExampleOrder  # noqa: E402

TEXTS = Path(gettempdir()) / "scheduled-training-bench-texts.npz"
"""4,000 made-up texts of 20 to 100 ids of tokens each, filled up with zeros."""
ENDLESS = "run.length=10000000"
STEPS = ("data=synthetic", "data.shape=[28,28]", "data.classes=10", ENDLESS)
"""Sequences of 28 steps of 28 numbers, as the rows of images would be."""
TOKENS = ("data=npz", f"data.path={TEXTS}", "model.tokens=5000", ENDLESS)
WIDTH = 64
"""The columns of a table of embeddings."""


def embedding_job(vocabulary: int) -> tuple[str, ...]:
    """A table that each example looks up 64 rows of, whose mean a dense layer makes a number of."""
    layers = (
        f"{{kind: Embedding, input_dim: {vocabulary}, output_dim: {WIDTH}}}",
        "{kind: GlobalAveragePooling1D}",
        "{kind: Dense, units: 1}",
    )
    return (
        "model=layers",
        f"model.layers=[{', '.join(layers)}]",
        "data=python",
        "data.call=scripts.bench.identifiers:looked_up",
        f"data.kwargs={{vocabulary: {vocabulary}}}",
        "allow_code=[scripts.bench.identifiers]",
        "checkpoint.every=100%",  # one of 2,000,000 rows has 512 MB, and no peer writes any
        ENDLESS,
    )


JOBS = {
    "mlp": ("model=mlp", "data=digits", ENDLESS),
    "cnn": ("model=cnn", "data=mnist5k", ENDLESS),
    "embedding": embedding_job(200_000),
    "embedding_small": embedding_job(20_000),
    "embedding_large": embedding_job(2_000_000),
    "resnet": ("model=resnet", "data=mnist5k", ENDLESS),
    "vit": ("model=vit", "data=mnist5k", ENDLESS),
    "mobilenet": (
        "model=applications",
        "data=synthetic",
        "model.name=MobileNetV2",
        "data.shape=[32,32,3]",
        ENDLESS,
    ),
    "lstm": ("model=rnn", *STEPS),
    "gru": ("model=rnn", "model.cell=gru", *STEPS),
    "bilstm_masked": ("model=rnn", "model.bidirectional=true", *TOKENS),
    "transformer": ("model=text", *TOKENS),
}
"""Run for longer than anybody waits, so that no run ends by itself."""
LONGEST = 500
"""Updates in one call of a hand-written loop."""
CALL_SECONDS = 0.2
RATE, MOMENTUM, HORIZON = 0.02, 0.9, 10**6

Made = tuple[int, float]
"""How many updates, in how many seconds."""
Run = Callable[[float], Made]
"""Trains for about as many seconds."""


class FitEnded(Exception):  # noqa: N818  # no error
    """Ends a `fit` in the middle of an epoch."""


class Job(NamedTuple):
    """What all peers are given."""

    declared: Experiment
    data: Any
    stream: ExampleOrder
    is_large: bool = False
    """Whether its weights take as long to write as many updates do."""


def job(name: str, overrides: list[str]) -> Job:
    """The declared job, its examples, and the order they come in."""
    if not TEXTS.exists():
        _write_texts(TEXTS)
    declared = Experiment.declared(compose([*JOBS[name], "evaluate.every=100%", *overrides]))
    data = declared.data.load()
    order = ExampleOrder(1, len(data.train), declared.data.batch_size)
    return Job(declared, data, order, is_large=name.startswith("embedding"))


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


def hand_written(given: Job, *, xla: bool, threads: int = 0) -> Run:
    """The best `tf.function` for the same Keras model and optimizer: many updates a call."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = _keras_model(given)
    optimizer = _keras_rule(given)
    optimizer.build(model.trainable_variables)
    train = given.data.train
    inputs, labels = tf.constant(train.inputs), tf.constant(train.labels)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(jit_compile=xla)
    def updates(chosen: Any, count: Any) -> Any:
        def update(i: Any, losses: Any) -> Any:
            x, y = tf.gather(inputs, chosen[i]), tf.gather(labels, chosen[i])
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            weights = model.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
            return i + 1, losses.write(i, loss)

        losses = tf.TensorArray(tf.float32, LONGEST, element_shape=())
        _, losses = tf.while_loop(lambda i, _: i < count, update, (0, losses))
        return losses.stack()

    def call(step: int, count: int) -> None:
        chosen = given.stream.indices(step, count)
        padded = tf.pad(chosen, [[0, LONGEST - count], [0, 0]])
        updates(padded, tf.constant(count)).numpy()

    return _adapting(call)


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

    return _repeated(call, LONGEST)


def torch_eager(given: Job) -> Run:
    """The loop that torch's tutorials write, with the data in a tensor."""
    import torch
    from torch import nn

    declared, train = given.declared.model, given.data.train
    inputs = torch.from_numpy(train.inputs.transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(train.labels.astype("int64"))
    layers: list[Any] = []
    for filters in getattr(declared, "filters", ()):
        side = declared.kernel_size
        layers += [nn.LazyConv2d(filters, side, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    for width in declared.hidden:
        layers += [nn.LazyLinear(width), nn.ReLU()]
    model = nn.Sequential(*layers, nn.LazyLinear(int(train.labels.max()) + 1))
    model(inputs[:1])  # the lazy layers learn their shapes
    rule = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(rule, HORIZON)
    loss_of = nn.CrossEntropyLoss()

    def call(step: int, count: int) -> None:
        for chosen in torch.from_numpy(given.stream.indices(step, count)).long():
            rule.zero_grad()
            loss = loss_of(model(inputs[chosen]), labels[chosen])
            loss.backward()
            rule.step()
            schedule.step()
        loss.item()

    return _adapting(call)


def torch_sparse(given: Job) -> Run:
    """A sparse table in torch, whose gradient and update have the rows that a batch looks up."""
    import torch
    from torch import nn

    train, kind = given.data.train, given.declared.optimizer.kind
    inputs = torch.from_numpy(train.inputs[:].astype("int64"))
    labels = torch.from_numpy(train.labels[:].astype("float32")).reshape(len(train), 1)
    vocabulary = given.declared.data.kwargs["vocabulary"]
    table, head = nn.Embedding(vocabulary, WIDTH, sparse=True), nn.Linear(WIDTH, 1)
    both = [*table.parameters(), *head.parameters()]
    rules = {
        "sgd": lambda: [torch.optim.SGD(both, lr=RATE)],
        "adagrad": lambda: [torch.optim.Adagrad(both, lr=RATE)],
        "adam": lambda: [
            torch.optim.SparseAdam(list(table.parameters()), lr=RATE),
            torch.optim.Adam(head.parameters(), lr=RATE),
        ],
    }[kind]()
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(rule, HORIZON) for rule in rules]
    loss_of = nn.MSELoss()

    def call(step: int, count: int) -> None:
        for chosen in torch.from_numpy(given.stream.indices(step, count)).long():
            for rule in rules:
                rule.zero_grad()
            loss = loss_of(head(table(inputs[chosen]).mean(1)), labels[chosen])
            loss.backward()
            for rule in rules:
                rule.step()
            for schedule in schedules:
                schedule.step()
        loss.item()

    return _adapting(call)


def keras_fit(given: Job, *, at_once: int, piped: bool = False) -> Run:
    """`model.fit` on arrays, or on a cached, shuffled, prefetched `tf.data`; compiled as it likes.

    An epoch of the arrays is as many copies of them as 500 updates need, since each costs extra.
    """
    import keras
    import tensorflow as tf

    model = _keras_model(given)
    classes = given.declared.data.facts().classes
    model.compile(
        _keras_rule(given),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mse",
        steps_per_execution=at_once,
    )
    train, batch = given.data.train, given.stream.batch_size
    each = 500
    if piped:
        data = tf.data.Dataset.from_tensor_slices((train.inputs, train.labels)).cache()
        data = data.shuffle(len(train)).repeat().batch(batch, drop_remainder=True)
        fed = {"x": data.prefetch(tf.data.AUTOTUNE), "steps_per_epoch": each}
    else:
        chosen = np.resize(np.arange(len(train)), each * batch)
        fed = {"x": train.inputs[chosen], "y": train.labels[chosen], "batch_size": batch}

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        """Times what comes after the first updates, in which `fit` sets itself up."""

        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds, self.updates, self.took = seconds, 0, 0.0
            self.first, self.before, self.began = 0, 0, 0.0

        def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
            done = self.before + batch + 1
            if not self.began:
                self.first, self.began = done, perf_counter()
                return
            self.updates, self.took = done - self.first, perf_counter() - self.began
            if self.took > self.seconds:
                raise FitEnded  # `stop_training` is heard at the end of an epoch only

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            self.before += each

    def run(seconds: float) -> Made:
        clock = Clock(seconds)
        with suppress(FitEnded):
            model.fit(**fed, epochs=10**6, verbose=0, callbacks=[clock])
        return clock.updates, clock.took

    run(0.5)
    return run


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


def _write_texts(path: Path) -> None:
    """Writes what `TEXTS` says, with labels that most often stand among a text's tokens."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 10, 4000)
    ids = random.integers(10, 5000, (4000, 100))
    ids = np.where(random.random(ids.shape) < 0.05, labels[:, None] + 1, ids)
    ids[np.arange(100) >= random.integers(20, 101, (4000, 1))] = 0
    partial = path.with_name(f"{os.getpid()}-{path.name}")
    np.savez(partial, inputs=ids.astype(np.int32), labels=labels)
    partial.replace(path)


def _adapting(call: Callable[[int, int], None]) -> Run:
    """Calls of about a fifth of a second, of `LONGEST` updates at most."""
    count = 1
    while count < LONGEST and _timed(call, count) < CALL_SECONDS / 2:
        count = min(2 * count, LONGEST)
    return _repeated(call, count)


def _timed(call: Callable[[int, int], None], count: int) -> float:
    call(0, count)
    began = perf_counter()
    call(count, count)
    return perf_counter() - began


def _repeated(call: Callable[[int, int], None], count: int) -> Run:
    step = 0

    def run(seconds: float) -> Made:
        nonlocal step
        first, began = step, perf_counter()
        while step == first or perf_counter() - began < seconds:
            call(step, count)
            step += count
        return step - first, perf_counter() - began

    run(0.5)
    return run


def _keras_model(given: Job) -> Any:
    import keras

    from trainer.scheduled.dials import Dials

    keras.utils.set_random_seed(1)
    facts = given.declared.data.facts()
    return given.declared.model.build(facts, Dials([]))


def _keras_rule(given: Job) -> Any:
    import keras

    kind = given.declared.optimizer.kind
    settings = {"momentum": MOMENTUM} if kind == "momentum" else {}
    name = {"momentum": "SGD", "sgd": "SGD", "adagrad": "Adagrad", "adam": "Adam"}[kind]
    rate = keras.optimizers.schedules.CosineDecay(RATE, HORIZON)
    return getattr(keras.optimizers, name)(rate, **settings)


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
