# SPDX-License-Identifier: Apache-2.0
"""How ReBLUR follows what moves: surfaces, reflections and cameras of every kind.

Rows of the property table:

12  a mirror seen by a strafing camera stays sharp: at least 0.9 of the contrast that it has when nothing moves, and the
    error stays below 0.35 (the noisy input's is 1.32)
13  the same with virtual motion switched off falls apart, so row 12 tests what it says
17  a panel that moves over a wall: no history where the wall is newly visible, at least 95 % of the other pixels keep
    theirs, and what one shows does not stick to the other (below 2 %)
18  a camera that only turns: the history reaches its full length on at least 99 % of the picture, whichever way motion
    is given
19  a wall that comes nearer: motion with a change of depth keeps the history, motion without may lose it
27  invariances: scene units, handedness, kinds of depth and the mirrored picture change the output by at most 0.5 %
29  an orthographic camera along a mirror, as row 12

Besides, cameras that are off-centre, jittered, zoom, translate and turn, with motion and without; strands; surfaces
that move with the camera.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scenes
from scenes import HEIGHT, LOBES, WALL, WIDTH, View, guides, last, luma, signals, unscaled

import denoise as dn

SMALL = 128, 80  # width, height: where a row's numbers do not hang on the size
INSIDE = np.s_[16:-16, 16:-16]
FULL = 30  # frames: the longest history

both_lobes = pytest.mark.parametrize("lobe", LOBES)


def history(result: dn.Result, lobe: str) -> np.ndarray:
    length: np.ndarray = getattr(result, f"{lobe}_history_length")
    return length


def share_at_full_length(result: dn.Result, lobe: str) -> float:
    """Share of the interior pixels whose history is as long as it gets, rounded to frames."""
    return float((history(result, lobe)[INSIDE] >= FULL - 0.5).mean())


# Rows 12, 13, 29

STEPS = {"slow": 1.4, "fast": 5.5}  # pixels a frame on the mirror's surface
# What was in the picture for long enough: the mirror's image moves at a third of the surface's pace, but at all of it
# without perspective.
SEEN = {"perspective": np.s_[16:-16, 64:-64], "orthographic": np.s_[16:-16, 8:88]}


@functools.cache
def mirror(
    step: float, *, noisy: bool = False, attached: bool = False, lens: str = "perspective", roughness: float = 0
) -> tuple[float, float]:
    """Contrast and root mean square error of the reflection after 48 frames of strafing along the mirror."""
    rng = np.random.default_rng(5)
    denoiser = dn.Reblur(WIDTH, HEIGHT, settings=unscaled(camera_attached_material=1 if attached else -1))
    seen, matrix = SEEN[lens], scenes.orthographic() if lens == "orthographic" else None
    for index in range(48):
        frame, shown = scenes.mirror_wall(step, index, lens=matrix, roughness=roughness)
        if noisy:
            frame["specular"] = frame["specular"] * scenes.noise("one in 2", rng)[..., None]
        if attached:
            frame["material_id"] = np.ones((HEIGHT, WIDTH), np.uint8)
        result = denoiser(**frame)
    assert np.isfinite(result.specular).all()
    picture, truth = luma(result.specular)[seen], shown[seen]
    return scenes.contrast(picture, truth), float(np.sqrt(((picture - truth) ** 2).mean()))


@pytest.mark.parametrize("step", STEPS)
def test_row_12_a_mirror_stays_sharp(step: str) -> None:
    contrast, error = mirror(STEPS[step])
    assert contrast >= 0.9 * mirror(0)[0]
    assert error <= 0.35


@pytest.mark.parametrize("step", STEPS)
def test_row_12_a_noisy_mirror_stays_sharp(step: str) -> None:
    contrast, error = mirror(STEPS[step], noisy=True)
    assert contrast >= 0.9 * mirror(0, noisy=True)[0]
    assert error <= 0.35


@pytest.mark.parametrize("step", STEPS)
def test_row_13_without_virtual_motion_it_falls_apart(step: str) -> None:
    """Reflections in a material that is said to move with the camera are followed like the surface they are in."""
    assert mirror(STEPS[step], attached=True)[0] < 0.2 * mirror(0)[0]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("roughness", [0.0, 0.1])
def test_row_29_an_orthographic_camera(step: str, roughness: float) -> None:
    contrast, error = mirror(STEPS[step], lens="orthographic", roughness=roughness)
    still, error_still = mirror(0, lens="orthographic", roughness=roughness)
    # At 0.1 next to nothing is left of the squares even at rest, and half-pixel steps resample that.
    assert contrast >= (0.9 if roughness == 0 else 0.7) * still
    assert error <= max(0.35, 1.1 * error_still)


# Row 17


def at_previous(image: np.ndarray, frame: dict[str, Any], reduce: Callable[..., np.ndarray]) -> np.ndarray:
    """What the four pixels of the last frame around each pixel's previous position hold, reduced to one value (H, W).

    Pixels outside the picture count as 0; those that have no weight in an interpolation do not count.
    """
    height, width = image.shape
    rows, columns = np.indices(image.shape)
    x, y = columns + frame["motion"][..., 0], rows + frame["motion"][..., 1]
    taps = []
    for j in (np.floor(y).astype(int), np.ceil(y).astype(int)):
        for i in (np.floor(x).astype(int), np.ceil(x).astype(int)):
            inside = (i >= 0) & (i < width) & (j >= 0) & (j < height)
            taps.append(np.where(inside, image[j.clip(0, height - 1), i.clip(0, width - 1)], 0))
    return reduce(taps, axis=0)


PANEL_STEPS = {"panel 2": (2, 0), "panel 4.3": (4.3, 0), "both": (2.6, 1.3), "camera 1.3": (0, 1.3)}


@pytest.mark.parametrize("steps", PANEL_STEPS)
def test_row_17_disocclusion(steps: str) -> None:
    """Steps of panel and camera in pixels of the one and of the wall. With a moving camera, a pixel counts as newly
    visible when none of the pixels that its history would come from showed the wall."""
    panel, camera = PANEL_STEPS[steps]
    panel, camera = panel * scenes.pixel_at(None, scenes.PANEL_DEPTH), camera * scenes.pixel_at(None, WALL)
    denoiser = dn.Reblur(WIDTH, HEIGHT, settings=unscaled(), outputs=("history_length",))
    lengths: dict[str, np.ndarray] = {}
    wall_before = np.ones((HEIGHT, WIDTH), bool)
    for index in range(20):
        before = max(index - 1, 0)
        view, view_before = (View(position=(camera * i, 0, 0)) for i in (index, before))
        frame, on_panel, hidden = scenes.panel_over_wall(view, view_before, panel * index - 0.5, panel * before - 0.5)
        result = denoiser(**frame)
        newly = hidden & (at_previous(wall_before, frame, np.max) == 0)
        if index:
            assert newly.any()
        for lobe in LOBES:
            if index:
                expected = np.minimum(at_previous(lengths[lobe], frame, np.min) + 1, FULL)
                kept = history(result, lobe) >= 0.75 * expected
                assert kept[~hidden].mean() >= 0.95
                if lobe == "diffuse" or not camera:  # a reflection may have been seen before where the wall was not
                    assert history(result, lobe)[newly].max() == 0
            rgb = getattr(result, lobe)
            assert rgb[~on_panel, 0].max() < 0.02, "the panel's red on the wall"
            assert rgb[on_panel, 2].max() < 0.02, "the wall's blue on the panel"
            lengths[lobe] = history(result, lobe)
        wall_before = ~on_panel


# Row 18 and other cameras

SLANTED = np.array([0.3, 0.2, -1]) / np.linalg.norm([0.3, 0.2, -1])


def texture(points: np.ndarray) -> np.ndarray:
    return 1 + 0.4 * np.sin(2 * points[..., 0]) * np.sin(2 * points[..., 1])


@functools.cache
def turning(motion: str | None, patterned: bool = True) -> dn.Result:
    """A camera that turns about all its axes and comes back, before a slanted wall."""

    def view(index: int) -> View:
        t = index * 2 * np.pi / 40
        return View(*SMALL, yaw=4 * np.sin(t), pitch=2 * np.sin(2 * t), roll=3 * np.sin(t))

    frames = []
    for index in range(40):
        position = view(index).plane((0, 0, WALL), SLANTED)
        guide = guides(view(index), position, view(max(index - 1, 0)), normal=SLANTED, motion=motion)
        frames.append({**guide, **signals(texture(position) if patterned else 1, 8, SMALL[::-1])})
    return last(frames, unscaled(), outputs=("history_length",))


MOTIONS = ["2.5D", "2D", "world", None]


@pytest.mark.parametrize("motion", MOTIONS)
@both_lobes
def test_row_18_a_camera_that_only_turns(motion: str | None, lobe: str) -> None:
    """The wall is of one brightness: a pattern that gets sharper while the history grows would wake the anti-lag."""
    assert share_at_full_length(turning(motion, patterned=False), lobe) >= 0.99


@pytest.mark.parametrize("motion", MOTIONS[1:])
@both_lobes
def test_row_18_all_kinds_of_motion_agree(motion: str | None, lobe: str) -> None:
    difference = np.abs(getattr(turning(motion), lobe) - getattr(turning("2.5D"), lobe))
    assert np.quantile(difference, 0.999) < 0.005
    lengths = np.abs(history(turning(motion), lobe) - history(turning("2.5D"), lobe))
    assert (lengths[INSIDE] <= 0.5).mean() >= 0.99


CAMERAS: dict[str, Callable[[int], View]] = {
    "at rest": lambda i: View(),
    "strafing": lambda i: View(position=(0.03 * i, 0.01 * i, 0)),
    "nearing": lambda i: View(position=(0, 0, 0.05 * i)),
    "turning round a point": lambda i: View(position=(0.06 * i, 0, 0), yaw=-0.6 * i),
    "rolling": lambda i: View(roll=0.8 * i),
    "off-centre": lambda i: View(position=(0.03 * i, 0, 0), yaw=0.2 * i, lens=scenes.perspective(shift=(0.3, -0.2))),
    "zooming": lambda i: View(lens=scenes.perspective(vfov=60 - 0.4 * i)),
    "zooming out": lambda i: View(lens=scenes.perspective(vfov=50 + 0.4 * i)),
    "reversed": lambda i: View(position=(0.03 * i, 0, 0), pitch=0.2 * i, lens=scenes.perspective(depth="reversed")),
    "infinite": lambda i: View(position=(0.03 * i, 0, 0), pitch=0.2 * i, lens=scenes.perspective(depth="infinite")),
    "reversed infinite": lambda i: View(
        position=(0.03 * i, 0, 0), pitch=0.2 * i, lens=scenes.perspective(depth="reversed infinite")
    ),
    "orthographic": lambda i: View(position=(0.03 * i, 0.01 * i, 0.02 * i), lens=scenes.orthographic()),
    "orthographic, turning": lambda i: View(yaw=0.2 * i, pitch=-0.1 * i, lens=scenes.orthographic()),
    "orthographic, reversed": lambda i: View(
        position=(0.03 * i, 0, 0.02 * i), yaw=0.2 * i, lens=scenes.orthographic(depth="reversed")
    ),
    "orthographic, off-centre, zooming": lambda i: View(lens=scenes.orthographic(span=6 - 0.05 * i, shift=(0.3, -0.2))),
}
ACCUMULATION_ONLY: dict[str, Any] = {
    "diffuse_prepass_radius": 0,
    "specular_prepass_radius": 0,
    "min_blur_radius": 0,
    "max_blur_radius": 0,
    "history_fix_frames": 0,
}


@pytest.mark.parametrize(("right_handed", "motion"), [(False, "2.5D"), (True, None)], ids=["left, 2.5D", "right, none"])
@pytest.mark.parametrize("name", CAMERAS)
def test_cameras(name: str, right_handed: bool, motion: str | None) -> None:
    """Without any blur a patterned wall stays where it is, whatever the camera does, and keeps its history."""

    def view(index: int) -> View:
        v = CAMERAS[name](index)
        return View(*SMALL, v.position, v.yaw, v.pitch, v.roll, resized(v.lens), right_handed)

    denoiser = dn.Reblur(*SMALL, settings=unscaled(**ACCUMULATION_ONLY), outputs=("history_length",))
    for index in range(18):
        position = view(index).plane((0, 0, WALL), SLANTED)
        guide = guides(view(index), position, view(max(index - 1, 0)), normal=SLANTED, motion=motion)
        # Short distances: the reflection stays close to the surface.
        result = denoiser(**guide, **signals(texture(position), 0.01, SMALL[::-1]))
    for lobe in LOBES:
        error = luma(getattr(result, lobe)) - texture(position)
        assert np.sqrt((error[INSIDE] ** 2).mean()) < 0.01
        away = np.s_[20:-20, 30:-30]  # from where the camera found new things
        assert np.mean(history(result, lobe)[away] >= 15) >= 0.98


def resized(lens: np.ndarray | None) -> np.ndarray | None:
    """A lens of the standard picture for another of the same shape is the same."""
    assert SMALL[0] * HEIGHT == SMALL[1] * WIDTH
    return lens


def test_jitter_only_loosens_tolerances() -> None:
    """Depth jumps by a little more than what counts as the same surface: kept after a step of the jitter."""
    jump = unscaled().disocclusion_threshold + 1.5 / HEIGHT  # of the height of the picture at that depth
    depths = WALL, WALL + jump * 2 * WALL / np.sqrt(3)
    kept = {}
    for jitter in ((0.0, 0.0), (0.5, -0.5)):
        views = View(jitter=(-jitter[0], -jitter[1])), View(jitter=jitter)
        frames = [{**guides(v, v.at_depth(z)), **signals(1, 8)} for v, z in zip(views, depths, strict=True)]
        result = last(frames, unscaled(), outputs=("history_length",))
        kept[jitter] = history(result, "diffuse")[60:-60, 100:-100].mean()  # where the wall is not seen at a slant
    assert kept[0.0, 0.0] == 0
    assert kept[0.5, -0.5] == pytest.approx(1, abs=0.01)


def test_a_jittered_camera_keeps_its_history() -> None:
    """Rays through other places in the pixels see other depths of a floor; the motion is that without jitter."""
    offsets = [((i * 0.618) % 1 - 0.5, (i * 0.755) % 1 - 0.5) for i in range(36)]
    normal = np.array([0, 1, -0.3]) / np.hypot(1, 0.3)
    frames = []
    for dx, dy in offsets:
        shifted = View(*SMALL, lens=scenes.perspective(shift=(-2 * dx / SMALL[0], 2 * dy / SMALL[1])))
        position = shifted.plane((0, -1, 4), normal)
        frame = guides(View(*SMALL, jitter=(dx, dy)), position, normal=normal)
        frame["motion"] = np.zeros((*SMALL[::-1], 3), np.float32)
        frames.append({**frame, **signals(1, 8, SMALL[::-1])})
    result = last(frames, unscaled(), outputs=("history_length",))
    surface = np.isfinite(frames[-1]["view_z"]) & (frames[-1]["view_z"] < 40)
    for lobe in LOBES:
        assert np.mean(history(result, lobe)[surface] >= FULL - 0.5) >= 0.98


# Row 19


@functools.cache
def nearing(motion: str) -> dn.Result:
    """A wall that comes nearer, from 12 to 5.4 metres."""
    view, step = View(*SMALL), 0.2
    frames = []
    for index in range(34):
        guide = guides(view, view.at_depth(12 - step * index), moved=np.array([0, 0, step]), motion=motion)
        frames.append({**guide, **signals(1, 8, SMALL[::-1])})
    return last(frames, unscaled(), outputs=("history_length",))


@pytest.mark.parametrize("motion", ["2.5D", "world"])
@both_lobes
def test_row_19_a_wall_that_comes_nearer(motion: str, lobe: str) -> None:
    assert np.mean(history(nearing(motion), lobe)[INSIDE] >= 0.9 * FULL) >= 0.99


@both_lobes
def test_row_19_a_wall_that_comes_nearer_and_does_not_say_so(lobe: str) -> None:
    np.testing.assert_allclose(getattr(nearing("2D"), lobe), 1, rtol=0.01)
    assert history(nearing("2D"), lobe).mean() < history(nearing("2.5D"), lobe).mean()


# Row 27


def glossy_strafe(right_handed: bool = False, lens: np.ndarray | None = None) -> list[dict[str, Any]]:
    """A glossy, patterned, slanted wall with reflections at several distances; the camera strafes and turns."""

    def view(index: int) -> View:
        place = 0.04 * index, 0, 0.01 * index
        return View(*SMALL, place, yaw=0.1 * index, right_handed=right_handed, lens=lens)

    frames = []
    for index in range(12):
        position = view(index).plane((0, 0, WALL), SLANTED)
        guide = guides(view(index), position, view(max(index - 1, 0)), normal=SLANTED, roughness=0.3)
        frames.append({**guide, **signals(texture(position), 3 + np.sin(position[..., 0]), SMALL[::-1])})
    return frames


@functools.cache
def glossy_result() -> dn.Result:
    return last(glossy_strafe(), unscaled())


def in_units(frame: dict[str, Any], scale: float) -> dict[str, Any]:
    """The same frame with so many world units in a metre."""
    camera = frame["camera"]
    view = camera.world_to_view.copy()
    view[:3, 3] *= scale
    changed = {name: frame[name] * np.float32(scale) for name in frame if name == "view_z" or name.endswith("distance")}
    changed["motion"] = frame["motion"] * np.float32([1, 1, scale])
    changed["camera"] = dn.Camera(world_to_view=view, view_to_clip=camera.view_to_clip, jitter=camera.jitter)
    return {**frame, **changed}


def mirrored(frame: dict[str, Any]) -> dict[str, Any]:
    """The same frame, left and right exchanged."""
    flip, camera = np.diag([-1, 1, 1, 1]), frame["camera"]
    changed = {name: array[:, ::-1] for name, array in frame.items() if name != "camera"}
    changed["normal"] = changed["normal"] * np.float32([-1, 1, 1])
    changed["motion"] = changed["motion"] * np.float32([-1, 1, 1])
    changed["camera"] = dn.Camera(
        world_to_view=flip @ camera.world_to_view @ flip, view_to_clip=flip @ camera.view_to_clip @ flip
    )
    return changed


def assert_same_picture(a: dn.Result, b: dn.Result) -> None:
    for lobe in LOBES:
        difference = np.abs(getattr(a, lobe) - getattr(b, lobe))[2:-2, 2:-2]  # without what borders on nothing
        assert np.quantile(difference, 0.999) <= 0.005, lobe
        assert difference.max() <= 0.05, lobe


@pytest.mark.parametrize("scale", [0.001, 0.01, 100, 1000])
def test_row_27_scene_units(scale: float) -> None:
    settings = unscaled(units_per_metre=scale, sky_distance=500_000 * scale)
    assert_same_picture(glossy_result(), last([in_units(f, scale) for f in glossy_strafe()], settings))


@pytest.mark.parametrize("scale", [1 / 128, 128, 1024])
def test_row_27_scene_units_of_a_mirror(scale: float) -> None:
    """The image in a mirror is far away: its distance, about 1000 m here, is more units than fp16 can hold. Units are
    powers of two: a sharp moving pattern amplifies fp32 rounding from frame to frame."""

    def frames() -> list[dict[str, Any]]:
        return [scenes.mirror_wall(1.4, index, image=1005)[0] for index in range(8)]

    metres = last(frames(), unscaled(), outputs=("history_length",))
    settings = unscaled(units_per_metre=scale, sky_distance=500_000 * scale)
    units = last([in_units(f, scale) for f in frames()], settings, outputs=("history_length",))
    assert_same_picture(metres, units)
    difference = np.abs(history(metres, "specular") - history(units, "specular"))
    assert np.mean(difference <= 0.5) >= 0.99


def test_row_27_handedness() -> None:
    assert_same_picture(glossy_result(), last(glossy_strafe(right_handed=True), unscaled()))


@pytest.mark.parametrize("depth", ["reversed", "infinite", "reversed infinite"])
def test_row_27_kinds_of_depth(depth: str) -> None:
    for right_handed in (False, True):
        frames = glossy_strafe(right_handed, scenes.perspective(depth=depth))
        assert_same_picture(glossy_result(), last(frames, unscaled()))


def test_row_27_kinds_of_depth_of_an_orthographic_camera() -> None:
    standard = last(glossy_strafe(lens=scenes.orthographic()), unscaled())
    for depth in ("standard", "reversed"):
        for right_handed in (False, True):
            frames = glossy_strafe(right_handed, scenes.orthographic(depth=depth))
            assert_same_picture(standard, last(frames, unscaled()))


def test_row_27_a_negative_view_z() -> None:
    """Depth may come with the sign of a right-handed view space; its motion then, too."""
    frames = glossy_strafe(right_handed=True)
    for frame in frames:
        frame["view_z"] = -frame["view_z"]
        frame["motion"] = frame["motion"] * np.float32([1, 1, -1])
    assert_same_picture(glossy_result(), last(frames, unscaled()))


def test_row_27_the_mirrored_picture() -> None:
    """The blur's taps, at an angle that changes with the frame, are not mirrored: equal on average."""
    result = last(map(mirrored, glossy_strafe()), unscaled())
    for lobe in LOBES:
        difference = getattr(glossy_result(), lobe) - getattr(result, lobe)[:, ::-1]
        assert np.sqrt((difference**2).mean()) <= 0.005


# Materials with rules of their own


def flickering_depth(material: int, step: float = 0, jump: float = 0.3) -> list[dict[str, Any]]:
    """A wall whose depth jumps to and fro, as that of grass does, seen by a camera that strafes by that many pixels."""
    frames = []
    for index in range(16):
        x, before = (i * step * scenes.pixel_at(None, WALL) for i in (index, max(index - 1, 0)))
        view = View(*SMALL, (x, 0, 0))
        frame = guides(view, view.at_depth(WALL), View(*SMALL, (before, 0, 0)))
        frame["view_z"] = frame["view_z"] + np.float32(jump * (index % 2))
        frame["material_id"] = np.full(SMALL[::-1], material, np.uint8)
        frames.append({**frame, **signals(1, 8, SMALL[::-1])})
    return frames


@both_lobes
def test_strands_keep_their_history(lobe: str) -> None:
    settings = unscaled(strand_material=7)
    for material, expected in ((7, 15), (6, 0)):
        result = last(flickering_depth(material), settings, outputs=("history_length",))
        assert np.median(history(result, lobe)) == pytest.approx(expected, abs=1)


def test_a_surface_that_moves_with_the_camera() -> None:
    """Reflections in it are followed like the surface once its material is named: they keep their place."""
    contrasts = {}
    for setting in (-1, 3):
        frames = [scenes.carried_mirror(index, *SMALL, material=3) for index in range(24)]
        result = last((frame for frame, _ in frames), unscaled(camera_attached_material=setting))
        contrasts[setting] = scenes.contrast(luma(result.specular)[INSIDE], frames[-1][1][INSIDE])
    assert contrasts[3] >= 0.8
    assert contrasts[-1] <= 0.6 * contrasts[3]
