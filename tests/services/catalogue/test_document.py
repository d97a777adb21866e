"""docs/catalogue.md is what the code says, and what it counts is there."""

import io
from pathlib import Path

import pytest

from services.catalogue.document import document, main, member_of
from services.science.activations import ACTIVATIONS, LEFT_OUT
from services.science.activations import ALIASES as ACTIVATION_ALIASES
from services.science.datasets import DATASETS
from services.science.initializers import ALIASES as INITIALIZER_ALIASES
from services.science.initializers import INITIALIZERS
from services.science.models import MODELS
from services.science.optimizers import OPTIMIZERS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "catalogue.md"


def rows_of(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    section = document().split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").replace("\\|", "/").split("|")] for line in lines]


def test_the_committed_page_is_the_written_one() -> None:
    out = io.StringIO()
    main(out)
    assert PAGE.read_text(encoding="utf-8") == out.getvalue(), "run `python -m services.catalogue.document`"


@pytest.mark.parametrize(
    ("title", "family"),
    [
        ("Activations", ACTIVATIONS),
        ("Initializers", INITIALIZERS),
        ("Optimizers", OPTIMIZERS),
        ("Models", MODELS),
        ("Data sets", DATASETS),
    ],
)
def test_every_member_has_a_whole_row(title: str, family: dict[str, type]) -> None:
    rows = rows_of(title)
    assert [row[0].strip("`") for row in rows] == list(family)
    assert len({len(row) for row in rows}) == 1
    # Only the parameters may be none.
    assert all(cell not in ("", "–") for row in rows for place, cell in enumerate(row) if place != len(row) - 2)


def test_counts_beside_the_peers_add_up_with_what_is_left_out() -> None:
    absent = rows_of("Left out, and why")
    for title, _, names, here, _ in rows_of("Beside PyTorch and Keras"):
        assert int(names) - int(here) == sum(row[1] == title for row in absent)
    assert all(len(row[2]) > 20 for row in absent)


def test_names_of_others_lead_to_members() -> None:
    assert member_of("Hardswish", ACTIVATIONS, ACTIVATION_ALIASES) == "hard_silu"
    assert member_of("linear", ACTIVATIONS, ACTIVATION_ALIASES) == "identity"
    assert member_of("eye_", INITIALIZERS, INITIALIZER_ALIASES) == "identity"
    assert member_of("STFT", INITIALIZERS, INITIALIZER_ALIASES) is None
    assert all(member_of(name, ACTIVATIONS, ACTIVATION_ALIASES) is None for name in LEFT_OUT)
