# SPDX-License-Identifier: Apache-2.0
"""Writes the C++ structs of all settings from denoise/settings.py, where they are said once. Run by the build.

`FrameSettings` holds those of a frame, which families share; the struct of a family, its own."""

import importlib.util
import sys
from pathlib import Path


def load_settings(path: Path):
    """The settings module, without the package around it (which needs the native module that is being built)."""
    spec = importlib.util.spec_from_file_location("denoise_settings", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def struct(name: str, fields: list) -> str:
    """One C++ struct with defaults, and its assignment by name."""
    members, cases = [], []
    for f in fields:
        if isinstance(f.type, tuple) or f.type is int:
            kind, default = "int32_t", int(f.as_number(f.default))
        elif f.type is bool:
            kind, default = "bool", str(f.default).lower()
        else:
            kind, default = "float", f"float({f.default!r})"
        members.append(f"    {kind} {f.name} = {default};  // {f.allowed}")
        cases.append(f'        if (name == "{f.name}") return {f.name} = {kind}(value), true;')
    return "\n".join(
        [
            f"struct {name} {{",
            *members,
            "    // False if there is no setting of this name.",
            "    bool set(std::string_view name, double value) {",
            *cases,
            "        return false;",
            "    }",
            "};",
        ]
    )


def main() -> None:
    """generate.py SETTINGS.PY OUTPUT.H"""
    source, target = map(Path, sys.argv[1:])
    settings = load_settings(source)
    shared = settings.FrameSettings.fields()
    families = [(cls.__name__, [f for f in cls.fields() if f not in shared]) for cls in settings.FAMILIES.values()]
    structs = "\n\n".join(struct(name, fields) for name, fields in [("FrameSettings", shared), *families])
    target.write_text(
        "// Generated from denoise/settings.py by csrc/settings/generate.py; meanings and ranges are there.\n"
        "#pragma once\n#include <cstdint>\n#include <string_view>\n\n"
        f"namespace denoise {{\n\n{structs}\n\n}}  // namespace denoise\n"
    )


if __name__ == "__main__":
    main()
