"""Everything that a program can ask of a service, a method each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from .client_error import ClientError
from .event_stream import Event
from .place import Place
from .transport import Answer, Transport, new_key

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


class Client:
    """Asks one service.

    `Client(ROOT)` finds the server that runs for a folder, `Client(url=…)` and `Client(uds=…)` one
    elsewhere; the `token` is that of this user where none is given, which is sent to no server of
    another user. `certificate` is a file of certificates to trust besides those of the system.
    What can't be done raises `ClientError`; a root without a server is `Refused`.

    A request may be sent again when its answer is lost: those that change something have a key by
    which the server knows them, so that nothing is done twice.
    """

    def __init__(
        self,
        root: str | PathLike[str] = ".",
        *,
        url: str = "",
        uds: str | PathLike[str] = "",
        token: str = "",
        certificate: str | PathLike[str] = "",
        seconds: float = 30.0,
    ) -> None:
        """`seconds` is how long an answer may take.

        Raises:
            Refused: when no server is known for the root, or the address is none.
        """
        fixed = None
        if url:
            fixed = Place.of_url(url, str(certificate), is_own=not token)
        elif uds:
            fixed = Place(uds=str(Path(uds).expanduser().absolute()), is_own=not token)
        folder = Path(root).expanduser().resolve()
        self._http = Transport(lambda: fixed or Place.of_root(folder), token, seconds)

    @property
    def place(self) -> Place:
        """Where the server is, which may be elsewhere once it was started anew."""
        return self._http.place

    # The server itself

    def health(self) -> Answer:
        """How the server is, and what it may do."""
        return self._http.get("/health")

    def link(self) -> str:
        """An address that lets one browser in, once."""
        path = self._http.post("/links")["path"]
        return path if self.place.uds else f"{self.place}{path}"

    def events(
        self, topics: Sequence[str] = ("runs",), last_id: str = "", patience: float = 60.0
    ) -> Iterator[Event]:
        """What happens, from now on or from an event's id on, without end.

        Topics are `runs`, `queue`, `run:ID` and `rows:ID` or `rows:ID@CURSOR`. A stream that breaks
        goes on where it was, at a server that was started anew too.

        Raises:
            ClientError: when the server is away for longer than `patience` in seconds.
        """
        return self._http.events(",".join(topics), last_id, patience)

    # Runs

    def runs(
        self,
        *,
        state: Sequence[str] = (),
        sweep: str | None = None,
        q: str = "",
        sort: str = "-started",
        after: str | None = None,
        limit: int = 1000,
        columns: Sequence[str] | None = None,
    ) -> Answer:
        """The list: `runs`, their `columns`, how many there are in `total`, and `complete`."""
        return self._http.get(
            "/runs",
            state=",".join(state),
            sweep=sweep,
            q=q,
            sort=sort,
            after=after,
            limit=limit,
            columns=_words(columns),
        )

    def run(self, run: str) -> Answer:
        """One run: its state, config, result and events."""
        return self._http.get(f"/runs/{run}")

    def differences(self, run: str, other: str) -> list[Answer]:
        """The override paths at which two configs differ, with both values."""
        found: list[Answer] = self._http.get(f"/runs/{run}/differences", other=other)["differences"]
        return found

    def sweeps(self) -> list[Answer]:
        """The sweeps and searches, with how many of their runs have each state."""
        found: list[Answer] = self._http.get("/sweeps")["sweeps"]
        return found

    # Rows, logs and files

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
            names=_words(names),
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
        return self._http.get(f"/runs/{run}/rows", since=cursor, names=_words(names))

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
            ended = self.run(run)["status"] in ENDED
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

    def log(
        self, run: str, stream: str = "output", begin: int = -(2**16), end: int | None = None
    ) -> Answer:
        """A part of `output`, `errors` or `tensorflow`; a `begin` below 0 counts from the end."""
        return self._http.get(f"/runs/{run}/log", {"from": begin}, stream=stream, to=end)

    def follow_log(self, run: str, stream: str = "output", pause: float = 1.0) -> Iterator[str]:
        """A whole log, and what is written to it until the run has ended."""
        place = 0
        while True:
            ended = self.run(run)["status"] in ENDED
            while (answer := self.log(run, stream, place))["to"] > place:
                place = answer["to"]
                yield answer["text"]
            if ended:
                return
            place = place if answer["size"] >= place else 0
            time.sleep(pause)

    def files(self, run: str) -> list[Answer]:
        """The files of a run: `name`, `size` and `changed`."""
        found: list[Answer] = self._http.get(f"/runs/{run}/files")["files"]
        return found

    def save_file(self, run: str, name: str, target: str | PathLike[str]) -> Path:
        """Saves a file of a run as `target`, which nobody sees half written."""
        path = Path(target)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            with closing(self._http.asked("GET", f"/runs/{run}/files/{quote(name)}")) as answer:
                with draft.open("xb") as file:
                    while chunk := answer.read(2**18):
                        file.write(chunk)
                if answer.length:
                    raise ClientError(f"{name}: {answer.length} bytes have not come")
            return draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    # Orders

    def order(self, run: str, orders: Sequence[str], *, wait: float = 10.0) -> Answer:
        """Has a running job obey orders of `trainer.control` before its next update.

        `state` is `obeyed`, with `step` and what was `told`; or `waiting`, where the job has not
        answered in time: ask for the `letter`, or withdraw it.
        """
        body = {"orders": list(orders), "wait": wait}
        return self._http.post(
            f"/runs/{run}/orders", body, key=new_key(), seconds=self._http.seconds + wait
        )

    def letter(self, run: str, letter: str) -> Answer:
        """What came of orders that waited."""
        return self._http.get(f"/runs/{run}/orders/{letter}")

    def withdraw(self, run: str, letter: str) -> Answer:
        """Takes orders back that still wait."""
        return self._http.json("DELETE", f"/runs/{run}/orders/{letter}")

    # Configs

    def preview(
        self,
        overrides: Sequence[str] = (),
        values: Mapping[str, Any] | str | None = None,
        *,
        names: Sequence[str] | None = None,
        begin: int | None = None,
        end: int | None = None,
        points: int = 900,
    ) -> Answer:
        """What a config would train: curves, findings, updates. Nothing is written."""
        body = {
            "overrides": list(overrides),
            "values": values,
            "names": names and list(names),
            "from": begin,
            "to": end,
            "points": points,
        }
        return self._http.post("/preview", body, is_repeatable=True)

    def kinds(self) -> Answer:
        """Every kind of every group, with formula, fields and bounds."""
        return self._http.get("/kinds")

    def schema(self) -> Answer:
        """The JSON Schema of a schedule."""
        return self._http.get("/schema")

    def options(self) -> Answer:
        """The options of each group, with their values."""
        return self._http.get("/options")

    # The queue

    def submit(
        self,
        overrides: Sequence[str] = (),
        *,
        is_dry: bool = False,
        key: str = "",
        **settings: Any,
    ) -> Answer:
        """Puts a run, or each job of a sweep, into the queue: `sweep`, `runs`, `link`.

        `settings` are those of `POST /runs`: `yaml`, `rerun`, `priority`, `name`, `tags`, `cores`,
        `gpus`, `engine`. With `is_dry` it is only told what would start. The same `key` gives the
        same run for ever; without one, each call makes its own.
        """
        body = {"overrides": list(overrides), **settings}
        if is_dry:
            return self._http.post("/runs?dry=1", body, is_repeatable=True)
        return self._http.post("/runs", body, key=key or new_key())

    def queue(self) -> Answer:
        """What runs and what waits, in the order in which it will start."""
        return self._http.get("/queue")

    def set_queue(self, **settings: Any) -> Answer:
        """Sets `paused`, `at_once`, `cores` or `gpus`."""
        return self._http.json("PATCH", "/queue", settings, is_repeatable=True)

    def set_run(self, run: str, **settings: Any) -> Answer:
        """Sets `priority`, `before`, `held`, `name` or `tags` of a run."""
        return self._http.json("PATCH", f"/runs/{run}", settings, is_repeatable=True)

    def stop(self, run: str, how: Literal["stop", "terminate", "kill"] = "stop") -> Answer:
        """Ends a run: by an order, by SIGTERM or by SIGKILL; one that waits never starts."""
        return self._http.post(f"/runs/{run}/stop", {"how": how}, is_repeatable=True)

    def start(self, run: str, overrides: Sequence[str] = ()) -> Answer:
        """Has a run go on that has stopped; `run.length=…` makes it longer."""
        return self._http.post(f"/runs/{run}/start", {"overrides": list(overrides)})

    def remove(self, run: str) -> Answer:
        """Moves a run that does not train into ROOT/.trash."""
        return self._http.json("DELETE", f"/runs/{run}")

    def stop_sweep(self, sweep: str) -> Answer:
        """Ends every job of a sweep."""
        return self._http.post(f"/sweeps/{quote(sweep, safe='')}/stop", {}, is_repeatable=True)

    def export(self, run: str, format: str) -> Answer:  # noqa: A002
        """Begins to export a run; `task` is to be asked for."""
        return self._http.post(f"/runs/{run}/exports", {"format": format})

    def predict(self, run: str, content: bytes, content_type: str) -> Answer:
        """Begins to predict the examples of a table or an image; `task` is to be asked for."""
        headers = {"Content-Type": content_type}
        return self._http.json("POST", f"/runs/{run}/predictions", content, headers=headers)

    def task(self, task: str) -> Answer:
        """What came of an export or a prediction."""
        return self._http.get(f"/tasks/{task}")


def _words(names: Sequence[str] | None) -> str | None:
    return None if names is None else ",".join(names)
