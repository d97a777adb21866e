"""Ranking: the arms from best to worst, each with its interval; arms that cannot be told apart share a rank."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from services.science.figures.base import Figure, FigureData, Part, Record, number_of, span
from services.science.figures.compared import POINT_WORDS, Point, compared, diverged_sentence
from services.science.figures.metric_titles import metric_title
from services.science.figures.numerals import significant
from services.science.figures.rows import MOST_ROWS, rows_drawing
from services.science.figures.study import Study
from services.science.figures.theme import THEMES


class Ranking(Figure):
    """The arms in the order of the comparison's ranking: mean over seeds and its t interval."""

    title: ClassVar[str] = "Ranking"
    description: ClassVar[str] = "The arms from best to worst with intervals; tied arms share a rank."
    parts: ClassVar[frozenset[Part]] = frozenset({"comparison"})

    kind: Literal["ranking"] = "ranking"
    metric: str = Field(default="val_loss", pattern="^[a-z][a-z0-9_]{0,63}$", description="An epoch row's metric.")
    at: Point = Field(default="final", description="Which number of each trial.")
    confidence: float = Field(default=0.95, ge=0.5, le=0.9999, description="Of the intervals, and of being told apart.")

    def numbers(self, study: Study) -> FigureData:
        """Rank, mean, interval, n and divergence of every arm."""
        comparison = compared(study)
        arms = {arm["key"]: arm for arm in comparison["arms"]}
        records: list[Record] = []
        for row in comparison["ranking"][:MOST_ROWS]:
            arm = arms[row["key"]]
            rank = "–" if row["rank"] is None else str(row["rank"])
            note = f"{arm['diverged']} of {arm['n']} diverged" if arm["diverged"] else "" if arm["n"] else "no result"
            records.append(
                {
                    "row": f"{rank}. {arm['label']}",
                    "arm": arm["label"],
                    "rank": row["rank"],
                    "mean": arm["mean"],
                    "low": arm["ci"]["low"],
                    "high": arm["ci"]["high"],
                    "n": arm["n"] - arm["diverged"],
                    "diverged": arm["diverged"],
                    "note": note,
                    "solid": row["rank"] == 1,
                }
            )
        title = metric_title(self.metric, study)
        percent = f"{100 * float(comparison['confidence']):g} %"
        counts = [int(number_of(r, "n")) for r in records if r["mean"] is not None]
        seeds = f"Dot: mean over {span(counts, 'seed')}; " if counts else ""
        bars = f"bar: {percent} t interval." if counts and max(counts) > 1 else "one seed gives no interval."
        lines = [
            (
                f"{study.heading()}. {title[0].upper()}{title[1:]}, {POINT_WORDS[self.at]}; "
                f"{comparison['direction']} is better. {seeds}{bars}"
            ),
            "Arms of one rank cannot be told apart from its first arm; those of rank 1 are filled.",
            *diverged_sentence(study),
        ]
        if len(comparison["ranking"]) > MOST_ROWS:
            lines.append(f"The first {MOST_ROWS} of {len(comparison['ranking'])} arms are shown.")
        first = records[0]
        best = "no arm has a mean" if first["mean"] is None else f"{significant(number_of(first, 'mean'), 4)}"
        return FigureData(
            kind=self.kind,
            title="Ranking of the arms",
            subtitle=tuple(lines),
            description=f"Ranking of {len(records)} arms by {title}. First is {first['arm']} with {best}. "
            f"{' '.join(lines)}",
            records=tuple(records),
            meta={
                "metric": self.metric,
                "at": self.at,
                "axis_title": title,
                "interval": f"{percent} t interval of the mean over seeds",
                "n": {"min": min(counts, default=0), "max": max(counts, default=0), "diverged": study.diverged},
            },
        )

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """One row per arm."""
        rows = [str(record["row"]) for record in data.records]
        return rows_drawing(data, THEMES[theme], rows, str(data.meta["axis_title"]))
