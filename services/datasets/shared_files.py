"""Files of built-in data sets in a store that several hosts share: what one was given by hand, the others fetch.

    data/<path in the data folder>

They are checked against what their source has published, as every file of the data folder is.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from services.artifacts.interface import Artifacts
from services.science.datasets import DATASETS
from services.science.datasets.files import SourceFile, examine, locate

log = structlog.get_logger(__name__)

FOLDER = "data"


class SharedFiles:
    """The files of the store, and of one host's data folder."""

    def __init__(self, data_dir: Path, artifacts: Artifacts) -> None:
        self._data_dir = data_dir
        self._artifacts = artifacts
        self._shared: set[str] = set()

    def share(self, sources: Iterable[SourceFile]) -> None:
        """Put files of the data folder into the store that are not there; where that cannot be done, it is only logged.

        Whoever trains then looks for them elsewhere, as where nothing is shared.
        """
        for source in sources:
            own = self._data_dir / source.path
            if source.path in self._shared or not own.is_file():
                continue
            try:
                if not self._artifacts.holds(_name(source)) and examine(source, own)[1] is None:
                    self._artifacts.put(_name(source), own)
                self._shared.add(source.path)
            except OSError as error:
                log.warning("data_file_not_shared", path=source.path, error=str(error)[:500])
                return

    def have(self, dataset: Any) -> None:
        """Fetch what a stored spec's data set needs and this host lacks, where the store has it and it is right.

        Raises:
            StoreUnreachableError: nobody knows whether it is there.
            OSError: it cannot be written here.
        """
        name = dataset.get("name") if isinstance(dataset, Mapping) else dataset
        member = DATASETS.get(name) if isinstance(name, str) else None
        for source in member.files if member is not None else ():
            if locate(source, self._data_dir) is None:
                self._fetch(source)

    def _fetch(self, source: SourceFile) -> None:
        place = self._data_dir / source.path
        try:
            file = self._artifacts.open(_name(source))
        except FileNotFoundError:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with file, tempfile.TemporaryDirectory(prefix=".shared-", dir=place.parent) as scratch:
            draft = Path(scratch) / place.name
            with draft.open("wb") as out:
                while chunk := file.read(1 << 20):
                    out.write(chunk)
            if (fault := examine(source, draft)[1]) is not None:
                log.warning("data_file_wrong", path=source.path, place=self._artifacts.place, fault=fault)
                return
            draft.replace(place)


def _name(source: SourceFile) -> str:
    return f"{FOLDER}/{source.path}"
