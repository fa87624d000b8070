# SPDX-License-Identifier: Apache-2.0
"""A pipeline gives the bits of its denoisers, for the guides of one; and says what does not fit together."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import small_scene
from test_api import assert_equal

import denoise as dn

WIDTH, HEIGHT, FRAMES = 83, 45, 4


def frame(index: int) -> dict[str, Any]:
    """Everything that ReBLUR and SIGMA take; lights come and go."""
    return {**small_scene.inputs(index, WIDTH, HEIGHT), **small_scene.shadows(index, WIDTH, HEIGHT)}


def reblur(**options: Any) -> dn.Reblur:
    return dn.Reblur(WIDTH, HEIGHT, **options)


def sigma(**options: Any) -> dn.Sigma:
    return dn.Sigma(WIDTH, HEIGHT, **options)


def pair() -> tuple[dn.Reblur, dn.Sigma]:
    """Denoisers with settings, dtypes and outputs of their own, for a frame they agree about."""
    shared = {"strand_material": 2, "units_per_metre": 2.0, "frame_time": 1 / 60}
    settings = dn.ReblurSettings(max_accumulated_frames=12, camera_attached_material=4, **shared)
    return (
        reblur(settings=settings, outputs=("history_length", "hit_distance"), dtype=np.float32),
        sigma(settings=dn.SigmaSettings(max_stabilized_frames=4, **shared), outputs=("history_length",)),
    )


def assert_holds(whole: dn.Result, parts: list[dn.Result]) -> None:
    """The result has what the results of single denoisers have, and nothing else."""
    fields = dn.Result.__dataclass_fields__
    joined = {name: next((v for p in parts if (v := getattr(p, name)) is not None), None) for name in fields}
    assert_equal(whole, dn.Result(**joined))


def test_results_are_those_of_its_denoisers() -> None:
    pipeline, alone = dn.Pipeline(pair()), pair()
    for index in range(FRAMES):
        reset = index == 2
        whole = pipeline(**frame(index), reset=reset)
        assert_holds(whole, [denoiser(**frame(index), reset=reset) for denoiser in alone])
        assert whole.diffuse.dtype == np.float32
        assert whole.shadow[0].dtype == np.float16
    passes = [name for name, _ in pipeline._native.timings()]
    assert passes.count("pack_guides") == passes.count("classify_tiles") == 1
    assert {name for d in alone for name in d.timings()} == set(passes) == set(pipeline.timings())
    assert pipeline.memory.total < sum(denoiser.memory.total for denoiser in alone)
    page = pipeline.describe()
    assert page.count("pack_guides") == 1
    assert all(name in page for name in passes)


def test_guides_are_kept_for_those_who_need_them() -> None:
    """SIGMA reads the guides of its frame, ReBLUR those of the last one and the tiles, too."""
    alone, beside = sigma(), dn.Pipeline([sigma(), reblur()])
    for index in range(2):
        alone(**frame(index))
        beside(**frame(index))
    assert not any("guide" in name or "material" in name for name in alone.save_state()["native"])
    assert "classify_tiles" not in alone.timings()
    assert {"guide.0", "guide.1", "material.0", "material.1"} <= beside.save_state()["native"].keys()


def test_the_order_does_not_matter() -> None:
    one, other = dn.Pipeline(pair()), dn.Pipeline(pair()[::-1])
    for index in range(2):
        assert_equal(one(**frame(index)), other(**frame(index)))


def test_the_page_before_the_first_frame() -> None:
    page = dn.Pipeline([reblur(), sigma()]).describe()
    assert all(name in page for name in ("pack_guides", "stabilize.specular", "occluder_distance.0", "out.shadow.0"))


def test_life_of_a_pipeline() -> None:
    pipeline = dn.Pipeline(pair())
    assert pipeline.timings() == {}
    assert [type(member) for member in pipeline.members] == [dn.Reblur, dn.Sigma]
    assert repr(pipeline) == f"<Pipeline of Reblur, Sigma, 83 x 45 on {pipeline.device}>"
    assert {"diffuse", "roughness", "occluder_distance", "view_z"} <= pipeline.inputs.keys()
    first = pipeline(**frame(1))
    buffers = pipeline(**frame(2), out=first)
    assert buffers.diffuse is first.diffuse
    assert buffers.shadow[0] is first.shadow[0]

    other = dn.Pipeline(pair())
    other.load_state(pickle.loads(pickle.dumps(pipeline.save_state())))
    assert_equal(other(**frame(3)), pipeline(**frame(3)))
    with pytest.raises(TypeError, match=r"state: expected what Pipeline\.save_state returned"):
        dn.Pipeline([sigma()]).load_state(pipeline.save_state())

    pipeline.resize(16, 8)
    assert {(member.width, member.height) for member in (pipeline, *pipeline.members)} == {(16, 8)}
    with pytest.raises(ValueError, match=r"resize\(83, 45\)"):
        pipeline(**frame(0))
    pipeline.resize(WIDTH, HEIGHT)
    assert_equal(pipeline(**frame(0)), dn.Pipeline(pair())(**frame(0)))


def test_members_are_called_through_the_pipeline() -> None:
    member = reblur()
    member(**frame(0))
    pipeline = dn.Pipeline([member])
    uses: list[Callable[[], Any]] = [
        lambda: member(**frame(1)),
        lambda: member.resize(8, 8),
        lambda: member.memory,
        member.save_state,
        member.timings,
        member.describe,
    ]
    for use in uses:
        with pytest.raises(dn.DenoiseError, match="Reblur: belongs to a Pipeline; call that instead"):
            use()
    assert_equal(pipeline(**frame(0)), reblur()(**frame(0)))  # what it had seen before is forgotten
    member.settings = dn.ReblurSettings(max_stabilized_frames=0)
    pipeline(**frame(1))
    assert "stabilize.diffuse" not in pipeline.timings()


def test_a_frame_needs_something_for_each() -> None:
    pipeline = dn.Pipeline([reblur(), sigma()])
    with pytest.raises(TypeError, match="occluder_distance: missing; it is required"):
        pipeline(**{**frame(0), "occluder_distance": None})
    with pytest.raises(TypeError, match="light: missing"):
        pipeline(**{**frame(0), "light": None})
    with pytest.raises(TypeError, match="diffuse, specular: both missing"):
        pipeline(**small_scene.shadows(0, WIDTH, HEIGHT))
    pipeline(**frame(0))
    diffuse_only = dict.fromkeys(("specular", "specular_hit_distance", "specular_confidence"))
    with pytest.raises(ValueError, match="diffuse, shadow: the frames so far had diffuse and specular and shadow"):
        pipeline(**{**frame(1), **diffuse_only})


WRONG = {
    "no sequence": (lambda: reblur(), TypeError, "denoisers: expected a sequence of denoisers, got Reblur"),
    "empty": (lambda: [], TypeError, "denoisers: expected a sequence of denoisers, got none"),
    "a class": (
        lambda: [reblur(), dn.Sigma],
        TypeError,
        "denoisers[1]: expected a denoiser of one family, such as Reblur or Sigma, got ABCMeta",
    ),
    "a pipeline": (
        lambda: [dn.Pipeline([reblur()]), sigma()],
        TypeError,
        "denoisers[0]: expected a denoiser of one family, such as Reblur or Sigma, got Pipeline",
    ),
    "two of a kind": (
        lambda: [sigma(), reblur(), sigma()],
        ValueError,
        "denoisers[2]: Sigma and Sigma both write shadow; leave one out",
    ),
    "one of another's": (
        lambda: [reblur(), dn.Pipeline([sigma()]).members[0]],
        ValueError,
        "denoisers[1]: this Sigma belongs to a Pipeline already",
    ),
    "another size": (
        lambda: [reblur(), dn.Sigma(8, 8)],
        ValueError,
        "denoisers[1]: expected 83 x 45 like the first, got 8 x 8",
    ),
    "another device": (
        lambda: [sigma(), reblur(device="cpu:scalar")],
        ValueError,
        "denoisers[1]: expected the device of the first, cpu: ",
    ),
    "another frame time": (
        lambda: [reblur(), sigma(settings=dn.SigmaSettings(frame_time=0.5))],
        ValueError,
        "frame_time: expected one value for the whole frame, got 0.03333333333333333 of Reblur and 0.5 of Sigma",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_together_raises(case: tuple[Callable[[], Any], type[Exception], str]) -> None:
    make, error, message = case
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        dn.Pipeline(make())


def test_a_refused_member_stays_free() -> None:
    member = reblur()
    with pytest.raises(ValueError, match="expected 83 x 45"):
        dn.Pipeline([member, dn.Sigma(8, 8)])
    member(**frame(0))


def test_settings_may_not_drift_apart() -> None:
    pipeline = dn.Pipeline([reblur(), sigma()])
    pipeline(**frame(0))
    pipeline.members[1].settings.split_screen = 0.5
    with pytest.raises(ValueError, match=r"split_screen: .* got 0\.0 of Reblur and 0\.5 of Sigma"):
        pipeline(**frame(1))
    pipeline.members[0].settings.split_screen = 0.5
    pipeline(**frame(1))
