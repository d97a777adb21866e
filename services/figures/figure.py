"""A figure of a stored experiment: its parameters checked, its numbers computed, its Vega-Lite written."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from services.catalogue.families import find
from services.comparisons.comparison import Question
from services.errors import ConflictError, FieldProblem, InvalidInputError
from services.experiments.store import get
from services.field_problems import field_problems
from services.figures.study_loader import load_study
from services.science.figures import FIGURES, Figure, FigureData, NoFigureDataError
from services.states import FINAL

Json = dict[str, Any]


@dataclass(frozen=True)
class Drawing:
    """A figure ready to be rendered.

    Attributes:
        data: the numbers behind it.
        spec: Vega-Lite.
        final: whether the experiment is over, so that the figure stays as it is.
    """

    data: FigureData
    spec: Json
    final: bool


def chosen(kind: str, parameters: Mapping[str, Any]) -> Figure:
    """The figure of this kind with the parameters of a query string.

    Raises:
        NotFoundError: no such kind; names the legal ones.
        InvalidInputError: a parameter that it does not have, or a value it cannot take.
    """
    cls = find(FIGURES, kind, "figure")
    try:
        return cls.model_validate({**parameters, "kind": cls.model_fields["kind"].default})
    except ValidationError as error:
        problems = [
            FieldProblem(problem.pointer.removeprefix("/") or "query", problem.message)
            for problem in field_problems(error.errors(include_url=False), dict(parameters), cls)
        ]
        raise InvalidInputError("; ".join(f"{p.pointer}: {p.message}" for p in problems), problems) from None


def figure(session: Session, experiment_id: str, choice: Figure, theme: str = "light") -> Drawing:
    """Compute and draw.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: it has nothing to show yet.
    """
    final = get(session, experiment_id).state in FINAL
    wish = choice.layers()
    with _nothing_to_show(choice):
        study = load_study(
            session,
            experiment_id,
            choice.metrics(),
            choice.parts,
            layers=[wish] if wish else (),
            question=_question(choice),
        )
        data = choice.numbers(study)
    return Drawing(data, choice.draw(data, theme), final)


@contextmanager
def _nothing_to_show(choice: Figure) -> Generator[None]:
    try:
        yield
    except NoFigureDataError as error:
        raise ConflictError(f"there is no figure {choice.kind!r} of this experiment (yet): {error}") from None


def _question(choice: Figure) -> Question:
    """What a figure that shows a comparison asks: by those of its parameters that a question has."""
    parameters = choice.parameters()
    names = ("metric", "at", "confidence", "threshold")
    return Question(**{name: parameters[name] for name in names if parameters.get(name) is not None})
