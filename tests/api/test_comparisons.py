"""The comparison over HTTP, against means and intervals computed apart."""

from typing import Any

import numpy as np
import pytest
from scipy import stats


@pytest.fixture(scope="module")
def finished(shared: Any) -> tuple[Any, dict[str, Any]]:
    experiment = shared.submit(epochs=5)
    shared.train(diverged=4)
    return shared.http, experiment


def test_the_numbers_are_those_of_the_rows(finished: Any) -> None:
    http, experiment = finished
    comparison = http.get(experiment["links"]["comparison"]).json()
    assert (comparison["metric"], comparison["direction"], comparison["at"]) == ("val_loss", "lower", "final")
    arms = {arm["label"]: arm for arm in comparison["arms"]}
    assert len(arms) == 4
    values = [1.0 / 6 + 0.1 * slot + 0.001 * slot * 5 for slot in range(3)]
    first = arms["relu · he_uniform"]
    assert (first["n"], first["diverged"], first["missing"]) == (3, 0, 0)
    assert first["mean"] == pytest.approx(np.mean(values))
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (first["ci"]["low"], first["ci"]["high"]) == pytest.approx((low, high))
    second = arms["relu · glorot_uniform"]
    assert (second["n"], second["diverged"]) == (3, 1)
    assert comparison["ranking"][0]["label"] == "relu · he_uniform"
    assert len(comparison["pairs"]) == 6
    assert comparison["verdict"].endswith(".")
    assert first["arm"].keys() == {"activation", "initializer"}
    assert first["convergence"] is not None
    assert first["generalization"]["gap"]["mean"] == 0.0


@pytest.mark.parametrize("at", ["final", "best", "auc"])
@pytest.mark.parametrize("method", ["t", "bca"])
def test_every_point_and_method_answers(finished: Any, at: str, method: str) -> None:
    http, experiment = finished
    answer = http.get(experiment["links"]["comparison"], params={"at": at, "method": method, "confidence": 0.9})
    assert answer.status_code == 200
    assert {pair["difference"]["ci"]["method"] for pair in answer.json()["pairs"]} == {method}
    assert {arm["ci"]["method"] for arm in answer.json()["arms"]} == {method}
    assert answer.json()["at"] == at
    assert answer.json()["confidence"] == 0.9


def test_arms_are_averaged_over_other_axes(finished: Any) -> None:
    http, experiment = finished
    comparison = http.get(experiment["links"]["comparison"], params={"by": "activation"}).json()
    assert sorted(arm["label"] for arm in comparison["arms"]) == ["relu", "tanh"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"metric": "colour"}, "metric"),
        ({"metric": "val_mae"}, "metric"),
        ({"by": "batch_size"}, "by"),
        ({"confidence": "nan"}, "confidence"),
        ({"confidence": 1}, "confidence"),
        ({"at": "never"}, "at"),
    ],
)
def test_what_cannot_be_asked_is_refused(finished: Any, query: dict[str, Any], pointer: str) -> None:
    http, experiment = finished
    answer = http.get(experiment["links"]["comparison"], params=query)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_nothing_to_compare_yet_is_a_conflict(shared: Any) -> None:
    experiment = shared.submit(epochs=2)
    answer = shared.http.get(experiment["links"]["comparison"])
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_several_experiments_stand_side_by_side(served_by_both: Any) -> None:
    ids = [served_by_both.submit(activation="relu", initializer="he_uniform", epochs=n)["id"] for n in (2, 3)]
    served_by_both.train()
    answer = served_by_both.http.post("/v1/comparisons", json={"experiments": ids})
    assert answer.status_code == 200
    comparison = answer.json()
    assert [arm["label"].split(":")[0] for arm in comparison["arms"]] == ids
    assert comparison["pairs"][0]["n"] == 3
    missing = served_by_both.http.post("/v1/comparisons", json={"experiments": [*ids, "exp_0"]})
    assert missing.status_code == 404
    assert served_by_both.http.post("/v1/comparisons", json={"experiments": []}).status_code == 422


def test_a_failed_half_leaves_the_others_comparable(served: Any) -> None:
    experiment = served.submit()
    served.http.post(f"{experiment['links']['self']}/cancel")
    answer = served.http.get(experiment["links"]["comparison"])
    assert answer.status_code == 409
