"""Sampling and recommendations over HTTP."""

from typing import Any

import pytest


def test_an_initializer_is_sampled(shared: Any) -> None:
    sample = shared.http.post("/v1/initializers/glorot_normal/sample", json={"shape": [9, 1], "seed": 0}).json()
    assert len(sample["values"]) == 9
    assert (sample["fan_in"], sample["fan_out"]) == (9, 1)
    assert sample["theory"]["std"] == pytest.approx((2 / 10) ** 0.5)
    assert sample["sample"]["low"] == pytest.approx(min(row[0] for row in sample["values"]))
    same = shared.http.post("/v1/initializers/glorot_normal/sample", json={"shape": [9, 1]}).json()
    assert same == sample


@pytest.mark.parametrize(
    ("kind", "body", "status", "pointer"),
    [
        ("glorot_unnormal", {"shape": [9, 1]}, 404, None),
        ("he_normal", {}, 422, "/shape"),
        ("he_normal", {"shape": []}, 422, "/shape"),
        ("he_normal", {"shape": [0, 3]}, 422, "/shape/0"),
        ("he_normal", {"shape": [2, 3], "layout": "jax"}, 422, "/layout"),
        ("he_normal", {"shape": [2, 3], "seed": -1}, 422, "/seed"),
        ("he_normal", {"shape": [2, 3], "parameters": {"std": 1}}, 422, "/parameters/std"),
        ("critical", {"shape": [2, 3]}, 422, "/activation"),
    ],
)
def test_what_cannot_be_sampled_is_a_problem(
    shared: Any, kind: str, body: Any, status: int, pointer: str | None
) -> None:
    answer = shared.http.post(f"/v1/initializers/{kind}/sample", json=body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert pointer is None or problem["errors"][0]["pointer"] == pointer


def test_recommendations_are_ranked_and_sourced(shared: Any) -> None:
    advice = shared.http.get("/v1/recommendations", params={"task": "regression", "depth": 3}).json()["items"]
    assert [item["choice"] for item in advice if item["role"] == "output_activation"] == ["identity"]
    assert [item["choice"] for item in advice if item["role"] == "hidden_activation"][:2] == ["relu", "leaky_relu"]
    assert all(item["reason"] and item["source"] for item in advice)
    tanh = shared.http.get("/v1/recommendations", params={"activation": "tanh"}).json()["items"]
    assert next(item for item in tanh if item["role"] == "initializer")["choice"] == "glorot_uniform"
    assert shared.http.get("/v1/recommendations", params={"activation": "tanhh"}).status_code == 404
    assert shared.http.get("/v1/recommendations", params={"depth": 0}).status_code == 422


def test_an_activation_comes_with_curve_and_moments(shared: Any) -> None:
    activation = shared.http.get("/v1/activations/relu").json()
    curve = activation["curve"]
    assert len(curve["x"]) == len(curve["value"]) == len(curve["derivative"])
    assert all(value == max(0.0, x) for x, value in zip(curve["x"], curve["value"], strict=True))
    assert activation["moments"]["second_moment"] == pytest.approx(0.5)
