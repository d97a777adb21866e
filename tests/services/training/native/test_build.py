"""Compiling the kernel: once, and with clear words where it cannot be done."""

import ctypes
import platform
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.training.native import build, structures, targets


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


def test_a_carried_build_comes_before_one_made_here(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(build, "CARRIED", tmp_path / "carried")
    best, *others = targets.runnable()
    assert build.carried() is None
    for target in (*others, best):
        build.compile_kernel(tmp_path / "carried" / target.file, target.flags)
    assert build.find_kernel(tmp_path / "cache") == tmp_path / "carried" / best.file
    assert not (tmp_path / "cache").exists()
    assert build.identity().startswith(f"kernel-{best.name}-")
    (tmp_path / "carried" / best.file).unlink()
    for target in others[:1]:
        assert build.carried() == tmp_path / "carried" / target.file


def test_a_processor_gets_the_widest_build_it_runs():
    v4, v3, arm = targets.TARGETS
    narrow = targets.Processor("x86_64", v3.features)
    assert [target.runs_on(narrow) for target in targets.TARGETS] == [False, True, False]
    assert v4.runs_on(targets.Processor("x86_64", v4.features))
    assert not v4.runs_on(targets.Processor("x86_64", v4.features - {"avx512dq"}))
    assert arm.runs_on(targets.Processor("aarch64", frozenset({"asimd"})))
    assert not any(target.runs_on(targets.Processor("riscv64", frozenset())) for target in targets.TARGETS)


def test_this_processor_is_known():
    here = targets.processor()
    assert here.machine == platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")
    assert targets.runnable(), f"no build runs on {here}"


def test_a_processor_without_fused_multiply_adds_trains_with_pytorch(monkeypatch, tmp_path, capsys):
    old = targets.Processor("x86_64", frozenset({"sse4_2", "popcnt", "avx"}))
    monkeypatch.setattr(build, "processor", lambda: old)
    monkeypatch.setattr(targets, "processor", lambda: old)
    with pytest.raises(build.KernelUnavailableError, match=r"no fused multiply-adds \(x86-64-v3: AVX2 and FMA\)"):
        build.find_kernel(tmp_path)
    assert build.identity() == ""
    assert build.main() == 1
    assert "fused multiply-adds" in capsys.readouterr().err


def test_sources_for_a_processor_without_them_do_not_compile(tmp_path):
    if targets.processor().machine != "x86_64":
        return
    with pytest.raises(build.KernelUnavailableError, match="the kernel needs fused multiply-adds"):
        build.compile_kernel(tmp_path / "kernel.so", ("-march=x86-64",))


def test_a_library_of_another_layout_is_refused(monkeypatch):
    library = structures.kernel()

    class Longer(structures.Rows):
        _fields_ = (("more", ctypes.c_int64),)

    Longer.__name__ = "Rows"
    monkeypatch.setattr(structures, "Rows", Longer)
    with pytest.raises(build.KernelUnavailableError, match=r"the kernel lays out 'Rows 48 count:0:8 .*', this program"):
        structures.declared(library)


def test_a_library_of_another_interface_is_refused(monkeypatch):
    monkeypatch.setattr(structures, "INTERFACE", structures.INTERFACE + 1)
    with pytest.raises(build.KernelUnavailableError, match="the kernel speaks interface"):
        structures.declared(structures.kernel())


def test_what_is_used_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "CARRIED", tmp_path)
    monkeypatch.setattr("sys.argv", ["build", "--which"])
    assert build.main() == 0
    assert capsys.readouterr().out.startswith("compiled here by ")
    best = targets.runnable()[0]
    (tmp_path / best.file).write_bytes(b"")
    assert build.main() == 0
    assert capsys.readouterr().out == f"{tmp_path / best.file}\n"


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
    monkeypatch.setattr("sys.argv", ["build"])
    monkeypatch.setattr(build, "carried", lambda: None)

    def none():
        raise build.KernelUnavailableError("no C++ compiler")

    monkeypatch.setattr(build, "find_compiler", none)
    assert build.main() == 1
    assert "no C++ compiler" in capsys.readouterr().err
