// SPDX-License-Identifier: Apache-2.0
#include "camera.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace denoise {
namespace {

// View space turned left-handed with +z forward; rotation and position instead of a matrix; clip rows x, y and w only, so that the kind
// of depth does not matter.
struct Rig {
    double rotation[3][3];  // world to view
    double position[3];     // of the camera, world
    double clip[3][4];      // view to clip: x, y, w
    bool orthographic;
};

Rig rig(const Camera& camera) {
    const double* P = camera.view_to_clip;
    const double* V = camera.world_to_view;
    Rig r{};
    r.orthographic = P[14] == 0;
    // Perspective: w is +z or -z, which tells the direction of view. Orthographic: depth is reversed where its offset is positive, else it grows
    // away from the camera (from the textbook matrices of both kinds, for clip depth from 0 or from -1).
    const bool reversed = P[11] > 0, looks_along_minus_z = r.orthographic ? (P[10] < 0) != reversed : P[14] < 0;
    const double flip = looks_along_minus_z ? -1 : 1, w_scale = r.orthographic ? P[15] : std::abs(P[14]);
    const int rows[3] = {0, 1, 3};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) r.clip[i][j] = P[4 * rows[i] + j] * (j == 2 ? flip : 1) / w_scale;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) r.rotation[i][j] = V[4 * i + j] * (i == 2 ? flip : 1);
    for (int j = 0; j < 3; j++) {
        r.position[j] = 0;
        for (int i = 0; i < 3; i++) r.position[j] -= r.rotation[i][j] * V[4 * i + 3] * (i == 2 ? flip : 1);
    }
    return r;
}

// uv to view position over z (orthographic: to view position): what `unproject` of geometry.h inverts.
void unprojection(const Rig& r, float out[4]) {
    const int offset = r.orthographic ? 3 : 2;
    out[0] = float((-1 - r.clip[0][offset]) / r.clip[0][0]);
    out[1] = float((1 - r.clip[1][offset]) / r.clip[1][1]);
    out[2] = float(2 / r.clip[0][0]);
    out[3] = float(-2 / r.clip[1][1]);
}

}  // namespace

std::array<double, 3> camera_position(const Camera& camera) {
    const Rig r = rig(camera);
    return {r.position[0], r.position[1], r.position[2]};
}

float jitter_step(const Camera& current, const Camera& previous) {
    return float(std::max(std::abs(current.jitter[0] - previous.jitter[0]), std::abs(current.jitter[1] - previous.jitter[1])));
}

FrameConstants frame_constants(const Camera& current, const Camera& previous, int width, int height) {
    const Rig now = rig(current), before = rig(previous);
    FrameConstants f;
    f.width = width;
    f.height = height;
    f.inv_width = 1.f / float(width);
    f.inv_height = 1.f / float(height);
    f.camera_moved = std::memcmp(current.world_to_view, previous.world_to_view, sizeof current.world_to_view) != 0 ||
                     std::memcmp(current.view_to_clip, previous.view_to_clip, sizeof current.view_to_clip) != 0;
    f.orthographic = now.orthographic ? 1.f : 0.f;
    unprojection(now, f.unproject);
    unprojection(before, f.prev_unproject);

    double delta[3];
    for (int i = 0; i < 3; i++) {
        delta[i] = before.position[i] - now.position[i];
        f.camera_delta[i] = float(delta[i]);
    }
    double prev_view[3][4];
    for (int i = 0; i < 3; i++) {
        prev_view[i][3] = 0;
        for (int j = 0; j < 3; j++) {
            f.world_to_view[3 * i + j] = float(now.rotation[i][j]);
            prev_view[i][j] = before.rotation[i][j];
            prev_view[i][3] -= before.rotation[i][j] * delta[j];
        }
        for (int j = 0; j < 4; j++) f.prev_world_to_view[4 * i + j] = float(prev_view[i][j]);
    }
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            double a = j == 3 ? now.clip[i][3] : 0, b = j == 3 ? before.clip[i][3] : 0;
            for (int k = 0; k < 3; k++) {
                a += j == 3 ? 0 : now.clip[i][k] * now.rotation[k][j];
                b += before.clip[i][k] * prev_view[k][j];
            }
            f.world_to_clip[4 * i + j] = float(a);
            f.prev_world_to_clip[4 * i + j] = float(b);
        }
    f.pixel_size = float(2 / (height * std::abs(now.clip[1][1])));
    f.frustum_span = float(std::min(width, height)) * f.pixel_size;
    return f;
}

}  // namespace denoise
