"""Tables in files of values between commas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Problem, Refused

from ..raw_part import RawPart
from .columns import (
    counts_rows,
    read_labels,
)
from .csv_file import CsvFile
from .layout import Layout
from .tables import Table


class Csv(Table):
    """A text file of values between commas, its first line the names of the columns.

    Inputs must be numbers, as pandas reads them: nothing is guessed of text, of dates or of what is
    missing. Labels may be text; they then name classes. The file may be packed by gzip. All of it
    is read before anything begins; numbers that memory has no room for wait in a temporary file.
    """

    kind: Literal["csv"] = "csv"
    delimiter: Literal["comma", "semicolon", "tab", "bar", "space"] = "comma"
    """What stands between two values."""

    def header(self) -> Sequence[str]:
        return CsvFile.opened("path", self.path, self.delimiter).header

    def read_part(self, path: str, file: Path) -> tuple[Layout, RawPart]:
        opened = CsvFile.opened(path, file, self.delimiter)
        layout = self.layout(file, opened.header)
        cells, texts = opened.read(
            [*layout.numbers], layout.texts, layout.may_lack, in_windows=self.window is not None
        )
        if path == "path" and self.inputs is None:
            self._check_row_numbers([*layout.numbers], cells, file)
        field = self.labels_override[0]
        place = {name: i for i, name in enumerate(layout.numbers)}
        labels = [
            cells[:, place[name]] if name in place else read_labels(texts[name], self.task, field)
            for name in layout.labels
        ]
        return layout, self.part(layout, cells, texts, labels)

    def _check_row_numbers(
        self, columns: Sequence[str], cells: NDArray[np.float64], file: Path
    ) -> None:
        """Refuses a column that counts the rows, unless the config has it among the inputs."""
        counting = [counts_rows(cells[:, i]) for i in range(len(columns))]
        others = [name for name, counts in zip(columns, counting, strict=True) if not counts]
        if others and any(counting):
            rule = f"counts the rows of {file}, and tells where an example stands"
            hint = self.inputs_hint(others)
            raise Refused(
                Problem("inputs", name, rule, hint)
                for name, counts in zip(columns, counting, strict=True)
                if counts
            )
