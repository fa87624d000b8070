// SPDX-License-Identifier: Apache-2.0
// The only place with matrices on the host: the cameras of two frames become the constants that passes read.
#pragma once
#include <array>

#include "../../shaders/frame_constants.h"

namespace denoise {

// As the caller gives it: row-major matrices for column vectors, without jitter. Left- or right-handed view space, perspective (also
// off-centre, reversed or infinite depth) or orthographic.
struct Camera {
    double world_to_view[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    double view_to_clip[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0};
    double jitter[2] = {0, 0};  // pixels, x right, y down, within +-1/2
};

// Sizes, matrices and what follows from them; everything else is the denoiser's to fill in.
FrameConstants frame_constants(const Camera& current, const Camera& previous, int width, int height);

// Where the camera is, in the caller's world: minus this, a position of that world is one of the passes' world space.
std::array<double, 3> camera_position(const Camera& camera);

// The largest jitter step between two frames, in pixels: how far a static point may wander across the pixel grid.
float jitter_step(const Camera& current, const Camera& previous);

}  // namespace denoise
