"""What a release needs: one version in every place, and its section in the changelog."""

import datetime as dt
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAY = dt.date(2026, 12, 24)
CHANGES = "# Changelog\n\nWords.\n\n## Unreleased\n\n### Added\n- A thing.\n\n## 0.1.0 - 2026-11-01\n\n- The first.\n"


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n')
    return tmp_path


def test_a_release_is_cut(release: ModuleType, root: Path) -> None:
    release.check(root, "v0.1.0")
    release.cut(root, "0.2.0", DAY)
    release.check(root, "v0.2.0")
    assert release.section(root, "0.2.0") == "### Added\n- A thing."
    assert release.section(root, "0.1.0") == "- The first."
    assert 'version = "0.2.0"\nrequires-python' in (root / "pyproject.toml").read_text()
    opened = "## Unreleased\n\n## 0.2.0 - 2026-12-24\n\n### Added\n"
    assert (root / "CHANGELOG.md").read_text() == CHANGES.replace("## Unreleased\n\n### Added\n", opened)


def test_nothing_cannot_be_released(release: ModuleType, root: Path) -> None:
    release.cut(root, "0.2.0", DAY)
    before = (root / "CHANGELOG.md").read_text(), (root / "pyproject.toml").read_text()
    with pytest.raises(release.ReleaseError, match="nothing under `## Unreleased`"):
        release.cut(root, "0.3.0", DAY)
    with pytest.raises(release.ReleaseError, match=r"has a section for 0\.2\.0 already"):
        release.cut(root, "0.2.0", DAY)
    assert ((root / "CHANGELOG.md").read_text(), (root / "pyproject.toml").read_text()) == before


@pytest.mark.parametrize("version", ["", "1", "next", "0.2", "0.2.0-1", "0.2.0.dev1"])
def test_what_is_no_version_is_refused(release: ModuleType, root: Path, version: str) -> None:
    with pytest.raises(release.ReleaseError, match="is no version"):
        release.cut(root, version, DAY)


def test_a_tag_of_another_version_is_refused(release: ModuleType, root: Path) -> None:
    with pytest.raises(release.ReleaseError, match=r"the tag v0\.2\.0 is not v0\.1\.0"):
        release.check(root, "v0.2.0")


def test_this_version_has_its_section_and_more_can_follow(release: ModuleType) -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert release.UNRELEASED in changes
    released = [heading[1] for heading in release.SECTION.finditer(changes) if heading[1] != "Unreleased"]
    stated = release.VERSION.search((ROOT / "pyproject.toml").read_text())[1]
    assert released[:1] in ([], [stated])
