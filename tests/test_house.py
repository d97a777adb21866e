"""Rules of the house that no other tool checks."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("services", "api", "worker", "migrations", "firstlight", "bench", "tests")

EMPTY_LOCALS = {"asked", "found", "given", "kept", "known", "said", "shown", "told", "wanted"}
"""Participles that say how a value came about and not what it is."""


def tracked(*suffixes: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name.endswith(suffixes) and (ROOT / name).exists()]


def test_no_module_is_longer_than_400_lines() -> None:
    long = {
        path.name: count for path in tracked(".py", ".cpp", ".hpp") if (count := path.read_text().count("\n")) > 400
    }
    assert not long, f"split these: {long}"


def test_no_module_is_named_after_nothing() -> None:
    empty_names = {"service", "services", "util", "utils", "helper", "helpers", "misc", "common"}
    nameless = [path for path in tracked(".py") if path.stem.removeprefix("test_") in empty_names]
    assert not nameless, f"a file's name tells what is in it: {nameless}"


def test_locals_say_what_they_are() -> None:
    empty = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {name}"
        for path in tracked(".py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Name | ast.arg) and (name := assigned(node)) in EMPTY_LOCALS
    }
    assert not empty, f"name the value, as in rows, losses, arms: {sorted(empty)}"


def assigned(node: ast.Name | ast.arg) -> str | None:
    """The name that a node of a function gives to a value; None where it only reads one."""
    if isinstance(node, ast.arg):
        return node.arg
    return node.id if isinstance(node.ctx, ast.Store) else None


def test_tests_are_not_skipped() -> None:
    pattern = re.compile(r"pytest\.(mark\.)?(skip|xfail)|skipif|importorskip")
    skipped = [
        path
        for path in tracked(".py")
        if path != Path(__file__) and "tests" in path.parts and pattern.search(path.read_text())
    ]
    assert not skipped


@pytest.mark.parametrize(
    "pattern", [r"shell\s*=\s*True", r"allow_pickle\s*=\s*True", r"weights_only\s*=\s*False", r"\beval\(", r"\bexec\("]
)
def test_dangerous_calls_do_not_occur(pattern: str) -> None:
    paths = [
        str(path)
        for path in tracked(".py")
        if path != Path(__file__) and re.search(r"(?<![.\w])" + pattern, path.read_text())
    ]
    assert not paths


def test_every_make_target_says_what_it_does() -> None:
    targets = re.findall(r"^([a-z-]+):(?!=)(.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert targets
    assert [name for name, rest in targets if "## " not in rest] == []


def test_no_module_is_started_with_the_current_folder_on_its_path() -> None:
    lines = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for package in ("api", "firstlight", "migrations", "services", "worker")
        for path in (ROOT / package).rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"""["']-m["']""", line) and not re.search(r"""["']-P["'], ["']-m["']""", line)
    }
    assert lines == set(), "a stranger's folder may hold a module of the same name: put -P before -m"


def test_every_setting_is_documented() -> None:
    from services.settings import PREFIX, Settings

    page = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in Settings.model_fields if f"`{PREFIX}{name.upper()}`" not in page] == []


def test_the_pictures_of_the_architecture_are_the_contracts() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [contract["layers"] for contract in contracts if contract.get("exhaustive")]
    pictures = re.findall(r"```\n(.*?)```", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.DOTALL)
    assert len(layers) == 2
    for contract, picture in zip(layers, pictures, strict=True):
        drawn = [line for line in picture.splitlines() if not re.search("[─▼]", line)]
        assert len(drawn) == len(contract)
        for line, layer in zip(drawn, contract, strict=True):
            assert layer in line
