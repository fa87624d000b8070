// SPDX-License-Identifier: Apache-2.0
// Where a pixel was in the last frame, and how much of what is found there belongs to it. Shared by all temporal passes.
#pragma once
#include "edge_weights.h"
#include "sampling.h"

namespace denoise::DN_TARGET {

// ---- surface motion

struct SurfaceMotion {
    Float2 uv;       // in the last frame
    Float view_z;    // expected there
    Float3 world;    // previous position, in this frame's camera-relative world
};

// `motion` has 2 channels (pixels; the point is taken as static in depth), 3 (pixels and view_z; or, with `world_motion`, a world-space step)
// or is absent (static scene). `view_z` is the guide's. `value(channel)` reads `motion` where the point is.
template <class Value>
DN_FN SurfaceMotion surface_motion_by(const FrameConstants& frame, const Array& motion, Value value, Float2 uv, Float3 world, Float view_z) {
    SurfaceMotion m;
    if (!motion.present() || frame.world_motion) {
        m.world = world;
        if (motion.present()) m.world = world + Float3{value(0), value(1), value(2)};
        m.uv = project(frame.prev_world_to_clip, m.world);
        m.view_z = transform(frame.prev_world_to_view, m.world).z;
        return m;
    }
    m.uv = {uv.x + value(0) * Float(frame.inv_width), uv.y + value(1) * Float(frame.inv_height)};
    if (motion.channels == 3) {
        const Float dz = value(2);
        m.view_z = view_z + select(given_negative(view_z), -dz, dz);
    } else {
        m.view_z = transform(frame.prev_world_to_view, world).z;
    }
    const Float3 view = unproject(frame.prev_unproject, frame.orthographic, m.uv.x, m.uv.y, m.view_z);
    const float* v = frame.prev_world_to_view;
    const Float3 d = {view.x - Float(v[3]), view.y - Float(v[7]), view.z - Float(v[11])};
    m.world = {Float(v[0]) * d.x + Float(v[4]) * d.y + Float(v[8]) * d.z, Float(v[1]) * d.x + Float(v[5]) * d.y + Float(v[9]) * d.z,
               Float(v[2]) * d.x + Float(v[6]) * d.y + Float(v[10]) * d.z};
    return m;
}
DN_FN SurfaceMotion surface_motion(const FrameConstants& frame, const Array& motion, const Pixel& p, Float2 uv, Float3 world, Float view_z) {
    return surface_motion_by(frame, motion, [&](int channel) { return read(motion, p, channel); }, uv, world, view_z);
}
// The same at a pixel per lane.
DN_FN SurfaceMotion surface_motion_at(const FrameConstants& frame, const Array& motion, Int x, Int y, Float2 uv, Float3 world, Float view_z) {
    const auto value = [&](int channel) {
        Array one = motion;
        one.data += channel * motion.stride_c;
        return read_at(one, x, y);
    };
    return surface_motion_by(frame, motion, value, uv, world, view_z);
}
// Relative difference of depth up to which the last frame showed the same surface: more for strands thinner than a pixel, and where the caller's
// `mix_in`, which may be absent, says so.
DN_FN Float disocclusion_threshold(const FrameConstants& frame, const Array& mix_in, const Pixel& p, Mask strand, Float pixel_size) {
    Float share = select(strand, sat(Float(0.5f) * pixel_size / Float(frame.strand_thickness + 1e-6f)), Float(0.f));
    if (mix_in.present()) share = sat(read(mix_in, p));
    return mix(Float(frame.disocclusion_threshold), Float(frame.disocclusion_threshold_alternate), share);
}
DN_FN Float2 to_pixels(const FrameConstants& frame, Float2 uv) { return {uv.x * Float(float(frame.width)), uv.y * Float(float(frame.height))}; }
DN_FN Bilinear bilinear_at_uv(const FrameConstants& frame, Float2 uv) {
    // Far-off positions are pulled to just outside the picture, where no texel is valid.
    const Float2 px = to_pixels(frame, uv);
    return bilinear_at(clamp(px.x, Float(-4.f), Float(float(frame.width + 4))), clamp(px.y, Float(-4.f), Float(float(frame.height + 4))));
}
DN_FN Mask texel_inside(const FrameConstants& frame, Int x, Int y) { return x >= Int(0) && x < Int(frame.width) && y >= Int(0) && y < Int(frame.height); }

// History length the pixel had in the last frame, found by nearest motion and a depth test alone; 0 where the surface was not seen.
// Enough to size a blur, not to blend by.
DN_FN Float last_history_length(const FrameConstants& frame, const Image<R8U>& prev_frames, const Image<Guide>& guide, const Image<Guide>& prev_guide, const Array& motion,
                                const Pixel& p) {
    const Float z = fetch(guide, p).view_z;
    const Float2 uv = {p.center_x() * Float(frame.inv_width), p.center_y() * Float(frame.inv_height)};
    const Float3 world = rotate_back(frame.world_to_view, view_position(frame, uv.x, uv.y, z));
    const SurfaceMotion m = surface_motion(frame, motion, p, uv, world, z);
    const Float2 px = to_pixels(frame, m.uv);
    const Int x = to_int(floor(clamp(px.x, Float(-4.f), Float(float(frame.width + 4))))), y = to_int(floor(clamp(px.y, Float(-4.f), Float(float(frame.height + 4)))));
    const Float zs = gather(prev_guide, x, y).view_z;
    const Mask same = is_surface(frame, z) && texel_inside(frame, x, y) && abs(zs - m.view_z) < Float(0.05f) * frustum_span(frame, z);
    return select(same, decode_frames(gather(prev_frames, x, y)), Float(0.f));
}

// ---- footprints: which of the four texels around a history position may be used

struct Footprint {
    Bilinear taps;
    Float valid[4];  // 0 or 1
    Mask cubic;      // all twelve texels of a Catmull-Rom fetch are valid
};
DN_FN Float coverage(const Footprint& f) { return f.valid[0] * f.taps.weight[0] + f.valid[1] * f.taps.weight[1] + f.valid[2] * f.taps.weight[2] + f.valid[3] * f.taps.weight[3]; }
// A footprint in nine bits: the weight of each tap in thirds, and whether it is cubic.
DN_FN Int encode_footprint(const Footprint& f) {
    Int bits = select(f.cubic, Int(256), Int(0));
    for (int k = 0; k < 4; k++) bits = bits | shift_left(to_int(sat(f.valid[k]) * Float(3.f) + Float(0.5f)), 2 * k);
    return bits;
}
DN_FN void decode_footprint(Int bits, Footprint& f) {
    for (int k = 0; k < 4; k++) f.valid[k] = to_float(shift_right(bits, 2 * k) & Int(3)) * Float(1.f / 3.f);
    f.cubic = (bits & Int(256)) != Int(0);
}
// History through a footprint: sharp where all texels are valid, else the valid ones of the four.
template <class F> DN_FN typename Texel<F>::Value fetch_history(const FrameConstants& frame, const Image<F>& image, const Footprint& f, Float2 uv) {
    using V = typename Texel<F>::Value;
    Float weight[4];
    for (int k = 0; k < 4; k++) weight[k] = f.valid[k] * f.taps.weight[k];
    V linear{}, cubic{};
    if (any(f.cubic)) {
        // Overshoot is cut: fed back from frame to frame it would draw dark rims around highlights.
        const Float2 px = to_pixels(frame, uv);
        V low{}, high{};
        cubic = fetch_cubic(image, px.x, px.y, low, high);
        cubic = min(max(cubic, low), high);
        if (all(f.cubic)) return cubic;
    }
    linear = fetch_weighted(image, f.taps, weight);
    return select(f.cubic, cubic, linear);
}

// ---- virtual motion: a reflection moves like the image behind (or before) a curved mirror

// Thin mirror with curvature 1/world, hit distance h and lobe factor f: where the image of what this pixel reflects was in the last frame.
// For a flat mirror the image lies h * f behind the surface. `step` is the surface's own motion, last position minus this one: a mirror with
// magnification m that moves takes its image along by 1 - m across and 1 + m^2 along the normal (flat: 0 and 2; strongly convex: 1 and 1).
DN_FN Float3 virtual_point(Float3 world, Float3 step, Float3 n, Float3 view, Float n_dot_v, Float lobe_cosine, Float factor, Float curvature, Float h) {
    Float denominator = Float(1.f) + Float(2.f) * curvature * h * lobe_cosine;
    denominator = select(abs(denominator) < Float(1e-4f), Float(1e-4f), denominator);
    Float magnification = Float(1.f) / denominator;
    magnification = magnification / (Float(1.f) + length(world) * (Float(1.f) - n_dot_v) * max(curvature, Float(0.f)));  // damped at the silhouette
    magnification = magnification * factor;
    const Float m = clamp(magnification, Float(-1.f), Float(1.f)), along = dot(step, n);
    return world - view * (magnification * h) + (step - n * along) * (Float(1.f) - m) + n * (along * (Float(1.f) + m * m));
}

}  // namespace denoise::DN_TARGET
