"""What is almost right is refused and named; what is right in another spelling is taken."""

from typing import Any

import httpx
import pytest

SPEC: dict[str, Any] = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}


def dry_run(shared: Any, **changes: Any) -> httpx.Response:
    return shared.http.post("/v1/experiments?dry_run=true", json={**SPEC, **changes})


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"epochs": True}, "/epochs"),
        ({"epochs": "3"}, "/epochs"),
        ({"epochs": 3.5}, "/epochs"),
        ({"epochs": None}, "/epochs"),
        ({"seeds": True}, "/seeds"),
        ({"seeds": "3"}, "/seeds"),
        ({"seeds": [True, False]}, "/seeds/0"),
        ({"seeds": ["1"]}, "/seeds/0"),
        ({"seeds": {"min": "2", "max": 5, "until": "ranked"}}, "/seeds/min"),
        ({"seeds": {"min": 2, "max": 5, "until": {"ci_halfwidth": "1"}}}, "/seeds/until/ci_halfwidth"),
        ({"batch_size": "32"}, "/batch_size"),
        ({"batch_size": [True]}, "/batch_size/0"),
        ({"spec_version": True}, "/spec_version"),
        ({"optimizer": {"kind": "sgd", "learning_rate": "0.1"}}, "/optimizer/learning_rate"),
        ({"optimizer": {"kind": "sgd", "learning_rate": [True]}}, "/optimizer/learning_rate/0"),
        ({"optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": 1}}, "/optimizer/nesterov"),
        ({"activation": {"kind": "elu", "alpha": "1"}}, "/activation/alpha"),
        ({"model": {"kind": "mlp", "hidden": [50, "50"]}}, "/model/hidden/1"),
        ({"model": {"kind": "mlp", "residual": "yes"}}, "/model/residual"),
        ({"model": {"kind": "mlp", "dropout": True}}, "/model/dropout"),
        ({"dataset": {"name": "digits", "train_size": "100"}}, "/dataset/train_size"),
        ({"diagnostics": {"schedule": [True]}}, "/diagnostics/schedule/0"),
        ({"name": 5}, "/name"),
        ({"tags": [1]}, "/tags/0"),
    ],
)
def test_a_value_of_another_kind_is_refused(shared: Any, changes: dict[str, Any], pointer: str) -> None:
    answer = dry_run(shared, **changes)
    assert answer.status_code == 422, answer.text
    assert pointer in {problem["pointer"] for problem in answer.json()["errors"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 3.0},
        {"seeds": [0, 1.0]},
        {"seeds": {"min": 2, "max": 5, "until": {"ci_halfwidth": 1}}},
        {"optimizer": {"kind": "sgd", "learning_rate": [1, 0.1]}},
        {"model": {"kind": "mlp", "batch_norm": True, "layer_norm": False, "dropout": 0}},
        {"model": {"kind": "mlp", "batch_norm": None}},
        {"activation": {"kind": "elu", "alpha": 1}},
        {"spec_version": 1},
    ],
)
def test_the_same_value_in_another_spelling_is_taken(shared: Any, changes: dict[str, Any]) -> None:
    assert dry_run(shared, **changes).status_code == 200


def test_other_bodies_are_as_strict(shared: Any) -> None:
    for path, body, pointer in (
        ("/v1/comparisons", {"experiments": ["exp_x"], "confidence": "0.9"}, "/confidence"),
        ("/v1/predictions", {"activation": "relu", "initializer": "zeros", "depth": "3"}, "/depth"),
        ("/v1/initializers/zeros/sample", {"shape": [True, 2]}, "/shape/0"),
    ):
        answer = shared.http.post(path, json=body)
        assert answer.status_code == 422, path
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_in_a_query_all_is_text(shared: Any) -> None:
    assert shared.http.get("/v1/activations/elu?alpha=0.5").json()["parameters"]
    assert shared.http.get("/v1/activations/elu?alpha=true").status_code == 422


HIDDEN = ["a\u202eb", "line\nbreak", "\x1b[31m", "tab\t", "a\u2028b", "\u2066a", "\x7f", "\u0085"]


@pytest.mark.parametrize("text", HIDDEN, ids=ascii)
def test_control_characters_are_in_no_name(shared: Any, text: str) -> None:
    for changes, pointer in (({"name": text}, "/name"), ({"tags": ["ok", text]}, "/tags/1")):
        answer = dry_run(shared, **changes)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert f"U+{ord(next(c for c in text if not c.isprintable())):04X}" in answer.json()["detail"]
    table = {"content": b"a,b\n1,2\n3,4\n5,7\n", "headers": {"Content-Type": "text/csv"}}
    answer = shared.http.post("/v1/datasets", params={"name": text}, **table)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "name"


@pytest.mark.parametrize("text", ["Größe 3 · ½", "אבג", "سلام", "日本語", "👩‍🔬 run", "a\u00a0b", "x\u200fy"])
def test_every_other_letter_is(shared: Any, text: str) -> None:
    made = shared.submit(name=text, tags=[text])
    assert (made["name"], made["tags"]) == (text, [text])


def test_a_files_own_name_is_shown_without_them(shared: Any) -> None:
    rows = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n % 7) for n in range(40))
    answer = shared.http.post("/v1/datasets", files={"file": ("gn\u202ep.csv", rows, "text/csv")})
    assert answer.status_code == 201, answer.text
    assert answer.json()["title"] == "gnp.csv"


def test_head_is_get_without_the_body(shared: Any) -> None:
    made = shared.submit()
    paths = ["/healthz", "/readyz", "/", "/docs", "/docs/swagger-ui.css", "/openapi.json", "/metrics", "/nowhere"]
    paths += ["/v1/experiments", made["links"]["self"], made["links"]["comparison"], "/v1/presets"]
    for path in paths:
        got, head = shared.http.get(path), shared.http.head(path)
        assert head.status_code == got.status_code, path
        assert head.content == b""
        assert head.headers["content-type"] == got.headers["content-type"]
        if path not in ("/metrics", "/"):
            assert head.headers["content-length"] == got.headers["content-length"], path
    tag = shared.http.head(made["links"]["self"]).headers["etag"]
    assert shared.http.head(made["links"]["self"], headers={"If-None-Match": tag}).status_code == 304
    # A stream has no end, its head has: the connection is free for the next request.
    assert shared.http.head(made["links"]["events"]).headers["content-type"].startswith("text/event-stream")
    assert shared.http.get("/healthz").text == "ok"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/healthz", "GET, HEAD"),
        ("/v1/experiments", "GET, HEAD, POST"),
        ("/v1/experiments/exp_x", "GET, HEAD, DELETE"),
        ("/v1/experiments/exp_x/cancel", "POST"),
        ("/v1/datasets", "GET, HEAD, POST"),
        ("/v1/datasets/digits", "GET, HEAD, DELETE"),
        ("/v1/comparisons", "POST"),
        ("/v1/initializers/zeros/sample", "POST"),
    ],
)
def test_a_wrong_method_is_told_every_right_one(shared: Any, path: str, allowed: str) -> None:
    for method in ("PATCH", "OPTIONS", "PUT"):
        answer = shared.http.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == allowed
        assert allowed in answer.json()["detail"]
