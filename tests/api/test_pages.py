"""Pages for people: they work without a network, and hold what they promise. And the catalogue's lists."""

import re
from typing import Any

import pytest

from services.cohorts import workers
from services.cohorts.workers import Identity


def test_the_openapi_page_fetches_nothing_from_elsewhere(shared: Any) -> None:
    page = shared.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    fetched = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert fetched
    for path in fetched:
        assert path.startswith("/docs/")
        assert shared.http.get(path).status_code == 200
    assert "/openapi.json" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["main.py", "__init__.py", "..%2fmain.py", "%2e%2e/main.py", "x"])
def test_only_the_pages_own_files_are_served(shared: Any, name: str) -> None:
    assert shared.http.get(f"/docs/{name}").status_code == 404


def test_the_dashboard_lists_experiments_without_fetching_anything(served: Any) -> None:
    assert "No experiment yet" in served.http.get("/").text
    experiment = served.submit(name="lecture 3")
    page = served.http.get("/").text
    assert "lecture 3" in page
    assert 'http-equiv="refresh"' in page
    assert "report.html" not in page
    assert "not yet" in page
    assert not re.search(r'(src|href)=["\'](https?:)?//', page)
    served.train(diverged=0)
    page = served.http.get("/").text
    assert "1 diverged" in page
    assert 'http-equiv="refresh"' not in page
    assert f"{experiment['links']['self']}/report.html" in page


@pytest.mark.parametrize("family", ["activations", "initializers", "optimizers", "models", "presets", "datasets"])
def test_a_family_is_paged_and_each_member_can_be_read(shared: Any, family: str) -> None:
    whole = shared.http.get(f"/v1/{family}", params={"limit": 1000}).json()["items"]
    pages, cursor = [], None
    while True:
        query = {"limit": 3, "cursor": cursor} if cursor else {"limit": 3}
        page = shared.http.get(f"/v1/{family}", params=query).json()
        assert len(page["items"]) <= 3
        pages += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == whole
    for member in whole[:5]:
        name = member.get("kind") or member["name"]
        answer = shared.http.get(f"/v1/{family}/{name}")
        assert answer.status_code == 200
        assert answer.json()["description"] == member["description"]
    assert shared.http.get(f"/v1/{family}/nothing_such").status_code == 404


def test_a_preset_over_http_is_accepted_as_it_is(shared: Any) -> None:
    spec = shared.http.get("/v1/presets/quickstart").json()["spec"]
    assert shared.http.post("/v1/experiments", params={"dry_run": "true"}, json=spec).status_code == 200


def test_readiness_tells_whether_anybody_will_work(shared: Any) -> None:
    def told() -> tuple[int, bool, str, str]:
        answer = shared.http.get("/readyz")
        health = answer.json()
        assert health["database"]["status"] == "ok"
        return answer.status_code, health["ready"], health["worker"]["status"], health["worker"]["detail"]

    def beat(worker: str, problem: str | None) -> None:
        with shared.database.write() as session:
            assert workers.beat(session, worker, problem=problem)

    names = ("wrk_one", "wrk_two")
    try:
        assert told() == (503, False, "down", "none alive: submissions wait until one starts")
        with shared.database.write() as session:
            for name in names:
                workers.register(session, name, Identity("h", "b", 1, 1.0), 2, None)
        assert told() == (200, True, "ok", "2 alive with 4 slots")
        beat("wrk_one", "the folder /x cannot be written")
        assert told() == (
            200, True, "degraded", "1 alive with 2 slots; another takes no work: the folder /x cannot be written",
        )  # fmt: skip
        beat("wrk_two", "the folder /x cannot be written")
        assert told() == (503, False, "down", "alive, but takes no work: the folder /x cannot be written")
        beat("wrk_two", None)
        assert told()[0] == 200
    finally:
        with shared.database.write() as session:
            for name in names:
                workers.forget(session, name)
