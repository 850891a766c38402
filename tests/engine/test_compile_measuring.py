"""How many updates a call makes: long enough to cost nothing, and never past what is due."""

from pathlib import Path

import pytest

from tests.helpers.runs import result, trained
from trainer.engine.compile_measuring import CALL_SECONDS, Pace
from trainer.engine.program import Program


def lengths(pace: Pace, rates: list[float]) -> list[int]:
    """The lengths of calls that run at these rates, one after another."""
    told = []
    for rate in rates:
        told.append(pace.steps_per_call)
        pace.took(told[-1], told[-1] / rate)
    return told


def test_a_call_grows_from_one_update_to_a_fifth_of_a_second() -> None:
    assert lengths(Pace(2000, adapts=True), [1000.0] * 7) == [1, 4, 16, 64, 200, 200, 200]
    assert CALL_SECONDS == 0.2


def test_a_call_shrinks_at_once_and_has_a_longest() -> None:
    assert lengths(Pace(50, adapts=True), [1e6] * 5) == [1, 4, 16, 50, 50]
    assert lengths(Pace(2000, adapts=True), [1000.0] * 5 + [10.0, 10.0])[-1] == 2
    assert lengths(Pace(2000, adapts=True), [0.5] * 3) == [1, 1, 1]


def test_a_declared_length_stays() -> None:
    assert lengths(Pace(7, adapts=False), [1000.0, 1.0, 1000.0]) == [7, 7, 7]


@pytest.mark.parametrize("compiled", ["graph", "xla"])
def test_calls_end_where_something_is_due_and_share_one_program(
    compiled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every remainder is another count for the same program: nothing is traced again."""
    calls: list[tuple[int, int]] = []
    programs: set[Program] = set()
    update = Program.update

    def noting(self, table, step):
        programs.add(self)
        calls.append((step, step + len(table)))
        return update(self, table, step)

    monkeypatch.setattr(Program, "update", noting)
    asked = ("run.length=300", "evaluate.every=70", "checkpoint.every=45", "log.every=16")
    trained(tmp_path, *asked, f"run.compile={compiled}")
    assert result(tmp_path)["steps"] == 300
    made = [call for call in calls if call[1] > call[0]]  # the first, of none, only compiles
    assert [end for _, end in made[:-1]] == [begin for begin, _ in made[1:]]
    due = {*range(70, 300, 70), *range(45, 300, 45), 300}
    assert due <= {end for _, end in made}
    assert len({end - begin for begin, end in made}) > 3
    (program,) = programs
    assert program.traces == 1
