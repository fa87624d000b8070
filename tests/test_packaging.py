# SPDX-License-Identifier: Apache-2.0
"""What the installed package is made of, what importing it needs, and what its native objects may share."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
from pathlib import Path

import native_build
import pytest
from native_build import ROOT

import denoise
from denoise.sequences.mapping import PRESETS

CHECK = ROOT / "csrc" / "cpu" / "check_isa_symbols.py"


def python(script: str) -> str:
    # Not in the source folder, whose bare package would hide the installed one.
    command, folder = [sys.executable, "-c", script], Path(__file__).parent
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_import_needs_numpy_only() -> None:
    """No module from outside the standard library beside numpy and this package is loaded, or needed."""
    script = """
import sys
before = set(sys.modules)
import denoise
outside = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
print(*sorted(name for name in outside if not name.startswith("_editable_skbc")))
"""
    assert set(python(script).split()) <= {"denoise", "numpy"}


def test_import_loads_nothing_slow_from_the_standard_library() -> None:
    slow = "'asyncio', 'multiprocessing', 'concurrent.futures', 'difflib', 'email', 'http', 'unittest', 'xml'"
    script = f"""
import sys, numpy
before = set(sys.modules)
import denoise
print(*sorted({{{slow}}} & (set(sys.modules) - before)))
"""
    assert python(script).split() == []


def test_the_command_line_starts_without_the_extras() -> None:
    """`denoise --help` works with numpy alone."""
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numba", "skimage", "rich", "PIL", "flip_evaluator", "scipy", "OpenEXR"}:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)
sys.meta_path.insert(0, Blocked())
from denoise.cli import main
try:
    main(["--help"])
except SystemExit as end:
    sys.exit(end.code)
"""
    assert "usage: denoise" in python(script)


def test_types_are_shipped() -> None:
    files = importlib.resources.files("denoise")
    assert files.joinpath("py.typed").is_file()
    assert files.joinpath("_core.pyi").is_file()


def test_presets_are_shipped() -> None:
    folder = importlib.resources.files("denoise").joinpath("sequences", "presets")
    assert {file.name for file in folder.iterdir()} == {f"{preset}.toml" for preset in PRESETS}


def test_versions_are_equal() -> None:
    installed = importlib.metadata.version("rt-denoise")
    pyproject = ROOT / "pyproject.toml"
    if pyproject.exists():
        assert re.search(r'^version = "(.+)"$', pyproject.read_text(), re.MULTILINE).group(1) == installed
    if hasattr(denoise, "__version__"):
        assert denoise.__version__ == installed


def test_core_links_to_nothing_but_the_system() -> None:
    native_build.need("ldd")
    module = sys.modules["denoise._core"].__file__
    linked = subprocess.run(["ldd", module], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].partition(".so")[0].rpartition("/")[2] for line in linked.splitlines() if ".so" in line}
    loader = {"linux-vdso", "ld-linux-x86-64", "ld-linux-aarch64"}
    system = {"libc", "libm", "libpthread", "libdl", "librt", "libgcc_s", "libstdc++", "libc++"}
    assert names <= loader | system | {"libasan", "libubsan"}


# ---- symbols that objects of different instruction sets share


def compile_object(folder: Path, name: str, source: str) -> Path:
    native_build.need("g++", "nm")
    (folder / f"{name}.cpp").write_text(source)
    native_build.run("g++", "-std=c++17", "-O0", "-c", str(folder / f"{name}.cpp"), "-o", str(folder / f"{name}.o"))
    return folder / f"{name}.o"


def check(*pairs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(CHECK), *pairs], capture_output=True, text=True, check=False)


def test_a_weak_symbol_outside_the_namespace_is_refused(tmp_path: Path) -> None:
    source = """
    template <class T> T twice(T x) { return x + x; }
    namespace denoise::avx2 { inline int own(int x) { return x; } int use(int x) { return own(x) + int(twice(1.f)); } }
    """
    answer = check(f"avx2={compile_object(tmp_path, 'shared', source)}")
    assert answer.returncode == 1
    assert "weak symbols outside denoise::avx2:\n  float twice<float>(float)\n" in answer.stderr


def test_weak_symbols_of_the_own_namespace_are_fine(tmp_path: Path) -> None:
    source = """
    template <class T> T twice(T x) { return x; }
    namespace denoise::avx2 {
        struct F {};
        inline int own(int x) { return x; }
        int use(int x) { twice(F{}); return own(x); }
    }
    """
    item = compile_object(tmp_path, "own", source)
    assert check(f"avx2={item}").returncode == 0
    assert check(f"sse42={item}").returncode == 1, "another backend's namespace is not one's own"


def test_objects_of_the_last_build_share_nothing() -> None:
    native_build.need("nm")
    objects = sorted(ROOT.glob("build/*/CMakeFiles/kernels_*.dir/**/*.o"))
    if not objects:
        pytest.skip("no build folder here; the build itself checks its objects")
    pairs = [f"{re.search(r'kernels_(.+)[.]dir', str(o)).group(1)}={o}" for o in objects]
    answer = check(*pairs)
    assert answer.returncode == 0, answer.stderr


# ---- the bare source folder


def test_settings_are_generated_for_the_native_side(tmp_path: Path) -> None:
    """The build's generator loads the settings page on its own and writes one assignment for every setting."""
    source, target = ROOT / "denoise" / "settings.py", tmp_path / "settings.h"
    generator = ROOT / "csrc" / "settings" / "generate.py"
    if not generator.exists():
        pytest.skip("the sources of the native library are not here")
    native_build.run(sys.executable, "-I", str(generator), str(source), str(target))
    header = target.read_text()
    for field in denoise.ReblurSettings.fields():
        assert f'if (name == "{field.name}")' in header
