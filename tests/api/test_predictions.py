"""Predictions over HTTP, against closed forms of relu."""

from typing import Any

import pytest


def test_relu_with_he_keeps_and_with_glorot_halves(shared: Any) -> None:
    answer = shared.http.post(
        "/v1/predictions",
        json={"activation": "relu", "initializer": ["he_normal", "glorot_normal"], "depth": 12, "width": 80,
              "inputs": 80, "outputs": 80, "input_correlation": 0.5},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    forecast = answer.json()
    assert forecast["hidden"] == [80] * 12
    he, glorot = (item["prediction"] for item in forecast["predictions"])
    assert [layer["second_moment"] for layer in he["layers"]] == pytest.approx([2.0] * 13, rel=1e-6)
    assert [layer["second_moment"] for layer in glorot["layers"]] == pytest.approx(
        [0.5**index for index in range(13)], rel=1e-6
    )
    # Cho and Saul 2009, kappa_1(1/2) of the arc-cosine kernel.
    assert he["layers"][1]["correlation"] == pytest.approx(0.608998, abs=1e-5)
    assert (he["verdict"], he["gradient_ratio"]) == ("ok", pytest.approx(1.0))
    assert he["sentence"].endswith(".")


def test_a_data_set_gives_inputs_and_outputs(shared: Any) -> None:
    body = {"activation": ["tanh", "relu"], "initializer": ["zeros", "lsuv"], "dataset": "digits"}
    forecast = shared.http.post("/v1/predictions", json=body).json()
    assert (forecast["inputs"], forecast["hidden"], forecast["outputs"]) == (64, [50, 50], 10)
    assert [item["label"] for item in forecast["predictions"]] == [
        "tanh · zeros", "tanh · lsuv", "relu · zeros", "relu · lsuv"
    ]  # fmt: skip
    assert "not random" in forecast["predictions"][0]["notes"][0]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"activation": "tanhh"}, "/activation"),
        ({"dataset": "irises"}, "/dataset"),
        ({"hidden": [3], "depth": 4}, ""),
        ({"depth": None, "width": 4}, ""),
        ({"depth": 250, "initializer": ["he_normal", "he_uniform"]}, ""),
        ({"activation": "softplus", "initializer": ["he_normal", "critical"]}, "/initializer/1"),
        ({"input_correlation": 1.5}, "/input_correlation"),
    ],
)
def test_what_cannot_be_predicted_is_refused(shared: Any, change: dict[str, Any], pointer: str) -> None:
    answer = shared.http.post("/v1/predictions", json={"activation": "relu", "initializer": "he_normal", **change})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)


def test_a_dry_run_warns_of_what_cannot_work(shared: Any) -> None:
    spec = {"dataset": "digits", "activation": "relu", "initializer": "glorot_uniform", "epochs": 1, "seeds": 6,
            "model": {"kind": "mlp", "hidden": [50] * 30}}  # fmt: skip
    plan = shared.http.post("/v1/experiments?dry_run=true", json=spec).json()
    assert any(
        "glorot_uniform with relu at depth 30: activations shrink about 2^-" in text for text in plan["warnings"]
    )


def test_the_scorecard_and_an_experiments_check_answer(shared: Any) -> None:
    experiment = shared.submit()
    base = f"/v1/experiments/{experiment['id']}/predictions"
    assert shared.http.get(base).json() == {"arms": []}
    assert shared.http.get("/v1/predictions/scorecard").json()["forward"]["n"] == 0
    assert shared.http.get("/v1/experiments/exp_0/predictions").status_code == 404
