"""The part of a config that says what is written down, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, model_validator
from typing_extensions import Self

from schedules import Duration
from schedules.declaration import Declaration, carried
from schedules.refusal import Problem, Refused, did_you_mean, within
from schedules.schedule import Length

from .tracker import Tracker


class Log(Declaration):
    """What is written down of the updates, and the trackers that are told of it.

    Every other key is a tracker: of the kind of that name, or of the one that it states.

    >>> log = Log.declared({"every": "1 epoch", "csv": {}, "archive": {"kind": "csv"}})
    >>> sorted(log.trackers), log.trackers["archive"].kind
    (['archive', 'csv'], 'csv')
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Tracker]

    every: Length = Duration.parse(10)
    """How often an update gets a row in `metrics.jsonl`; the last one always does."""

    @classmethod
    def usual(cls) -> Self:
        """What is written down where nothing is said."""
        return cls.declared({"tensorboard": {}})

    @property
    def trackers(self) -> Mapping[str, Tracker]:
        """The trackers, by their names under `log`."""
        return dict(self.__pydantic_extra__ or {})

    def check(self) -> None:
        """Whether everything that the trackers need is installed.

        Raises:
            Refused: with what to install.
        """
        for name, tracker in self.trackers.items():
            with within("log", name):
                tracker.check()

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, config: Any) -> Any:
        """Reads the name of each tracker as its kind, and leaves out what is null."""
        if not isinstance(config, Mapping):
            return config
        read, problems = {}, []
        for name, written in config.items():
            if name in cls.model_fields or isinstance(written, Tracker):
                read[name] = written
            elif written is not None:
                known = Tracker.called(name) is not None
                named = isinstance(written, Mapping) and "kind" in written
                if not known and not named:
                    hint = did_you_mean(name, {*cls.model_fields, *Tracker.kinds})
                    problems.append(Problem(str(name), written, "is no known tracker", hint))
                elif not isinstance(written, Mapping):
                    rule = "must be a mapping"
                    problems.append(Problem(name, written, rule, f"log.{name}={{}}"))
                else:
                    read[name] = {"kind": name, **written}
        if problems:
            raise carried(Refused(problems))
        return read
