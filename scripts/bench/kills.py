"""A storm of SIGKILLs over several small runs, each compared with a run left in peace.

    python scripts/bench/kills.py [KILLS_A_RUN]

Deals 20 kills to each of five runs unless told otherwise, and takes some minutes. It ends with an
error at the first run whose weights or rows differ in any bit.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.helpers.storm import RECIPES, storm


def main() -> None:
    """Prints a line a run, and the sum."""
    kills, total = int(sys.argv[1]) if len(sys.argv) > 1 else 20, 0
    for seed, recipe in enumerate(RECIPES):
        began = perf_counter()
        with TemporaryDirectory() as folder:
            dealt = storm(Path(folder), recipe, kills, seed)
        total += dealt
        print(f"{recipe:<8} {dealt} kills, the same bits, {perf_counter() - began:.0f} s")
    print(f"{total} kills changed no bit")


if __name__ == "__main__":
    main()
