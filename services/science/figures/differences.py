"""Forest plot: paired differences between arms with their intervals, and which pairs can be told apart."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, number_of, plural, span
from services.science.figures.compared import POINT_WORDS, Point, compared, diverged_sentence
from services.science.figures.metric_titles import metric_title
from services.science.figures.rows import MOST_ROWS, rows_drawing
from services.science.figures.study import Study
from services.science.figures.theme import THEMES

MINUS = "  −  "
"""Between the two arms of a row."""


class Differences(Figure):
    """Mean paired difference over common seeds with its t interval, pair by pair, beside a line at zero."""

    title: ClassVar[str] = "Paired differences"
    description: ClassVar[str] = "Forest plot of the differences between arms on common seeds."
    parts: ClassVar[frozenset[Part]] = frozenset({"comparison"})

    kind: Literal["differences"] = "differences"
    metric: str = Field(default="val_loss", pattern="^[a-z][a-z0-9_]{0,63}$", description="An epoch row's metric.")
    at: Point = Field(default="final", description="Which number of each trial.")
    confidence: float = Field(default=0.95, ge=0.5, le=0.9999, description="Of the intervals, and of being told apart.")
    pairs: Literal["best", "all"] = Field(default="best", description="Pairs with the first of the ranking, or all.")

    def numbers(self, study: Study) -> FigureData:
        """Difference, interval, n and adjusted p of every pair."""
        comparison = compared(study)
        leader = comparison["ranking"][0]["key"]
        pairs = [
            pair
            for pair in comparison["pairs"]
            if pair["difference"]["mean"] is not None
            and (self.pairs == "all" or leader in (pair["a"]["key"], pair["b"]["key"]))
        ]
        if not pairs:
            lone = "there is only one arm" if len(comparison["arms"]) == 1 else "no two arms share a finished seed"
            raise NoFigureDataError(f"{lone}, so there is no difference to show")
        records: list[Record] = [
            {
                "row": f"{pair['a']['label']}{MINUS}{pair['b']['label']}",
                "a": pair["a"]["label"],
                "b": pair["b"]["label"],
                "mean": pair["difference"]["mean"],
                "low": pair["difference"]["ci"]["low"],
                "high": pair["difference"]["ci"]["high"],
                "n": pair["n"],
                "p_holm": pair["p_holm"],
                "note": "" if pair["p_holm"] is None else f"p = {pair['p_holm']:.2g}",
                "solid": pair["distinguishable"],
            }
            for pair in pairs[:MOST_ROWS]
        ]
        title = metric_title(self.metric, study)
        percent = f"{100 * float(comparison['confidence']):g} %"
        level = f"{1 - float(comparison['confidence']):.3g}"
        counts = [int(number_of(r, "n")) for r in records]
        apart = sum(bool(r["solid"]) for r in records)
        bars = f"bar: its {percent} t interval, not adjusted" if max(counts) > 1 else "one seed gives no interval"
        lines = [
            (
                f"{study.heading()}. First arm minus second on {span(counts, 'common seed')}, {POINT_WORDS[self.at]}; "
                f"{comparison['direction']} is better. Dot: mean difference; {bars}."
            ),
            (
                f"Filled: told apart at the {level} level (sign-flip test; the p of each row is Holm-adjusted for "
                f"{plural(int(comparison['pairs_tested']), 'pair')} with common seeds)."
            ),
            *diverged_sentence(study),
        ]
        if len(pairs) > len(records):
            lines.append(f"The first {len(records)} of {len(pairs)} pairs are shown.")
        return FigureData(
            kind=self.kind,
            title="Paired differences" + (" from the first of the ranking" if self.pairs == "best" else ""),
            subtitle=tuple(lines),
            description=f"Forest plot of {plural(len(records), 'paired difference')} of {title}; {apart} of them can "
            f"be told apart from zero. {' '.join(lines)}",
            records=tuple(records),
            meta={
                "metric": self.metric,
                "at": self.at,
                "axis_title": f"difference in {title}",
                "interval": f"{percent} t interval of the mean paired difference, not adjusted",
                "n": {"min": min(counts), "max": max(counts), "diverged": study.diverged},
            },
        )

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """One row per pair, and a line at zero."""
        rows = [str(record["row"]) for record in data.records]
        look = THEMES[theme]
        return rows_drawing(
            data, look, rows, str(data.meta["axis_title"]), zero=True, note_colour=look.ink, break_at=MINUS
        )
