"""The same study gives the same bits on every processor: digests made once, checked by every build at hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.training.native import build, targets
from services.training.native.structures import kernel
from tests.golden.studies import DIGESTS, STUDIES, digest, epoch_rows

EXPECTED = json.loads(DIGESTS.read_text())
CHECKOUT = Path(__file__).resolve().parents[2]

NARROW = {
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
}
"""Keeps NumPy and its BLAS to what a processor without AVX-512 has."""


def test_every_study_has_its_digest() -> None:
    assert list(EXPECTED) == list(STUDIES)
    assert len(set(EXPECTED.values())) == len(EXPECTED)


@pytest.mark.parametrize("name", STUDIES)
def test_this_machines_kernel_gives_the_bits_of_all_others(name: str) -> None:
    assert digest(epoch_rows(STUDIES[name], kernel())) == EXPECTED[name]


def test_one_bit_changes_a_digest() -> None:
    rows = epoch_rows(STUDIES["mae"], kernel())
    value = rows[-1]["val_loss"][0]
    rows[-1]["val_loss"][0] = value + 2.0**-52 * value
    assert digest(rows) != EXPECTED["mae"]


@pytest.mark.parametrize("target", targets.runnable(), ids=lambda target: target.name)
def test_builds_for_other_processors_give_the_same_bits(target: targets.Target, tmp_path: Path) -> None:
    """All that this processor can run, compiled without a warning; ``make golden-aarch64`` emulates the other."""
    library = build.compile_kernel(tmp_path / target.file, (*target.flags, *build.WARNINGS))
    narrow = NARROW if target.name == "x86-64-v3" else {}
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.studies", "--kernel", str(library)],
        capture_output=True, text=True, check=False, cwd=CHECKOUT, env={**os.environ, **narrow},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED
