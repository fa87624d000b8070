# SPDX-License-Identifier: Apache-2.0
"""The validation overlay: a sheet of small, labelled pictures of what came in with a frame and what became of it.

Ranges are those of the middle 98 % of the pixels, unless they are fixed. Pictures are (H, W, 3), linear in what the
screen shows, 0 to 1; text and scaling are Pillow's, of the extra `cli`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DenoiseError
from .frame import LOBES, Camera

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import ImageDraw

    from .arrays import Array

    Mask = npt.NDArray[np.bool_]

Colour = tuple[float, float, float]

# What the sheet shows of a frame's inputs.
SHOWN = {
    *("normal", "view_z", "roughness", "motion", "material_id", "occluder_distance", "translucency"),
    *LOBES,
    *(f"{lobe}_hit_distance" for lobe in LOBES),
}

CELL = 320  # pixels that a view is wide, its picture at most
TALLEST = 320  # pixels of a picture
BAR = 34  # pixels of the two lines above a picture
GAP = 6
FONT = 12
PAPER = (24, 24, 24)
LEGEND = (200, 200, 200)

# Colours at equal steps of a scale.
GREY = np.array([[0, 0, 0], [1, 1, 1]])
HEAT = np.array([[0, 0, 0], [0.35, 0.05, 0.45], [0.85, 0.2, 0.25], [1, 0.65, 0.1], [1, 1, 0.8]])
STOPS = np.array([[0.05, 0.15, 0.75], [0.45, 0.6, 1], [1, 1, 1], [1, 0.55, 0.45], [0.75, 0.05, 0.05]])

SKY: Colour = (0.2, 0.31, 0.38)
MISS: Colour = (0.35, 0.7, 0.75)
NOTHING: Colour = (0.3, 0.3, 0.3)
OFF_SCREEN: Colour = (0.45, 0.45, 0.45)
HIDDEN: Colour = (0.2, 0.4, 0.9)

_FAR = 65504.0  # a distance from here on is a miss, see frame.INPUTS
_UNCOVERED = 0.05  # relative depth by which what hid a pixel in the previous frame was nearer
_SLOPE = 0.05  # relative difference of depth between neighbours that is still one surface
_GAIN_STOPS = 3.0  # of the scale of gains, to either side


@dataclass(frozen=True)
class Shot:
    """What the sheet needs of a frame, in arrays of its own. Those of a light are called "NAME.KEY".

    inputs        by the names of Frame, those of SHOWN
    results       by the names of Result
    world_motion  whether motion is in world space
    histories     signal -> longest history length
    before        view_z and camera of the frame that motion refers to; None: it had none, or no history was used
    """

    inputs: dict[str, Array]
    results: dict[str, Array]
    camera: Camera
    world_motion: bool
    histories: dict[str, int]
    sky_distance: float
    before: tuple[Array, Camera] | None

    @classmethod
    def of(cls, inputs: Mapping[str, Array], results: Mapping[str, Array], **rest: Any) -> Shot:
        """Copies what is shown: a caller may use his arrays again."""
        shown = {name: np.array(array) for name, array in inputs.items() if name.partition(".")[0] in SHOWN}
        return cls(shown, {name: np.array(array) for name, array in results.items()}, **rest)

    @property
    def depth(self) -> Array:
        """(H, W) float64, inf where there is sky."""
        return depth_of(self.inputs["view_z"], self.sky_distance)

    @property
    def lights(self) -> list[str]:
        """Their keys."""
        return [name.partition(".")[2] for name in self.inputs if name.startswith("occluder_distance.")]


@dataclass(frozen=True)
class View:
    """A picture and what is written above it: a title, then a scale between two numbers, then marked colours."""

    title: str
    picture: Array
    low: str = ""
    scale: Array | None = None  # (h, w, 3), as the picture
    high: str = ""
    marks: tuple[tuple[Colour, str], ...] = field(default=())


def sheet(shot: Shot) -> Array:
    """The overlay: uint8 (H', W', 3), a row of views for the guides, one for each lobe, and one for lights.

    Raises DenoiseError where Pillow is absent."""
    depth = shot.depth
    surface = np.isfinite(depth)
    rows = [guides(shot, depth), *(lobe_views(shot, lobe, surface) for lobe in LOBES if lobe in shot.inputs)]
    lights = [light_views(shot, key, surface) for key in shot.lights]
    across = max(len(row) for row in [*rows, *lights])
    while lights:  # as many lights as fit share a row
        row = lights.pop(0)
        while lights and len(row) + len(lights[0]) <= across:
            row = row + lights.pop(0)
        rows.append(row)
    return draw(rows)


# Views


def guides(shot: Shot, depth: Array) -> list[View]:
    """The views of what is no signal."""
    inputs, surface = shot.inputs, np.isfinite(depth)
    views = [normal_view(inputs["normal"], surface), log_view("view_z", depth, surface, [(SKY, "sky", ~surface)])]
    if "roughness" in inputs:
        views.append(linear_view("roughness", inputs["roughness"], 1.0, surface, GREY))
    x, y, expected = reproject(shot, depth)
    views += [motion_view(shot, x, y, surface), error_view(shot, x, y, expected, surface)]
    if "material_id" in inputs:
        views.append(material_view(inputs["material_id"], surface))
    return views


def lobe_views(shot: Shot, lobe: str, surface: Mask) -> list[View]:
    """The views of diffuse or specular."""
    results = shot.results
    views = signal_views(lobe, shot.inputs[lobe], results[lobe], surface)
    if (name := f"{lobe}_hit_distance") in shot.inputs:
        views.append(distance_view(f"{lobe} hit distance", shot.inputs[name], surface, "miss", "none"))
    if (name := f"{lobe}_hit_distance") in results:
        views.append(log_view(f"{lobe} hit distance, denoised", results[name], surface))
    if (name := f"{lobe}_history_length") in results:
        views.append(history_view(lobe, results[name], shot.histories[lobe], surface))
    if (name := f"{lobe}_gain") in results:
        views.append(gain_view(f"{lobe} gain of re-lighting", results[name], surface))
    if (name := f"{lobe}_confidence") in results:
        views.append(linear_view(f"{lobe} confidence", results[name], 1.0, surface, GREY))
    if (name := f"{lobe}_variance") in results:
        views.append(log_view(f"{lobe} variance", results[name], surface))
    return views


def light_views(shot: Shot, key: str, surface: Mask) -> list[View]:
    """The views of a light."""
    distance = shot.inputs[f"occluder_distance.{key}"]
    views = [distance_view(f"occluder distance, {key}", distance, surface, "lit", "faces away")]
    if (name := f"translucency.{key}") in shot.inputs:
        views.append(View(f"translucency, {key}", _rgb(np.clip(_finite(shot.inputs[name]), 0, 1)), "linear, 0 to 1"))
    shadow = np.clip(shot.results[f"shadow.{key}"].astype(np.float64), 0, 1)
    views.append(View(f"shadow, {key}", _rgb(shadow), "0", scale_of(GREY), "1"))
    if (name := f"shadow_history_length.{key}") in shot.results:
        views.append(history_view(f"shadow, {key}:", shot.results[name], shot.histories["shadow"], surface))
    return views


def normal_view(normal: Array, surface: Mask) -> View:
    """World space x, y, z from -1 to 1 as red, green, blue; the lengths tell normals that are none."""
    n = _finite(normal)
    lengths = np.linalg.norm(n, axis=-1)[surface]
    low, high = (lengths.min(), lengths.max()) if lengths.size else (0, 0)
    picture = _marked(n / 2 + 0.5, (SKY, ~surface))
    return View("normal, world x y z as red green blue", picture, f"length {low:.3g} to {high:.3g}")


def linear_view(title: str, values: Array, highest: float, surface: Mask, colours: Array, unit: str = "") -> View:
    """Values from 0 to `highest`."""
    share = _finite(values) / (highest or 1)
    return View(title, _marked(mapped(share, colours), (SKY, ~surface)), "0", scale_of(colours), f"{highest:g}{unit}")


def history_view(what: str, frames: Array, longest: int, surface: Mask) -> View:
    """History lengths from 0 to the longest that the settings allow."""
    return linear_view(f"{what} history length", frames, longest, surface, HEAT, " frames")


def log_view(
    title: str, values: Array, surface: Mask, marks: Iterable[tuple[Colour, str, Mask]] = (), unit: str = ""
) -> View:
    """Positive values on a logarithmic scale; others are black, where nothing is marked."""
    values = np.asarray(values, np.float64)
    valid = surface & (values > 0) & np.isfinite(values)
    low, high = np.percentile(values[valid], (1, 99)) if valid.any() else (1.0, 1.0)
    span = math.log(high / low) or 1.0
    share = np.log(np.where(valid, values, low) / low) / span
    picture = _marked(mapped(share, HEAT), ((0, 0, 0), ~valid), (SKY, ~surface))
    named = []
    for colour, name, where in marks:
        picture[where] = colour
        named.append((colour, f"{name} {_percent(where)}"))
    return View(title, picture, f"{low:.3g}", scale_of(HEAT), f"{high:.3g}{unit}", tuple(named))


def distance_view(title: str, distance: Array, surface: Mask, far: str, none: str) -> View:
    """Lengths of rays; `far` is what those are called that met nothing, `none` those without a length."""
    d = np.asarray(distance, np.float64)
    missed = surface & ~(d < _FAR)  # NaN counts as lit
    return log_view(
        title, np.where(missed, 0, d), surface, [(MISS, far, missed), (NOTHING, none, surface & ~missed & (d <= 0))]
    )


def motion_view(shot: Shot, x: Array, y: Array, surface: Mask) -> View:
    """Where the pixels were: direction as hue, length as brightness."""
    rows, columns = _centres(surface.shape, shot.camera.jitter)
    dx, dy = (np.where(surface & np.isfinite(d), d, 0) for d in (x - columns, y - rows))
    longest = float(np.hypot(dx, dy).max())
    source = "from the cameras" if "motion" not in shot.inputs else "from world space" if shot.world_motion else ""
    title = "motion" + (f", {source}" if source else "")
    wheel = np.linspace(-1, 1, 26)
    disc = directed(wheel[None], wheel[:, None], 1.0)
    disc[np.hypot(wheel, wheel[:, None]) > 1] = PAPER[0] / 255
    picture = _marked(directed(dx, dy, longest), (SKY, ~surface))
    return View(title, picture, f"longest {longest:.3g} px", disc)


def error_view(shot: Shot, x: Array, y: Array, expected: Array, surface: Mask) -> View:
    """By how much the previous frame's depth, where motion says that a pixel was, differs from the depth it had there.

    Black is right. Wide areas of another colour: motion has a wrong sign, scale or unit, or moving things have none. What
    lay behind something nearer counts as hidden, and is no error."""
    title = "motion error"
    if shot.before is None:
        return View(title, _marked(np.zeros((*surface.shape, 3)), (NOTHING, surface)), "no previous frame")
    view_z, camera = shot.before
    previous = depth_of(view_z, shot.sky_distance)
    found, on_screen = looked_up(previous, x - camera.jitter[0], y - camera.jitter[1], expected, camera)
    off, behind = surface & ~on_screen, surface & on_screen & (found < (1 - _UNCOVERED) * expected)
    judged = surface & ~off & ~behind
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(judged, np.abs(found / expected - 1), 0)
    lowest, decades = 1e-3, 3.0
    picture = mapped(np.log10(np.maximum(error, lowest) / lowest) / decades, HEAT)
    marks = [(OFF_SCREEN, "off-screen", off), (HIDDEN, "hidden", behind)]
    picture = _marked(picture, *((colour, where) for colour, _, where in marks), (SKY, ~surface))
    named = tuple((colour, f"{name} {_percent(where)}") for colour, name, where in marks)
    if judged.any():
        title += f": depth off by {100 * np.minimum(error[judged], 1).mean():.2f} % on average"
    return View(title, picture, "0.1 %", scale_of(HEAT), "100 %", named)


def material_view(material_id: Array, surface: Mask) -> View:
    """A colour for each number."""
    turn = (material_id.astype(np.float64) * 0.618034) % 1  # the golden ratio sets neighbouring numbers apart
    colours = hue(turn) * (0.55 + 0.45 * (material_id % 3 / 2))[..., None]
    found = np.unique(material_id[surface])
    listed = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
    return View(f"material_id, {len(found)} of them", _marked(colours, (SKY, ~surface)), listed)


def gain_view(title: str, gain: Array, surface: Mask) -> View:
    """By how many stops the light of the history was moved: blue is darker, red brighter, white as it was."""
    factor = np.maximum(_finite(gain).mean(-1), 1e-12)
    share = np.log2(factor) / (2 * _GAIN_STOPS) + 0.5
    ends = f"1/{2**_GAIN_STOPS:g}", f"{2**_GAIN_STOPS:g}"
    return View(title, _marked(mapped(share, STOPS), (SKY, ~surface)), ends[0], scale_of(STOPS), ends[1])


def signal_views(lobe: str, noisy: Array, denoised: Array, surface: Mask) -> list[View]:
    """Both under the exposure of the denoised one."""
    from .metrics import auto_exposure, tonemap

    noisy, denoised = _finite(noisy), _finite(denoised)
    exposure = auto_exposure(denoised, surface)
    pictures = {"noisy": noisy, "denoised": denoised}
    return [
        View(f"{lobe}, {name}", tonemap(array, exposure), f"exposure {exposure:.3g}")
        for name, array in pictures.items()
    ]


# Geometry


def depth_of(view_z: Array, sky_distance: float) -> Array:
    """(H, W) float64, without sign; inf where there is sky."""
    depth = np.abs(view_z.astype(np.float64))
    return np.where(depth < sky_distance, depth, np.inf)


def reproject(shot: Shot, depth: Array) -> tuple[Array, Array, Array]:
    """Where each pixel was in the previous frame, in pixels from the corner of the picture, and the depth it had there.

    As a denoiser does: by motion where it is there, else from the cameras. Without a previous frame the camera stands.
    """
    motion = shot.inputs.get("motion")
    before = shot.camera if shot.before is None else shot.before[1]
    rows, columns = _centres(depth.shape, shot.camera.jitter)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        world = world_points(shot.camera, depth, columns, rows)
        if motion is not None:
            motion = motion.astype(np.float64)
            if shot.world_motion:
                world = world + motion
        x, y, expected = projected(before, world, depth.shape)
        if motion is not None and not shot.world_motion:
            x, y = columns + motion[..., 0], rows + motion[..., 1]
            if motion.shape[2] == 3:
                expected = np.abs(shot.inputs["view_z"].astype(np.float64) + motion[..., 2])
    return x, y, expected


def world_points(camera: Camera, depth: Array, x: Array, y: Array, shape: tuple[int, ...] | None = None) -> Array:
    """(..., 3) of what is seen at a depth, through points of the picture in pixels; shape: (H, W), default of depth."""
    height, width = shape or depth.shape
    clip, (perspective, forward) = camera.view_to_clip, _kind(camera)
    ndc = np.stack(np.broadcast_arrays(2 * x / width - 1, 1 - 2 * y / height), -1)
    z = forward * depth
    # x and y of clip space over w are a + b * place / w, with an offset a that grows with z in perspective only.
    w = depth if perspective else np.ones_like(depth)
    shift = clip[:2, 2] * forward if perspective else clip[:2, 3]
    place = (ndc - shift) * w[..., None] / np.diag(clip)[:2]
    view = np.concatenate([place, z[..., None]], -1)
    return np.asarray((view - camera.world_to_view[:3, 3]) @ camera.world_to_view[:3, :3])


def projected(camera: Camera, world: Array, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Where points are in a camera's picture, in pixels, and their depth; nan where they are behind it."""
    height, width = shape
    clip, (perspective, forward) = camera.view_to_clip, _kind(camera)
    view = world @ camera.world_to_view[:3, :3].T + camera.world_to_view[:3, 3]
    depth = forward * view[..., 2]
    w = np.where(depth > 0, depth, np.nan) if perspective else np.ones_like(depth)
    shift = clip[:2, 2] * forward if perspective else clip[:2, 3]
    ndc = view[..., :2] * np.diag(clip)[:2] / w[..., None] + shift
    return (ndc[..., 0] + 1) / 2 * width, (1 - ndc[..., 1]) / 2 * height, depth


def looked_up(depth: Array, x: Array, y: Array, expected: Array, camera: Camera) -> tuple[Array, Mask]:
    """A previous depth at places in pixels, and where they are on screen.

    Within a surface it is interpolated, which is exact on planes: 1 / depth is linear there. At edges and on steep
    slopes, it is that or one of the four around, whichever is nearest to what is expected."""
    height, width = depth.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        on_screen = (x >= 0) & (x < width) & (y >= 0) & (y < height)  # False for nan
        u, v = np.where(on_screen, x - 0.5, 0), np.where(on_screen, y - 0.5, 0)
        left, top = np.floor(u).astype(int), np.floor(v).astype(int)
        columns = [np.clip(left + i, 0, width - 1) for i in (0, 1)]
        rows = [np.clip(top + i, 0, height - 1) for i in (0, 1)]
        taps = np.stack([depth[row, column] for row in rows for column in columns])
        right, down = u - left, v - top
        weights = np.stack([a * b for b in (1 - down, down) for a in (1 - right, right)])
        perspective = _kind(camera)[0]
        mixed = 1 / (weights / taps).sum(0) if perspective else (weights * taps).sum(0)
        found = np.concatenate([taps, mixed[None]])
        misses = np.abs(found / expected - 1)
        misses[:4][weights < 0.01] = np.inf
        closest = np.take_along_axis(found, np.where(np.isnan(misses), np.inf, misses).argmin(0)[None], 0)[0]
        one_surface = taps.max(0) - taps.min(0) < _SLOPE * taps.min(0)
    return np.where(one_surface, mixed, closest), on_screen


def _kind(camera: Camera) -> tuple[bool, int]:
    """Whether it is a perspective, and whether it looks along +z or -z of view space."""
    clip = camera.view_to_clip
    if clip[3, 2] != 0:
        return True, 1 if clip[3, 2] > 0 else -1
    reversed_depth = clip[2, 3] > 0
    return False, -1 if (clip[2, 2] < 0) != reversed_depth else 1


def _centres(shape: tuple[int, ...], jitter: tuple[float, float]) -> tuple[Array, Array]:
    """Rows (H, 1) and columns (1, W), in pixels, that the rays of a frame went through."""
    height, width = shape
    return np.arange(height)[:, None] + 0.5 + jitter[1], np.arange(width)[None, :] + 0.5 + jitter[0]


# Colours


def mapped(share: Array, colours: Array) -> Array:
    """Numbers from 0 to 1 as colours of a scale."""
    steps = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, steps, channel) for channel in colours.T], -1)


def scale_of(colours: Array) -> Array:
    """A picture of a scale."""
    return np.repeat(mapped(np.linspace(0, 1, 40), colours)[None], 10, 0)


def hue(turn: Array) -> Array:
    """Full colours around the wheel: 0 and 1 are red, 1/3 green, 2/3 blue."""
    return np.asarray(np.clip(np.abs((turn[..., None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1))


def directed(dx: Array, dy: Array, longest: float) -> Array:
    """Steps in the picture: direction as hue, the square root of the length as brightness."""
    brightness = np.sqrt(np.clip(np.hypot(dx, dy) / max(longest, 1e-3), 0, 1))
    return np.asarray(hue(np.arctan2(dy, dx) / math.tau % 1) * brightness[..., None])


def _finite(array: Array) -> Array:
    return np.nan_to_num(array.astype(np.float32), nan=0, posinf=0, neginf=0)


def _rgb(picture: Array) -> Array:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, -1)


def _marked(picture: Array, *marks: tuple[Colour, Mask]) -> Array:
    """A copy with pixels of one colour each; later ones count."""
    picture = np.array(picture, np.float64)
    for colour, where in marks:
        picture[where] = colour
    return picture


def _percent(where: Mask) -> str:
    share = 100 * float(where.mean())
    return f"{share:.0f} %" if share >= 9.5 or share == 0 else f"{max(share, 0.1):.1f} %"


# Drawing


def draw(rows: Sequence[Sequence[View]]) -> Array:
    """Views in rows, as a uint8 picture (H', W', 3). Raises DenoiseError where Pillow is absent."""
    Image, ImageDraw = _pillow()
    height, width = rows[0][0].picture.shape[:2]
    size = picture_size(width, height)
    across = max(map(len, rows))
    step_x, step_y = CELL + GAP, BAR + size[1] + GAP
    paper = Image.new("RGB", (GAP + across * step_x, GAP + len(rows) * step_y), PAPER)
    pen = ImageDraw.Draw(paper)
    # Enlarged pixels stay squares; what shrinks is averaged.
    how = Image.Resampling.NEAREST if size[0] >= width else Image.Resampling.BOX
    for j, row in enumerate(rows):
        for i, view in enumerate(row):
            x, y = GAP + i * step_x, GAP + j * step_y
            draw_bar(view, x, y, pen, lambda key, at: paper.paste(Image.fromarray(_bytes(key)), at))
            paper.paste(Image.fromarray(_bytes(view.picture)).resize(size, how), (x, y + BAR))
    return np.array(paper)


def draw_bar(
    view: View, x: int, y: int, pen: ImageDraw.ImageDraw, paste: Callable[[Array, tuple[int, int]], None]
) -> int:
    """The two lines above a picture; returns how many pixels wide they are."""
    title = label(pen, (x, y), view.title, FONT + 1)
    line, end = y + 17, x
    if view.low:
        end += label(pen, (end, line), view.low, FONT, LEGEND) + 5
    if view.scale is not None:
        height, width = view.scale.shape[:2]
        if height > 14:  # beside both lines
            end = max(end, x + title + 8)
        paste(view.scale, (end, line + 13 - height))
        end += width + 5
    if view.high:
        end += label(pen, (end, line), view.high, FONT, LEGEND) + 5
    for colour, name in view.marks:
        paste(np.tile(np.array(colour), (10, 10, 1)), (end + 3, line + 3))
        end += 16
        end += label(pen, (end, line), name, FONT, LEGEND) + 4
    return max(title, end - x)


def label(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill: tuple[int, int, int] = (255, 255, 255)
) -> int:
    """Writes a line that can be read on any ground; returns how many pixels wide it is."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    pen.text(at, text, font=font, fill=fill, stroke_width=max(1, size // 8), stroke_fill="black")
    return math.ceil(pen.textlength(text, font=font))


def picture_size(width: int, height: int) -> tuple[int, int]:
    """Pixels of a view's picture: as large as fits; enlarged by whole numbers only."""
    fit = min(CELL / width, TALLEST / height)
    fit = math.floor(fit) if fit >= 1 else fit
    return max(1, round(width * fit)), max(1, round(height * fit))


def _bytes(picture: Array) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageDraw
    except ModuleNotFoundError:
        raise DenoiseError('overlay: Pillow is not installed; pip install "rt-denoise[cli]" brings it') from None
    return Image, ImageDraw
