"""Seeds until sure, over HTTP."""

from typing import Any

import pytest

SEEDS = {"min": 3, "max": 7, "step": 2, "until": {"ci_halfwidth": 1e-6}}


def test_rounds_are_shown_and_later_seeds_count(served_by_both: Any) -> None:
    experiment = served_by_both.submit(
        seeds=SEEDS, epochs=1, hypotheses=["val_loss(relu, he_uniform) < val_loss(tanh, he_uniform)"]
    )
    assert experiment["trials"]["total"] == 12
    assert experiment["rounds"]["round"] == 1
    served_by_both.train()
    document = served_by_both.http.get(experiment["links"]["self"]).json()
    assert (document["state"], document["trials"]["total"], document["progress"]) == ("succeeded", 28, 1.0)
    assert (document["rounds"]["round"], document["rounds"]["seeds"], document["rounds"]["stopped"]) == (3, 7, True)
    assert document["rounds"]["reason"].startswith("the last of 3 looks")
    assert document["spec"]["seeds"] == [0, 1, 2]
    comparison = served_by_both.http.get(experiment["links"]["comparison"]).json()
    assert {arm["n"] for arm in comparison["arms"]} == {7}
    claims = served_by_both.http.get(f"{experiment['links']['self']}/claims")
    assert claims.status_code == 200
    assert claims.json()["items"][0]["n"] == 7
    again = served_by_both.http.post("/v1/experiments", json=document["spec"])
    assert again.json()["spec_digest"] == document["spec_digest"]


@pytest.mark.parametrize(
    ("seeds", "pointer"),
    [
        ({"min": 5, "max": 3, "until": "ranked"}, "/seeds"),
        ({"min": 1, "max": 30, "until": "ranked"}, "/seeds/min"),
        ({"max": 30, "until": "never"}, "/seeds/until"),
        ({"max": 30, "until": "ranked", "metric": "colour"}, "/seeds/metric"),
        ({"min": 5, "max": 900, "until": "ranked"}, ""),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(shared: Any, seeds: dict[str, Any], pointer: str) -> None:
    spec = {"dataset": "digits", "activation": ["relu", "tanh", "sigmoid"], "initializer": "he_uniform", "epochs": 1}
    answer = shared.http.post("/v1/experiments", json={**spec, "seeds": seeds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
