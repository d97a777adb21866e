"""Uploads over HTTP: stored, listed, trained on, refused with a line, and deleted unless in use."""

from typing import Any

import pytest

CSV = "area,street,price\n" + "".join(f"{i},{'paved' if i % 3 else 'gravel'},{2.5 * i + 1}\n" for i in range(1, 41))


def upload(served: Any, text: str = CSV, **query: Any) -> Any:
    return served.http.post("/v1/datasets", content=text.encode(), headers={"Content-Type": "text/csv"}, params=query)


def test_a_table_is_stored_listed_and_read(served: Any) -> None:
    answer = upload(served, name="streets")
    assert answer.status_code == 201, answer.text
    table = answer.json()
    assert answer.headers["location"] == f"/v1/datasets/{table['name']}"
    assert (table["id"], table["title"], table["rows"], table["task"]) == (table["name"], "streets", 40, "regression")
    assert table["features"] == ["area", "street=gravel", "street=paved"]
    assert table["input_shape"] == [3]
    assert served.http.get(answer.headers["location"]).json() == table
    listed = served.http.get("/v1/datasets").json()["items"]
    assert listed[-1] == table
    assert {"diamonds", "digits", "cifar10"} <= {entry["name"] for entry in listed}
    assert upload(served).json()["id"] == table["id"]


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
    [({"a": b"x,y\n1,2\n", "b": b"x,y\n1,2\n"}, None), ({}, {"target": "x"})],
)
def test_a_form_holds_exactly_one_file(served: Any, files: Any, data: Any) -> None:
    answer = served.http.post("/v1/datasets", files=files or {"x": (None, "1")}, data=data)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_options_are_query_parameters(served: Any) -> None:
    text = "id;kind;size;score\n1;a;;3\n2;b;2;4\n3;a;3;5\n4;b;1;6\n"
    dataset = upload(
        served, text, target="kind", delimiter=";", missing="drop_row", drop=["id"], task="classification"
    ).json()
    assert (dataset["task"], dataset["classes"], dataset["rows"]) == ("classification", ["a", "b"], 3)
    assert (dataset["features"], dataset["dropped_rows"]) == (["size", "score"], 1)
    assert dataset["options"]["drop"] == ["id"]


@pytest.mark.parametrize(
    ("text", "query", "words"),
    [
        ("a,b\n1,2\n3,4\n5\n", {}, "line 4: 1 values instead of 2"),
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


def test_a_dry_run_tells_how_every_column_is_read_and_keeps_nothing(served: Any) -> None:
    text = "id,when,size,kind,y\n" + "".join(
        f"{i},2020-01-0{1 + i % 9},{'?' if i == 3 else i},{'ab'[i % 2]},{i}.5\n" for i in range(1, 41)
    )
    query = {"dates": "days", "missing": "mean", "drop": ["id"], "name": "trees"}
    preview = upload(served, text, **query, dry_run=True)
    assert preview.status_code == 200, preview.text
    assert "location" not in preview.headers
    dataset = preview.json()
    assert [(column["name"], column["role"], column["kind"], column["missing"]) for column in dataset["columns"]] == [
        ("id", "left_out", "unread", 0),
        ("when", "feature", "date", 0),
        ("size", "feature", "number", 1),
        ("kind", "feature", "text", 0),
        ("y", "target", "number", 0),
    ]
    assert dataset["available"] is False
    assert served.http.get(f"/v1/datasets/{dataset['id']}").status_code == 404
    assert served.http.get("/v1/datasets").json()["items"][-1]["source"] != "uploaded"
    answer = upload(served, text, **query)
    assert answer.status_code == 201
    same = {name for name in dataset if answer.json()[name] == dataset[name]}
    assert set(dataset) - same <= {"available", "created_at"}
    assert served.http.get(answer.headers["location"]).json() == answer.json()
    assert upload(served, "a,b\n1,2\n3,x\n", dry_run=True).status_code == 422


def test_options_may_be_fields_of_the_form(served: Any) -> None:
    text = "id;kind;size\n1;a;1,5\n2;b;2,5\n3;a;3,5\n4;b;4,5\n"
    form = {"name": "sizes", "drop": ["id"], "target": "size", "header": "true", "dry_run": "false"}
    answer = served.http.post("/v1/datasets", files={"file": ("t.csv", text.encode())}, data=form)
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert (dataset["title"], dataset["features"], dataset["target"]) == ("sizes", ["kind=a", "kind=b"], "size")
    assert (dataset["options"]["delimiter"], dataset["options"]["header"]) == (";", True)


@pytest.mark.parametrize(
    ("data", "query", "pointer", "words"),
    [
        ({"titel": "x"}, {}, "titel", "name"),
        ({"missing": "guess"}, {}, "missing", "drop_row"),
        ({"header": "perhaps"}, {}, "header", "boolean"),
        ({"name": "x"}, {"name": "y"}, "name", "in the query and in the form"),
        ({"target": ["a", "b"]}, {}, "target", "2 times"),
        ({}, {"titel": "x"}, "titel", ""),
    ],
)
def test_a_wrong_option_is_named(served: Any, data: Any, query: Any, pointer: str, words: str) -> None:
    answer = served.http.post("/v1/datasets", files={"file": ("t.csv", CSV.encode())}, data=data, params=query)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["errors"][0]["pointer"] == pointer
    assert words in problem["errors"][0]["message"]
    assert served.http.get("/v1/datasets").json()["items"][-1]["source"] != "uploaded"


def test_all_faults_of_a_file_come_in_one_answer(served: Any) -> None:
    text = (
        "a,b,c\n" + "".join(f"{'x' if i == 5 else i},{'' if i == 7 else i},2020-01-01\n" for i in range(20)) + "1,2\n"
    )
    problem = upload(served, text, target="a").json()
    assert [item["message"].partition(":")[0] for item in problem["errors"]] == [
        "line 22",
        "line 7, column 'a'",
        "line 9, column 'b'",
        "line 2, column 'c'",
    ]
    assert {item["pointer"] for item in problem["errors"]} == {"/file"}


def test_a_second_upload_of_the_same_table_says_whose_title_it_keeps(served: Any) -> None:
    first = upload(served, name="streets").json()
    second = upload(served, name="roads").json()
    assert (second["id"], second["title"]) == (first["id"], "streets")
    assert second["notes"][-1] == "the same table was stored before and keeps its title 'streets'"
    assert served.http.get(f"/v1/datasets/{first['id']}").json() == first


def test_a_tail_split_of_a_sorted_table_is_warned_of_at_submission(served: Any) -> None:
    rows = "".join(f"{i % 7},{i % 11},{('oak', 'pine', 'fir')[i // 20]}\n" for i in range(60))
    table = upload(served, "a,b,kind\n" + rows).json()["id"]
    spec = {"activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}
    for split, warned in (("tail", True), ("random", False)):
        body = {**spec, "dataset": {"name": table, "split": split}}
        plan = served.http.post("/v1/experiments?dry_run=true", json=body).json()
        assert any("ordered in the file" in warning for warning in plan["warnings"]) == warned
    unseen = {**spec, "dataset": {"name": table, "split": "tail", "validation_fraction": 0.4}}
    plan = served.http.post("/v1/experiments?dry_run=true", json=unseen).json()
    assert any("the classes [fir]" in warning for warning in plan["warnings"])
