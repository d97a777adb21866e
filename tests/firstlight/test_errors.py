"""Whatever goes wrong, the command says it in one line without a stack trace, and its exit code says of which kind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from firstlight import experiments
from firstlight.client import FirstlightHTTPError
from firstlight.endings import explained
from firstlight.saving import save
from firstlight.spec_files import read_spec
from tests.support.command import Firstlight, OddService, http
from tests.support.workers import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
Odd = Callable[..., OddService]


def one_line(text: str, *parts: str) -> bool:
    return text.count("\n") == 1 and "Traceback" not in text and all(part in text for part in parts)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host", "ftp:// is not spoken here"),
        ("http://", "it names no host"),
        ("http://host:port", "Invalid port"),
        ("http://host:99999999", "port"),
        ("two words", "it names no host"),
        ("http://host/?a=b", "it goes on behind the path"),
    ],
)
def test_an_address_that_is_none_is_wrong_usage(firstlight: Firstlight, url: str, why: str) -> None:
    done = firstlight("list", url=url)
    assert (done.code, done.out) == (2, "")
    assert one_line(done.err, repr(url), why, "one looks like http://127.0.0.1:8000"), done.err


def test_an_address_without_a_scheme_is_taken_as_http(firstlight: Firstlight, odd_service: Odd) -> None:
    service = odd_service(http(b'{"items": [], "next_cursor": null}'))
    for url in (service.url.removeprefix("http://"), f"{service.url}/"):
        done = firstlight("list", "--json", url=url)
        assert (done.code, done.out, done.err) == (0, "[]\n", "")


def test_nobody_there(firstlight: Firstlight) -> None:
    done = firstlight("list", url="127.0.0.1:9")
    assert done.code == 3
    assert one_line(done.err, "no service answers at http://127.0.0.1:9 (", "`firstlight up`"), done.err


PAGE = http(b"<html>[/b] it works</html>", kind="text/html")


@pytest.mark.parametrize(
    ("answer", "code", "parts"),
    [
        (PAGE, 3, ("answered with text/html instead of a JSON object", "is that a Firstlight service?")),
        (http(b"[1, 2"), 3, ("instead of a JSON object",)),
        (http(b"[1, 2]"), 3, ("instead of a JSON object",)),
        (http(b"\xff\xfe{"), 3, ("instead of a JSON object",)),
        (http(b"{}"), 1, ("an answer it does not know (KeyError: 'items' at client.py:",)),
        (http(b'{"items": [{}]}'), 1, ("an answer it does not know (KeyError:",)),
        (b"", 3, ("broke off",)),
        (b"SSH-2.0-OpenSSH\r\n", 3, ("broke off",)),
        (http(b'{"items"', length=100), 3, ("broke off",)),
        (http(b"<h1>no</h1>", status="502 Bad Gateway", kind="text/html"), 1, ("Bad Gateway (502): <h1>no</h1>",)),
        (http(b"[]", status="500 Oh"), 1, ("Oh (500): []",)),
        (http(b'{"title": "[/weird]", "detail": ":smile:"}', status="409 Conflict"), 1, ("[/weird] (409): :smile:",)),
        (http(b'{"title": "a", "detail": "\\u001b[31mred"}', status="409 Conflict"), 1, ("a (409): \\x1b[31mred",)),
    ],
)
def test_an_odd_answer_is_one_line(
    firstlight: Firstlight, odd_service: Odd, answer: bytes, code: int, parts: tuple[str, ...]
) -> None:
    done = firstlight("list", url=odd_service(answer).url)
    assert (done.code, done.out) == (code, "")
    assert one_line(done.err, *parts), done.err


@pytest.mark.parametrize("answer", [b"", http(b'{"items"', length=100)])
def test_a_connection_that_is_reset(firstlight: Firstlight, odd_service: Odd, answer: bytes) -> None:
    done = firstlight("list", url=odd_service(answer, reset=True).url)
    assert done.code == 3
    assert one_line(done.err, "the connection to http://127.0.0.1:", "broke off ("), done.err


def test_events_that_are_none(odd_service: Odd, firstlight: Firstlight, monkeypatch: pytest.MonkeyPatch) -> None:
    running = {"id": "exp_1", "state": "running", "progress": 0.0, "trials": {"total": 1}}
    monkeypatch.setattr(experiments.Client, "experiment", lambda *_: running)
    for answer in (PAGE, http(b"data: [1, 2\n\n", kind="text/event-stream")):
        done = firstlight("watch", "exp_1", url=odd_service(answer).url)
        assert done.code == 3
        assert "instead of events: is that a Firstlight service?" in done.err


def test_an_answer_that_takes_too_long() -> None:
    request = httpx.Request("GET", "http://user:secret@host:1/v1/experiments?cursor=x")
    line, code = explained(httpx.ReadTimeout("timed out", request=request))
    assert (line, code) == ("the service at http://host:1 took too long to answer (timed out)", 3)


@pytest.mark.parametrize(
    ("errors", "lines"),
    [
        ([{"pointer": "/epochs", "message": "too few"}], []),
        ([{"pointer": "epochs", "message": "too few"}, {"pointer": "/seeds", "message": "none"}], ["  /seeds: none"]),
        ([{"pointer": "/epochs", "message": "too few"}, {"pointer": "/x", "message": "too few"}], ["  /x: too few"]),
        ([{"pointer": "/file", "message": "epochs: too few"}], []),
        ([{"pointer": "", "message": "epochs: too few"}], []),
        ("nonsense", []),
        (None, []),
    ],
)
def test_no_message_is_printed_twice(errors: object, lines: list[str]) -> None:
    error = FirstlightHTTPError(422, {"title": "Not valid", "detail": "epochs:\ntoo few", "errors": errors})
    assert str(error).split("\n") == ["Not valid (422): epochs: too few", *lines]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\x00", "is not text in UTF-8"),
        (b"a: b: c", ", line 1, column 5: mapping values are not allowed here"),
        (b"[/weird", ", line 1, column 8: "),
        (b"a: \x07", "unacceptable character"),
        (b"", "holds nothing: a spec is a list of fields"),
        (b"- 1", "holds a list"),
        (b"relu", "holds a str"),
        (b"epochs: .nan", "Out of range float values"),
        (b"? [1]\n: 2", "unhashable"),
        (b"[" * 600, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_spec(firstlight: Firstlight, tmp_path: Path, content: bytes | None, why: str) -> None:
    spec = tmp_path / "[red]weird.yaml"
    if content is not None:
        spec.write_bytes(content)
    done = firstlight("submit", str(spec), url="http://127.0.0.1:9")
    assert (done.code, done.out) == (2, "")
    assert one_line(done.err, "[red]weird.yaml", why), done.err


def test_a_spec_is_read_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"\xef\xbb\xbfoptimizer: {learning_rate: 1e-3}\nname: 2026-01-31\nseeds: [1, 2]\n")
    assert read_spec(path) == {"optimizer": {"learning_rate": 0.001}, "name": "2026-01-31", "seeds": [1, 2]}


def test_a_folder_is_no_file(firstlight: Firstlight, tmp_path: Path) -> None:
    for word in ("submit", "upload"):
        done = firstlight(word, str(tmp_path), url="http://127.0.0.1:9")
        assert done.code == 2
        assert one_line(done.err, str(tmp_path), "Is a directory"), done.err


def test_a_file_that_cannot_be_written_leaves_nothing(firstlight: Firstlight, odd_service: Odd, tmp_path: Path) -> None:
    url = odd_service(http(b"a,b\n", kind="text/csv")).url
    done = firstlight("export", "exp_1", "-o", str(tmp_path / "no" / "rows.csv"), url=url)
    assert (done.code, done.out) == (2, "")
    assert one_line(done.err, "rows.csv cannot be written: No such file or directory"), done.err
    (tmp_path / "rows.csv").mkdir()
    assert firstlight("export", "exp_1", "-o", str(tmp_path / "rows.csv"), url=url).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_saved_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    save(path, b"first")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Exception, match=r"rows.csv cannot be written: No space left on device"):
        save(path, b"second")
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("rows.csv", b"first")]
    save(Path(os.devnull), b"a device is written to, not replaced")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("figure", "exp_1", "curves", "--set", "facet"), ("--set: 'facet' is not name=value",)),
        (("figure", "exp_1", "curves", "--set", "a=1", "--set", "a=2"), ("'a' is given twice",)),
        (("clone", "exp_1", "--set", "=3"), ("'=3' is not name=value",)),
        (("export", "exp_1", "-o", "rows.xls"), ("'.xls' is not a known form",)),
        (("catalogue", "[/b]"), ("'[/b]' is not one of activations, initializers",)),
        (("predict", "-a", "{", "-i", "he_normal"), ("--activation, line 1, column 2",)),
        (("list", "--limit", "[/b]"), ("--limit", "see `firstlight list --help`")),
        (("list", "--limit"), ("--limit",)),
        (("list", "--[/b]"), ("--[/b]",)),
        (("[/b]",), ("'[/b]'", "see `firstlight --help`")),
        (("status", ""), ("'' is neither an id nor a name",)),
        (("delete", ".."), ("'..' is neither an id nor a name",)),
    ],
)
def test_wrong_usage_is_one_line(firstlight: Firstlight, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    url = None if words[0] == "[/b]" or words[-1] == "--limit" else "http://127.0.0.1:9"
    done = firstlight(*words, url=url)
    assert (done.code, done.out) == (2, "")
    assert one_line(done.err, *parts), done.err


def test_a_busy_service_is_a_line_beside_the_answer(
    firstlight: Firstlight, odd_service: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = http(b'{"title": "Busy"}', status="503 Busy\r\nRetry-After: 0")
    ticks = iter(range(100_000))
    monkeypatch.setattr("firstlight.client.time.sleep", lambda _: next(ticks))
    monkeypatch.setattr("firstlight.experiments.Client.__init__", _impatient(experiments.Client.__init__))
    done = firstlight("list", url=odd_service(busy).url)
    assert done.code == 1
    assert done.err.splitlines() == ["the service is busy (503); asking again in 0 s", "Busy (503)"]


def _impatient(init: Callable[..., None]) -> Callable[..., None]:
    return lambda self, url: init(self, url, patience=0.05)


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")} | more


def test_ctrl_c_is_quiet(odd_service: Odd) -> None:
    service = odd_service(b"", silent=True)
    command = [sys.executable, "-m", "firstlight", "watch", "exp_1", "--url", service.url]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert service.asked.wait(PATIENCE)
        watching.send_signal(signal.SIGINT)
        written = watching.communicate(timeout=PATIENCE)
    assert (watching.returncode, written) == (130, (b"", b""))


def test_a_closed_pipe_is_quiet(odd_service: Odd) -> None:
    items = [{"name": f"preset {number}", "title": "x" * 1000} for number in range(1000)]
    service = odd_service(http(json.dumps({"items": items, "next_cursor": None}).encode()))
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "firstlight", "presets", "--url", service.url]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), stdout=write, stderr=subprocess.PIPE, check=False, timeout=PATIENCE
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
