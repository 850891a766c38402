"""The part of a config that says which rows are written, and where they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, model_validator

from schedules import Duration
from schedules.declaration import Declaration, within
from schedules.declaration.by_name import fill_in_kinds
from schedules.schedule import Length

from .tracker import Tracker


class Log(Declaration):
    """Which updates get a row, and the trackers that get the rows.

    Every key but `every` is a tracker, of the kind of that name or of the kind that it states.

    >>> log = Log.declared({"every": "1 epoch", "csv": {}, "archive": {"kind": "csv"}})
    >>> sorted(log.trackers), log.trackers["archive"].kind
    (['archive', 'csv'], 'csv')
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Tracker]

    every: Length = Duration.parse(10)
    """How often an update gets a row in `metrics.jsonl`; the last one always does."""

    @classmethod
    def default(cls) -> Self:
        """The log of a config that says nothing of it."""
        return cls.declared({"tensorboard": {}})

    @property
    def trackers(self) -> Mapping[str, Tracker]:
        """The trackers, by their names under `log`."""
        return dict(self.__pydantic_extra__ or {})

    def check(self) -> None:
        """Checks whether everything that the trackers need is installed.

        Raises:
            Refused: with what to install.
        """
        for name, tracker in self.trackers.items():
            with within("log", name):
                tracker.check()

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, config: Any) -> Any:
        return fill_in_kinds(config, Tracker, "log", fields=cls.model_fields)
