// SPDX-License-Identifier: Apache-2.0
// What every pass of a frame shares: cameras, sizes, time. Filled in csrc/graph/camera.cpp, read-only in shaders.
#pragma once
#include <cstdint>

namespace denoise {

// World space is camera-relative: its origin is the current camera, so that fp32 keeps its precision in large scenes.
// View space is left-handed with +z forward, whatever the caller's convention was.
struct FrameConstants {
    int32_t width = 0, height = 0;  // pixels
    uint32_t frame_index = 0;       // counts from the last reset; seeds rotations and random numbers
    float inv_width = 0, inv_height = 0;

    // view.xy = (unproject.xy + uv * unproject.zw) * z; orthographic: without the factor z
    float unproject[4] = {};
    float prev_unproject[4] = {};
    float orthographic = 0;  // 0 or 1

    float world_to_view[9] = {};       // rotation, row-major; its transpose is view to world
    float prev_world_to_view[12] = {};  // 3x4, row-major: current camera-relative world to previous view
    float world_to_clip[12] = {};      // rows x, y, w
    float prev_world_to_clip[12] = {};
    float camera_delta[3] = {};  // previous minus current camera position, world units

    float pixel_size = 0;    // world size of a pixel at depth 1 (orthographic: at any depth)
    float frustum_span = 0;  // world size of the shorter screen side at depth 1 (orthographic: at any depth)
    float units_per_metre = 1;   // world units
    float sky_distance = 0;  // view_z at or beyond it is sky
    float frame_rate_scale = 1;  // 1 at 30 frames a second or fewer, 2 at 60
    float split_screen = 0;  // uv.x; left of it, the results show the noisy input

    float disocclusion_threshold = 0;            // relative depth, jitter slack included
    float disocclusion_threshold_alternate = 0;  // for strands and where the caller's mix says so
    int32_t strand_material = -1;
    int32_t camera_attached_material = -1;
    float strand_thickness = 0;  // world units

    float hit_distance_offset = 0, hit_distance_depth_scale = 0, hit_distance_roughness_scale = 0;  // see hit_distance_scale()
    int32_t world_motion = 0;  // the caller's motion is a step in world space instead of pixels
    int32_t history_valid = 0;                                                                      // 0 in the first frame and after a reset
    int32_t camera_moved = 0;                                                                       // its matrices are not those of the previous frame, bit for bit
};

}  // namespace denoise
