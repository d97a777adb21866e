"""Writes the lock files of this folder from pyproject.toml: ``make lock``, or ``make lock UPGRADE=--upgrade``.

One resolution for every platform and every Python at once, with markers and hashes, so that all files agree. The tool
is uv; only metadata is read. No file names an index: pip takes packages from wherever it is told to, and the hashes
say whether they are the right ones.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent / "pyproject.toml"
FILES = {
    "client": (),
    "api": ("api", "objects"),
    "worker": ("worker", "objects"),
    "dev": ("dev", "bench"),
}
"""Extras of each file, all without PyTorch, which `torch.txt` has and `install_torch.py` installs."""
ONLY_TORCH = re.compile(r"^(torch|triton|cuda-[a-z-]+|nvidia-[a-z0-9-]+)==", re.MULTILINE)
EVERYWHERE = re.compile(r"( ;| and) sys_platform != 'emscripten'(?! and)|sys_platform != 'emscripten' and ")
"""What uv writes into every line for the environments named in pyproject.toml."""
HEAD = "# Written by `make lock` from pyproject.toml, for pip install --require-hashes; do not edit.\n"


def compiled(uv: str, *arguments: str, pins: Path, upgrade: bool = False) -> str:
    """Lock what is asked for, keeping the versions of `pins` where they still fit."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out.txt"
        shutil.copyfile(pins, out)
        command = [
            uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--fork-strategy", "fewest",
            "--generate-hashes", "--no-header", "--output-file", str(out), *arguments,
        ]  # fmt: skip
        if upgrade:
            command.append("--upgrade")
        subprocess.run(command, check=True, cwd=PROJECT.parent)
        return out.read_text("utf-8")


def main() -> int:
    """Resolve everything once, then write each part of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv", help="the uv to use")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "pins.txt"
        locks = [FOLDER / f"{name}.txt" for name in ("dev", "torch") if (FOLDER / f"{name}.txt").exists()]
        pins.write_text("\n".join(path.read_text("utf-8") for path in locks), "utf-8")
        build = ("--group", f"{PROJECT}:build")
        everything = compiled(options.uv, str(PROJECT), "--all-extras", *build, pins=pins, upgrade=options.upgrade)
        pins.write_text(everything, "utf-8")
        apart = [word for name in ONLY_TORCH.findall(everything) for word in ("--no-emit-package", name)]
        for name, extras in FILES.items():
            chosen = [word for extra in extras for word in ("--extra", extra)]
            group = build if name == "dev" else ()
            _write(name, compiled(options.uv, str(PROJECT), *chosen, *group, *apart, pins=pins))
        _write("build", compiled(options.uv, *build, pins=pins))
        # Nothing imports what carries a data file, so that what it depends on can stay away.
        carriers = Path(scratch) / "data.in"
        extras = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
        carriers.write_text("\n".join(extras["data"]), "utf-8")
        _write("data", compiled(options.uv, str(carriers), "--no-deps", "--no-annotate", pins=pins))
        torch_alone = Path(scratch) / "torch.in"
        torch_alone.write_text("torch\n", "utf-8")
        _write("torch", compiled(options.uv, str(torch_alone), "--no-annotate", pins=pins))
    return 0


def _write(name: str, text: str) -> None:
    path = FOLDER / f"{name}.txt"
    path.write_text(HEAD + EVERYWHERE.sub("", text), "utf-8")
    sys.stdout.write(f"{path.name}: {len(re.findall(r'^[A-Za-z0-9].*==', text, re.MULTILINE))} packages\n")


if __name__ == "__main__":
    sys.exit(main())
