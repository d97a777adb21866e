"""The page says what the numbers say: goals reached and missed, and no page from a part of the measurements."""

from pathlib import Path

import pytest

import bench.__main__ as command
from bench import goals
from bench.diagnostics_cost import Cost
from bench.entries import CEILING, EAGER, KERAS, OURS, OURS_CNN, STACKED
from bench.findings import PRODUCT_FLOPS, Findings, limit
from bench.goals import Goal
from bench.page import page
from bench.race import Entry, Result
from bench.whole_service import Passage, ServiceResult
from bench.workload import CNN, DIAMONDS, DIAMONDS_256, WORKLOADS, Workload

CORES_RATE = 200e3
"""Operations in a microsecond of the made-up machine's matrix product."""


def result(name: str, *wall: float, trials: int = 60) -> Result:
    """Wall times in microseconds, with half of them as processor time over cores."""
    return Result(name, trials, list(wall), [value / 2 for value in wall])


def ceiling(rounds: int) -> Result:
    return result(CEILING, *[PRODUCT_FLOPS / CORES_RATE] * rounds, trials=1)


def measured(eager: float = 200.0, jax: float = 9.0, widest: float = 5.0) -> Findings:
    """Two rounds of everything, in which the kernel takes 5 and 4 microseconds."""
    ours = result(OURS, 5.0, 4.0)
    keras = [result(name, 600.0 + 100 * place, 500.0, trials=1) for place, name in enumerate(KERAS.values())]
    rivals = [result(EAGER, eager, eager, trials=1), result("JAX scan, one process", jax, jax)]
    table = [ours, result(STACKED, 20.0, 20.0), *rivals, *keras, ceiling(2)]
    own = result(OURS_CNN, 0.8e6, 0.8e6, trials=2)
    plain, caching = (
        result(f"PyTorch, {how}", wall, wall) for how, wall in (("tuned", 1.0e6), ("freed memory kept", 0.7e6))
    )
    passage = Passage([5.5, 5.7], [0.3, 0.4], [5.0, 5.0], [5.2, 5.2])
    service = ServiceResult(
        {"plain": [5.0, 5.0], "diagnosed": [5.0, 5.0]},
        {"plain": [5.0, 5.0], "diagnosed": [5.0, 5.0]},
        {"plain": passage, "diagnosed": Passage([6.5, 6.5], [0.3, 0.3], [5.0, 5.0], [5.2, 5.2])},
        passage,
        2**28,
        [8.0, 8.0],
        "Keras fit, TensorFlow",
    )
    return Findings(
        [(DIAMONDS, table), (DIAMONDS_256, table), (CNN, [own, plain, caching, ceiling(2)])],
        [result(OURS, 6.0, 6.0, trials=1), result(OURS, 5.0, 5.0, trials=60), result(OURS, widest, widest, trials=240)],
        [(DIAMONDS, [result(OURS, 6.0, trials=1), result(STACKED, 250.0), result(EAGER, 240.0)])],
        service,
        True,
        [1.0, 2.0],
    )


def line(text: str, start: str) -> str:
    """The one row of the goals' table that begins so."""
    [goal] = [row for row in text.splitlines() if row.startswith(f"| {start}")]
    return goal


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        (Goal("a", 10.0, 12.0), "at least 10x | 12x | reached"),
        (Goal("a", 10.0, 8.0), "at least 10x | 8.00x | missed by 20 %"),
        (Goal("a", 1.0, 1.25, least=False), "at most 1.00x | 1.25x | missed by 25 %"),
        (Goal("a", 15.0, 16.5, "%", least=False), "at most 15 % | 16 % | missed by 1.5 points"),
        (Goal("a", 15.0, -3.0, "%", least=False), "at most 15 % | -3 % | reached"),
    ],
)
def test_a_goal_is_reached_or_missed_by_so_much(goal: Goal, says: str) -> None:
    assert says in goal.row()


def test_factors_are_taken_within_a_round() -> None:
    text = goals.section(measured())
    assert "| 45x | reached |" in line(text, "diamonds, batch 32: times faster than PyTorch's loop")
    assert "| 122x | reached |" in line(
        text, "diamonds, batch 32: times faster than Keras fit, TensorFlow (Keras's default"
    )
    assert "| 2.02x | reached |" in line(text, "diamonds, batch 32: times faster than the best of JAX")


def test_what_is_missed_is_said_with_what_is_possible() -> None:
    slower = goals.section(measured(eager=100.0, jax=5.0, widest=7.0))
    missed = line(slower, "diamonds, batch 32: times faster than PyTorch's loop")
    possible = 100.0 / (DIAMONDS.flops / CORES_RATE)
    assert f"missed by 36 % | at most possible: {possible:.0f}x" in missed
    assert "missed by" in line(slower, "diamonds, batch 32: times faster than the best of JAX")
    assert "1.40x | missed by 27 %" in line(slower, "cost of a trial from 1 to 240")


def test_the_service_is_compared_turn_by_turn() -> None:
    text = goals.section(measured())
    assert "| 12 % | reached | processor time: 4 % |" in line(text, "60 trials through the whole service, without")
    assert "| 30 % | missed by 15.0 points |" in line(text, "60 trials through the whole service, with the")
    assert "| 0.81x | reached | 6.5 s against 8.0 s |" in line(
        text, "60 trials through the service, against one network"
    )


def test_convolutions_are_held_to_the_best_loop() -> None:
    text = goals.section(measured())
    assert "| 0.80x | reached |" in line(text, "cifar10 cnn: time against PyTorch's loop, tuned (")
    assert "| 1.14x | missed by 14 % |" in line(text, "cifar10 cnn: time against PyTorch's loop, tuned, or")


def test_the_limit_is_the_rate_of_the_product() -> None:
    assert limit(DIAMONDS, ceiling(1)) == pytest.approx(DIAMONDS.flops / CORES_RATE)


def test_a_page_has_its_parts_and_no_more() -> None:
    whole = page(measured())
    for title in ("Goals", "Cost against width", "One trial at a time", "The whole service", "How it is measured"):
        assert f"## {title}" in whole
    assert "diamonds_32: Keras fit, TensorFlow 122, Keras fit, JAX 132" in whole
    part = page(Findings([measured().races[2]], loads=[1.0]))
    assert "convolutions" in part
    assert "Keras fit" not in part
    assert "whole service" not in part
    assert "diagnostics" not in part


def test_what_diagnostics_cost_is_told_turn_by_turn() -> None:
    cost = Cost("a study", cpu={"none": [2.0, 1.0, 4.0], "default": [2.2, 1.05, 4.0]})
    cost.wall = {"none": [1.0, 1.0, 1.0], "default": [1.5, 0.5, 2.0]}
    whole = page(Findings(loads=[1.0], diagnostics=[cost]))
    line = next(line for line in whole.splitlines() if line.startswith("| a study"))
    assert line.endswith(
        "| 2.00 (1.00 to 4.00) | 2.20 (1.05 to 4.00) | 5.0 % (0.0 to 10.0) | 50.0 % (-50.0 to 100.0) |"
    )


def no_costs(_rounds: int) -> list[Cost]:
    return []


@pytest.mark.parametrize("arguments", [["--only", "cnn"], []], ids=["a part", "without the peers"])
def test_a_part_is_printed_and_the_page_stays(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def race(entries: list[Entry], workload: Workload, rounds: int) -> list[Result]:
        walls = [PRODUCT_FLOPS / CORES_RATE if entry.name == CEILING else 9.0 for entry in entries]
        return [result(entry.name, *[wall] * rounds) for entry, wall in zip(entries, walls, strict=True)]

    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "race", race)
    monkeypatch.setattr(command.whole_service, "fetch", lambda: tmp_path)
    monkeypatch.setattr(command.whole_service, "measure", lambda *_: measured().service)
    monkeypatch.setattr(command.diagnostics_cost, "measure", no_costs)
    assert command.main(arguments) == 0
    assert not list(tmp_path.iterdir())
    printed = capsys.readouterr().out
    assert CNN.title.partition(",")[0] in printed
    assert all((workload.title in printed.replace("Di", "di")) == (not arguments) for workload in WORKLOADS)
    assert command.main([*arguments, "--output", str(tmp_path / "elsewhere")]) == 0
    assert (tmp_path / "elsewhere" / "benchmarks.md").read_text("utf-8") == printed
