# SPDX-License-Identifier: Apache-2.0
"""The composite: each term counts once, arrays of any kind are taken, and what does not fit is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import denoise as dn

H, W = 5, 7


@pytest.fixture
def images() -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(0)
    names = ("emission", "diffuse", "albedo", "specular", "specular_factor", "sun", "lamp", "colour")
    return {
        **{name: random.random((H, W, 3), np.float32) for name in names},
        "shadow": random.random((H, W), np.float32),
    }


def test_sum_of_all_terms(images: dict[str, Any]) -> None:
    i = images
    lights = [(i["sun"], i["shadow"]), (i["lamp"], i["colour"])]
    surface = {name: i[name] for name in ("emission", "diffuse", "albedo", "specular", "specular_factor")}
    expected = i["emission"] + i["diffuse"] * i["albedo"] + i["specular"] * i["specular_factor"]
    expected += i["sun"] * i["shadow"][..., None] + i["lamp"] * i["colour"]
    result = dn.compose(**surface, lights=lights)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert result.dtype == np.float32
    dark = dn.compose(**surface, lights=[(light, 0 * shadow) for light, shadow in lights])
    lit = dn.compose(lights=lights)
    np.testing.assert_allclose(dark + lit, result, rtol=1e-5)


def test_what_is_left_out_counts_as_nothing(images: dict[str, Any]) -> None:
    np.testing.assert_array_equal(dn.compose(emission=images["emission"]), images["emission"])
    np.testing.assert_array_equal(dn.compose(diffuse=images["diffuse"]), images["diffuse"])  # remodulated already
    np.testing.assert_array_equal(
        dn.compose(specular=images["specular"], specular_factor=images["albedo"]), images["specular"] * images["albedo"]
    )
    np.testing.assert_array_equal(dn.compose(lights=[(images["sun"], np.ones((H, W), np.float32))]), images["sun"])


class Foreign:
    """An array of another library: it has a shape, indices and operators, and no more."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape = array.shape
        self.__array_ufunc__ = None

    def __getitem__(self, index: Any) -> Foreign:
        return Foreign(self.array[index])

    def __add__(self, other: Foreign) -> Foreign:
        return Foreign(self.array + other.array)

    def __mul__(self, other: Foreign) -> Foreign:
        return Foreign(self.array * other.array)


def test_arrays_of_any_library(images: dict[str, Any]) -> None:
    i, f = images, {name: Foreign(image) for name, image in images.items()}

    def composed(a: dict[str, Any]) -> Any:
        return dn.compose(
            emission=a["emission"], diffuse=a["diffuse"], albedo=a["albedo"], lights=[(a["sun"], a["shadow"])]
        )

    np.testing.assert_array_equal(composed(f).array, composed(i))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({}, r"compose: expected emission, diffuse, specular or lights, got none of them"),
        ({"emission": (H, W)}, r"emission: expected \(5, 7, 3\), got \(5, 7\)"),
        ({"emission": (H,)}, r"emission: expected \(H, W, 3\), got \(5,\)"),
        ({"diffuse": (H, W, 3), "albedo": (H, W)}, r"albedo: expected \(5, 7, 3\), got \(5, 7\)"),
        ({"emission": (H, W, 3), "albedo": (H, W, 3)}, r"albedo: given without diffuse"),
        ({"emission": (H, W, 3), "specular_factor": (H, W, 3)}, r"specular_factor: given without specular"),
        ({"emission": (H, W, 3), "diffuse": (W, H, 3)}, r"diffuse: expected \(5, 7, 3\), got \(7, 5, 3\)"),
    ],
)
def test_what_does_not_fit_is_named(names: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dn.compose(**{name: np.zeros(shape) for name, shape in names.items()})


def test_lights_that_do_not_fit_are_named() -> None:
    image, wrong = np.zeros((H, W, 3)), np.zeros((H, W, 1))
    with pytest.raises(ValueError, match=r"lights\[1\]: shadow: expected \(5, 7\) or \(5, 7, 3\), got \(5, 7, 1\)"):
        dn.compose(lights=[(image, image), (image, wrong)])
    with pytest.raises(ValueError, match=r"lights\[0\]: unshadowed: expected \(5, 7, 3\), got \(5, 7, 1\)"):
        dn.compose(emission=image, lights=[(wrong, image)])
