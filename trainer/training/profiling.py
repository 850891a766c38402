"""A profile of a few calls, in the form that TensorBoard's Profile page shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ..config.settings import Profile
from ..engine.startup import stderr_to

WARM = 5
"""Calls before it: by then everything has run once, and a call has its length."""


class Profiler:
    """Records some calls of a run, which enters it around every call.

    A run goes on where no profile can be made; `news` has where the profile is, or why there is
    none.
    """

    def __init__(self, declared: Profile | None, folder: Path) -> None:
        self._left = declared.calls if declared else 0
        self._folder = folder
        self._news: list[str] = []
        self._calls = 0
        self._recording = False

    def __enter__(self) -> None:
        if self._left and self._calls == WARM:
            self._recording = self._tried(lambda: tf.profiler.experimental.start(str(self._folder)))
        self._calls += 1

    def __exit__(self, *_: object) -> None:
        if self._recording:
            self._left -= 1
            if not self._left:
                self._stop()

    def news(self) -> list[str]:
        """What somebody should hear of, each thing once."""
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """Ends a profile that is under way, and says it where there were too few calls for one."""
        if self._recording:
            self._stop()
        elif self._left:
            self._news.append(
                f"no profile: it begins after {WARM} calls, and there were {self._calls}; "
                "a lower run.steps_per_call makes more of them"
            )
        self._left = 0

    def _stop(self) -> None:
        self._left, self._recording = 0, False
        if self._tried(tf.profiler.experimental.stop):
            where = f"tensorboard --logdir {self._folder}"
            self._news.append(f"a profile of this run is there: {where}")

    def _tried(self, act: Callable[[], object]) -> bool:
        try:
            with stderr_to(self._folder / "tensorflow.log"):  # the profiler tells of itself there
                act()
        except (tf.errors.OpError, OSError, RuntimeError) as error:
            self._left = 0
            self._news.append(f"no profile: {str(error).splitlines()[0]}")
            return False
        return True
