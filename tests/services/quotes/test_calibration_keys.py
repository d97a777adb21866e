"""Keys of stored calibrations: what was written before is read, and what is written is what was."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.quotes.calibration_keys import (
    MachineKey,
    Place,
    RateKey,
    read_machine_key,
    read_rate_key,
    shape_prefix,
    startup_key,
)
from services.quotes.machine import NUMBERS

ROOT = Path(__file__).resolve().parents[3]
DIGEST = st.text("0123456789abcdef", min_size=1, max_size=24)
PLACE = st.builds(Place, st.sampled_from(["native", "eager", "unknown"]), st.sampled_from(["cpu", "cuda"]))


def test_the_stored_texts_are_what_they_were() -> None:
    key = RateKey("0a1b", Place("native", "cpu"))
    assert (str(key), key.spread) == ("0a1b:native:cpu", "0a1b:native:cpu:spread")
    assert key.seconds == "0a1b:native:cpu:seconds"
    assert startup_key(key.place) == "startup:native:cpu"
    assert str(MachineKey("flops", "9f")) == "machine:flops:9f"
    assert shape_prefix("0a1b") == "0a1b:"


@given(shape=DIGEST, place=PLACE)
def test_a_rate_is_read_back_and_nothing_else_is_one(shape: str, place: Place) -> None:
    key = RateKey(shape, place)
    assert read_rate_key(str(key)) == key
    assert str(key).startswith(shape_prefix(shape))
    assert key.spread.startswith(shape_prefix(shape))
    assert key.seconds.startswith(shape_prefix(shape))
    for other in (key.spread, key.seconds, startup_key(place), str(MachineKey("flops", shape))):
        assert read_rate_key(other) is None


@given(name=st.sampled_from(NUMBERS), digest=DIGEST)
def test_a_machine_is_read_back(name: str, digest: str) -> None:
    assert read_machine_key(str(MachineKey(name, digest))) == MachineKey(name, digest)


@pytest.mark.parametrize("key", ["startup:native:cpu", "0a1b:native:cpu", "machine:flops", "machine:a:b:c", ""])
def test_what_is_no_machine_is_named(key: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(key))):
        read_machine_key(key)


def test_nobody_else_splits_or_builds_one() -> None:
    split = re.compile(r"""\bkey\.(split|partition|endswith)\(|["'](machine|startup):""")
    others = [path for path in (ROOT / "services" / "quotes").glob("*.py") if path.name != "calibration_keys.py"]
    assert [path.name for path in [*others, ROOT / "worker" / "calibration.py"] if split.search(path.read_text())] == []
