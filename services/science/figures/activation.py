"""The activations of a study: the functions and their derivatives."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.activations import BaseActivation
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Record, finite, plural
from services.science.figures.facets import in_panels, line_signs
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import PLAIN

POINTS = 321
PANELS = ("value", "derivative")


class ActivationShape(Figure):
    """Value and derivative of every activation of the experiment."""

    title: ClassVar[str] = "Activations and derivatives"
    description: ClassVar[str] = "Every activation of the experiment beside its derivative."

    kind: Literal["activation"] = "activation"
    reach: float = Field(default=4.0, gt=0.0, le=100.0, description="From minus this to this.")

    def numbers(self, study: Study) -> FigureData:
        """Value and derivative on an even grid; at a kink the derivative that training uses."""
        members: dict[str, BaseActivation] = {
            arm.axes["activation"]: arm.members["activation"] for arm in study.arms if "activation" in arm.members
        }
        plain = {label: member for label, member in members.items() if member.width_factor == 1}
        if not plain:
            raise NoFigureDataError("gated activations are no function of one number, so there is no curve to show")
        x = np.linspace(-self.reach, self.reach, POINTS)
        records: list[Record] = []
        for label, member in plain.items():
            for panel, values in (("value", member.value(x)), ("derivative", member.derivative(x))):
                records.extend(
                    {"series": label, "panel": panel, "x": finite(at), "y": finite(value)}
                    for at, value in zip(x, values, strict=True)
                )
        lines = [f"{study.heading()}. The functions as they are trained, exact: no trial and no interval is involved."]
        left = sorted(members.keys() - plain.keys())
        if left:
            lines.append(f"Not shown, because they are gated: {', '.join(left)}.")
        return FigureData(
            kind=self.kind,
            title="Activations and their derivatives",
            subtitle=tuple(lines),
            description=f"Curves of {plural(len(plain), 'activation')} and of their derivatives between "
            f"{-self.reach:g} and {self.reach:g}: {', '.join(plain)}. {' '.join(lines)}",
            records=tuple(records),
            meta={"series_order": list(plain), "interval": None, "n": None},
        )

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """Two panels side by side."""
        look = THEMES[theme]
        colour, dash = line_signs(data.meta["series_order"], look.ink, below=True)
        layered = {
            "mark": {"type": "line", "strokeWidth": 2.4},
            "encoding": {
                "x": {"field": "x", "type": "quantitative", "title": "pre-activation", "scale": {"nice": False}},
                "y": {"field": "y", "type": "quantitative", "title": None, "axis": {"format": PLAIN, "tickCount": 6}},
                "color": colour,
                "strokeDash": dash,
            },
            "width": 330,
            "height": 270,
        }
        body = in_panels(layered, data.values(), "panel", PANELS, 2, own_y=True)
        return framed(data, look, body, width=740)
