# SPDX-License-Identifier: Apache-2.0
"""The committed stub of the native module says what the module is: same functions, arguments and types."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import denoise

# How the generator writes what pybind11 accepts, and how a person would.
SPELLINGS = {
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "typing.SupportsInt": "int",
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "typing.SupportsFloat": "float",
    "typing.Any": "Any",
    "collections.abc.Sequence": "Sequence",
}


def spelled(annotation: ast.expr | None) -> str:
    text = "" if annotation is None else ast.unparse(annotation)
    for generated, written in SPELLINGS.items():
        text = text.replace(generated, written)
    return text


def signatures(source: str) -> dict[str, list[tuple[str, str]]]:
    """Dotted name to (argument, type) pairs, the result's type last."""
    found: dict[str, list[tuple[str, str]]] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                listed = [(a.arg, spelled(a.annotation)) for a in arguments if a.arg != "self"]
                found[prefix + node.name] = [*listed, ("return", spelled(node.returns))]

    visit(ast.parse(source).body, "")
    return found


def agrees(generated: str, written: str) -> bool:
    """The generator knows no contents of Python's own containers: `dict` may be written `dict[str, Any]`."""
    return written == generated or ("[" not in generated and written.partition("[")[0] == generated)


def compare(generated: str, written: str) -> list[str]:
    """What differs, in words."""
    there, here = signatures(generated), signatures(written)
    problems = [f"{name}: only in the module" for name in there.keys() - here.keys()]
    problems += [f"{name}: only in the stub" for name in here.keys() - there.keys()]
    for name in sorted(there.keys() & here.keys()):
        if [argument for argument, _ in there[name]] != [argument for argument, _ in here[name]]:
            problems.append(f"{name}: the module has {there[name]}, the stub {here[name]}")
            continue
        for (argument, real), (_, said) in zip(there[name], here[name], strict=True):
            if not agrees(real, said):
                problems.append(f"{name}, {argument}: {real} in the module, {said} in the stub")
    return problems


def test_stub_says_what_the_module_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pybind11_stubgen", "denoise._core", "-o", "."]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    generated = (tmp_path / "denoise" / "_core.pyi").read_text()
    assert compare(generated, (Path(denoise.__file__).parent / "_core.pyi").read_text()) == []


def test_a_changed_signature_is_noticed() -> None:
    written = "def f(a: int, b: dict[str, float]) -> None: ...\nclass C:\n    def m(self) -> list[str]: ...\n"
    generated = written.replace("int", "typing.SupportsInt | typing.SupportsIndex").replace("dict[str, float]", "dict")
    assert compare(generated, written) == []
    changes = {"a:": "x:", "-> None": "-> str", "dict": "list", "def m": "def n", "list[str]": "list[int]"}
    for before, after in changes.items():
        assert compare(generated.replace(before, after), written), (before, after)
    assert compare(generated, written + "def g() -> None: ...\n") == ["g: only in the stub"]
