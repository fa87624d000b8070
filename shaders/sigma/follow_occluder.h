// SPDX-License-Identifier: Apache-2.0
// Follow occluder: a shadow moves like what casts it, not like the surface that it falls on. For blocks of pixels: the step of their
// occluders since the last frame, where these are on screen and their shadows moved over the surface.
#pragma once
#include "shadow.h"

namespace denoise {
struct FollowOccluderArgs {
    Image<Guide> guide;       // in
    Array motion;             // in, may be absent
    Array occluder_distance;  // in
    Image<R16U> tiles;        // in: of spread_softness
    ShadowLight light;
    Image<RGBA16F> steps;     // out, one texel a block: last position minus this one, world units, and distance of the occluder; 0: not known
    static constexpr float share = 0.5f / step_block;  // every second pixel of one row of each block
    template <class V> void io(V& v) { v.in(guide, share), v.in(motion, share), v.in(occluder_distance, share), v.in(tiles), v.out(steps); }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../reproject.h"
namespace denoise::DN_TARGET {

// Where on the receiver's plane the shadow of a point was in the last frame; all in this frame's camera-relative world.
DN_FN Float3 shadow_before(const FrameConstants& frame, const ShadowLight& light, Float3 occluder, Float3 receiver, Float3 normal) {
    Float3 to_light = rotate_back(frame.world_to_view, to_vec(light.last));
    if (light.local) to_light = normalize(to_light - occluder);
    const Float rise = max(dot(to_light, normal), Float(0.05f));  // at a grazing angle a shadow may come from anywhere
    return occluder - to_light * (dot(occluder - receiver, normal) / rise);
}

struct FollowOccluder {
    using Args = FollowOccluderArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& block, const Tile&) {
        constexpr int per_tile = shadow_tile / step_block;
        static_assert(per_tile == 2, "see the shift");
        const Mask soft = (gather(a.tiles, shift_right(block.x, 1), Int(block.y / per_tile)) & Int(255)) > Int(0);
        Float3 step = {Float(0.f), Float(0.f), Float(0.f)};
        Float distance(0.f), count(0.f);
        if (any(soft))
            for (int x = 1; x < step_block; x += 2) add(a, frame, block.x * Int(step_block) + Int(x), Int(block.y * step_block + step_block / 2), soft, step, distance, count);
        const Float scale = Float(1.f) / max(count, Float(1.f));
        step = step * scale;
        store(a.steps, block, {step.x, step.y, step.z, distance * scale});
    }

   private:
    struct Point {
        Float3 view, world;
        Float3 before;  // world in the last frame
    };
    DN_FN static Point point_at(const Args& a, const FrameConstants& frame, Int x, Int y, Float z) {
        const Float2 uv = {(to_float(x) + Float(0.5f)) * Float(frame.inv_width), (to_float(y) + Float(0.5f)) * Float(frame.inv_height)};
        Point p;
        p.view = view_position(frame, uv.x, uv.y, z);
        p.world = rotate_back(frame.world_to_view, p.view);
        p.before = surface_motion_at(frame, a.motion, x, y, uv, p.world, z).world;
        return p;
    }
    DN_FN static void add(const Args& a, const FrameConstants& frame, Int x, Int y, Mask soft, Float3& step, Float& sum, Float& count) {
        const Float distance = occluder_distance(read_at(a.occluder_distance, x, y));
        const Surface surface = gather(a.guide, x, y);
        const Mask blocked = soft && distance > Float(0.f) && distance < Float(lit_distance) && texel_inside(frame, x, y) && is_surface(frame, surface.view_z);
        if (!any(blocked)) return;
        const Point receiver = point_at(a, frame, x, y, surface.view_z);
        // On screen at the place of the occluder there must be something about as far away as it is: the near side of it.
        const Float3 at = receiver.view + direction_to(a.light, receiver.view) * distance, at_world = rotate_back(frame.world_to_view, at);
        const Float2 uv = project(frame.world_to_clip, at_world), px = to_pixels(frame, uv);
        const Int ox = to_int(floor(clamp(px.x, Float(0.f), Float(float(frame.width - 1))))), oy = to_int(floor(clamp(px.y, Float(0.f), Float(float(frame.height - 1)))));
        const Float z = gather(a.guide, ox, oy).view_z;
        const Mask seen = blocked && on_screen(uv) && at.z > Float(0.f) && z > Float(0.95f) * at.z && z < Float(1.02f) * at.z;
        if (!any(seen)) return;
        const Point occluder = point_at(a, frame, ox, oy, z);
        const Float3 moved = occluder.before - occluder.world, normal = decode_normal(surface.packed);
        const Float3 shadow = shadow_before(frame, a.light, at_world + moved, receiver.before, normal);
        const Float2 shadow_px = to_pixels(frame, project(frame.prev_world_to_clip, shadow)), surface_px = to_pixels(frame, project(frame.prev_world_to_clip, receiver.before));
        const Float far = square(shadow_px.x - surface_px.x) + square(shadow_px.y - surface_px.y);
        const Mask good = seen && far > Float(0.1f * 0.1f) && far < Float(100.f * 100.f);
        step = step + select(good, moved, Float3{Float(0.f), Float(0.f), Float(0.f)});
        sum = sum + select(good, distance, Float(0.f));
        count = count + select(good, Float(1.f), Float(0.f));
    }
};
}  // namespace denoise::DN_TARGET
#endif
