"""A full queue and a missing device, as a client sees them."""

from typing import Any

import pytest

from services.cohorts import workers
from services.cohorts.workers import Identity
from tests.api.conftest import SPEC, serving


def test_a_full_queue_is_a_503_that_says_when_to_come_back(database_url: str, tmp_path: Any) -> None:
    with serving(tmp_path, database_url, max_trials=12, max_unfinished_trials=12) as served:
        headers = {"Idempotency-Key": "one"}
        first = served.http.post("/v1/experiments", json=SPEC, headers=headers).json()["id"]
        for method, path, body in (
            ("POST", "/v1/experiments", SPEC),
            ("POST", f"/v1/experiments/{first}/clone", {}),
        ):
            answer = served.http.request(method, path, json=body)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (503, "queue_full")
            assert problem["detail"].startswith(
                "the service has 12 unfinished trials and takes at most 12; this adds 12"
            )
            assert 5 <= int(answer.headers["Retry-After"]) <= 3600
        again = served.http.post("/v1/experiments", json=SPEC, headers=headers)
        assert (again.status_code, again.json()["id"]) == (202, first), "a repeated submission adds nothing"
        planned = served.http.post("/v1/experiments", params={"dry_run": "true"}, json=SPEC)
        assert planned.status_code == 200
        assert "refused at present" in planned.json()["warnings"][-1]
        assert [item["id"] for item in served.http.get("/v1/experiments").json()["items"]] == [first]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_device_that_nobody_has_is_told_and_waited_for(served: Any, device: str) -> None:
    other = {"cpu": "gpu", "gpu": "cpu"}[device]
    alone = f"no live worker trains on a {device}: the experiment waits until one does"
    one_arm: dict[str, Any] = {"activation": "relu", "initializer": "he_uniform"}  # no warning of any other kind
    spec = {**SPEC, **one_arm, "device": device}
    with served.database.write() as session:
        workers.register(session, "wrk_other", Identity("h", "b", 1, 1.0), 2, other)
    assert served.http.post("/v1/experiments", params={"dry_run": "true"}, json=spec).json()["warnings"] == [alone]
    made = served.submit(**one_arm, device=device)
    assert made["warnings"] == [alone]
    assert made["spec"]["device"] == device
    plain = served.submit(**one_arm)
    assert (plain["warnings"], "device" in plain["spec"]) == ([], False)

    def warnings() -> list[str]:
        return served.http.get(f"/v1/experiments/{made['id']}").json()["warnings"]

    assert warnings() == [alone]
    with served.database.write() as session:
        workers.register(session, "wrk_both", Identity("h", "b", 2, 1.0), 1, "cpu gpu")
    assert warnings() == []
    with served.database.write() as session:
        workers.forget(session, "wrk_both")
        workers.forget(session, "wrk_other")
    assert warnings() == ["no worker is alive: the experiment waits until one starts"]
    served.http.post(f"/v1/experiments/{made['id']}/cancel")
    assert warnings() == [], "what is over waits for nobody"


def test_a_wrong_device_is_refused_with_the_legal_ones(served: Any) -> None:
    answer = served.http.post("/v1/experiments", json={**SPEC, "device": "tpu"})
    assert answer.status_code == 422
    (problem,) = answer.json()["errors"]
    assert problem["pointer"] == "/device"
    assert "cpu" in problem["message"]
    assert "gpu" in problem["message"]
