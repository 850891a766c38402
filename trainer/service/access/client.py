"""Everything that a program can ask of a service, a method each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Self

from schedules.declaration import Refused

from .event_stream import Event
from .file_calls import FileCalls
from .place import Place
from .queue_calls import QueueCalls
from .row_calls import RowCalls, words
from .transport import Answer, Transport, new_key

SERVED = (Path(), Path("outputs"))
"""The roots that a command means which names none."""


class Client(RowCalls, FileCalls, QueueCalls):
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

    @classmethod
    def of_served(cls, root: Path | None) -> Self:
        """The client of a root; without one, of the working folder or of `outputs` in it.

        Raises:
            Refused: when nobody serves it.
        """
        refused: Refused | None = None
        for folder in (root,) if root else filter(Path.is_dir, SERVED):
            try:
                client = cls(folder)
                client.health()
            except Refused as error:
                refused = error
            else:
                return client
        assert refused
        raise refused

    @property
    def place(self) -> Place:
        """Where the server is, which may be elsewhere once it was started anew."""
        return self._http.place

    @property
    def patience(self) -> float:
        """For how many seconds a server that is away is asked again; at first 0."""
        return self._http.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._http.patience = seconds

    # The server itself

    def health(self) -> Answer:
        """How the server is, and what it may do."""
        return self._http.get("/health")

    def link(self) -> str:
        """An address that lets one browser in, once."""
        address: str = self._http.post("/links")["address"]
        return address

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
            columns=words(columns),
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
