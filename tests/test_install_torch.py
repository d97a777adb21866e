"""requirements/install_torch.py on indexes of this test's own, with packages that hold nothing but their names."""

import hashlib
import os
import re
import subprocess
import threading
import venv
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "requirements" / "install_torch.py"
NOWHERE = "http://127.0.0.1:9/cpu"


def package(folder: Path, name: str, version: str, *needs: str) -> str:
    """Write an empty wheel into a simple index; returns the hash of the file."""
    wheel = f"{name}-{version}-py3-none-any.whl"
    home = folder / name.replace("_", "-")
    home.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(home / wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", metadata + "".join(f"Requires-Dist: {need}\n" for need in needs))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,20\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    (home / "index.html").write_text("".join(f'<a href="{file.name}">{file.name}</a>' for file in home.glob("*.whl")))
    return hashlib.sha256((home / wheel).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server with `simple` and `cpu`, and a lock of what is in `simple`."""
    folder = tmp_path_factory.mktemp("indexes")
    torch = package(folder / "simple", "torch", "9.1.0", "nvidia-gpus==3.0; sys_platform == 'linux'")
    gpus = package(folder / "simple", "nvidia_gpus", "3.0")
    package(folder / "cpu", "torch", "9.1.0+cpu")
    lock = folder / "torch.txt"
    lock.write_text(f"nvidia-gpus==3.0 \\\n    --hash=sha256:{gpus}\ntorch==9.1.0 \\\n    --hash=sha256:{torch}\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", lock
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with pip."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True, with_pip=True)
    return folder / "bin" / "python"


@pytest.fixture
def python(environment: Path) -> Path:
    """The same, with neither build in it."""
    command = [environment, "-m", "pip", "uninstall", "--quiet", "--yes", "torch", "nvidia-gpus"]
    subprocess.run(command, check=True, capture_output=True)
    return environment


def install(python: Path, indexes: tuple[str, Path], build: str, index: str | None = None, **variables: str) -> str:
    address, lock = indexes
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    alone = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": f"{address}/simple", "PIP_NO_CACHE_DIR": "1", **variables}
    command = [python, SCRIPT, build, "--lock", str(lock), "--index", index or f"{address}/cpu"]
    done = subprocess.run(
        command, env={**environment, **alone}, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def packages(python: Path) -> dict[str, str]:
    code = "from importlib.metadata import distributions as d; print(*(f'{i.name}=={i.version}' for i in d()))"
    listing = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    versions = dict(line.split("==") for line in listing.split())
    return {name.replace("_", "-"): version for name, version in versions.items() if re.match("torch|nvidia", name)}


def test_the_build_asked_for_is_the_one_installed(python: Path, indexes: tuple[str, Path]) -> None:
    output = install(python, indexes, "cpu")
    assert packages(python) == {"torch": "9.1.0+cpu"}
    assert re.fullmatch(r"PyTorch 9\.1\.0\+cpu is installed, \d\.\d GB on disk\n", output)
    output = install(python, indexes, "cuda")
    assert packages(python) == {"torch": "9.1.0", "nvidia-gpus": "3.0"}
    assert output.startswith("PyTorch 9.1.0 is installed")
    install(python, indexes, "cpu")
    assert packages(python) == {"torch": "9.1.0+cpu"}, "the other build's libraries are of no use any more"
    assert install(python, indexes, "cpu", NOWHERE, PIP_INDEX_URL=NOWHERE).startswith("PyTorch 9.1.0+cpu is installed")


def test_without_the_cpu_index_the_other_build_is_taken_and_said(python: Path, indexes: tuple[str, Path]) -> None:
    lines = install(python, indexes, "cpu", NOWHERE).splitlines()
    assert lines[0] == f"no CPU build of PyTorch 9.1.0: {NOWHERE} does not answer"
    assert "several GB" in lines[1]
    assert lines[2].startswith("PyTorch 9.1.0 is installed")
    assert packages(python) == {"torch": "9.1.0", "nvidia-gpus": "3.0"}
    again = install(python, indexes, "cpu", NOWHERE).splitlines()
    assert [line for line in again if "GB" in line] == lines[2:], "nothing is downloaded twice"


def test_a_build_that_lies_on_the_disk_needs_no_index(python: Path, indexes: tuple[str, Path], tmp_path: Path) -> None:
    package(tmp_path, "torch", "9.1.0+cpu")
    output = install(python, indexes, "cpu", NOWHERE, PIP_FIND_LINKS=str(tmp_path / "torch"))
    assert output.startswith("PyTorch 9.1.0+cpu is installed")
    assert packages(python) == {"torch": "9.1.0+cpu"}


def test_a_file_with_another_hash_is_refused(python: Path, indexes: tuple[str, Path], tmp_path: Path) -> None:
    forged = tmp_path / "torch.txt"
    forged.write_text(re.sub("sha256:[0-9a-f]{6}", "sha256:000000", indexes[1].read_text()))
    with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
        install(python, (indexes[0], forged), "cuda")
