"""Requests drawn from the document get documented answers, with every sort of key and without; `make fuzz` draws more.

Every check of schemathesis: no server error; no status, media type, header or body that the document does not name;
what is invalid refused and what is valid not; what was made found, what was deleted gone; no answer without a key.
"""

from pathlib import Path

import pytest

from tests.fuzz.drawn_requests import draw, fuzzed_service, key_of


@pytest.mark.parametrize(
    ("database_url", "scope"),
    [("sqlite", "admin"), ("postgresql", "write"), ("sqlite", "read"), ("postgresql", None)],
    indirect=["database_url"],
)
def test_drawn_requests_get_documented_answers(database_url: str, tmp_path: Path, scope: str | None) -> None:
    with fuzzed_service(tmp_path, database_url, keys=scope is not None) as served:
        key = key_of(served, scope) if scope else None
        drawn = draw(served, tmp_path, key=key, examples=1, chains=8, seed=1, phases="fuzzing,stateful")
    assert not drawn.failures, drawn.failures
    assert drawn.phases == ("fuzzing", "stateful")
    assert drawn.cases >= 51, "each operation was asked"
