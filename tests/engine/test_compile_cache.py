"""How a loop was found to run best, remembered from run to run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.runs import experiment, result, trained
from trainer.engine import compile_cache
from trainer.engine.compile_decision import binding_choice
from trainer.engine.compile_measuring import CompileChoice
from trainer.runs.checkpoints import CheckpointMismatchError
from trainer.runs.folder import Folder

AUTO = ("run.compile=auto", "run.length=3")
SCHEDULED = "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.9}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> list[CompileChoice]:
    """How often was measured; it is for the graph each time, whatever the machine would say."""
    found: list[CompileChoice] = []

    def measured(build, ask, device):
        found.append(CompileChoice("graph", {"graph": "2 updates/s", "xla": "1 updates/s"}))
        program = build("graph")
        ask(program, 0)
        return found[-1], program

    monkeypatch.setattr("trainer.engine.compile_decision.measure", measured)
    return found


def message(path: Path) -> tuple[str, str, dict[str, str]]:
    found = result(path)
    return found["compile"], found["compile_origin"], found["compile_measured"]


def test_a_like_run_remembers_and_says_what_was_measured(
    tmp_path: Path, measurements: list[CompileChoice]
) -> None:
    trained(tmp_path / "first", *AUTO)
    trained(tmp_path / "second", *AUTO, "run.seed=2", "schedule=constant")
    assert len(measurements) == 1
    why = {"graph": "2 updates/s", "xla": "1 updates/s"}
    assert message(tmp_path / "first") == ("graph", "measured at the start of this run", why)
    way, origin, cached_choice = message(tmp_path / "second")
    assert (way, cached_choice) == ("graph", why)
    assert origin.startswith("remembered from 20")
    trained(tmp_path / "third", "run.length=3", "run.compile=graph")
    assert message(tmp_path / "third") == ("graph", "declared", {})


def test_the_folder_of_a_run_rules_over_what_is_remembered(
    tmp_path: Path, measurements: list[CompileChoice], cache: Path
) -> None:
    trained(tmp_path / "run", *AUTO, "run.stop_after=1")
    (kept,) = cache.rglob("*.json")
    kept.write_text(kept.read_text().replace('"compile": "graph"', '"compile": "xla"'))
    trained(tmp_path / "run", *AUTO)
    assert result(tmp_path / "run")["compile"] == "graph"
    trained(tmp_path / "other", *AUTO)
    assert result(tmp_path / "other")["compile"] == "xla"


WHOLE = {"compile": "xla", "why": {}, "rates": {"all": 3.0}, "measured": "x", "of": {}}


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "{}", '{"compile": "fast", "why": {}, "measured": "x"}',
     '{"compile": "xla", "why": {"xla": 3}, "measured": "x"}',
     '{"compile": ["xla"], "why": {}, "measured": "x"}', "\udcff", "null", "[" * 5000,
     *(json.dumps({**WHOLE, **wrong}) for wrong in (
         {"why": ["xla"]}, {"why": None}, {"rates": [1]}, {"rates": {"all": "fast"}},
         {"rates": {"1": 3.0}}, {"rates": {"all": [1.0]}}, {"rates": {"all": float("nan")}},
         {"measured": {}}, {"compile": {}}, {"of": 3}))],
)  # fmt: skip
def test_a_damaged_one_is_measured_anew_and_mended(damage: str, cache: Path) -> None:
    asked = experiment(*AUTO)
    good = CompileChoice("xla", {"xla": "2 updates/s"})
    compile_cache.cache_choice(asked, "/CPU:0", good)
    (kept,) = cache.rglob("*.json")
    kept.write_bytes(damage.encode("utf-8", "surrogateescape"))
    assert compile_cache.cached_choice(asked, "/CPU:0") is None
    compile_cache.cache_choice(asked, "/CPU:0", good)
    found = compile_cache.cached_choice(asked, "/CPU:0")
    assert found is not None
    assert (found.compile, found.why) == (good.compile, good.why)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]  # no draft is left


def test_a_whole_one_is_what_the_damaged_ones_are_made_of(cache: Path) -> None:
    compile_cache.cache_choice(experiment(*AUTO), "/CPU:0", CompileChoice("xla", {}))
    (kept,) = cache.rglob("*.json")
    kept.write_text(json.dumps(WHOLE))
    assert compile_cache.cached_choice(experiment(*AUTO), "/CPU:0") is not None


@pytest.mark.parametrize("damage", ["a folder", "a link to itself", "nothing", '{"rates": 3}'])
@pytest.mark.parametrize("threads", [None, 1])
def test_whatever_lies_in_its_place_costs_a_measurement_and_no_more(
    damage: str, threads: int | None, cache: Path
) -> None:
    asked = experiment(*AUTO)
    compile_cache.cache_choice(asked, "/CPU:0", CompileChoice("xla", {}))
    (kept,) = cache.rglob("*.json")
    kept.unlink()
    if damage == "a folder":
        kept.mkdir()
    elif damage == "a link to itself":
        kept.symlink_to(kept)
    elif damage != "nothing":
        kept.write_text(damage)
    assert compile_cache.cached_choice(asked, "/CPU:0") is None
    chosen = CompileChoice("xla", {}, threads=threads, rate=1.0)
    assert compile_cache.cache_choice(asked, "/CPU:0", chosen).origin == compile_cache.MEASURED


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    asked = experiment(*AUTO)
    compile_cache.cache_choice(asked, "/CPU:0", CompileChoice("xla", {}))
    assert compile_cache.cached_choice(asked, "/CPU:0") is None


@pytest.mark.parametrize(
    "damage", ["", "[]", "{", '{"compile": "fast", "why": {}}', '{"compile": "xla", "why": 3}', "/"]
)
def test_a_spoilt_choice_of_a_run_folder_is_told_as_such(damage: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    if damage == "/":
        folder.compile_choice.mkdir()
    else:
        folder.compile_choice.write_text(damage)
    with pytest.raises(CheckpointMismatchError, match=r"chosen\.json (is spoilt|can't be read): "):
        binding_choice(experiment(*AUTO), folder, None)


def test_it_can_be_switched_off(
    tmp_path: Path, measurements: list[CompileChoice], cache: Path
) -> None:
    for name in ("first", "second"):
        trained(tmp_path / name, *AUTO, "run.compile_cache=false")
    assert len(measurements) == 2
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_costs_a_measurement_and_no_more(
    tmp_path: Path, measurements: list[CompileChoice], cache: Path
) -> None:
    cache.write_text("a file in the place of a folder")
    assert trained(tmp_path / "run", *AUTO) == 0
    assert message(tmp_path / "run")[1] == "measured at the start of this run"


@pytest.mark.parametrize(
    ("like", "overrides"),
    [
        (True, ("run.seed=7",)),
        (True, ("optimizer.momentum=0.8",)),
        (True, ("schedule=cosine_restarts", "warmup=linear", "run.length=99")),
        (False, ("optimizer.momentum=0",)),
        (False, (SCHEDULED,)),
        (False, ("optimizer=adam",)),
        (False, ("model.hidden=[17]",)),
        (False, ("model.dropout=0.5",)),
        (False, ("data.batch_size=32",)),
        (False, ("data=mnist5k",)),
        (False, ("ema={momentum: 0.9}",)),
        (False, ("loss.label_smoothing=0.1",)),
        (False, ("run.micro_batches=2",)),
        (False, ("run.precision=mixed_bfloat16",)),
        (False, ("run.on_nonfinite=skip",)),
        (False, ("run.steps_per_call=1",)),
    ],
)
def test_what_is_like_shares_a_verdict_and_what_runs_otherwise_does_not(
    like: bool, overrides: tuple[str, ...]
) -> None:
    compile_cache.cache_choice(experiment(*AUTO), "/CPU:0", CompileChoice("xla", {}))
    found = compile_cache.cached_choice(experiment(*AUTO, *overrides), "/CPU:0")
    assert (found is not None) == like


def test_another_machine_measures_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = experiment(*AUTO)
    compile_cache.cache_choice(asked, "/CPU:0", CompileChoice("xla", {}))
    for name, other in (
        ("usable_cores", lambda: list(range(99))),
        ("processor", lambda: "another"),
        ("version", lambda package: "9.9"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(compile_cache, name, other)
            assert compile_cache.cached_choice(asked, "/CPU:0") is None
    assert compile_cache.cached_choice(asked, "/CPU:0") is not None


def test_the_cache_is_where_the_user_has_it(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> None:
    assert compile_cache.folder() == cache / "scheduled-training" / "compiled"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compile_cache.folder() == tmp_path / ".cache" / "scheduled-training" / "compiled"


def test_a_verdict_says_what_it_is_of(cache: Path) -> None:
    compile_cache.cache_choice(experiment(*AUTO), "/CPU:0", CompileChoice("xla", {}))
    (kept,) = cache.rglob("*.json")
    assert json.loads(kept.read_text())["of"]["model"]["kind"] == "mlp"


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_cache, "usable_cores", lambda: [0, 1])
    monkeypatch.delenv(compile_cache.THREADS, raising=False)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    ("way", "every", "one", "threads", "rate"),
    [
        ("xla", 20_000.0, None, 1, 0.0),  # to be tried
        ("xla", 20_000.0, 25_000.0, 1, 25_000.0),
        ("xla", 20_000.0, 19_500.0, 1, 19_500.0),  # as good as
        ("xla", 20_000.0, 15_000.0, None, 20_000.0),
        ("xla", 300.0, None, None, 300.0),  # its products are worth sharing
        ("graph", 20_000.0, None, None, 20_000.0),
    ],
)
def test_one_thread_is_tried_for_quick_updates_and_kept_where_it_is_as_fast(
    way, every, one, threads, rate
) -> None:
    asked = experiment(*AUTO)
    compile_cache.cache_choice(asked, "/CPU:0", CompileChoice(way, {}, rate=every))
    if one is not None:
        compile_cache.cache_choice(asked, "/CPU:0", CompileChoice(way, {}, threads=1, rate=one))
    found = compile_cache.cached_choice(asked, "/CPU:0", alone=True)
    assert found is not None
    assert (found.compile, found.threads, found.rate) == (way, threads, rate)


@pytest.mark.usefixtures("two_cores")
def test_threads_are_left_alone_where_others_have_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = CompileChoice("xla", {}, rate=20_000.0)

    def threads(*overrides: str, device: str = "/CPU:0", alone: bool = True) -> int | None:
        asked = experiment(*AUTO, *overrides)
        compile_cache.cache_choice(asked, device, quick)
        found = compile_cache.cached_choice(asked, device, alone=alone)
        assert found is not None
        return found.threads

    assert threads() == 1
    assert threads(alone=False) is None
    assert threads("run.threads=2") is None
    assert threads(device="/GPU:0") is None
    monkeypatch.setenv(compile_cache.THREADS, "2")
    assert threads() is None
    monkeypatch.delenv(compile_cache.THREADS)
    monkeypatch.setattr(compile_cache, "usable_cores", lambda: [0])
    assert threads() is None
