"""How fast the trainer is, beside others, in one table: writes it to BENCHMARKS.md.

    python scripts/bench/table.py [--quick] [--only PART …] [--torchvision PYTHON] [--output FILE]

Takes about 20 minutes on two cores. Peers run in processes of their own and take turns; a figure is
the median over the turns, and a ratio the median of the ratios of one round. A peer that isn't
installed is left out: `pip install 'scheduled-training[bench]'` and `pip install torch` bring them,
and `--torchvision` may name another Python that has torch and torchvision, as these only come with
CUDA from PyPI. What stands in the file outside of the two marks is written by hand, and stays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(CHECKOUT)]

import sections  # noqa: E402
from contest import Entry, contest, ratio  # noqa: E402  # beside this file
from part import FULL, QUICK, Mark, Part, Scale  # noqa: E402
from start_up import COMMANDS, command, first_update, importing  # noqa: E402

from trainer.runs.provenance import git, usable_cores  # noqa: E402  # from this checkout

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PACKAGES = ("tensorflow", "keras", "numpy", "jax", "optax", "torch")
NAMES = {
    "trainer": "**the trainer**, as it is by default",
    "hand_graph": "hand-written `tf.function`, 500 updates a call",
    "hand_xla": "the same with `jit_compile=True`",
    "hand_xla_1": "that on one thread",
    "jax": "JAX `lax.scan` with optax, 500 updates a call",
    "torch": "torch, eager",
    "torch_sparse": "torch, eager, `Embedding(sparse=True)`",
    "fit": "Keras `model.fit` on arrays",
    "fit_50": "the same with `steps_per_execution=50`",
    "fit_50_piped": "that on a cached and prefetched `tf.data`",
}


def mlp(scale: Scale) -> Part:
    """The small network, where what is not arithmetic counts most."""
    ours = Entry("trainer")
    same = Entry("trainer", ("run.steps_per_call=500",))
    every = Entry("trainer", ("log.every=1",))
    unsaved = Entry("trainer", ("checkpoint.every=100%",))
    threads = Entry("trainer", (f"run.threads={len(usable_cores())}",))
    others = {peer: Entry(peer) for peer in NAMES if peer not in ("trainer", "torch_sparse")}
    entries = [ours, same, every, unsaved, threads, *others.values()]
    contest("mlp", entries, scale.rounds, scale.seconds)
    marks = [
        Mark("MLP, beside JAX, both 500 updates a call", ratio(same, others["jax"]), 1.0),
        Mark("MLP, beside the best hand-written loop", _beside_best(ours, others), 1.1),
        Mark("what `log.every=1` costs", _cost(every, ours), at_most=0.10, form="{:.1%}"),
        Mark("what a checkpoint every 1,000 updates costs", _cost(ours, unsaved),
             at_most=0.05, form="{:.1%}"),
    ]  # fmt: skip
    title = "Updates a second: MLP 64-128-10 on `digits`, batches of 64"
    return Part(marks, title, *_rates(entries))


def cnn(scale: Scale) -> Part:
    """The network that is trained where nothing else is said."""
    ours = Entry("trainer")
    forced = [Entry("trainer", (f"run.compile={way}",)) for way in ("graph", "xla")]
    others = {peer: Entry(peer) for peer in NAMES if peer not in ("trainer", "jax", "torch_sparse")}
    entries = [ours, *forced, *others.values()]
    contest("cnn", entries, scale.rounds, scale.seconds)
    best = max(forced, key=lambda entry: entry.rate or 0)
    marks = [
        Mark("CNN, beside `steps_per_execution=50`", ratio(ours, others["fit_50"]), 1.3),
        Mark("CNN, beside torch", ratio(ours, others["torch"]), 1.2),
        Mark("CNN, beside the better of graph and XLA", ratio(ours, best), 0.95),
        Mark("CNN, beside the best hand-written loop", _beside_best(ours, others), 0.95),
    ]
    return Part(marks, "Updates a second: CNN on `mnist5k`, batches of 64", *_rates(entries))


def embedding(scale: Scale) -> Part:
    """A large table of which a batch looks up few rows."""
    marks, rows, header = [], [], []
    for rule, sparse in {"sgd": (), "adagrad": (), "adam": ("optimizer.sparse=lazy",)}.items():
        asked = (f"optimizer={rule}",)
        ours, *others = (
            Entry("trainer", (*asked, *sparse)),
            *(Entry(peer, asked) for peer in ("torch_sparse", "fit")),
        )
        contest("embedding", [ours, *others], scale.rounds, scale.seconds)
        name = f"{'lazy ' if sparse else ''}{rule} on a table of 200,000 × 64"
        marks += [
            Mark(f"{name}, beside torch's sparse one", ratio(ours, others[0]), 1.0),
            Mark(f"{name}, beside `model.fit`", ratio(ours, others[1]), 8),
        ]
        header, found = _rates([ours, *others])
        rows += [[f"{rule}: {row[0]}", *row[1:]] for row in found]
    sizes = {"20,000": "embedding_small", "2,000,000": "embedding_large"}
    peers = ("trainer", "torch_sparse")
    many_and_few = [
        Entry(peer, ("optimizer=sgd",), job=job) for peer in peers for job in sizes.values()
    ]
    contest("embedding", many_and_few, scale.rounds, scale.seconds)
    few, many, torch_few, torch_many = many_and_few
    beside = "sgd with 2,000,000 rows, beside 20,000"
    marks.append(Mark(beside, ratio(many, few), 0.9))
    theirs = ratio(torch_many, torch_few)
    found_rows = _rates(many_and_few)[1]
    for entry, found, count in zip(many_and_few, found_rows, [*sizes] * 2, strict=True):
        name = NAMES[entry.peer] if entry.peer != "trainer" else "the trainer"
        rows.append([f"sgd, a table of {count} rows: {name}", *found[1:]])
    if theirs is not None:
        rows.append([f"{beside}: torch", f"{theirs:.2f}x", ""])
    return Part(
        marks,
        "Updates a second: a table of embeddings, 64 ids an example, batches of 64",
        header,
        rows,
    )


def start(scale: Scale) -> Part:
    """How long until something is there."""
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    tensorflow, cold, warm = "`import tensorflow`", "first update, new config", "first update"
    took |= {tensorflow: [], cold: [], warm: []}
    with TemporaryDirectory() as known:
        for turn in range(scale.starts + 1):
            found = {name: command(*words) for name, words in COMMANDS.items()}
            found[tensorflow] = importing()
            found[warm] = first_update(Path(known))
            with TemporaryDirectory() as unknown:
                found[cold] = first_update(Path(unknown))
            if turn:  # the first one warms the disk's cache, and tells what compiles best
                for name, seconds in found.items():
                    took[name].append(seconds)
    medians = {name: median(seconds) for name, seconds in took.items()}
    marks = [Mark(name, medians[name], at_most=0.7, form="{:.2f} s") for name in COMMANDS] + [
        Mark(
            f"from Enter to the first update of the MLP, beyond {tensorflow}, {choice}",
            median(b - a for a, b in zip(took[tensorflow], took[name], strict=True)),
            at_most=1.5,
            form="{:.2f} s",
        )
        for name, choice in ((warm, "compiled as remembered"), (cold, "measured anew"))
    ]
    rows = [[name, f"{medians[name]:.2f}", _spread(took[name], ".2f")] for name in took]
    return Part(marks, "Seconds until something is there", ["what", "median", "range"], rows)


def memory(scale: Scale) -> Part:
    """What a long run holds."""
    asked = [sys.executable, str(HERE / "memory.py"), str(scale.updates)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    name = f"over {found['updates']:,} updates"
    marks = [
        Mark(f"memory beyond model, optimizer and data, {name}", found["beyond"],
             at_most=200, form="{:.0f} MB"),
        Mark(f"its growth {name}, after a tenth of them", found["growth"],
             at_most=20, form="{:.0f} MB"),
    ]  # fmt: skip
    return Part(marks, "", [], [])


PARTS: dict[str, Callable[[Scale], Part]] = {
    "mlp": mlp,
    "cnn": cnn,
    "embedding": embedding,
    "start": start,
    "memory": memory,
    "networks": sections.networks,
    "starts": sections.starts,
    "vectorized": sections.vectorized,
}
"""The parts but for `images`, which may need another Python."""


def machine() -> str:
    """Where, when and with what it was measured."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    installed = []
    for package in PACKAGES:
        try:
            installed.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            installed.append(f"{package} not installed")
    commit = git(CHECKOUT)
    head = f"{commit['commit'][:10]}{' and changes' if commit['dirty'] else ''}" if commit else "?"
    return (
        f"{time.strftime('%Y-%m-%d')}, commit {head}; {names[0] if names else platform.machine()}, "
        f"{len(usable_cores())} cores, {platform.platform()}; Python {platform.python_version()}, "
        f"{', '.join(installed)}. Load at the end: {os.getloadavg()[1]:.1f}."
    )


def written(parts: list[Part]) -> Iterator[str]:
    """The measured part of the file."""
    yield machine()
    yield _table(["what", "measured", "mark", "met"], [m.cells() for p in parts for m in p.marks])
    for part in parts:
        if part.rows:
            yield f"### {part.title}"
            yield _table(part.header, part.rows)


def put(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Puts the text between two lines of a file, its last ones where it has none such yet."""
    before = (
        path.read_text(encoding="utf-8") if path.exists() else f"# Benchmarks\n\n{begin}\n{end}\n"
    )
    head, found, rest = before.partition(begin)
    head, tail = (head, rest.partition(end)[2]) if found else (f"{head.rstrip()}\n\n", "\n")
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", encoding="utf-8")


def _beside_best(ours: Entry, others: dict[str, Entry]) -> float | None:
    hands = [entry for peer, entry in others.items() if peer.startswith("hand")]
    return ratio(ours, max(hands, key=lambda entry: entry.rate or 0))


def _cost(dearer: Entry, cheaper: Entry) -> float | None:
    """The share of an update's time that is more."""
    found = ratio(cheaper, dearer)
    return None if found is None else found - 1


def _rates(entries: list[Entry]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for entry in entries:
        name = NAMES[entry.peer]
        if entry.overrides and entry.peer == "trainer":
            name = f"the trainer, `{' '.join(entry.overrides)}`"
        cells = [entry.absent.replace("|", "/"), ""]
        if entry.rate is not None:
            form = ",.0f" if entry.rate >= 100 else ".1f"
            cells = [f"{entry.rate:{form}}", _spread(entry.rates, form)]
        rows.append([name, *cells])
    return ["", "median", "range"], rows


def _spread(found: list[float], form: str) -> str:
    return f"{min(found):{form}} – {max(found):{form}}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def main(arguments: list[str] | None = None) -> None:
    """Measures, says what it finds as it goes, and writes it down."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choices = [*PARTS, "images"]
    options.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    options.add_argument("--only", nargs="+", choices=choices, default=choices)
    options.add_argument("--torchvision", default=sys.executable, help="a Python that has it")
    options.add_argument("--output", type=Path, default=CHECKOUT / "BENCHMARKS.md")
    asked = options.parse_args(arguments)
    parts = []
    with TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # what this machine remembers is not to count
        for name in asked.only:
            scale = QUICK if asked.quick else FULL
            measured = PARTS.get(name) or partial(sections.images, torch=asked.torchvision)
            parts.append(measured(scale))
            for mark in parts[-1].marks:
                print(*mark.cells(), sep="  ", flush=True)
    put(asked.output, "\n\n".join(written(parts)))
    print(f"written to {asked.output}")


if __name__ == "__main__":
    main()
