"""Every command about experiments and what came of them, against a real API process over studies made for it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from firstlight import Client, output
from firstlight.display import percent, time_left
from services.db.database import Database
from services.settings import Settings
from tests.support.api_process import api_process
from tests.support.command import Firstlight
from tests.support.experiments import train_next

WEIRD = "[/weird] [bold]x[/bold] :smile:"
SPEC: dict[str, Any] = {
    "name": WEIRD,
    "dataset": "circles",
    "activation": ["relu", "tanh"],
    "initializer": "he_uniform",
    "optimizer": {"kind": "sgd", "learning_rate": 0.1},
    "epochs": 3,
    "seeds": 3,
    "hypotheses": ["val_loss(relu) < val_loss(tanh)"],
}


@dataclass
class Studies:
    """An API, and the ids of a study that succeeded, one that failed in part and one that was cancelled."""

    url: str
    database: Database
    succeeded: str
    failed: str
    cancelled: str


@pytest.fixture(scope="module")
def studies(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studies]:
    home = tmp_path_factory.mktemp("home")
    with api_process(home, migrated_sqlite) as api, Client(str(api.http.base_url)) as client:
        settings = Settings(home=home, database_url=SecretStr(f"sqlite:///{home / 'firstlight.db'}"))
        database = Database(settings)

        def made(*trained: dict[str, Any], **changes: Any) -> str:
            experiment = client.submit({**SPEC, **changes})["id"]
            for options in trained:
                train_next(database, **options)
            return experiment

        succeeded = made({"epochs": 3, "diverged": {0: 2}})
        failed = made({"epochs": 1, "fails": "[/red] the table\x1b[31m\ncannot be read"}, name="fails")
        cancelled = made({"epochs": 3}, name="cancelled", batch_size=[16, 32])
        client.act(cancelled, "cancel")
        yield Studies(client.url, database, succeeded, failed, cancelled)
        database.dispose()


def test_the_list_in_a_pipe_is_plain_and_whole(firstlight: Firstlight, studies: Studies) -> None:
    done = firstlight("list", "--state", "succeeded", url=studies.url)
    assert (done.code, done.err) == (0, "")
    (row,) = [line.split("\t") for line in done.out.splitlines() if studies.succeeded in line]
    assert row[:6] == [studies.succeeded, WEIRD, "succeeded", "circles", "6", "100 %"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", row[6])


@pytest.mark.usefixtures("terminal")
def test_the_list_in_a_narrow_terminal_has_whole_ids(firstlight: Firstlight, studies: Studies) -> None:
    done = firstlight("list", "--filter", "name = 'fails'", url=studies.url)
    assert done.code == 0
    assert re.search(rf" {studies.failed} +fails +failed +6 +33 % ", done.out), done.out
    assert max(map(len, done.out.splitlines())) <= 80
    every = firstlight("list", url=studies.url)
    assert studies.succeeded in every.out
    assert "[/weird" in every.out


def test_every_reading_command_answers_in_json(firstlight: Firstlight, studies: Studies) -> None:
    for words, field in (
        (("list",), 0),
        (("status", studies.failed), "failure_reasons"),
        (("watch", studies.succeeded), "comparison"),
        (("compare", studies.succeeded), "verdict"),
        (("claims", studies.succeeded), "items"),
        (("presets",), "items"),
        (("presets", "quickstart"), "spec"),
        (("catalogue", "activations"), "items"),
        (("catalogue", "activations", "relu"), "formula"),
        (("recommend", "--depth", "20"), 0),
        (("predict", "-a", "relu", "-i", "he_normal"), "predictions"),
    ):
        done = firstlight(*words, "--json", url=studies.url)
        assert done.code == 0, done.err
        assert json.loads(done.out)[field]


@pytest.mark.usefixtures("terminal")
def test_what_is_shown_in_a_narrow_terminal(firstlight: Firstlight, studies: Studies, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"area,street,price\n1,[/b],2.5\n2,{'x' * 90},3.5\n3,x,4.5\n")
    for words, part in (
        (("compare", studies.succeeded), "95 % interval"),
        (("claims", studies.succeeded), "verdict"),
        (("presets",), "quickstart"),
        (("catalogue", "activations"), "leaky_relu"),
        (("recommend",), "reason"),
        (("predict", "-a", "relu", "-i", "he_normal"), "gradients"),
        (("upload", str(table), "--dry-run"), "[/b]"),
        (("list", "--json"), WEIRD),
    ):
        done = firstlight(*words, url=studies.url)
        assert (done.code, part in done.out) == (0, True), done
        if "--json" not in words:
            assert max(map(len, done.out.splitlines())) <= 80, done.out


def test_the_status_tells_how_far_it_is_and_why_trials_failed(firstlight: Firstlight, studies: Studies) -> None:
    done = firstlight("status", studies.failed, url=studies.url)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:4] == [
        f"{studies.failed}  fails",
        "failed; 33 % of its epochs done",
        "6 trials: 6 failed",
        "  6 × [/red] the table\\x1b[31m cannot be read",
    ]
    assert lines[-1] == f"report: {studies.url}/v1/experiments/{studies.failed}/report.html"
    assert f"{studies.succeeded}  {WEIRD}" in firstlight("status", studies.succeeded, url=studies.url).out


def test_a_watch_of_what_is_over_tells_how_it_ended(firstlight: Firstlight, studies: Studies) -> None:
    failed = firstlight("watch", studies.failed, url=studies.url)
    assert failed.code == 1
    assert failed.out.splitlines()[:2] == [
        "failed with 33 % of its epochs done; 6 trials: 6 failed",
        "  6 × [/red] the table\\x1b[31m cannot be read",
    ]
    assert re.search(r" 33% failed", failed.err)
    cancelled = firstlight("watch", studies.cancelled, url=studies.url)
    assert cancelled.code == 1
    assert cancelled.out.startswith("cancelled with 50 % of its epochs done; 12 trials: 6 finished, 6 cancelled\n")
    assert "50% cancelled" in cancelled.err
    assert "100%" not in cancelled.err
    assert "ask again" not in failed.out + failed.err + cancelled.out + cancelled.err
    succeeded = firstlight("watch", studies.succeeded, url=studies.url)
    assert succeeded.code == 0
    assert succeeded.out.startswith("succeeded; 6 trials: 5 finished, 1 diverged\n")


def test_a_comparison_of_nothing_says_that_it_is_too_late(firstlight: Firstlight, studies: Studies) -> None:
    done = firstlight("compare", studies.failed, url=studies.url)
    assert (done.code, done.out) == (1, "")
    assert "no trial finished and none will (6 failed), so there is nothing to compare. 6 times: [/red]" in done.err


def test_several_experiments_are_compared(firstlight: Firstlight, studies: Studies) -> None:
    with Client(studies.url) as client:
        other = client.clone(studies.succeeded, {"epochs": 2, "name": None})["id"]
    train_next(studies.database, 2)
    done = firstlight("compare", studies.succeeded, other, url=studies.url)
    assert done.code == 0
    assert done.err.startswith("note: the experiments differ in epochs (3 against 2)")
    *arms, verdict = done.out.splitlines()
    assert {line.split("\t")[1].split(":")[0] for line in arms} == {studies.succeeded, other}
    assert "\t" not in verdict
    by = firstlight("compare", studies.succeeded, other, "--by", "experiment", "--json", url=studies.url)
    assert len(json.loads(by.out)["arms"]) == 2


def test_claims_are_told(firstlight: Firstlight, studies: Studies) -> None:
    (claim,) = firstlight("claims", studies.succeeded, url=studies.url).out.splitlines()
    assert claim.split("\t")[:2] == ["undecided", SPEC["hypotheses"][0]]


def test_an_experiment_is_steered_and_deleted(firstlight: Firstlight, studies: Studies) -> None:
    cloned = firstlight("clone", studies.succeeded, "--set", "name='[/b]'", url=studies.url)
    experiment = cloned.out.strip()
    assert re.fullmatch(r"exp_[0-9a-f]{32}", experiment)
    for word, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        done = firstlight(word, experiment, url=studies.url)
        assert (done.code, done.out, done.err) == (0, f"{state}\n", "")
    refused = firstlight("resume", experiment, url=studies.url)
    assert (refused.code, refused.out) == (1, "")
    assert "(409)" in refused.err
    unasked = firstlight("delete", experiment, url=studies.url)
    assert (unasked.code, unasked.out) == (2, "")
    assert "--yes" in unasked.err
    done = firstlight("delete", experiment, "--yes", url=studies.url)
    assert (done.code, done.out) == (0, f"{experiment}\n")
    assert firstlight("status", experiment, url=studies.url).code == 1


def test_deleting_asks_first(firstlight: Firstlight, studies: Studies, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("firstlight.experiments.typer.confirm", lambda text, **_: questions.append(text))
    done = firstlight("delete", studies.succeeded, url=studies.url)
    assert (done.code, done.out, done.err) == (1, "", "nothing was deleted\n")
    assert questions == [f"Delete {studies.succeeded} ({WEIRD}) with the results of 6 trials?"]
    assert firstlight("status", studies.succeeded, url=studies.url).code == 0


def test_failed_trials_are_tried_again(firstlight: Firstlight, studies: Studies) -> None:
    with Client(studies.url) as client:
        experiment = client.clone(studies.failed)["id"]
        train_next(studies.database, 1, fails="once")
        done = firstlight("retry", experiment, url=studies.url)
        assert (done.code, done.out) == (0, "queued\n")
        assert client.experiment(experiment)["progress"] == 0.0
        client.act(experiment, "cancel")


def test_a_clone_has_the_changes(firstlight: Firstlight, studies: Studies) -> None:
    changes = (
        "epochs=7",
        "optimizer.learning_rate=1e-3",
        "activation.0={kind: elu, alpha: 0.5}",
        "name=null",
        "hypotheses=null",
    )
    words = [word for change in changes for word in ("--set", change)]
    done = firstlight("clone", studies.succeeded, *words, url=studies.url)
    assert done.code == 0, done.err
    with Client(studies.url) as client:
        old, new = (client.experiment(one)["spec"] for one in (studies.succeeded, done.out.strip()))
        client.act(done.out.strip(), "cancel")
    assert (new["epochs"], new["optimizer"][0]["learning_rate"], new.get("name")) == (7, 0.001, None)
    assert [item["kind"] for item in new["activation"]] == ["elu", "tanh"]
    assert {
        **new,
        **{field: old[field] for field in ("epochs", "optimizer", "activation", "name", "hypotheses")},
    } == old


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("activation.kind=relu", "leads nowhere at 'kind': its entries are 0 to 1"),
        ("activation.7.kind=relu", "leads nowhere at '7': its entries are 0 to 1"),
        ("dataset.a.b=1", "leads nowhere at 'a': there are name"),
        ("epochs.a=1", "leads nowhere at 'a': there stands 3, which has no fields"),
        ("epochs=[", "--set epochs, line 1"),
    ],
)
def test_a_change_that_leads_nowhere(firstlight: Firstlight, studies: Studies, change: str, why: str) -> None:
    done = firstlight("clone", studies.succeeded, "--set", change, url=studies.url)
    assert (done.code, done.out) == (2, "")
    assert why in done.err


def test_an_upload_shows_how_columns_were_read(firstlight: Firstlight, studies: Studies, tmp_path: Path) -> None:
    table = tmp_path / "[red].csv"
    table.write_text('area;street;price\n"1.234,5";[/b];250,5\n80,5;x;210\n95,25;x;n.v.\n', "utf-8")
    words = ("upload", str(table), "--missing-values", "n.v.", "--missing", "drop_row", "--text-columns", "street")
    dry = firstlight(*words, "--dry-run", url=studies.url)
    assert dry.code == 0, dry.err
    rows = [line.split("\t") for line in dry.out.splitlines()]
    assert [row[:6] for row in rows] == [
        ["1", "area", "feature", "number", "3", "0"],
        ["2", "street", "feature", "text", "3", "0"],
        ["3", "price", "target", "number", "2", "1"],
    ]
    assert "[/b]" in rows[1][8]
    assert "regression of price: 2 rows" in dry.err
    done = firstlight(*words, "--drop", "street", "--name", "[/b]", url=studies.url)
    assert re.fullmatch(r"dts_[0-9a-f]{24}\n", done.out), done.err
    assert json.loads(firstlight(*words, "--json", url=studies.url).out)["title"] == "[red].csv"
    assert done.out.strip() in firstlight("catalogue", "datasets", url=studies.url).out
    refused = firstlight("upload", str(table), "--no-header", url=studies.url)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.count("the column mixes") == 2, "each fault once"


def test_what_is_known_before_training(firstlight: Firstlight, studies: Studies) -> None:
    predicted = firstlight("predict", "-a", "relu", "-a", "{kind: elu, alpha: 0.5}", "-i", "he_normal", url=studies.url)
    assert [line.split("\t")[0] for line in predicted.out.splitlines()] == [
        "relu · he_normal",
        "elu(alpha=0.5) · he_normal",
    ]
    advice = firstlight("recommend", "--task", "regression", "--activation", "tanh", url=studies.url)
    assert "initializer" in advice.out
    assert all(line.count("\t") == 4 for line in advice.out.splitlines())
    refused = firstlight("predict", "-a", "reluu", "-i", "he_normal", url=studies.url)
    assert (refused.code, refused.err.count("unknown name 'reluu'")) == (1, 1)
    assert "quickstart\t" in firstlight("presets", url=studies.url).out
    assert "formula: " in firstlight("catalogue", "activations", "relu", url=studies.url).out


def test_open_only_prints_where_there_is_no_browser(
    firstlight: Firstlight, studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("firstlight.answers.webbrowser.open", opened.append)
    report = f"{studies.url}/v1/experiments/{studies.succeeded}/report.html"
    assert firstlight("open", url=studies.url).out == f"{studies.url}/\n"
    assert firstlight("open", studies.succeeded, url=studies.url).out == f"{report}\n"
    assert opened == []
    monkeypatch.setattr("firstlight.answers._has_browser", lambda: True)
    firstlight("open", studies.succeeded, url=studies.url)
    assert opened == [report]


def test_shares_and_times_in_words() -> None:
    assert [percent(share) for share in (0.0, 0.0004, 0.29, 0.999, 1.0)] == ["0 %", "<1 %", "29 %", "99 %", "100 %"]
    times = [time_left(seconds) for seconds in (None, 0.2, 42.0, 150.0, 9000.0)]
    assert times == ["", "nearly done", "about 42 s left", "about 2 min left", "about 2 h left"]


def test_version_and_help(firstlight: Firstlight) -> None:
    assert re.fullmatch(r"firstlight \d+\.\d+\.\d+\n", firstlight("--version").out)
    page = firstlight("--help").out
    assert "Exit codes: 0 done; 1 the study failed" in page
    assert "--install-completion" in page


def test_nothing_printed_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("[/b] :smile: a\x1b[31mb\x07\u202e\ud800")
    output.note("[/b] ü – ·")
    written = capsys.readouterr()
    assert written.out == "[/b] :smile: a\\x1b[31mb\\x07\\u202e\\ud800\n"
    assert written.err == "[/b] ü – ·\n"
    assert output.one_line("a\tb\r\nc") == "a b c"
