# SPDX-License-Identifier: Apache-2.0
"""Settings: every value is checked, in words, and the page of settings is complete and stands alone."""

import copy
import dataclasses
import inspect
import json
import math
import pickle
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from denoise import ReblurSettings, ReferenceSettings, RelaxSettings, SigmaSettings
from denoise import settings as page

FIELDS = ReblurSettings.fields()
NUMBERS = [f for f in FIELDS if f.type in (int, float)]
SWITCHES = [f for f in FIELDS if f.type is bool]
CHOICES = [f for f in FIELDS if isinstance(f.type, tuple)]


def by_name(fields: list[page.Field]) -> Any:
    return pytest.mark.parametrize("field", fields, ids=[f.name for f in fields])


def test_the_page_is_complete() -> None:
    families = {
        "reblur": ReblurSettings,
        "relax": RelaxSettings,
        "sigma": SigmaSettings,
        "reference": ReferenceSettings,
    }
    assert families == page.FAMILIES
    assert len(NUMBERS) + len(SWITCHES) + len(CHOICES) == len(FIELDS)
    for family in page.FAMILIES.values():  # what all share comes first
        shared = page.FrameSettings if issubclass(family, page.FrameSettings) else page.Settings
        assert family.fields()[: len(shared.fields())] == shared.fields()
    assert "camera_attached_material" not in {f.name for f in SigmaSettings.fields()}


@pytest.mark.parametrize(
    ("family", "field"), [(family, field) for family in page.FAMILIES.values() for field in family.fields()]
)
def test_a_setting_is_documented(family: type[page.Settings], field: page.Field) -> None:
    assert field.doc.endswith(".")
    assert len(field.doc) > 10
    assert field.low < field.high
    assert math.isfinite(field.low)
    assert math.isfinite(field.high)
    assert str(field) in (inspect.getdoc(family) or "")
    with pytest.raises(dataclasses.FrozenInstanceError):
        field.default = 0


@by_name(FIELDS)
def test_defaults(field: page.Field) -> None:
    value = getattr(ReblurSettings(), field.name)
    assert value == field.default
    assert type(value) is type(field.default)
    assert type(value) is (str if isinstance(field.type, tuple) else field.type)


@by_name(NUMBERS)
def test_a_number_is_checked(field: page.Field) -> None:
    settings = ReblurSettings()
    step = 1 if field.type is int else 1e-3 * (field.high - field.low)
    for good in (field.low, field.high):
        setattr(settings, field.name, field.type(good))
        assert getattr(settings, field.name) == good
    for bad in (field.low - step, field.high + step):
        message = f"{field.name}: expected {field.allowed}, got {field.type(bad)!r}"
        with pytest.raises(ValueError, match=re.escape(message)):
            setattr(settings, field.name, field.type(bad))
    for wrong in ("3", None, True, [1], 1j):
        with pytest.raises(TypeError, match=f"^{field.name}: expected"):
            setattr(settings, field.name, wrong)
    assert getattr(settings, field.name) == field.high, "a refused value must not be stored"


@by_name([f for f in NUMBERS if f.type is float])
def test_a_float_takes_what_is_a_number(field: page.Field) -> None:
    settings = ReblurSettings()
    middle = max(1, math.floor(field.low)) if field.high > 1 else field.high / 2
    for value in (
        int(middle) if field.high > 1 else middle,
        np.float16(middle),
        np.float32(middle),
        np.float64(middle),
    ):
        setattr(settings, field.name, value)
        assert type(getattr(settings, field.name)) is float
    for bad in (math.nan, math.inf, -math.inf, 10**400):
        with pytest.raises(ValueError, match=f"^{field.name}: expected"):
            setattr(settings, field.name, bad)


@by_name([f for f in NUMBERS if f.type is int])
def test_an_integer_takes_no_fraction(field: page.Field) -> None:
    settings = ReblurSettings()
    setattr(settings, field.name, np.int64(field.low))
    assert type(getattr(settings, field.name)) is int
    with pytest.raises(TypeError, match=f"^{field.name}: expected an integer"):
        setattr(settings, field.name, 2.0)


@by_name(SWITCHES)
def test_a_switch_is_checked(field: page.Field) -> None:
    settings = ReblurSettings(**{field.name: not field.default})
    assert getattr(settings, field.name) is not field.default
    for wrong in (0, 1, "yes", None):
        with pytest.raises(TypeError, match=f"^{field.name}: expected True or False"):
            setattr(settings, field.name, wrong)


@by_name(CHOICES)
def test_a_choice_is_checked(field: page.Field) -> None:
    settings = ReblurSettings()
    for index, name in enumerate(field.type):
        setattr(settings, field.name, name)
        assert settings.as_numbers()[field.name] == index
    with pytest.raises(ValueError, match=f"^{field.name}: expected one of '"):
        setattr(settings, field.name, "7x7")
    with pytest.raises(TypeError, match=f"^{field.name}: expected one of '"):
        setattr(settings, field.name, 1)


def test_construction_is_checked() -> None:
    with pytest.raises(ValueError, match="max_blur_radius: expected a number in"):
        ReblurSettings(max_blur_radius=-1)
    with pytest.raises(TypeError, match="anti_firefly: expected True or False, got 1"):
        ReblurSettings(anti_firefly=1)
    with pytest.raises(TypeError):
        ReblurSettings(30)


def test_an_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(
        TypeError, match=r"no setting 'max_acumulated_frames' \(did you mean 'max_accumulated_frames'\?\)"
    ):
        ReblurSettings(max_acumulated_frames=16)
    settings = ReblurSettings()
    with pytest.raises(AttributeError, match=r"no setting 'antifirefly' \(did you mean 'anti_firefly'\?\)"):
        settings.antifirefly = False
    with pytest.raises(AttributeError, match=r"no setting 'zzz'$"):
        settings.zzz = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"min_blur_radius": 31},
            "min_blur_radius: expected at most max_blur_radius (20), got 31",
        ),
    ],
)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ReblurSettings(**changes)
    settings = ReblurSettings()
    for name, value in changes.items():
        setattr(settings, name, value)  # alone it is no error: the other one may follow
    with pytest.raises(ValueError, match=re.escape(message)):
        settings.check()


def test_repr_shows_what_was_changed() -> None:
    assert repr(ReblurSettings()) == "ReblurSettings()"
    settings = ReblurSettings(hit_distance_reconstruction="5x5", max_fast_frames=4)
    assert repr(settings) == "ReblurSettings(hit_distance_reconstruction='5x5', max_fast_frames=4)"
    assert eval(repr(settings)) == settings


def test_equality_and_copies() -> None:
    settings = ReblurSettings(max_blur_radius=12.5)
    assert settings == ReblurSettings(max_blur_radius=12.5) != ReblurSettings()
    assert ReblurSettings(**settings.as_dict()) == settings
    assert json.loads(json.dumps(settings.as_dict())) == settings.as_dict()
    for same in (settings.replace(), copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert same == settings
        assert same is not settings
    changed = settings.replace(max_blur_radius=20, anti_firefly=False)
    assert (changed.max_blur_radius, changed.anti_firefly, settings.anti_firefly) == (20, False, True)
    with pytest.raises(ValueError, match="max_blur_radius"):
        settings.replace(max_blur_radius=-1)
    with pytest.raises(TypeError, match="no setting 'blur'"):
        settings.replace(blur=1)


def test_as_numbers() -> None:
    numbers = ReblurSettings().as_numbers()
    assert list(numbers) == [f.name for f in FIELDS]
    assert all(type(value) is float for value in numbers.values())
    assert numbers["anti_firefly"] == 1
    assert numbers["prepass_tracking_only"] == 0
    assert numbers["max_fast_frames"] == 6


def test_the_page_loads_without_the_package() -> None:
    """As the build does: by its path, with nothing but the standard library, and outside sys.modules."""
    program = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('page', sys.argv[1]); "
        "page = importlib.util.module_from_spec(spec); spec.loader.exec_module(page); "
        "print(*(field.name for field in page.FAMILIES['reblur'].fields()))"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, page.__file__], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [f.name for f in FIELDS]
