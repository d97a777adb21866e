"""Which figures belong into a report, and each of them as inline SVG with the sentence that leads to it."""

import re
from dataclasses import dataclass

from markupsafe import Markup

from services.comparisons.comparison import Question
from services.figures.render import Renderer
from services.science.figures import (
    Convergence,
    Curves,
    Differences,
    Energy,
    Figure,
    GradientFlow,
    Heatmap,
    NoFigureDataError,
    Prediction,
    Seeds,
    Study,
)

LEADS = {
    "curves": "How the arms learn, epoch by epoch.",
    "heatmap": "Both choices at once: the numbers of every pair.",
    "differences": "How large the differences from the first arm are, and which of them are more than chance.",
    "seeds": "What the means are made of: every trial.",
    "convergence": "How soon the trials get there.",
    "energy": "What it costs.",
    "gradient_flow": "How large the gradients are that reach the first layers.",
    "prediction": "Whether theory saw it coming: signals in the untrained networks.",
}
LAYERED_ARMS = 24
"""With more arms than this the figures of layers, one line or mark per arm, are left to a request of their own."""
OWN_ID = re.compile(r'(\bid="|url\(#|href="#)((?:clip|gradient)[\w-]*)')

WIDTH = re.compile(r'<svg [^>]*?width="([\d.]+)"')
LEAST_WIDTH = 620
"""In pixels; the smallest text of a picture, 11 pixels high, stays above 8 at it."""


@dataclass(frozen=True)
class Picture:
    """A figure in the page: the sentence before it, what it shows in words, its finding, and the SVG."""

    lead: str
    description: str
    caption: str
    svg: Markup


def needs_layers(arms: int) -> bool:
    """Whether a report of so many arms shows figures of layers."""
    return arms <= LAYERED_ARMS


def metrics_read(question: Question) -> list[str]:
    """Metrics whose curves the figures of any report on this question read."""
    return sorted({question.metric, "val_loss", "val_accuracy"})


def pictures(study: Study, question: Question, renderer: Renderer, *, keep: bool) -> list[Picture]:
    """The figures that the study has numbers for, in the order of the report.

    Raises:
        BusyError: too many pictures are being drawn.
        UnavailableError: a picture could not be drawn.
    """
    pictures: list[Picture] = []
    for choice in chosen(study, question):
        try:
            data = choice.numbers(study)
        except NoFigureDataError:
            continue
        if data.meta.get("alike"):
            continue
        svg = renderer.render(choice.draw(data, "page"), "svg", keep=keep).decode()
        # Several pictures in one page must not share the ids of their clips and gradients.
        own = legible(OWN_ID.sub(rf"\1f{len(pictures)}-\2", svg))
        caption = data.description.removesuffix(" ".join(data.subtitle)).strip()
        # From our own renderer, which escapes every text in it.
        pictures.append(Picture(LEADS[choice.kind], data.description, caption, Markup(own)))  # noqa: S704
    return pictures


def legible(svg: str) -> str:
    """The picture with a least width, so that on a small screen it is scrolled instead of shrunk beyond reading."""
    width = float(match[1]) if (match := WIDTH.search(svg)) else LEAST_WIDTH
    return svg.replace("<svg ", f'<svg style="min-width: {min(width, LEAST_WIDTH):g}px" ', 1)


def chosen(study: Study, question: Question) -> list[Figure]:
    """Which figures tell the story of this study."""
    metric, confidence = question.metric, question.confidence
    at = "best" if question.at == "best" else "final"
    metrics = [metric]
    if study.task == "classification" and metric != "val_accuracy":
        metrics.append("val_accuracy")
    crossed = min(len(study.order("activation")), len(study.order("initializer"))) > 1
    figures: list[Figure] = []
    for name in metrics:
        figures.append(Curves(metric=name, confidence=confidence))
        if crossed:
            figures.append(Heatmap(metric=name, at=at, confidence=confidence))
    figures += [
        Differences(metric=metric, at=question.at, confidence=confidence),
        Seeds(metric=metric, at=at, confidence=confidence),
        Convergence(metric=metric, confidence=confidence, threshold=question.threshold),
        Energy(metric=metric, at=at, confidence=confidence),
    ]
    if needs_layers(len(study.arms)):
        figures += layer_figures(question)
    return figures


def layer_figures(question: Question) -> list[Figure]:
    """The figures of layers that a report of few enough arms shows."""
    return [GradientFlow(confidence=question.confidence), Prediction(confidence=question.confidence)]
