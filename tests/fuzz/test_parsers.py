"""Whatever bytes come, a reader of foreign input takes or refuses them in its own words. `make fuzz` tries more."""

import pytest

from tests.fuzz.parsers import Parser, fuzz, parsers

GROWTH = 64 * 2**20
"""Bytes; far above what caches take, far below what a leak of every input would."""


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.name)
def test_any_input_is_taken_or_refused(parser: Parser) -> None:
    tally = fuzz(parser, 400, seed=1)
    assert 0 < tally.taken < tally.inputs, "of both sorts"
    assert tally.grown < GROWTH
