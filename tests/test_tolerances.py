# SPDX-License-Identifier: Apache-2.0
"""The yardstick of the backend tests itself."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances
from tolerances import Tolerance, half_steps, relative_error


def test_half_steps_count_neighbours_in_fp16() -> None:
    values = np.array([1, 1.5, 1000, 6.1e-5, 0.333], np.float16)
    np.testing.assert_array_equal(half_steps(values, np.nextafter(values, np.float16(np.inf))), 1)
    assert half_steps(2.0, 2.0 + 3 * 2.0**-9) == 3
    assert half_steps(0.0, 2.0**-24) == 1, "the smallest number of fp16"


def test_half_steps_at_a_given_magnitude() -> None:
    assert half_steps(0.001, 0.001 + 2.0**-10, magnitude=1.0) == pytest.approx(1)


def test_half_steps_of_special_values() -> None:
    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(half_steps([inf, nan, 0, -0.0], [inf, nan, 0, 0.0]), 0)
    np.testing.assert_array_equal(half_steps([inf, nan, 1], [-inf, 1, inf]), inf)


def test_relative_error_is_relative_to_the_larger_or_the_floor() -> None:
    np.testing.assert_allclose(relative_error([1, 0, 1e-9], [2, 0, 0], floor=1e-3), [0.5, 0, 1e-6])


@pytest.mark.parametrize(
    ("difference", "fine"),
    [([0, 1, 2, 2], True), ([0, 0, 0, 3], True), ([0, 0, 3, 3], False), ([0, 0, np.nan, np.inf], False), ([], True)],
)
def test_a_tolerance_allows_a_share_of_outliers(difference: list[float], fine: bool) -> None:
    assert (Tolerance(2, 0.25).problem(difference) == "") == fine


def test_problems_say_how_many_and_how_far() -> None:
    message = Tolerance(1, 0.1).problem([0, 5, 0, 0])
    assert message == "25.00% of the pixels differ by more than 1 (allowed: 10.00%); the largest difference is 5"


def test_pixels_open_the_packed_formats() -> None:
    def entry(name: str, data: np.ndarray, channels: int = 1) -> dict:
        height, width = data.shape[:2]
        return {"format": name, "width": width, "height": height, "channels": channels, "first": data.tobytes()}

    guide = np.zeros((2, 3, 2), np.uint32)
    guide[..., 0] = np.float32(7.5).view(np.uint32)
    guide[..., 1] = 5 | 6 << 11 | 7 << 22
    opened = tolerances.pixels(entry("GUIDE64", guide), "first")
    assert {name: values[1, 2] for name, values in opened.items()} == {
        "view_z": 7.5,
        "normal x": 5,
        "normal y": 6,
        "roughness": 7,
    }
    word = np.full((1, 1), 3 | 1 << 2 | 2 << 6 | 1 << 8, np.uint16)
    opened = tolerances.pixels(entry("R16U", word), "first")
    assert {name: int(values[0, 0]) for name, values in opened.items()} == {
        "texel 0": 3,
        "texel 1": 1,
        "texel 2": 0,
        "texel 3": 2,
        "cubic": 1,
    }
    offset = np.array([[[0.25, -3]]], np.float16)
    np.testing.assert_array_equal(tolerances.pixels(entry("R32U", offset), "first")["offset"], offset)
    with pytest.raises(ValueError, match="no such format: R9"):
        tolerances.pixels(entry("R9", word), "first")
