"""What is stored stays readable: a spec of each version, as posted and as stored, still means the same."""

import json
from pathlib import Path

import pytest

from services.science.grid import expand
from services.science.spec import SPEC_VERSION, ExperimentSpec

GOLDEN = sorted((Path(__file__).parent / "specs").glob("version_*.json"))


def test_there_is_a_golden_file_of_the_present_version() -> None:
    assert f"version_{SPEC_VERSION}.json" in {path.name for path in GOLDEN}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_stored_spec_of_any_version_is_read_alike(path: Path) -> None:
    golden = json.loads(path.read_text())
    stored = ExperimentSpec.model_validate(golden["stored"])
    assert stored.canonical() == golden["stored"]
    assert stored.digest() == golden["digest"]
    assert ExperimentSpec.model_validate(golden["posted"]).canonical() == golden["stored"]


def test_the_golden_grid_has_its_arms() -> None:
    golden = json.loads(GOLDEN[0].read_text())
    grid = expand(ExperimentSpec.model_validate(golden["stored"]))
    assert len(grid.arms) == 3 * 2 * 2 * 2
    assert len(grid.trials) == 5 * len(grid.arms)
    assert len({arm.key() for arm in grid.arms}) == len(grid.arms)
