"""Bodies that are small to send and dear to answer: counted first, refused with few words, and nobody else waits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.body_bounds import MOST_DEPTH, MOST_ENTRIES, MOST_FIELDS, MOST_VALUES, check_bounds
from services.errors import InvalidInputError
from services.field_problems import MOST_PROBLEMS
from tests.support.api_process import ApiProcess, api_process

JSON = {"Content-Type": "application/json"}
SPEC: dict[str, Any] = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}
TEN = [number / 100 for number in range(1, 11)]
COSTLY: dict[str, tuple[dict[str, Any], str]] = {
    "optimizers with lists": (
        {"optimizer": [{"kind": "adam", "learning_rate": TEN, "beta_1": TEN, "beta_2": TEN}] * 500},
        "/optimizer: the optimizers' lists make 500000 combinations; at most 1000",
    ),
    "seeds": ({"seeds": [-1] * 200_000}, "/seeds: has 200000 entries"),
    "a few seeds less": ({"seeds": [-1] * 10_000}, "/seeds: has 10000 entries; at most 1000"),
    "unknown fields": ({f"epocs_{number}": 1 for number in range(60_000)}, "has 60005 fields; at most 100"),
    "unknown fields inside": (
        {"activation": {"kind": "elu", **{f"alpa_{number}": 1 for number in range(60_000)}}},
        "/activation: has 60001 fields",
    ),
    "unknown fields everywhere": (
        {"activation": [{"kind": "elu", **{f"alpa_{number}": 1 for number in range(50)}}] * 1_000},
        "/activation/0/alpa_0: unknown field 'alpa_0'; did you mean 'alpha'?",
    ),
    "unknown names": ({"activation": ["tanhh"] * 1_000}, "/activation/0: unknown name 'tanhh'; did you mean 'tanh'?"),
    "long names": ({"activation": ["tanh" * 900] * 200}, "/activation/0: unknown name 'tanhtanh"),
    "long field": ({"e" * 100_000: 1}, "a name of 100000 characters"),
    "tags": ({"tags": [""] * 10_000}, "/tags: has 10000 entries; at most 32"),
    "hypotheses": ({"hypotheses": ["a"] * 10_000}, "/hypotheses: has 10000 entries; at most 100"),
    "wrong hypotheses": ({"hypotheses": [f"rellu beats {'x' * 400}{n}" for n in range(100)]}, "/hypotheses/0: "),
    "schedule": ({"diagnostics": {"schedule": [-1] * 10_001}}, "/diagnostics/schedule"),
    "quantities": ({"diagnostics": {"quantities": ["x"] * 10_000}}, "/diagnostics/quantities: has 10000 entries"),
    "widths": ({"model": {"kind": "mlp", "hidden": [-1] * 10_000}}, "/model/hidden"),
    "values": ({"arms": [{"activation": ["relu"] * 100}] * 900}, "holds more than 60000 values"),
    "deep": (
        {"name": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
        "nested deeper than 30",
    ),
}


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    settings = {"max_body_bytes": "2000000"}
    with api_process(tmp_path_factory.mktemp("server"), migrated_sqlite, **settings) as process:
        yield process


@pytest.mark.parametrize("kind", COSTLY)
def test_what_is_dear_is_counted_before_anything_is_made_of_it(server: ApiProcess, kind: str) -> None:
    changes, expected = COSTLY[kind]
    body = orjson.dumps({**SPEC, **changes})
    before = server.processor_seconds()
    answer = server.http.post("/v1/experiments?dry_run=true", content=body, headers=JSON)
    spent = server.processor_seconds() - before
    assert answer.status_code == 422, answer.text[:300]
    assert expected in answer.json()["detail"]
    assert len(answer.content) < 50_000
    assert 1 <= len(answer.json()["errors"]) <= MOST_PROBLEMS + 1
    assert spent < 2  # some took 40 s; now none takes a tenth of one


def test_an_answer_says_how_many_problems_it_leaves_out(server: ApiProcess) -> None:
    answer = server.http.post("/v1/experiments", json={**SPEC, "seeds": [-1] * 999})
    document = answer.json()
    assert len(document["errors"]) == MOST_PROBLEMS + 1
    assert document["errors"][-1] == {"pointer": "", "message": f"and {999 - MOST_PROBLEMS} more that are not listed"}
    assert "and 979 more" in document["detail"]


def test_other_routes_count_too(server: ApiProcess) -> None:
    many = [-1] * 100_000
    for path, body in (
        ("/v1/comparisons", {"experiments": ["exp_x"], "by": ["x"] * 100_000}),
        ("/v1/predictions", {"activation": "relu", "initializer": "zeros", "hidden": many}),
        ("/v1/initializers/zeros/sample", {"shape": many}),
    ):
        answer = server.http.post(path, json=body)
        assert answer.status_code == 422, (path, answer.text[:300])
        assert "has 100000 entries" in answer.text


def test_the_largest_bodies_that_can_be_valid_pass() -> None:
    check_bounds({"schedule": list(range(MOST_ENTRIES))})
    check_bounds({str(number): 0 for number in range(MOST_FIELDS)})
    check_bounds([list(range(10_000))] * (MOST_VALUES // 10_000 - 1))
    deep: Any = 1
    for _ in range(MOST_DEPTH):
        deep = [deep]
    check_bounds(deep)
    with pytest.raises(InvalidInputError, match=r"/0/0"):
        check_bounds([deep])
    with pytest.raises(InvalidInputError, match=r"/a~1b/2: has 101 fields"):
        check_bounds({"a/b": [1, 2, {str(number): 0 for number in range(MOST_FIELDS + 1)}]})
