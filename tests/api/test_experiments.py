"""Submit, list, read, steer, clone and delete, on both databases where the database matters."""

import threading
from typing import Any

import pytest

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": ["he_uniform", "glorot_uniform"],
    "epochs": 3,
    "seeds": 3,
}


def test_a_submission_is_stored_with_its_whole_grid(served_by_both: Any) -> None:
    answer = served_by_both.http.post("/v1/experiments", json=SPEC)
    assert answer.status_code == 202
    experiment = answer.json()
    assert answer.headers["location"] == experiment["links"]["self"]
    assert {state: count for state, count in experiment["trials"].items() if count} == {"total": 12, "queued": 12}
    trials = served_by_both.http.get(experiment["links"]["trials"]).json()["items"]
    assert [trial["seed"] for trial in trials[:3]] == [0, 1, 2]
    assert len({trial["label"] for trial in trials}) == 4
    assert served_by_both.http.get(f"/v1/trials/{trials[5]['id']}").json() == trials[5]
    assert served_by_both.http.get(experiment["links"]["self"]).json() == experiment


def test_the_stored_spec_can_be_posted_again(served: Any) -> None:
    first = served.submit()
    second = served.http.post("/v1/experiments", json=first["spec"]).json()
    assert second["spec_digest"] == first["spec_digest"]
    assert second["spec"] == first["spec"]


def test_a_dry_run_tells_the_plan_and_stores_nothing(served: Any) -> None:
    plan = served.http.post("/v1/experiments?dry_run=true", json=SPEC).json()
    assert plan["trials"] == 12
    assert len(plan["arms"]) == 4
    assert sum(cohort["size"] for cohort in plan["cohorts"]) == 12
    assert plan["training_rows"] + plan["validation_rows"] == 1797
    # 64-50-50-10 with biases; 1,438 rows in batches of 32 are 45 steps an epoch.
    assert plan["parameters"] == 65 * 50 + 51 * 50 + 51 * 10
    assert plan["steps"] == 12 * 3 * 45
    assert (
        plan["predicted_seconds"]["low"] <= plan["predicted_seconds"]["expected"] <= plan["predicted_seconds"]["high"]
    )
    assert any("no worker" in warning for warning in plan["warnings"])
    assert served.http.get("/v1/experiments").json()["items"] == []


def test_the_same_key_and_body_give_the_stored_answer(served_by_both: Any) -> None:
    def send(spec: dict[str, Any], key: str) -> Any:
        return served_by_both.http.post("/v1/experiments", json=spec, headers={"Idempotency-Key": key})

    first, again = send(SPEC, "a"), send(dict(reversed(SPEC.items())), "a")
    assert again.json() == first.json()
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    other = send({**SPEC, "epochs": 4}, "a")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert send(SPEC, "b").json()["id"] != first.json()["id"]


def test_the_same_key_sent_at_once_makes_one_experiment(served_by_both: Any) -> None:
    answers: list[str] = []

    def send() -> None:
        answer = served_by_both.http.post("/v1/experiments", json=SPEC, headers={"Idempotency-Key": "k"})
        answers.append(answer.json()["id"])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert len(served_by_both.http.get("/v1/experiments").json()["items"]) == 1


def test_the_list_is_paged_and_narrowed(served_by_both: Any) -> None:
    ids = [served_by_both.submit(name=f"n{i}", tags=["even"] if i % 2 == 0 else ["odd", "o'x"])["id"] for i in range(5)]
    served_by_both.http.post(f"/v1/experiments/{ids[0]}/cancel")

    def listed(**query: Any) -> list[str]:
        return [item["id"] for item in served_by_both.http.get("/v1/experiments", params=query).json()["items"]]

    pages, cursor = [], None
    while True:
        page = served_by_both.http.get(
            "/v1/experiments", params={"limit": 2, **({"cursor": cursor} if cursor else {})}
        ).json()
        pages.append([item["id"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
    assert listed(state="cancelled") == [ids[0]]
    assert listed(tag="odd") == [ids[3], ids[1]]
    assert listed(filter="state = 'queued' and (tag = 'even' or name = 'n3')") == [ids[4], ids[3], ids[2]]
    assert listed(filter="tag = 'o''x' and not name in (n1)") == [ids[3]]
    assert listed(filter="name contains 'N4' or trials > 100") == [ids[4]]
    assert listed(dataset="diamonds") == []
    created = served_by_both.http.get(f"/v1/experiments/{ids[2]}").json()["created_at"]
    assert listed(created_after=created) == [ids[4], ids[3]]
    assert listed(filter=f"created_at <= {created}") == [ids[2], ids[1], ids[0]]


def test_an_unchanged_experiment_is_not_sent_again(served: Any) -> None:
    path = served.submit()["links"]["self"]
    tag = served.http.get(path).headers["etag"]
    assert served.http.get(path, headers={"If-None-Match": tag}).status_code == 304
    served.http.post(f"{path}/cancel")
    assert served.http.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_the_verbs_follow_the_states(served_by_both: Any) -> None:
    path = served_by_both.submit()["links"]["self"]

    def act(verb: str) -> tuple[int, str]:
        answer = served_by_both.http.post(f"{path}/{verb}")
        return answer.status_code, answer.json().get("state", answer.json().get("code"))

    assert act("resume") == (409, "conflict")
    assert act("retry") == (409, "conflict")
    assert act("pause") == (202, "paused")
    assert act("resume") == (202, "queued")
    assert served_by_both.http.delete(path).status_code == 409
    assert act("cancel") == (202, "cancelled")
    assert act("cancel") == (202, "cancelled")
    assert act("pause") == (409, "conflict")
    assert served_by_both.http.delete(path).status_code == 204
    assert served_by_both.http.get(path).status_code == 404


def test_a_finished_experiment_cannot_be_cancelled(served: Any) -> None:
    path = served.submit()["links"]["self"]
    served.train()
    assert served.http.get(path).json()["state"] == "succeeded"
    assert served.http.post(f"{path}/cancel").status_code == 409


def test_a_clone_has_the_changes_and_nothing_else(served: Any) -> None:
    first = served.submit(name="first")
    clone = served.http.post(f"{first['links']['self']}/clone", json={"spec": {"epochs": 7, "name": None}}).json()
    assert clone["spec"] == {**{k: v for k, v in first["spec"].items() if k != "name"}, "epochs": 7}
    assert clone["name"] is None
    bad = served.http.post(f"{first['links']['self']}/clone", json={"spec": {"epoch": 7}})
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["pointer"] == "/epoch"


def test_counts_and_progress_follow_the_trials(served_by_both: Any) -> None:
    path = served_by_both.submit()["links"]["self"]
    served_by_both.train(diverged=4)
    experiment = served_by_both.http.get(path).json()
    assert experiment["state"] == "succeeded"
    assert (experiment["trials"]["succeeded"], experiment["trials"]["diverged"]) == (11, 1)
    assert (experiment["progress"], experiment["eta_seconds"]) == (1.0, 0.0)
    gone = served_by_both.http.get(f"{path}/trials", params={"state": "diverged"}).json()["items"]
    assert [(trial["diverged"]["epoch"], trial["diverged"]["layer"]) for trial in gone] == [(2, "dense_1")]


def test_the_next_quote_learns_from_what_was_measured(served: Any) -> None:
    before = served.http.post("/v1/experiments?dry_run=true", json=SPEC).json()["predicted_seconds"]
    for _ in range(3):
        served.submit()
        served.train()
    after = served.http.post("/v1/experiments?dry_run=true", json=SPEC).json()["predicted_seconds"]
    assert "3 finished cohorts" in after["basis"]
    assert after["expected"] < before["expected"]


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"activation": ["relu", "tanhh"]}, "/activation/1", "did you mean 'tanh'"),
        ({"activatoin": "relu"}, "/activatoin", "did you mean 'activation'"),
        ({"activation": {"kind": "leaky_relu", "negative_slop": 1}}, "/activation/negative_slop", "negative_slope"),
        ({"optimizer": [{"kind": "sgd", "learning_rate": [0.1, -1]}]}, "/optimizer/0/learning_rate/1", "not -1"),
        ({"dataset": "digts"}, "/dataset", "did you mean 'digits'"),
        ({"dataset": {"name": "digits", "train_siz": 3}}, "/dataset/train_siz", "train_size"),
        ({"seeds": 0}, "/seeds", "between 1 and 1000"),
        ({"seeds": [1, "x"]}, "/seeds/1", "integer"),
        ({"model": {"kind": "mlp", "hidden": [0]}}, "/model/hidden/0", "greater than or equal to 1"),
        ({"loss": "mae"}, "/loss", "use cross_entropy"),
        ({"loss": "binary_cross_entropy"}, "/loss", "the 10 classes of 'digits'; use cross_entropy"),
        ({"batch_size": [1, 1]}, "/batch_size", "stands twice"),
        ({"epochs": None}, "/epochs", "not null"),
        ({"dataset": "dts_" + "0" * 24}, "/dataset", "dts_"),
        ({"a/b~c": 1}, "/a~1b~0c", "unknown field"),
    ],
)
def test_a_wrong_spec_is_told_where_and_how(shared: Any, changes: Any, pointer: str, words: str) -> None:
    answer = shared.http.post("/v1/experiments", json={**SPEC, **changes})
    assert answer.status_code == 422
    assert answer.json()["code"] == "spec_invalid"
    messages = {error["pointer"]: error["message"] for error in answer.json()["errors"]}
    assert words in messages[pointer]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"seeds": 1000}, "4000 trials"), ({"model": {"kind": "mlp", "hidden": [8192] * 40}}, "GiB")],
)
def test_a_grid_that_cannot_fit_is_refused_with_the_number(shared: Any, changes: Any, words: str) -> None:
    answer = shared.http.post("/v1/experiments", json={**SPEC, **changes})
    assert (answer.status_code, answer.json()["code"]) == (422, "grid_too_large")
    assert words in answer.json()["detail"]
