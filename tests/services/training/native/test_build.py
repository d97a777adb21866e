"""Compiling the kernel: once, and with clear words where it cannot be done."""

import ctypes
import platform
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from services.science.streams import Purpose, second_word
from services.training.native import build, structures
from services.training.native.between import Between

NARROWER = ["-march=x86-64-v3", "-march=x86-64"] if platform.machine() in {"x86_64", "AMD64"} else ["-O2"]


@pytest.fixture
def tiny(tmp_path_factory, monkeypatch):
    """Sources that compile in no time in place of the kernel's."""
    sources = tmp_path_factory.mktemp("sources")
    (sources / "cohort.cpp").write_text(
        '#include "answer.hpp"\nextern "C" __attribute__((visibility("default"))) int answer() { return kAnswer; }\n'
    )
    (sources / "answer.hpp").write_text("constexpr int kAnswer = 42;\n")
    monkeypatch.setattr(build, "SOURCES", sources)
    return sources


def test_a_library_is_compiled_once(tmp_path, tiny):
    first = build.build_kernel(tmp_path)
    written = first.stat().st_mtime_ns
    assert build.build_kernel(tmp_path) == first
    assert first.stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert ctypes.CDLL(str(first)).answer() == 42


def test_changed_sources_are_compiled_anew(tmp_path, tiny):
    first = build.build_kernel(tmp_path)
    (tiny / "answer.hpp").write_text("constexpr int kAnswer = 43;\n")
    second = build.build_kernel(tmp_path)
    assert [ctypes.CDLL(str(path)).answer() for path in (first, second)] == [42, 43]


def test_many_processes_may_compile_at_once(tmp_path, tiny):
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: build.build_kernel(tmp_path), range(4)))
    assert len(paths) == 1
    assert list(tmp_path.iterdir()) == list(paths)


@pytest.mark.parametrize("target", NARROWER)
def test_the_same_source_serves_narrower_vectors(tmp_path, monkeypatch, study, target):
    wide = structures.kernel()
    monkeypatch.setattr(build, "_target_flags", lambda _: (target,))
    library = structures.kernel.__wrapped__(tmp_path)
    assert library.firstlight_lanes() in {4, 8}
    activations = [{"kind": kind} for kind in ("tanh", "sigmoid", "elu", "relu")]
    for batch_size, widths in ((7, (6, 50, 33, 1)), (100, (3, 17, 2))):
        study(widths, batch_size=batch_size, activations=activations).assert_agrees(library=library)
    masks = (np.arange(4, dtype=np.uint64), second_word(Purpose.DROPOUT, 1))
    for between in (Between(norm="batch", dropout=0.3), Between(norm="layer", after=True, residual=True)):
        made = study((6, 50, 50, 1), activations=activations, between=between)
        ours, theirs = (made.cohort(library=one).run_epoch(made.orders, dropout=masks) for one in (library, wide))
        np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-5)


def test_no_compiler_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.KernelUnavailableError, match=r"no C\+\+ compiler found.*install one or set CXX"):
        build.build_kernel(tmp_path)


def test_a_named_compiler_that_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(build.KernelUnavailableError, match="'no-such-compiler', which is not a program"):
        build.build_kernel(tmp_path)


def test_a_failing_compiler_is_quoted(monkeypatch, tmp_path, tiny):
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-fno-such-flag"))
    with pytest.raises(build.KernelUnavailableError, match=r"status 1[\s\S]*fno-such-flag"):
        build.build_kernel(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(build.KernelUnavailableError, match="cannot be kept in"):
        build.build_kernel(tmp_path / "file" / "kernels")


def test_a_broken_library_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_digest", lambda *_: "0")
    (tmp_path / "kernel-0.so").write_bytes(b"not a library")
    with pytest.raises(build.KernelUnavailableError, match="cannot be loaded"):
        build.load_kernel.__wrapped__(tmp_path)


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert build.cache_folder() == tmp_path / "cache" / "firstlight" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / ".cache" / "firstlight" / "kernels"


def test_compiling_ahead_without_a_compiler_gives_a_reason(monkeypatch, capsys):
    def none():
        raise build.KernelUnavailableError("no C++ compiler")

    monkeypatch.setattr(build, "find_compiler", none)
    assert build.main() == 1
    assert "no C++ compiler" in capsys.readouterr().err
