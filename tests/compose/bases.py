"""The images that the stack stands on: the official ones, or stand-ins from Debian's packages without a registry."""

import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.compose.engine import BUILD_SECONDS, ROOT, ComposeError, Engine, run

HERE = Path(__file__).resolve().parent / "bases"
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PREFIX = "localhost/firstlight-stand-in"
WANTED = {"PYTHON_IMAGE": "python", "POSTGRES_IMAGE": "postgres", "REDIS_IMAGE": "redis", "CADDY_IMAGE": "caddy"}
"""The variable of the compose files that names each, and its stand-in's folder."""


def official() -> dict[str, str]:
    """The images that the compose files name."""
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "docker-compose.proxy.yml").read_text()
    return {name: re.findall(rf"\$\{{{name}:-([^}}]+)\}}", text)[0] for name in WANTED}


def images(engine: Engine) -> dict[str, str]:
    """For each variable the image to use: the official one if it is here or can be pulled."""
    return {name: image if _pulled(engine, image) else stand_in(engine, name) for name, image in official().items()}


def _pulled(engine: Engine, image: str) -> bool:
    if engine.has_image(image):
        return True
    try:
        engine("pull", "--quiet", image, seconds=BUILD_SECONDS)
    except ComposeError:
        return False
    return True


def stand_in(engine: Engine, name: str) -> str:
    """The stand-in's name, made if it is not here; the tag tells what it was made from."""
    folder = HERE / WANTED[name]
    digest = hashlib.sha256(SUITE.encode())
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    image = f"{PREFIX}-{WANTED[name]}:{digest.hexdigest()[:12]}"
    if not engine.has_image(image):
        print(f"making {image}", flush=True)
        debian = _debian(engine)
        where = ("--network", "host", "--file", str(folder / "Containerfile"), "--build-arg", f"DEBIAN={debian}")
        engine("build", *where, "--tag", image, str(folder), seconds=BUILD_SECONDS)
    return image


def _debian(engine: Engine) -> str:
    """The smallest Debian, from its packages alone."""
    image = f"{PREFIX}-debian:{SUITE}"
    if engine.has_image(image):
        return image
    if shutil.which("debootstrap") is None:
        raise ComposeError("official images cannot be pulled, and to make stand-ins needs: apt-get install debootstrap")
    with tempfile.TemporaryDirectory(prefix="firstlight-debian-") as scratch:
        root = Path(scratch) / "root"
        command = ("debootstrap", "--variant=minbase", SUITE, str(root), MIRROR)
        run(command, engine.environment, seconds=BUILD_SECONDS, log=engine.log)
        for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        (root / "var/cache/apt/archives/partial").mkdir()
        archive = Path(scratch) / "root.tar"
        run(("tar", "--create", "--file", str(archive), "--directory", str(root), "."), engine.environment)
        engine("import", str(archive), image)
    return image


def pip_arguments(folder: Path) -> list[str]:
    """What a build by podman needs to install packages as this machine does: pip's settings, and the files they name.

    The settings go into the build as a secret and the files are mounted, so that nothing of them is in the image.
    """
    text = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, timeout=60, check=True
    ).stdout
    settings: dict[str, str] = {}
    for line in sorted(text.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    words = [word.removeprefix("file://") for value in settings.values() for word in value.split()]
    paths = sorted({word for word in words if Path(word).is_absolute() and Path(word).exists()})
    mounts = [word for path in _outermost(paths) for word in ("--volume", f"{path}:{path}:ro")]
    return ["--network", "host", "--secret", f"id=pip_conf,src={file}", *mounts]


def _outermost(paths: list[str]) -> list[str]:
    """What to mount for these paths: an index links to files beside it, so its whole folder, unless under the root."""
    wide = [Path(path) for path in paths]
    wide = [path.parent if path.is_dir() and len(path.parts) > 3 else path for path in wide]
    return sorted({str(path) for path in wide if not any(other in path.parents for other in wide)})
