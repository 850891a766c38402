"""How long tables take to read, beside pandas, where that is installed.

    python scripts/bench/tables.py                       1,000,000 rows of 20 columns
    python scripts/bench/tables.py --rows 6 --columns 40000

Each way of reading gets an array of all numbers in the file, in a process of its own and in turns.
Prints the median of the seconds that passed, and of those that processors were at work.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

FORMATS = ("csv", "csv.gz", "parquet")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pandas", default=sys.executable, help="a Python that has it")
    parser.add_argument("--one", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(READERS[asked.one[0]](Path(asked.one[1]))))
        return
    with TemporaryDirectory() as folder:
        write(Path(folder), asked.rows, asked.columns)
        print("| file | reader | seconds | at work |")
        print("|---|---|---|---|")
        for file in (Path(folder) / f"table.{name}" for name in FORMATS):
            table(file, {"ours": sys.executable, "pandas": asked.pandas}, asked.rounds)


def table(file: Path, pythons: dict[str, str], rounds: int) -> None:
    """Prints a row a reader."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            words = [python, __file__, "--one", name, str(file)]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode == 0:
                taken[name].append(tuple(json.loads(done.stdout)))
    for name, seconds in taken.items():
        passed, worked = (
            f"{median(column):.2f}" if column else "–"
            for column in (zip(*seconds, strict=True) if seconds else ([], []))
        )
        print(f"| {file.name} | {name} | {passed} | {worked} |", flush=True)


def write(folder: Path, rows: int, columns: int) -> None:
    """Writes one table in all formats."""
    import pyarrow
    from pyarrow import csv, parquet

    values = np.random.default_rng(0).normal(size=(columns, rows))
    numbers = pyarrow.table({f"c{i}": column for i, column in enumerate(values)})
    csv.write_csv(numbers, folder / "table.csv")
    packed = gzip.compress((folder / "table.csv").read_bytes(), compresslevel=1)
    (folder / "table.csv.gz").write_bytes(packed)
    parquet.write_table(numbers, folder / "table.parquet")


def ours(file: Path) -> tuple[float, float]:
    """The seconds until this package has all columns but the first in an array."""
    from pyarrow import compute, csv, parquet  # noqa: F401  # imports don't count, as pandas' don't

    from trainer.data import Data

    kind = "parquet" if file.suffix == ".parquet" else "csv"
    Data.find(kind)
    began, worked = perf_counter(), process_time()
    contents = Data.declared({"kind": kind, "path": str(file), "target": "c0"}).contents  # type: ignore[attr-defined]
    contents.raw.train.inputs[:]
    return perf_counter() - began, process_time() - worked


def by_pandas(file: Path) -> tuple[float, float]:
    """The seconds until pandas has all columns in an array."""
    import pandas

    began, worked = perf_counter(), process_time()
    frame = pandas.read_parquet(file) if file.suffix == ".parquet" else pandas.read_csv(file)
    frame.to_numpy()
    return perf_counter() - began, process_time() - worked


READERS = {"ours": ours, "pandas": by_pandas}

if __name__ == "__main__":
    main()
