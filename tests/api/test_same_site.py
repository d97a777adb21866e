"""A service without keys is for programs on its machine, not for whatever page their browser shows."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from pydantic import ValidationError

from services.settings import Settings

SPEC = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}
PATHS = ("/healthz", "/readyz", "/", "/docs", "/openapi.json", "/metrics", "/v1/experiments", "/nowhere")


@pytest.fixture(scope="module")
def opened(migrated_sqlite: Path, serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Without keys, behind a proxy of its own name."""
    home = tmp_path_factory.mktemp("opened")
    copyfile(migrated_sqlite, home / "firstlight.db")
    allowed = "Lab.example.org, *.lab.internal fd00::5"
    with serve(home, f"sqlite:///{home / 'firstlight.db'}", allowed_hosts=allowed) as server:
        yield server


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@127.0.0.1",
        "0.0.0.0:8000",
        "192.168.1.5",
        "lab.example.org",
        "",
        "[::2]:8000",
        "127.0.0.1:8000:9",
        "::1",
    ],
)
def test_a_name_that_points_here_reads_and_writes_nothing(shared: Any, host: str) -> None:
    for path in PATHS:
        answer = shared.http.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert answer.json()["code"] == "foreign_host"
        assert "FIRSTLIGHT_ALLOWED_HOSTS" in answer.json()["detail"]
    assert shared.http.post("/v1/experiments", json=SPEC, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.8.8.8:1", "[::1]:8000", "localhost."]
)
def test_this_machine_is_served(shared: Any, host: str) -> None:
    assert shared.http.get("/v1/experiments", headers={"Host": host}).status_code == 200


CROSS_SITE: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost"},
    {"Origin": "file://"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
def test_a_page_of_another_site_changes_nothing(shared: Any, headers: dict[str, str]) -> None:
    made = shared.submit()
    plain = {**headers, "Content-Type": "text/plain"}
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/datasets", {"content": b"a,b\n1,2\n", "headers": plain}),
        ("POST", f"{made['links']['self']}/clone", {"headers": headers}),
        ("POST", f"{made['links']['self']}/cancel", {"headers": headers}),
        ("POST", "/v1/experiments", {"json": SPEC, "headers": headers}),
        ("DELETE", made["links"]["self"], {"headers": headers}),
    ]
    for method, path, request in requests:
        answer = shared.http.request(method, path, **request)
        assert answer.status_code == 403, (method, path)
        assert answer.json()["code"] == "foreign_origin"
    assert shared.http.get(made["links"]["self"]).json()["state"] == "queued"


def test_the_services_own_pages_and_programs_may(shared: Any) -> None:
    own = str(shared.http.base_url).rstrip("/")
    for headers in (
        {},
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:8000", "Host": "localhost:8000"},
    ):
        assert shared.http.post("/v1/experiments", json=SPEC, headers=headers).status_code == 202
    # A link on any page leads to the dashboard, as to any page.
    assert shared.http.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("lab.example.org", 202),
        ("LAB.example.org:8443", 202),
        ("a.lab.internal", 202),
        ("b.a.lab.internal", 202),
        ("[fd00::5]:8000", 202),
        ("127.0.0.1:8000", 202),
        ("lab.internal", 421),
        ("evil-lab.internal", 421),
        ("x.lab.example.org", 421),
    ],
)
def test_the_operator_may_allow_further_names(opened: Any, host: str, status: int) -> None:
    assert opened.http.post("/v1/experiments", json=SPEC, headers={"Host": host}).status_code == status


def test_a_proxy_may_keep_its_name_to_itself(opened: Any) -> None:
    headers = {"Host": "127.0.0.1:8000", "Origin": "https://lab.example.org"}
    assert opened.http.post("/v1/experiments", json=SPEC, headers=headers).status_code == 202
    headers["Origin"] = "https://evil.example"
    assert opened.http.post("/v1/experiments", json=SPEC, headers=headers).status_code == 403


def test_with_keys_the_name_does_not_matter(migrated_sqlite: Path, serve: Callable[..., Any], tmp_path: Path) -> None:
    copyfile(migrated_sqlite, tmp_path / "firstlight.db")
    with serve(tmp_path, f"sqlite:///{tmp_path / 'firstlight.db'}", api_keys="a-key") as locked:
        for host in ("api:8000", "firstlight.example.org"):
            headers = {"Host": host, "Origin": "https://firstlight.example.org", "Authorization": "Bearer a-key"}
            assert locked.http.post("/v1/experiments", json=SPEC, headers=headers).status_code == 202
            assert locked.http.get("/healthz", headers={"Host": host}).status_code == 200


def test_the_health_check_of_the_compose_file_names_no_host(served: Any) -> None:
    port = served.http.base_url.port
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 200 " in connection.recv(16)


@pytest.mark.parametrize("name", ["https://a.org", "a.org:80", "*", "a b/c", "*.", "a..b"])
def test_a_wrong_name_in_the_setting_is_told(name: str) -> None:
    with pytest.raises(ValidationError, match="is no host name"):
        Settings(allowed_hosts=name)  # type: ignore[arg-type]
