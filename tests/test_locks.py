"""requirements/*.txt and pyproject.toml agree: on every platform, for every Python, with a hash for every file."""

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"client": (), "api": ("api", "objects"), "worker": ("worker", "objects"), "dev": ("dev", "bench")}
PYTHONS = ("3.11.7", "3.12.1", "3.13.0", "3.14.0")
LINUX, MACOS, WINDOWS = ("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt")
PLATFORMS = {
    "linux x86-64": (*LINUX, "x86_64"),
    "linux arm": (*LINUX, "aarch64"),
    "macos": (*MACOS, "arm64"),
    "windows": (*WINDOWS, "AMD64"),
}


def environment(platform: str, python: str) -> dict[str, str]:
    """The values that markers are compared with."""
    system, name, family, machine = PLATFORMS[platform]
    return {
        **{key: str(value) for key, value in default_environment().items()},
        "sys_platform": system,
        "platform_system": name,
        "os_name": family,
        "platform_machine": machine,
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "extra": "",
    }


EVERYWHERE = [environment(platform, python) for platform in PLATFORMS for python in PYTHONS]


def locked(name: str) -> list[tuple[Requirement, list[str]]]:
    """The lines of one lock, each with its hashes."""
    text = re.sub(r"\s*#.*", "", (FOLDER / f"{name}.txt").read_text()).replace("\\\n", " ")
    requirements = []
    for line in filter(str.strip, text.splitlines()):
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        requirements.append((Requirement(requirement), hashes))
    return requirements


def pins(name: str, where: dict[str, str]) -> dict[str, str]:
    """Package and version, of the lines that hold in this environment."""
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement, _ in locked(name)
        if requirement.marker is None or requirement.marker.evaluate(where)
    }


def declared(extras: tuple[str, ...], where: dict[str, str]) -> Iterator[Requirement]:
    """What pyproject.toml asks for with these extras, those that name others followed."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    for requirement in (Requirement(text) for entries in lists for text in entries):
        if requirement.name == PROJECT["name"]:
            yield from declared(tuple(sorted(requirement.extras)), where)
        elif requirement.marker is None or requirement.marker.evaluate(where):
            yield requirement


@pytest.mark.parametrize("name", [*EXTRAS, "torch", "build"])
def test_every_line_is_one_version_with_hashes_and_no_address(name: str) -> None:
    lines = locked(name)
    assert lines
    for requirement, hashes in lines:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes, requirement
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement
    assert not re.search(r"://|^-", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", EXTRAS)
def test_the_declared_ranges_are_met_everywhere(name: str) -> None:
    for where in EVERYWHERE:
        has = {**pins("torch", where), **pins(name, where)}
        missed = [
            str(requirement)
            for requirement in declared(EXTRAS[name], where)
            if not requirement.specifier.contains(has.get(canonicalize_name(requirement.name), "0"))
        ]
        assert missed == [], f"{where['sys_platform']}, Python {where['python_version']}: run `make lock`"


def test_the_files_agree_on_every_version() -> None:
    for where in EVERYWHERE:
        seen: dict[str, str] = {}
        for name in (*EXTRAS, "build", "torch"):
            for package, version in pins(name, where).items():
                assert seen.setdefault(package, version) == version, package


def test_the_locks_lack_nothing_that_their_packages_ask_for() -> None:
    here = {key: str(value) for key, value in default_environment().items()} | {"extra": ""}
    for name in ("client", "api", "worker", "dev", "build"):
        has = {**pins("torch", here), **pins(name, here)}
        for package in pins(name, here):
            for requirement in map(Requirement, metadata.requires(package) or ()):
                if requirement.marker is None or requirement.marker.evaluate(here):
                    version = has.get(canonicalize_name(requirement.name))
                    assert version is not None, f"{name}.txt: {package} needs {requirement}"
                    assert requirement.specifier.contains(version, prereleases=True), f"{package} needs {requirement}"


def test_this_environment_is_the_locked_one() -> None:
    here = {key: str(value) for key, value in default_environment().items()} | {"extra": ""}
    has = {**pins("dev", here), "torch": pins("torch", here)["torch"]}
    other = {name: metadata.version(name) for name in has if metadata.version(name).split("+")[0] != has[name]}
    assert other == {}, "run `make setup-dev`"


def test_each_process_gets_what_it_needs_and_no_more() -> None:
    for where in EVERYWHERE:
        client, api, worker = (set(pins(name, where)) for name in ("client", "api", "worker"))
        assert client < api
        assert client < worker
        assert not client & {"torch", "celery", "pyarrow", "scikit-learn", "numpy", "fastapi"}
        assert not api & {"torch", "triton", "sympy"}
        assert not worker & {"torch", "fastapi", "uvicorn", "pyarrow", "vl-convert-python"}
        assert not [name for name in api | worker | set(pins("dev", where)) if name.startswith(("nvidia-", "cuda-"))]
