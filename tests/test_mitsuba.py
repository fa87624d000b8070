# SPDX-License-Identifier: Apache-2.0
"""Real files of Mitsuba, rendered here where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import renderer_files

from denoise import cli, metrics
from denoise import sequences as sq

mi = pytest.importorskip("mitsuba")

pytestmark = pytest.mark.mitsuba

SIZE, FRAMES, STEP = (96, 72), 6, 0.02
AOVS = "albedo:albedo,depth:depth,position:position,nn:sh_normal,shape:shape_index"


def scene(index: int) -> Any:
    """A Cornell box, seen by a camera that moves sideways."""
    described = mi.cornell_box()
    path = {"type": "path", "max_depth": 4}
    described["integrator"] = {"type": "aov", "aovs": AOVS, "image": path}
    film = {"type": "hdrfilm", "width": SIZE[0], "height": SIZE[1], "rfilter": {"type": "box"}}
    described["sensor"] |= {"to_world": mi.ScalarTransform4f(pose(index)), "film": film, "fov_axis": "x"}
    return mi.load_dict(described)


def pose(index: int) -> np.ndarray:
    """Camera to world; Mitsuba's camera has x to the left, y up, and looks along +z."""
    return np.array([[-1, 0, 0, STEP * index], [0, 1, 0, 0], [0, 0, -1, 3.9], [0, 0, 0, 1]], float)


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """shot.0000.exr, ... at 1 sample per pixel, cameras.json, and reference.exr of the last frame."""
    mi.set_variant("scalar_rgb")
    folder = tmp_path_factory.mktemp("mitsuba")
    entries = []
    for index in range(FRAMES):
        made = scene(index)
        mi.render(made, spp=1, seed=index)
        made.sensors()[0].film().write(str(folder / f"shot.{index:04d}.exr"))
        view = np.diag([-1, 1, -1, 1]) @ np.linalg.inv(pose(index))  # ours: x to the right, looking along -z
        entries.append({"world_to_view": view.tolist(), "field_of_view": 39.3077})
    mi.render(made, spp=256, seed=99)
    made.sensors()[0].film().write(str(folder / "reference.exr"))
    sq.write_json(folder / "cameras.json", {"cameras": entries})
    return folder / "shot.####.exr"


def test_guides_agree_with_the_camera(shot: Path) -> None:
    """Distance becomes depth: that of the positions, seen by the camera."""
    sequence = sq.open_sequence(shot, camera=shot.with_name("cameras.json"))
    assert "preset mitsuba, guessed from the file" in sequence.notes[0]
    for index in (0, FRAMES - 1):
        arrays = sequence.frames[index]
        view = np.array(sequence.meta["cameras"][index]["world_to_view"])
        depth = -(arrays["position"] @ view[2, :3] + view[2, 3])
        surface = arrays["view_z"] < 1e6
        assert surface.mean() > 0.9
        np.testing.assert_allclose(arrays["view_z"][surface], depth[surface], rtol=0.01)


def test_the_picture_is_cleaner_and_the_rest_as_it_was(shot: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean.####.exr"
    assert cli.main(["run", str(shot), "-o", str(out), "--camera", str(shot.with_name("cameras.json"))]) == 0
    last = f"{FRAMES - 1:04d}.exr"
    old, new = renderer_files.read(shot.with_name(f"shot.{last}")), renderer_files.read(tmp_path / f"clean.{last}")
    assert {name for name in old if old[name].tobytes() != new[name].tobytes()} == set("RGB")
    assert renderer_files.headers(shot.with_name(f"shot.{last}")) == renderer_files.headers(tmp_path / f"clean.{last}")
    reference = renderer_files.read(shot.with_name("reference.exr"))

    def picture(channels: dict[str, np.ndarray]) -> np.ndarray:
        return metrics.tonemap(np.stack([channels[c] for c in "RGB"], -1))

    noisy, denoised = (metrics.psnr(picture(channels), picture(reference)) for channels in (old, new))
    print(f"PSNR {noisy:.2f} -> {denoised:.2f}")
    assert denoised > noisy + 5
    assert metrics.energy(picture(new), picture(reference)) == pytest.approx(1, abs=0.1)
