"""Every error is a problem document, and every error class has its status."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from api.pagination import encode
from api.problems import STATUS
from services import errors

JSON = {"Content-Type": "application/json"}


def subclasses(cls: type) -> set[type]:
    return {cls, *(subclass for child in cls.__subclasses__() for subclass in subclasses(child))}


def test_every_error_class_has_a_status() -> None:
    assert subclasses(errors.FirstlightError) - {errors.FirstlightError} == set(STATUS)


def checked(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() == {"type", "title", "status", "detail", "code", "request_id", "errors"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:firstlight:problem:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/experiments/exp_x", 404, "not_found"),
        ("GET", "/v1/trials/trl_x", 404, "not_found"),
        ("POST", "/v1/experiments/exp_x/cancel", 404, "not_found"),
        ("POST", "/v1/experiments/exp_x/dance", 404, "not_found"),
        ("DELETE", "/v1/experiments/exp_x", 404, "not_found"),
        ("GET", "/v1/activations/rleu", 404, "not_found"),
        ("PUT", "/v1/experiments", 405, "method_not_allowed"),
        ("GET", "/v1/experiments?tag=a%00b", 400, "bad_request"),
        ("GET", "/v1/experiments/exp_%00", 400, "bad_request"),
        ("GET", "/v1/experiments?limit=0", 422, "invalid_input"),
        ("GET", "/v1/experiments?limit=x", 422, "invalid_input"),
        ("GET", "/v1/experiments?state=happy", 422, "invalid_input"),
        ("GET", "/v1/experiments?cursor=abc", 422, "invalid_input"),
        ("GET", "/v1/experiments?cursor=%ff", 422, "invalid_input"),
        ("GET", "/v1/experiments?filter=state", 422, "invalid_input"),
        ("GET", "/v1/experiments?created_after=2026-01-01T00:00:00", 422, "invalid_input"),
        ("POST", "/v1/experiments", 422, "invalid_input"),
    ],
)
def test_a_wrong_request_gets_a_problem(shared: Any, method: str, path: str, status: int, code: str) -> None:
    checked(shared.http.request(method, path), status, code)


EDGES = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00.1+00:01")


@pytest.mark.parametrize("edge", EDGES)
def test_a_time_beyond_the_calendar_is_refused_wherever_it_stands(served_by_both: Any, edge: str) -> None:
    cursor = encode(edge, "exp_x")
    for name, value in (("created_after", edge), ("filter", f"created_at > '{edge}'"), ("cursor", cursor)):
        problem = checked(served_by_both.http.get("/v1/experiments", params={name: value}), 422, "invalid_input")
        assert problem["errors"][0]["pointer"] == name


@pytest.mark.parametrize("value", ["0.5", "1700000000", "2026-01-01", "yesterday", "2026-01-01T00:00:00"])
def test_created_after_is_a_time_and_no_number(shared: Any, value: str) -> None:
    problem = checked(shared.http.get("/v1/experiments", params={"created_after": value}), 422, "invalid_input")
    assert problem["errors"][0]["pointer"] == "created_after"


def test_created_after_takes_every_zone(shared: Any) -> None:
    shared.submit()
    for past in ("2020-01-01T00:00:00Z", "2020-01-01T05:30:00+05:30", "2020-01-01 00:00:00.123Z"):
        assert shared.http.get("/v1/experiments", params={"created_after": past}).json()["items"]
    assert not shared.http.get("/v1/experiments", params={"created_after": "2999-01-01T00:00:00Z"}).json()["items"]


def test_a_forged_cursor_is_refused(served_by_both: Any) -> None:
    experiment = served_by_both.submit()["id"]
    times = (("2026-01-01T00:00:00+00:00", "a\0b"), ("2026-01-01T00:00:00", "x"), (5, "x"), ("2026-01-01T00:00:00Z", 5))
    for parts in times:
        checked(served_by_both.http.get("/v1/experiments", params={"cursor": encode(*parts)}), 422, "invalid_input")
    for path, size in (("trials", 1), ("metrics", 2)):
        for number in (2**63, -(2**63), 2**64 - 1, True, 1.5):
            answer = served_by_both.http.get(
                f"/v1/experiments/{experiment}/{path}", params={"cursor": encode(*[number] * size)}
            )
            checked(answer, 422, "invalid_input")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"a":', 400, "invalid_json"),
        (b'{"epochs": NaN}', 400, "invalid_json"),
        (b'{"epochs": Infinity}', 400, "invalid_json"),
        (b'{"epochs": 1e400}', 400, "invalid_json"),
        (b'{"epochs": 1' + b"0" * 5000 + b"}", 400, "invalid_json"),
        (b"[" * 5000 + b"]" * 5000, 400, "invalid_json"),
        (b'"\xff"', 400, "invalid_json"),
        (b'{"name": "a\\u0000b"}', 422, "invalid_input"),
        (b"[1]", 422, "invalid_input"),
        (b"null", 422, "invalid_input"),
        (b'{"dataset": "digits"}', 422, "spec_invalid"),
        (b'{"dataset": {"name": {"name": []}}}', 422, "spec_invalid"),
        (b'{"seeds": [[[[]]]], "dataset": 3, "optimizer": [[[]]]}', 422, "spec_invalid"),
    ],
)
def test_a_wrong_body_gets_a_problem(shared: Any, body: bytes, status: int, code: str) -> None:
    checked(shared.http.post("/v1/experiments", content=body, headers=JSON), status, code)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"dataset":"digits","activation":"relu","initializer":"zeros","epochs":9,"epochs":1,"seeds":1}', "/epochs"),
        (b'{"dataset":"digits","optimizer":[1,{"kind":"sgd","a/b":{"x":1,"x":1}}]}', "/optimizer/1/a~1b/x"),
        (b'{"a":{"x":1,"x":2},"a":3}', "/a"),
    ],
)
def test_a_doubled_field_is_refused(shared: Any, body: bytes, pointer: str) -> None:
    problem = checked(shared.http.post("/v1/experiments", content=body, headers=JSON), 422, "invalid_input")
    assert problem["errors"] == [{"pointer": pointer, "message": "stands twice; give it once"}]


@pytest.mark.parametrize("kind", ["text/plain", "application/yaml", "multipart/form-data", ""])
def test_only_json_is_read(shared: Any, kind: str) -> None:
    answer = shared.http.post("/v1/experiments", content=b"{}", headers={"Content-Type": kind})
    checked(answer, 415, "unsupported_media_type")


def test_a_large_body_is_refused_however_it_is_sent(shared: Any) -> None:
    large = b'{"name": "' + b"x" * 1_100_000 + b'"}'
    checked(shared.http.post("/v1/experiments", content=large, headers=JSON), 413, "body_too_large")
    pieces = (large[start : start + 65_536] for start in range(0, len(large), 65_536))
    checked(shared.http.post("/v1/experiments", content=pieces, headers=JSON), 413, "body_too_large")


def test_an_id_is_echoed_when_it_is_harmless(shared: Any) -> None:
    assert shared.http.get("/healthz", headers={"X-Request-ID": "abc-1.2_3"}).headers["x-request-id"] == "abc-1.2_3"
    for request_id in ("a b", "x" * 65, "<script>"):
        assert re.fullmatch(
            r"[0-9a-f]{32}", shared.http.get("/", headers={"X-Request-ID": request_id}).headers["x-request-id"]
        )


def test_a_database_that_is_gone_is_a_503(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("password=hunter2 connection refused"))

    monkeypatch.setattr(served.database, "read", away)
    problem = checked(answer := served.http.get("/v1/experiments"), 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "hunter2" not in str(problem)
    ready = served.http.get("/readyz")
    assert (ready.status_code, ready.json()["ready"], ready.json()["database"]["status"]) == (503, False, "down")
    assert served.http.get("/healthz").text == "ok"
    assert "firstlight_database_up 0" in served.http.get("/metrics").text


def test_the_unexpected_is_a_500_without_its_insides(
    served: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr(served.database, "read", broken)
    problem = checked(served.http.get("/v1/experiments"), 500, "internal_error")
    assert "secret reason" not in str(problem)
    assert "secret reason" in "".join(capfd.readouterr())


def test_ids_never_reach_the_measurements(serve: Callable[..., Any], sqlite_url: str, tmp_path: Path) -> None:
    with serve(tmp_path, sqlite_url) as served:
        experiment = served.submit()
        served.http.get(experiment["links"]["self"])
        served.http.get("/v1/nowhere")
        text = served.http.get("/metrics").text
    assert 'route="/v1/experiments/{experiment_id}"' in text
    assert 'firstlight_trials{state="queued"} 12' in text
    assert experiment["id"] not in text
    assert "nowhere" not in text


def test_a_data_set_that_cannot_be_had_is_refused_at_once(served: Any, tmp_path: Path) -> None:
    # A file where the data folder should be: nothing can be found there, and nothing can be fetched into it.
    (tmp_path / "data").write_text("")
    spec = {"dataset": "california_housing", "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}
    document = checked(served.http.post("/v1/experiments", json=spec), 422, "dataset_unavailable")
    assert document["errors"][0]["pointer"] == "/dataset"
    assert "cal_housing.tgz" in document["detail"]
    assert served.http.get("/v1/experiments").json()["items"] == []
