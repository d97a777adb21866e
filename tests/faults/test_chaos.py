"""The short form of `make chaos`: some faults drawn from a fixed seed, a child that plays, both stacks."""

from pathlib import Path
from typing import get_args

import pytest

from tests.faults import chaos
from tests.faults.rig import Kind, rig_in

INJECTIONS = 8
SEED = 20261127


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_service_that_is_struck_again_and_again_loses_nothing(kind: Kind, tmp_path: Path) -> None:
    with rig_in(tmp_path, kind, **chaos.settings()) as rig:
        result = chaos.run(rig, INJECTIONS, SEED)
    assert result.clean, result
    assert sum(result.faults.values()) == INJECTIONS
