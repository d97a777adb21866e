"""What of Firstlight is installed here: the client always, the service where its extras are."""

import re
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

PRODUCT = "firstlight"
INSTALL = "pip install 'firstlight[server]'"
ASKED_FOR = re.compile(r"(?P<name>[\w.-]+)[^;]*;.*\bextra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")
"""A line of the package's metadata: extras that pyproject.toml builds on others are spelled out there."""


def version_of(package: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages_of(extra: str) -> Iterator[str]:
    """The packages that an extra of this product asks for by name; none where it is run without being installed."""
    for line in (metadata.requires(PRODUCT) or ()) if version_of(PRODUCT) else ():
        requirement = ASKED_FOR.match(line)
        if requirement is not None and requirement["extra"] == extra:
            yield requirement["name"]


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed."""
    return sorted({name for name in packages_of(extra) if version_of(name) is None})


def why_no_service(*, worker: bool = True) -> str | None:
    """Why the service cannot be started here, and what to do; None where it can be."""
    if find_spec("fcntl") is None:
        return (
            "the service runs on Linux and macOS; on Windows start it in WSL or a container, "
            "and give this command its address with --url or FIRSTLIGHT_URL"
        )
    absent = missing("server" if worker else "api")
    if not absent:
        return None
    named = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
    return f"the service is not installed here (missing: {named}): {INSTALL}"


def size_of(*packages: str) -> int:
    """Bytes that the files of these packages take on disk."""
    file_lists = (metadata.files(name) or () for name in packages if version_of(name) is not None)
    return sum(file.size or 0 for files in file_lists for file in files)


def pytorch_build(version: str) -> str:
    """Which build of PyTorch is installed, and how large it is with the libraries it brings."""
    libraries = [name for name in map(str, _distributions()) if re.match(r"(nvidia|cuda)-|triton$", name)]
    kind = "the build for the CPU" if "+cpu" in version or not libraries else "the build with CUDA"
    return f"{kind}, {size_of('torch', *libraries) / 1e9:.1f} GB"


def _distributions() -> set[str]:
    return {name.lower().replace("_", "-") for item in metadata.distributions() if (name := item.metadata["Name"])}
