"""Rows, as charts have them and as they are written, of one run and of several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from .client_error import ClientError
from .transport import Answer, Transport

FIRST_CURSOR = "0-e3b0c44298fc1c14"
"""The place before all rows: nothing stands before it."""
ENDED = frozenset(
    "done stopped pruned interrupted failed cancelled unfinished unreadable".split()  # noqa: SIM905
)
"""The states from which a run does not go on by itself."""


class Rows(NamedTuple):
    """Rows of a run that were not given before."""

    series: dict[str, Answer]
    """By name, `steps` and `last`; and in `not_finite` the steps of numbers that are null."""
    is_anew: bool
    """Whether they are all there are, and those given before no longer hold."""


class RowCalls:
    """The part of a client that asks for rows."""

    _http: Transport

    def rows(
        self,
        run: str,
        names: Sequence[str] | None = None,
        *,
        begin: int | None = None,
        end: int | None = None,
        points: int = 2000,
        smooth: float | None = None,
    ) -> Answer:
        """Series in at most so many buckets, of the steps from `begin` to before `end`."""
        return self._http.get(
            f"/runs/{run}/rows",
            {"from": begin},
            names=words(names),
            to=end,
            points=points,
            smooth=smooth,
        )

    def compare_rows(
        self, runs: Sequence[str], names: Sequence[str], points: int = 500
    ) -> dict[str, Answer]:
        """The same series of several runs, by their ids."""
        found: dict[str, Answer] = self._http.get(
            "/rows", runs=",".join(runs), names=",".join(names), points=points
        )["runs"]
        return found

    def new_rows(self, run: str, cursor: str, names: Sequence[str] | None = None) -> Answer:
        """The rows behind the `cursor` of an earlier answer, single ones; `more` if there are more.

        Raises:
            ClientError: a 409 with the code `cut` when the rows before it are no longer the same.
        """
        return self._http.get(f"/runs/{run}/rows", since=cursor, names=words(names))

    def follow_rows(
        self,
        run: str,
        names: Sequence[str] | None = None,
        cursor: str = FIRST_CURSOR,
        pause: float = 1.0,
    ) -> Iterator[Rows]:
        """All rows, and what is written until the run has ended; asks anew after each pause.

        Where a run went on from a checkpoint before its last row, all rows are given once more,
        `is_anew`.
        """
        is_anew = False
        while True:
            ended = has_ended(self._http.get(f"/runs/{run}"))
            more = True
            while more:
                try:
                    answer = self.new_rows(run, cursor, names)
                except ClientError as error:
                    if error.members.get("code") != "cut":
                        raise
                    cursor, is_anew = FIRST_CURSOR, True
                    continue
                cursor, more = answer["cursor"], answer["more"]
                if answer["series"] or is_anew:
                    yield Rows(answer["series"], is_anew)
                    is_anew = False
            if ended:
                return
            time.sleep(pause)

    def compare(self, runs: Sequence[str] = (), sweep: str | None = None) -> Answer:
        """What differs among runs, or those of a sweep, with their results."""
        return self._http.get("/compare", runs=words(runs or None), sweep=sweep)

    def compare_curves(
        self,
        name: str,
        runs: Sequence[str] = (),
        sweep: str | None = None,
        *,
        begin: int | None = None,
        end: int | None = None,
        points: int = 500,
        smooth: float | None = None,
        seeds: Literal["apart", "mean"] = "apart",
    ) -> Answer:
        """One series of each run, or its mean over the runs that differ in their seed alone."""
        return self._http.get("/compare/rows", {"from": begin}, name=name,
                              runs=words(runs or None), sweep=sweep, to=end, points=points,
                              smooth=smooth, seeds=seeds)  # fmt: skip

    def importance(self, sweep: str) -> Answer:
        """How much each value of a search mattered for its metric."""
        return self._http.get("/compare/importance", sweep=sweep)


def words(names: Sequence[str] | None) -> str | None:
    """Names as a query has them."""
    return None if names is None else ",".join(names)


def has_ended(run: Answer) -> bool:
    """Whether a run does not go on by itself."""
    return run["status"] in ENDED
