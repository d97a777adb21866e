"""The short form of `make chaos`: some faults drawn from a fixed seed, and a child that plays."""

from pathlib import Path

from tests.faults import chaos
from tests.faults.rig import rig_in

INJECTIONS = 3
SEED = 20261127


def test_a_service_that_is_struck_again_and_again_loses_nothing(tmp_path: Path) -> None:
    with rig_in(tmp_path, "servers", **chaos.settings()) as rig:
        result = chaos.run(rig, INJECTIONS, SEED)
    assert result.clean, result
    assert sum(result.faults.values()) == INJECTIONS
