"""How many updates a call makes: long enough to cost nothing, and never past what is due."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.runs import result, trained
from trainer.engine import compile_measuring
from trainer.engine.compile_measuring import CALL_SECONDS, Pace, measure
from trainer.engine.program import Program


def lengths(pace: Pace, rates: list[float]) -> list[int]:
    """The lengths of calls that run at these rates, one after another."""
    message = []
    for rate in rates:
        message.append(pace.steps_per_call)
        pace.took(message[-1], message[-1] / rate)
    return message


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

    def noting(self, table, step, count=None):
        programs.add(self)
        calls.append((step, step + (len(table) if count is None else count)))
        return update(self, table, step, count)

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


class Made:
    """A program of made-up operations, that is as fast as it is told to be."""

    longest = 8
    made_whole = ""

    def __init__(self, way: str, operations: dict[str, int]) -> None:
        self.way, self._operations = way, operations
        self.calls: list[int] = []
        self.trained: Any = self

    def operations(self) -> Counter[str]:
        return Counter(self._operations)

    def state(self) -> None:
        """It has none."""

    def restore(self, before: None) -> None:
        """It has none."""


def chosen(
    monkeypatch: pytest.MonkeyPatch,
    operations: dict[str, int],
    device: str,
    rates: dict[str, float],
    compiling: float = 0.0,
) -> tuple[Any, dict[str, Made]]:
    """What is chosen among programs of made-up rates, on a clock that they alone move.

    Each takes `compiling` seconds until it can run.
    """
    clock, built = [0.0], {}

    def build(way: str) -> Made:
        built[way] = Made(way, operations)
        return built[way]

    def ask(program: Made, count: int) -> None:
        program.calls.append(count)
        clock[0] += count / rates[program.way] if count else compiling

    monkeypatch.setattr(compile_measuring, "perf_counter", lambda: clock[0])
    choice, program = measure(build, ask, device)
    assert program is built[choice.compile]
    return choice, built


@pytest.mark.parametrize("gradient", sorted(compile_measuring.CONVOLUTIONS))
def test_what_is_known_to_lose_is_not_even_built(
    gradient: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = {"graph": 2.0, "xla": 1000.0}
    choice, built = chosen(monkeypatch, {"MatMul": 9, gradient: 8}, "/CPU:0", rates)
    assert (choice.compile, set(built)) == ("graph", {"graph"})
    reason = "on a CPU its loops are slow at convolutions, and 8 are in the way of gradients"
    assert choice.why == {"graph": "2 updates/s", "xla": f"not tried: {reason}"}
    assert capsys.readouterr().out == "run.compile=auto: measuring graph\n"


@pytest.mark.parametrize(
    ("operations", "device"),
    [
        ({"Conv2DBackpropInput": 51}, "/GPU:0"),
        ({"Conv2DBackpropInput": 2}, "/CPU:0"),
        ({"MatMul": 9, "Conv2D": 30, "Conv2DBackpropFilter": 30}, "/CPU:0"),
        ({"Einsum": 8, "Mul": 1000}, "/GPU:0"),
        ({"Einsum": 3, "BatchMatMulV2": 4, "Mul": 1000}, "/CPU:0"),
        ({"Einsum": 12, "Mul": 100_000}, "/CPU:0"),
    ],
)
@pytest.mark.parametrize("faster", ["graph", "xla"])
def test_whatever_may_win_is_measured_and_the_terminal_says_what(
    operations: dict[str, int],
    device: str,
    faster: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rates = {"graph": 2.0, "xla": 2.0, faster: 500.0}
    choice, _ = chosen(monkeypatch, operations, device, rates)
    assert choice.compile == faster
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["graph", "xla"]


@pytest.mark.parametrize("products", [{"Einsum": 8}, {"Einsum": 3, "BatchMatMulV2": 5}])
def test_attention_in_which_arithmetic_takes_the_time_stays_in_the_graph(
    products: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = {**products, "Mul": 992}
    choice, built = chosen(monkeypatch, operations, "/CPU:0", {"graph": 50.0, "xla": 1e6})
    assert (choice.compile, set(built)) == ("graph", {"graph"})
    assert choice.why["xla"].startswith("not tried: an operation takes 20 µs")
    quick = {"graph": 200.0, "xla": 1e6}
    assert chosen(monkeypatch, operations, "/CPU:0", quick)[0].compile == "xla"


@pytest.mark.parametrize(
    ("compiling", "importing", "ways"),
    [(2.9, 0.0, 2), (3.1, 0.0, 1), (3.1, 9.2, 1), (3.1, 9.4, 2)],
)
def test_what_would_take_long_to_compile_is_not_tried(
    compiling: float,
    importing: float,
    ways: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """XLA takes four times as long as the graph did.

    It may take twelve seconds, or as many as the import of TensorFlow and the graph took together.
    """
    monkeypatch.setattr(compile_measuring, "import_seconds", lambda: importing)
    rates = {"graph": 2.0, "xla": 1000.0}
    choice, built = chosen(monkeypatch, {"MatMul": 9}, "/CPU:0", rates, compiling)
    assert len(built) == ways
    lines = ["run.compile=auto: measuring graph"]
    if ways == 1:
        assert choice.why["xla"] == "not tried: it would take about 12 s to compile"
    else:
        lines.append("run.compile=auto: measuring xla, which takes about 12 s to compile")
    assert capsys.readouterr().out.splitlines() == lines
    assert len(chosen(monkeypatch, {"MatMul": 9}, "/GPU:0", rates, compiling)[1]) == 2


def test_a_way_that_is_slow_is_asked_for_a_single_update(monkeypatch: pytest.MonkeyPatch) -> None:
    _, built = chosen(monkeypatch, {}, "/CPU:0", {"graph": 5000.0, "xla": 0.13})
    assert built["xla"].calls == [0, 1]


@pytest.mark.parametrize(("layers", "ways"), [(9, 1), (2, 2)])
def test_a_network_of_convolutions_begins_in_the_graph_by_its_operations(
    layers: int, ways: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    init = Program.__init__

    def noting(self, network, feed, compiled, *more, **others):
        built.append(compiled)
        init(self, network, feed, compiled, *more, **others)

    monkeypatch.setattr(Program, "__init__", noting)
    inner = "{kind: Conv2D, filters: 1, kernel_size: 1}"
    head = "{kind: Flatten}, {kind: Dense, units: 10}"
    network = f"model.layers=[{', '.join([inner] * layers)}, {head}]"
    asked = ("run.compile=auto", "run.compile_cache=false", "run.length=2")
    assert trained(tmp_path, "model=layers", network, *asked) == 0
    assert len(built) == ways
    measured = result(tmp_path)["compile_measured"]
    assert measured["xla"].startswith("not tried: on a CPU") == (ways == 1)
