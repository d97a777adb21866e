"""Uploads over HTTP: stored, listed, trained on, refused with a line, and deleted unless in use."""

from typing import Any

import pytest

CSV = "area,street,price\n" + "".join(f"{i},{'paved' if i % 3 else 'gravel'},{2.5 * i + 1}\n" for i in range(1, 41))


def upload(served: Any, text: str = CSV, **query: Any) -> Any:
    return served.http.post("/v1/datasets", content=text.encode(), headers={"Content-Type": "text/csv"}, params=query)


def test_a_table_is_stored_listed_and_read(served: Any) -> None:
    answer = upload(served, name="streets")
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert answer.headers["location"] == f"/v1/datasets/{found['name']}"
    assert (found["id"], found["title"], found["rows"], found["task"]) == (found["name"], "streets", 40, "regression")
    assert found["features"] == ["area", "street=gravel", "street=paved"]
    assert found["input_shape"] == [3]
    assert served.http.get(answer.headers["location"]).json() == found
    listed = served.http.get("/v1/datasets").json()["items"]
    assert listed[-1] == found
    assert {"diamonds", "digits", "cifar10"} <= {entry["name"] for entry in listed}
    assert upload(served).json()["id"] == found["id"]


def test_data_in_a_package_are_available_and_a_plan_asks_for_no_download(served: Any) -> None:
    entries = {entry["name"]: entry["available"] for entry in served.http.get("/v1/datasets").json()["items"]}
    assert {name for name, available in entries.items() if not available} == {
        "california_housing",
        "cifar10",
        "fashion_mnist",
        "mnist",
    }
    for name, fetched in (("diamonds", False), ("california_housing", True)):
        spec = {"dataset": name, "activation": "relu", "initializer": "he_uniform", "epochs": 2, "seeds": 2}
        plan = served.http.post("/v1/experiments?dry_run=true", json=spec).json()
        assert any("will be fetched at first use" in note for note in plan["warnings"]) == fetched


def test_a_form_carries_the_same_table(served: Any) -> None:
    plain = upload(served).json()
    form = served.http.post("/v1/datasets", files={"file": ("streets.csv", CSV.encode(), "text/csv")})
    assert form.status_code == 201
    assert form.json()["id"] == plain["id"]


@pytest.mark.parametrize(
    ("files", "data"),
    [({"a": b"x,y\n1,2\n", "b": b"x,y\n1,2\n"}, None), ({"a": b"x,y\n1,2\n"}, {"target": "x"}), ({}, {"target": "x"})],
)
def test_a_form_holds_one_file_and_nothing_else(served: Any, files: Any, data: Any) -> None:
    answer = served.http.post("/v1/datasets", files=files or {"x": (None, "1")}, data=data)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_options_are_query_parameters(served: Any) -> None:
    text = "id;kind;size;score\n1;a;;3\n2;b;2;4\n3;a;3;5\n4;b;1;6\n"
    found = upload(
        served, text, target="kind", delimiter=";", missing="drop_row", drop=["id"], task="classification"
    ).json()
    assert (found["task"], found["classes"], found["rows"]) == ("classification", ["a", "b"], 3)
    assert (found["features"], found["dropped_rows"]) == (["size", "score"], 1)
    assert found["options"]["drop"] == ["id"]


@pytest.mark.parametrize(
    ("text", "query", "words"),
    [
        ("a,b\n1,2\n3\n", {}, "line 3: 1 values instead of 2"),
        ("a,b\n1,2\n3,x\n", {}, "line 3, column 'b': "),
        ("a,b\n1,2\n,4\n", {}, "line 3, column 'a': the value is missing"),
        ("a,b\nx,2\ny,4\n", {"categorical": "error"}, "code it with categorical=one_hot"),
        ("a,b\n1,2\n3,4\n", {"target": "c"}, "target names 'c', which is none of the columns 'a', 'b'"),
        ("", {}, "the file is empty"),
        ('a,b\n1,"2\n', {}, "line 2"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(served: Any, text: str, query: Any, words: str) -> None:
    answer = upload(served, text, **query)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid_input"
    assert words in problem["errors"][0]["message"]
    assert problem["errors"][0]["pointer"] == "/file"
    assert served.http.get("/v1/datasets").json()["items"][-1]["source"] != "uploaded"


def test_another_media_type_is_refused(served: Any) -> None:
    assert served.http.post("/v1/datasets", json={"a": [1]}).status_code == 415
    assert upload(served, delimiter="x").status_code == 422
    assert upload(served, categorical="guess").json()["errors"][0]["pointer"] == "categorical"


def test_an_experiment_on_a_table_holds_it(served: Any) -> None:
    table = upload(served).json()["id"]
    experiment = served.submit(dataset=table)
    assert experiment["dataset"] == table
    assert experiment["spec"]["dataset"]["rows"] == 40
    refused = served.http.delete(f"/v1/datasets/{table}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert experiment["id"] in refused.json()["detail"]
    assert served.http.post(f"/v1/experiments/{experiment['id']}/cancel").status_code == 202
    assert served.http.delete(f"/v1/datasets/{table}").status_code == 204
    assert served.http.get(f"/v1/datasets/{table}").status_code == 404
    assert served.http.delete(f"/v1/datasets/{table}").status_code == 404
    again = served.http.post("/v1/experiments", json=experiment["spec"])
    assert again.status_code == 422
    assert again.json()["errors"][0]["pointer"] == "/dataset"


def test_what_comes_with_the_service_stays(served: Any) -> None:
    assert served.http.delete("/v1/datasets/digits").status_code == 409
    assert served.http.delete("/v1/datasets/dts_nothing").status_code == 404
    assert (
        served.http.get("/v1/datasets/digitz")
        .json()["detail"]
        .startswith("there is no data set 'digitz'; did you mean")
    )
    assert served.http.get("/v1/datasets/Fashion-MNIST").json()["name"] == "fashion_mnist"


def test_pages_hold_every_data_set_once(served: Any) -> None:
    whole = served.http.get("/v1/datasets?limit=1000").json()["items"]
    cursor, seen = "", []
    while cursor is not None:
        part = served.http.get("/v1/datasets", params={"limit": 5} | ({"cursor": cursor} if cursor else {})).json()
        seen += part["items"]
        cursor = part["next_cursor"]
    assert seen == whole
