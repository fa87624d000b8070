# SPDX-License-Identifier: Apache-2.0
"""What ReBLUR does not blur across: a static edge, light on the left and black on the right, on many kinds of border.

Rows of the property table, without noise, radii as in the tables; after 48 frames where the blur gets narrower on the
way, else after 12. "Other side" is what leaks into the black half, "own side" what remains of the light one.

6   a step in depth, 5 to 10 and 6 %: other side below 0.001, own side above 0.99, one pixel from the edge
7   a step in depth below the plane tolerance, 2 %: may leak, falls monotonically
8   a bend of the normal by 45 and 90, 20, 10 degrees: other side below 0.002, 0.03, 0.2 for diffuse and 0.002, 0.001,
    0.08 for specular, two pixels from the edge
9   a border of materials: below 0.001; where both count as one material, the same as without a border
10  a step in roughness from 0.5 to 0.45, 0.4, 0.3: specular below 0.25, 0.03, 0.001 two pixels from the edge, diffuse
    as without a step
11  no border: the edge is blurred no more than by the published implementation, with pre-pass and without
21  missing hit distances are filled in from the neighbourhood, and never from beyond a step in depth
"""

import functools
from typing import Any

import numpy as np
import pytest
import scenes
from scenes import DISTANCE, HEIGHT, LOBES, WIDTH, halves, last, luma, run, unscaled, wall

import denoise as dn

EDGE = WIDTH // 2  # first column of the right half
ROWS = slice(40, -40)
LIGHT = halves(1.0, 0.0)

both_lobes = pytest.mark.parametrize("lobe", LOBES)


def columns(result: dn.Result, lobe: str) -> np.ndarray:
    """Luma (rows, W) away from the upper and lower border."""
    return luma(getattr(result, lobe))[ROWS]


def edge(settings: dn.ReblurSettings | None = None, frames: int = 12, **guide: Any) -> dn.Result:
    """The last of some frames of the light edge, with those guides."""
    materials = guide.pop("material_id", None)
    frame = wall(LIGHT, **guide)
    if materials is not None:
        frame["material_id"] = materials
    return last([frame] * frames, settings or unscaled())


@functools.cache
def no_border() -> dn.Result:
    return edge()


def bent(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return halves((0, 0, -1), (np.sin(angle), 0, -np.cos(angle)))


@pytest.mark.parametrize("depth", [10.0, 5.3])
def test_row_6_a_step_in_depth(depth: float) -> None:
    result = edge(depth=halves(scenes.WALL, depth))
    for lobe in LOBES:
        assert columns(result, lobe)[:, EDGE].max() < 0.001
        assert columns(result, lobe)[:, EDGE - 1].min() > 0.99


def test_row_6_a_step_in_depth_from_the_first_frame_on() -> None:
    for result in run([wall(LIGHT, depth=halves(scenes.WALL, 5.3))] * 8, unscaled()):
        for lobe in LOBES:
            assert columns(result, lobe)[:, EDGE].max() < 0.001
            assert columns(result, lobe)[:, EDGE - 1].min() > 0.99


def test_row_7_a_step_in_depth_below_the_tolerance() -> None:
    result = edge(depth=halves(scenes.WALL, 1.02 * scenes.WALL))
    for lobe in LOBES:
        profile = columns(result, lobe).mean(0)
        assert (np.diff(profile) <= 0.01).all(), "not monotone"
        assert profile[EDGE] < 0.2
        assert profile[EDGE - 1] > 0.8


@pytest.mark.parametrize(
    ("degrees", "diffuse", "specular"), [(90, 0.002, 0.002), (45, 0.002, 0.002), (20, 0.03, 0.001), (10, 0.2, 0.08)]
)
def test_row_8_a_bend_in_one_plane(degrees: float, diffuse: float, specular: float) -> None:
    result = edge(frames=48, normal=bent(degrees))
    assert columns(result, "diffuse")[:, EDGE + 1].max() < diffuse
    assert columns(result, "specular")[:, EDGE + 1].max() < specular


def test_row_9_a_border_of_materials() -> None:
    result = edge(material_id=halves(np.uint8(0), np.uint8(3)))
    for lobe in LOBES:
        assert columns(result, lobe)[:, EDGE].max() < 0.001
        assert columns(result, lobe)[:, EDGE - 1].min() > 0.99


@pytest.mark.parametrize(
    ("minima", "border"),
    [
        ({"min_material_diffuse": 4, "min_material_specular": 4}, ()),
        ({"min_material_diffuse": 256, "min_material_specular": 256}, ()),
        ({"min_material_specular": 4}, ("diffuse",)),
        ({"min_material_diffuse": 4}, ("specular",)),
    ],
)
def test_row_9_materials_that_count_as_one(minima: dict[str, int], border: tuple[str, ...]) -> None:
    """`border` names the lobes that see one all the same."""
    result = edge(unscaled(**minima), material_id=halves(np.uint8(0), np.uint8(3)))
    for lobe in LOBES:
        if lobe in border:
            assert columns(result, lobe)[:, EDGE].max() < 0.001
        elif border:  # surface motion, which both lobes share, sees a border where either does
            np.testing.assert_allclose(columns(result, lobe), columns(no_border(), lobe), atol=0.02)
        else:
            np.testing.assert_array_equal(getattr(result, lobe), getattr(no_border(), lobe))


@pytest.mark.parametrize(("roughness", "specular"), [(0.45, 0.25), (0.4, 0.03), (0.3, 0.001)])
def test_row_10_a_step_in_roughness(roughness: float, specular: float) -> None:
    result = edge(roughness=halves(0.5, roughness))
    assert columns(result, "specular")[:, EDGE + 1].max() < specular
    np.testing.assert_array_equal(result.diffuse, no_border().diffuse)


# Row 11


def blur_width(profile: np.ndarray) -> float:
    """Standard deviation, in pixels, of the Gaussian that blurs a step from 1 to 0 to this profile's 84 % and 16 %."""
    at = np.interp([-0.8413, -0.1587], -profile, np.arange(profile.size))
    return float(at[1] - at[0]) / 2


WIDTHS = {  # frame: (diffuse, specular) as published, pixels
    "with pre-pass": {0: (24.2, 22.1), 7: (23.8, 22.9), 47: (15.9, 18.2)},
    "without": {0: (20.4, 15.9), 7: (19.1, 15.3), 47: (6.2, 5.7)},
}


@pytest.mark.parametrize("prepass", WIDTHS)
def test_row_11_blur_width(prepass: str, record_property: Any) -> None:
    off = {"diffuse_prepass_radius": 0, "specular_prepass_radius": 0}
    settings = unscaled(**({} if prepass == "with pre-pass" else off))
    widths = {}
    for index, result in enumerate(run([wall(LIGHT)] * 48, settings)):
        if index in WIDTHS[prepass]:
            widths[index] = tuple(blur_width(columns(result, lobe).mean(0)) for lobe in LOBES)
            record_property(f"frame {index}", widths[index])
    print(prepass, widths)
    assert widths[0] == pytest.approx(WIDTHS[prepass][0], rel=0.2)
    assert (np.array(widths[47]) <= WIDTHS[prepass][47]).all()


# Row 21


def holes(rng: np.random.Generator, share: float) -> np.ndarray:
    """(H, W) of bool: a random share of the pixels lacks its distance, but none does so with all its neighbours."""
    missing = rng.random((HEIGHT, WIDTH)) < share
    ends = np.r_[1:HEIGHT:3, HEIGHT - 1], np.r_[1:WIDTH:3, WIDTH - 1]
    missing[np.ix_(*ends)] = False
    return missing


def filled(settings: dn.ReblurSettings, distance: np.ndarray, missing: np.ndarray, **guide: Any) -> dn.Result:
    """The first frame, where only reconstruction fills in a distance: no pre-pass, no history, no history fix."""
    settings = settings.replace(diffuse_prepass_radius=0, specular_prepass_radius=0, history_fix_frames=0)
    frame = wall(1, distance=np.where(missing, 0, distance), **guide)
    return last([frame], settings, outputs=("hit_distance",))


@pytest.mark.parametrize("mode", ["3x3", "5x5"])
@both_lobes
def test_row_21_distances_are_filled_in(mode: str, lobe: str) -> None:
    missing = holes(np.random.default_rng(4), 0.7)
    settings = unscaled(hit_distance_reconstruction=mode)
    distance = getattr(filled(settings, np.full(missing.shape, 2.0), missing), f"{lobe}_hit_distance")
    np.testing.assert_allclose(distance, 2, rtol=0.01)


@both_lobes
def test_row_21_the_wider_window_bridges_wider_gaps(lobe: str) -> None:
    missing = np.ones((HEIGHT, WIDTH), bool)
    missing[2::5, 2::5] = False  # some neighbour of 5 x 5 has a distance, but not of 3 x 3
    distances = {}
    for mode in ("off", "3x3", "5x5"):
        settings = unscaled(hit_distance_reconstruction=mode)
        result = filled(settings, np.full(missing.shape, 2.0), missing)
        distance = getattr(result, f"{lobe}_hit_distance")[: HEIGHT // 5 * 5, : WIDTH // 5 * 5]
        distances[mode] = np.abs(distance - 2) < 0.02
    assert distances["off"].mean() == pytest.approx(1 / 25, abs=0.01)
    assert distances["3x3"].mean() == pytest.approx(9 / 25, abs=0.01)
    assert distances["5x5"].all()


@pytest.mark.parametrize("mode", ["3x3", "5x5"])
@both_lobes
def test_row_21_nothing_is_filled_in_from_beyond_a_step_in_depth(mode: str, lobe: str) -> None:
    missing = holes(np.random.default_rng(5), 0.7)
    distance = halves(1.0, 4.0)
    settings = unscaled(hit_distance_reconstruction=mode)
    result = filled(settings, distance, missing, depth=halves(5.0, 10.0))
    got = getattr(result, f"{lobe}_hit_distance")
    # Along the step, a pixel's only neighbours with a distance may lie beyond it: then it stays without, as of a miss.
    found = np.abs(got / distance - 1) < 0.01
    assert (found | (got > 4.5)).all()
    away = np.abs(np.arange(WIDTH) - EDGE + 0.5) > (2 if mode == "3x3" else 3)
    assert found[:, away].all()


def test_a_missing_distance_carries_its_radiance() -> None:
    """Samples without a distance count as much as the others: neither darker nor brighter, in no frame."""
    rng = np.random.default_rng(6)
    frames = []
    for _ in range(12):
        frame = wall(scenes.noise("one in 4", rng), distance=np.where(rng.random((HEIGHT, WIDTH)) < 0.15, 0, DISTANCE))
        frames.append(frame)
    for result in run(frames, unscaled()):
        for lobe in LOBES:
            assert luma(getattr(result, lobe)).mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("lit", "one_in", "tolerance"),
    [("with a distance", 1.25, 0.005), ("with a distance", 3, 0.02), ("without a distance", 3, 0.01)],
)
def test_missing_distances_that_go_with_the_brightness(lit: str, one_in: float, tolerance: float) -> None:
    """The same where only samples with a distance are lit, as it is with rays that went below the surface, or only
    samples without."""
    rng = np.random.default_rng(7)
    frames = []
    for _ in range(12):
        bright = scenes.noise(f"one in {one_in}", rng)
        frames.append(wall(bright, distance=np.where((bright > 0) == (lit == "with a distance"), DISTANCE, 0)))
    for result in run(frames, unscaled()):
        for lobe in LOBES:
            assert luma(getattr(result, lobe)).mean() == pytest.approx(1, abs=tolerance)
