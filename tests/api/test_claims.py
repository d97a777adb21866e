"""Claims over HTTP: refused with their place, decided from stored curves."""

from typing import Any

import pytest
from sqlalchemy import update

from services.db.tables import TrialRow

CLAIMS = [
    "val_loss(relu, he_uniform) < val_loss(relu, glorot_uniform)",
    "best_val_accuracy(best(tanh)) >= 0.1",
    "diverged(*) < 0.9",
]


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_a_bad_claim_is_refused_with_pointer_and_place(served: Any, query: str) -> None:
    spec = {
        "dataset": "digits",
        "activation": ["relu", "tanh"],
        "initializer": "he_uniform",
        "epochs": 3,
        "seeds": 3,
        "hypotheses": ["val_loss(relu) < val_loss(tanh)", "val_loss(rleu) < 1", "val_loss(relu) <"],
    }
    answer = served.http.post(f"/v1/experiments{query}", json=spec)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "spec_invalid"
    assert [error["pointer"] for error in problem["errors"]] == ["/hypotheses/1", "/hypotheses/2"]
    assert (
        "at character 10: no arm of this experiment has 'rleu'; did you mean 'relu'?" in problem["errors"][0]["message"]
    )
    assert "activation: relu, tanh" in problem["errors"][0]["message"]
    assert "at character 17" in problem["errors"][1]["message"]
    assert served.http.get("/v1/experiments").json()["items"] == []


def test_claims_are_undecided_before_and_decided_after(served_by_both: Any) -> None:
    experiment = served_by_both.submit(hypotheses=CLAIMS, seeds=10)
    path = f"{experiment['links']['self']}/claims"
    before = served_by_both.http.get(path).json()
    assert [item["claim"] for item in before["items"]] == CLAIMS
    assert {item["verdict"] for item in before["items"]} == {"undecided"}
    assert {item["n"] for item in before["items"]} == {0}
    served_by_both.train(diverged=1)
    answer = served_by_both.http.get(path)
    after = answer.json()
    # The made-up loss grows with the slot, and the arms' trials lie one arm after the other.
    assert [item["verdict"] for item in after["items"]] == ["upheld", "upheld", "upheld"]
    first = after["items"][0]
    assert first["quantities"][0]["diverged"] == 1
    assert first["difference"]["mean"] < 0
    assert first["p_holm"] >= first["p_value"]
    assert first["sentence"].startswith("Upheld: val_loss(relu, he_uniform) is ")
    assert after["items"][1]["quantities"][0]["chosen"].startswith("tanh")
    unchanged = served_by_both.http.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304


def test_the_question_can_be_asked_otherwise(served: Any) -> None:
    experiment = served.submit(hypotheses=CLAIMS[:1], seeds=5)
    served.train()
    path = f"{experiment['links']['self']}/claims"
    by_signs = served.http.get(path).json()["items"][0]
    assert (by_signs["verdict"], by_signs["can_reach_alpha"], by_signs["seeds_needed"]) == ("undecided", False, 6)
    assert served.http.get(f"{path}?confidence=0.9").json()["items"][0]["verdict"] == "upheld"
    assert served.http.get(f"{path}?test=guess").status_code == 422
    assert served.http.get("/v1/experiments/exp_none/claims").status_code == 404


def test_an_experiment_without_claims_has_none(served: Any) -> None:
    assert served.http.get(f"{served.submit()['links']['self']}/claims").json()["items"] == []


def test_claims_about_arms_that_this_version_names_otherwise_are_not_answered(served: Any) -> None:
    claiming, silent = served.submit(hypotheses=CLAIMS), served.submit()
    served.train()
    with served.database.write() as session:
        session.execute(update(TrialRow).where(TrialRow.seed < 9).values(arm_key=TrialRow.label))
    answer = served.http.get(f"{claiming['links']['self']}/claims")
    assert answer.status_code == 422
    assert "its arms are not those that are stored" in answer.json()["detail"]
    assert served.http.get(f"{silent['links']['self']}/claims").json()["items"] == []
    assert served.http.get(claiming["links"]["report"]).status_code == 200
