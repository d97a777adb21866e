"""Compiling the kernel: once, and with clear words where it cannot be done."""

import ctypes
import platform

import pytest

from services.training.native import build, structures

NARROWER = ["-march=x86-64-v3", "-march=x86-64"] if platform.machine() in {"x86_64", "AMD64"} else ["-O2"]


def test_the_kernel_is_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O0"))
    first = build.build_kernel(tmp_path)
    written = first.stat().st_mtime_ns
    assert build.build_kernel(tmp_path) == first
    assert first.stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert ctypes.CDLL(str(first)).firstlight_lanes() in {4, 8, 16}


@pytest.mark.parametrize("target", NARROWER)
def test_the_same_source_serves_narrower_vectors(tmp_path, monkeypatch, study, target):
    monkeypatch.setattr(build, "_target_flags", lambda _: (target,))
    library = structures.kernel.__wrapped__(tmp_path)
    assert library.firstlight_lanes() < 16
    activations = [{"kind": kind} for kind in ("tanh", "sigmoid", "elu", "relu")]
    for batch_size, widths in ((7, (6, 50, 33, 1)), (100, (3, 17, 2))):
        study(widths, batch_size=batch_size, activations=activations).assert_agrees(library=library)


def test_no_compiler_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.KernelUnavailableError, match=r"no C\+\+ compiler found.*install one or set CXX"):
        build.build_kernel(tmp_path)


def test_a_named_compiler_that_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(build.KernelUnavailableError, match="'no-such-compiler', which is not a program"):
        build.build_kernel(tmp_path)


def test_a_failing_compiler_is_quoted(monkeypatch, tmp_path):
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
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "kernels"
    monkeypatch.delenv("FIRSTLIGHT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "firstlight" / "kernels"
