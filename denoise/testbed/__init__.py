# SPDX-License-Identifier: Apache-2.0
"""A small path tracer over analytic shapes: animated scenes with the arrays that a game hands to a denoiser.

    from denoise import testbed
    arrays = testbed.render("room", frame=3, width=480, height=270, reference_samples=64)

It needs numba: `pip install "rt-denoise[demo]"`. The first call compiles for a few seconds.
"""

from .frames import get_scene, guides, metadata, render, scenes, sequence

__all__ = ["get_scene", "guides", "metadata", "render", "scenes", "sequence"]
