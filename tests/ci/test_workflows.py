"""The workflows run what everybody can run here: the checkout's own commands, by actions pinned to commits."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):(?!=)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(path.read_text())["jobs"]


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def test_there_are_workflows_for_changes_and_for_releases() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_commits_and_say_which_version_that_is(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert len(used) == len([step for step in steps(path) if "uses" in step])
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_is_bounded_and_may_no_more_than_it_must(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    allowed = {"publish": {"id-token": "write"}, "announce": {"contents": "write"}}
    for name, job in jobs(path).items():
        assert job["timeout-minutes"] <= 90
        assert job.get("permissions") == allowed.get(name)
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_is_run_is_there(path: Path) -> None:
    commands = "\n".join(step["run"] for step in steps(path) if "run" in step)
    targets = {word for line in re.findall(r"\bmake ([^\n]*)", commands) for word in line.split() if "=" not in word}
    assert targets <= TARGETS
    programs = re.findall(r"\.ci/[\w.-]+", commands)
    assert [name for name in programs if not (ROOT / name).is_file()] == []
    assert targets
    assert programs


def test_checks_are_the_command_that_a_contributor_runs() -> None:
    (job,) = [job for job in jobs(WORKFLOWS[0]).values() if "strategy" in job]
    assert job["steps"][-1]["run"] == ".ci/run"
    rows = job["strategy"]["matrix"]["include"]
    assert {(row["system"].rstrip("0123456789.-"), row["compiler"]) for row in rows} == {
        (system, compiler) for system in ("ubuntu", "ubuntu-24.04-arm", "macos") for compiler in ("g++", "clang++")
    }


def test_checks_run_on_every_python_that_is_promised() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    promised = sorted(
        re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project), key=lambda text: int(text[2:])
    )
    rows = next(job for job in jobs(WORKFLOWS[0]).values() if "strategy" in job)["strategy"]["matrix"]["include"]
    assert {row["python"] for row in rows} == set(promised)
    assert f'requires-python = ">={min(promised, key=lambda text: int(text[2:]))}"' in project
