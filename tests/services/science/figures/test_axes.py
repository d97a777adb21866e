"""What is written at the axes: every tick its own number, and names that can be told apart."""

import re
from typing import Any

import pytest
import vl_convert

from services.science.figures import Differences, Energy, Figure, FigureData, Heatmap
from services.science.figures.log_window import cut_to, log_window
from services.science.figures.rows import rows_drawing
from services.science.figures.theme import THEMES

LONG = "leaky_relu(negative_slope=0.25) · truncated_normal(stddev=0.025) · "


def texts(spec: dict[str, Any]) -> list[str]:
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return [re.sub("<[^>]+>", "", text) for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)]


def rows(names: list[str], means: list[float], **options: Any) -> list[str]:
    records = [
        {"row": name, "mean": mean, "low": mean - 0.01, "high": mean + 0.01, "note": "", "solid": True}
        for name, mean in zip(names, means, strict=True)
    ]
    data = FigureData("differences", "title", ("subtitle",), "description", tuple(records))
    return texts(rows_drawing(data, THEMES["light"], names, "x", zero=True, **options))


def test_no_two_ticks_have_the_same_label() -> None:
    # Left to itself Vega writes the first two ticks of this axis, -0.12 and -0.10, both as -0.1.
    labels = [text for text in rows(["a", "b"], [-0.107, -0.077]) if re.fullmatch(r"[−-]?[\d.]+", text)]
    assert "−0.12" in labels
    assert len(labels) == len(set(labels))


def test_long_names_of_pairs_get_a_line_for_each_arm() -> None:
    names = [f"{LONG}sgd(learning_rate={rate})  −  {LONG}sgd(learning_rate=0.5)" for rate in (0.1, 0.2)]
    written = " ".join(rows(names, [0.1, 0.2], break_at="  −  "))
    for rate in (0.1, 0.2, 0.5):
        assert f"{LONG}sgd(learning_rate={rate})" in written
    assert "…" not in written
    short = rows(["a  −  b", "a  −  c"], [0.1, 0.2], break_at="  −  ")
    assert any("a" in text and "b" in text for text in short)


def test_means_far_apart_are_drawn_with_few_digits(make_study: Any) -> None:
    study = make_study()
    first = study.arms[0]
    first.curves["val_loss"][:] *= 1e30
    figures: tuple[Figure, ...] = (Energy(), Heatmap())
    for figure in figures:
        for text in texts(figure.draw(figure.numbers(study))):
            assert not re.search(r"\d{8}", text), text
    vertical = Energy().draw(Energy().numbers(study))["layer"][-1]["encoding"]["y"]
    assert (vertical["scale"]["type"], vertical["title"][-9:]) == ("log", "log scale")


def test_pairs_without_a_common_seed_are_not_called_tested(make_study: Any) -> None:
    study = make_study(diverged={("tanh", "glorot_uniform"): (0, 1, 2, 3)})
    assert (study.comparison["pairs_total"], study.comparison["pairs_tested"]) == (6, 3)
    assert "Holm-adjusted for 3 pairs with common seeds" in " ".join(Differences().numbers(study).subtitle)


def test_a_logarithmic_window_holds_every_mean_and_cuts_only_long_intervals() -> None:
    records = [{"mean": 1.0, "low": -3.0, "high": 5.0}, {"mean": 100.0, "low": 90.0, "high": 1e9}]
    low, high = log_window(records, ("mean",))
    assert 0 < low < 1.0
    assert 100.0 < high < 1000.0
    drawn, cut = cut_to(records, low, high)
    assert cut
    assert [record["low_drawn"] for record in drawn] == [low, 90.0]
    assert [record["high_drawn"] for record in drawn] == [5.0, high]
    single = log_window([{"mean": 2.0, "low": None, "high": None}], ("mean",))
    assert single[0] < 2.0 < single[1]
    assert cut_to([{"mean": 2.0, "low": 1.99, "high": 2.01}], *single)[1] is False


@pytest.mark.parametrize("theme", THEMES)
def test_no_line_of_a_subtitle_begins_with_a_percent_sign(make_study: Any, theme: str) -> None:
    for length in range(30, 75):
        figure = Heatmap()
        spec = figure.draw(figure.numbers(make_study(name="n" * length, seeds=2, epochs=2)), theme)
        assert not [line for line in spec["title"]["subtitle"] if line.startswith("%")]
