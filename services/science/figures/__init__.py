"""The catalogue of figures: one discriminated union, and everything else derived from it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.base import named
from services.science.catalogue import by_kind
from services.science.figures.activation import ActivationShape
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part
from services.science.figures.convergence import Convergence
from services.science.figures.curves import Curves
from services.science.figures.differences import Differences
from services.science.figures.energy import Energy
from services.science.figures.gradient_flow import GradientFlow
from services.science.figures.heatmap import Heatmap
from services.science.figures.initializer import InitializerSamples
from services.science.figures.layer_histograms import LayerHistograms
from services.science.figures.prediction import Prediction
from services.science.figures.ranking import Ranking
from services.science.figures.seeds import Seeds
from services.science.figures.study import Study

AnyFigure = (
    Curves
    | Heatmap
    | Ranking
    | Differences
    | Seeds
    | Convergence
    | Energy
    | GradientFlow
    | LayerHistograms
    | Prediction
    | ActivationShape
    | InitializerSamples
)

FigureChoice = Annotated[AnyFigure, Field(discriminator="kind"), BeforeValidator(named)]
"""A figure with its parameters; a bare name means its defaults."""

FIGURES = by_kind(AnyFigure, Figure)
"""Every figure by its kind, in the order of the union."""

__all__ = [
    "FIGURES",
    "ActivationShape",
    "AnyFigure",
    "Convergence",
    "Curves",
    "Differences",
    "Energy",
    "Figure",
    "FigureChoice",
    "FigureData",
    "GradientFlow",
    "Heatmap",
    "InitializerSamples",
    "LayerHistograms",
    "NoFigureDataError",
    "Part",
    "Prediction",
    "Ranking",
    "Seeds",
    "Study",
]
