// SPDX-License-Identifier: Apache-2.0
// Filter shadow: averages visibility along the shadow's edge more than across it, then blends it with as much of the past as this frame's
// rays bear out.
#pragma once
#include "estimate_penumbra.h"

namespace denoise {
struct FilterShadowArgs {
    Image<Guide> guide;                      // in
    Image<R16U> penumbra[lights_per_pass];   // in: see encode_penumbra
    Image<R16U> past[lights_per_pass];       // in: see encode_past
    Array out[lights_per_pass];              // out: visibility; with translucency three channels
    Array history_length[lights_per_pass];   // out, may be absent: frames
    Image<R32U> history[lights_per_pass];    // out, absent without history
    Image<R32U> tint, past_tint;             // in, with translucency
    Array translucency;                      // in, with translucency
    Image<R32U> tint_history;                // out, with translucency and history
    ShadowLight light[lights_per_pass];
    int count = 1;
    float plane_sensitivity = 0;
    float max_radius = 0;    // px
    float rotation[2] = {};  // cosine and sine
    float max_frames = 0;    // of the history
    template <class V> void io(V& v) {
        for (int k = 0; k < lights_per_pass; k++) v.out(out[k]), v.out(history_length[k]), v.out(history[k]), v.in(penumbra[k]), v.in(past[k]);
        v.in(guide), v.in(tint), v.in(past_tint), v.in(translucency), v.out(tint_history);
    }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {

// Sixteen points of a disc of radius 2 (Vogel's spiral) and their Gaussian weights, exp(-r^2 / 2).
struct DiscTap {
    float x, y, weight;
};
DN_CONSTANT DiscTap disc_taps[16] = {{0.3536f, 0.0000f, 0.9394f},   {-0.4515f, 0.4137f, 0.8290f}, {0.0691f, -0.7875f, 0.7316f}, {0.5691f, 0.7423f, 0.6456f},
                                     {-1.0444f, -0.1847f, 0.5698f}, {0.9894f, -0.6294f, 0.5028f}, {-0.3309f, 1.2311f, 0.4437f}, {-0.6311f, -1.2152f, 0.3916f},
                                     {1.3693f, 0.5001f, 0.3456f},   {-1.4245f, 0.5880f, 0.3050f}, {0.6867f, -1.4675f, 0.2691f}, {0.5075f, 1.6179f, 0.2375f},
                                     {-1.5295f, -0.8864f, 0.2096f}, {1.7943f, -0.3945f, 0.1850f}, {-1.0950f, 1.5575f, 0.1632f}, {-0.2530f, -1.9522f, 0.1441f}};

template <int Lights, bool Tinted> struct FilterShadow {
    using Args = FilterShadowArgs;
    // view_z, then of each light: raw visibility (negative: does not receive), filtered visibility, visibility of the past (negative: none),
    // width of the penumbra
    static constexpr int per_light = 4, tints = 1 + per_light * Lights, planes = tints + (Tinted ? 4 : 0), halo = 3;
    static constexpr int side = 7, window = side * side;

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        const Mask inside = p.x >= Int(0) && p.x < Int(frame.width) && Mask(p.y >= 0 && p.y < frame.height);
        const Float z = fetch(a.guide, p).view_z;
        out[0] = select(inside && is_surface(frame, z), z, Float(sky_view_z));
        for (int k = 0; k < Lights; k++) {
            Float* light = out + 1 + per_light * k;
            if (k >= a.count) {
                light[0] = light[1] = light[2] = light[3] = Float(0.f);
                continue;
            }
            const Int word = fetch(a.penumbra[k], p), past = fetch(a.past[k], p);
            light[0] = select(inside && decode_receives(word), decode_raw(word), Float(-1.f));
            light[1] = decode_visibility(word);
            light[3] = select(inside, decode_width(word), Float(0.f));
            light[2] = select(inside && past_frames(past) > Float(0.f), past_visibility(past), Float(-1.f));
        }
        if constexpr (Tinted) {
            for (int c = 0; c < 3; c++) {
                const Float given = read(a.translucency, p, c);
                out[tints + c] = select(decode_raw(fetch(a.penumbra[0], p)) > Float(0.5f), Float(1.f), select(given > Float(0.f), sat(given), Float(0.f)));
            }
            out[tints + 3] = luminance(decode_tint(fetch(a.past_tint, p)));
        }
    }
    DN_FN static Float luminance(Float3 c) { return c.x * Float(0.2126f) + c.y * Float(0.7152f) + c.z * Float(0.0722f); }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Surface center = fetch(a.guide, p);
        const Mask surface = is_surface(frame, center.view_z), raw_side = p.center_x() * Float(frame.inv_width) < Float(frame.split_screen);
        Float same[window];
        bool weighed = false;
        for (int k = 0; k < Lights; k++) {
            if (k >= a.count) break;
            const Float raw = max(tile(1 + per_light * k), Float(0.f));
            const Mask receives = surface && tile(1 + per_light * k) >= Float(0.f);
            Float visible = raw, frames = select(receives, Float(max_history_frames), Float(0.f));
            Float3 tint{}, own_tint{};  // with translucency
            if constexpr (Tinted) tint = own_tint = {tile(tints), tile(tints + 1), tile(tints + 2)};
            const Float width = select(receives, known_width(tile, 4 + per_light * k), Float(0.f));
            if (any(width > Float(0.f))) {  // none: no occluder near, or a tile without an edge
                if (!weighed) weigh_window(a, frame, p, tile, center, same), weighed = true;
                Float filtered = raw, kept = frames;
                Float3 colour = tint;
                filter(a, frame, p, tile, k, center, same, width, filtered, kept, colour);
                const Mask soft = width > Float(0.f);
                visible = select(soft, filtered, visible);
                frames = select(soft, kept, frames);
                if constexpr (Tinted) tint = select(soft, colour, tint);
            }
            frames = min(frames, Float(a.max_frames));
            const Float shown = select(receives, select(raw_side, raw, visible), Float(0.f));
            if constexpr (Tinted) {
                const Float3 c = select(raw_side, own_tint, tint);
                const Float channels[3] = {c.x, c.y, c.z};
                for (int i = 0; i < 3; i++) write(a.out[k], p, i, select(receives, channels[i], Float(0.f)));
                if (a.tint_history.present()) store(a.tint_history, p, encode_tint(tint));
            } else {
                write(a.out[k], p, 0, shown);
            }
            if (a.history_length[k].present()) write(a.history_length[k], p, 0, select(receives, frames, Float(0.f)));
            if (a.history[k].present()) store(a.history[k], p, select(receives, encode_history(encode_past(visible, frames), center.view_z), Int(0)));
        }
    }

   private:
    // At the thin end of a penumbra some pixels met no occluder at all. They take the width of those around whose penumbra reaches them.
    DN_FN static Float known_width(const Tile& tile, int plane) {
        constexpr int around[8][2] = {{3, 0}, {2, 2}, {0, 3}, {-2, 2}, {-3, 0}, {-2, -2}, {0, -3}, {2, -2}};
        const Float own = tile(plane);
        Float weight(0.f), sum(0.f);
        for (const auto& at : around) {
            const Float width = tile(plane, at[0], at[1]), w = select(width > Float(1.5f), Float(1.f), Float(0.f));
            weight = weight + w;
            sum = sum + w * width;
        }
        return select(own > Float(0.f), own, min(sum / max(weight, Float(1.f)), Float(100.f)));
    }
    DN_FN static Float3 view_point_at(const FrameConstants& frame, const Pixel& p, Float z) {
        return view_position(frame, p.center_x() * Float(frame.inv_width), p.center_y() * Float(frame.inv_height), z);
    }
    // How far each pixel of the window lies on the centre's surface.
    DN_FN static void weigh_window(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile, Surface center, Float same[window]) {
        const PlaneTest plane = plane_test(frame, rotate(frame.world_to_view, decode_normal(center.packed)), view_point_at(frame, p, center.view_z), a.plane_sensitivity);
        for (int dy = -3; dy <= 3; dy++)
            for (int dx = -3; dx <= 3; dx++) same[(dy + 3) * side + dx + 3] = compact_weight(plane.residual(to_float(p.x + Int(dx)), Float(float(p.y + dy)), tile(0, dx, dy)));
    }

    DN_FN static void filter(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile, int k, Surface center, const Float same[window], Float width,
                             Float& visible, Float& frames, Float3& tint) {
        const int raw = 1 + per_light * k, smooth = raw + 1;
        const Float zero(0.f), one(1.f);
        const Float3 point = view_point_at(frame, p, center.view_z), normal = rotate(frame.world_to_view, decode_normal(center.packed));
        const auto weight_at = [&](int dx, int dy) { return select(tile(raw, dx, dy) >= zero, same[(dy + 3) * side + dx + 3], zero); };

        // Which way the shadow's edge runs: structure tensor of the filtered visibility over the 4x4 quads of a 5x5 window, in pixels, where its
        // noise is the same in every direction.
        Float xx(0.f), xy(0.f), yy(0.f);
        for (int dy = -2; dy < 2; dy++)
            for (int dx = -2; dx < 2; dx++) {
                const Float nw = tile(smooth, dx, dy), ne = tile(smooth, dx + 1, dy), sw = tile(smooth, dx, dy + 1), se = tile(smooth, dx + 1, dy + 1);
                const Float w = weight_at(dx, dy) * weight_at(dx + 1, dy) * weight_at(dx, dy + 1) * weight_at(dx + 1, dy + 1);
                const Float gx = (ne + se) - (nw + sw), gy = (sw + se) - (nw + ne);
                constexpr float quad_gaussian[2] = {0.92f, 0.46f};  // exp(-d^2 / (2 * 1.2^2)) at half and one and a half pixels
                const Float g = w * Float(quad_gaussian[dx == -2 || dx == 1] * quad_gaussian[dy == -2 || dy == 1]);
                xx = xx + g * gx * gx, xy = xy + g * gx * gy, yy = yy + g * gy * gy;
            }
        const LightPlane across = light_plane(frame, point, normal, direction_to(a.light[k], point));
        const Float spread = sqrt(square(xx - yy) + Float(4.f) * xy * xy);
        const Float coherence = min(spread / max(xx + yy, Float(1e-12f)), one);
        // Half-angle formulas give the direction of the gradient from its double angle (xx - yy, 2 xy). The inverse of J^T takes it to the light's
        // plane, where a penumbra is as wide in every direction.
        const Float cos2 = select(spread > Float(1e-12f), (xx - yy) / max(spread, Float(1e-12f)), one);
        const Float gx = sqrt0(Float(0.5f) * (one + cos2)), gy = with_sign_of(sqrt0(Float(0.5f) * (one - cos2)), xy);
        const Float px = gx / across.j00, py = (gy - across.j01 * px) / across.j11, unit = rsqrt(max(px * px + py * py, Float(1e-12f)));
        const Float ux = px * unit, uy = py * unit;

        // Kernel: as narrow across as the penumbra allows without changing its profile, longer along the edge where there is one.
        const Float sigma_across = max(min(Float(1.f) * width, Float(0.95f) * sqrt0(width)), Float(0.02f));
        const Float sigma_along = max(min(sigma_across + square(coherence) * Float(2.f) * width, Float(0.25f * a.max_radius)), sigma_across);
        const Float na = one / square(sigma_across), nl = one / square(sigma_along);
        const Float q00 = ux * ux * na + uy * uy * nl, q01 = ux * uy * (na - nl), q11 = uy * uy * na + ux * ux * nl;
        const Float t0 = q00 * across.j01 + q01 * across.j11;
        const Float m00 = across.j00 * across.j00 * q00, m01 = across.j00 * t0, m11 = across.j01 * t0 + across.j11 * (q01 * across.j01 + q11 * across.j11);

        Float sum(0.f), total(0.f), squares(0.f);
        Float3 colour = {zero, zero, zero};
        for (int dy = -3; dy <= 3; dy++)
            for (int dx = -3; dx <= 3; dx++) {
                const Float distance = m00 * Float(float(dx * dx)) + m01 * Float(float(2 * dx * dy)) + m11 * Float(float(dy * dy));
                const Float fall = max(one - distance * Float(1.f / 8.f), zero);  // (1 - d/8)^4 is close to exp(-d/2)
                const Float w = dx == 0 && dy == 0 ? one : weight_at(dx, dy) * square(square(fall));
                sum = sum + w * tile(raw, dx, dy);
                total = total + w;
                squares = squares + w * w;
                if constexpr (Tinted) colour = colour + Float3{tile(tints, dx, dy), tile(tints + 1, dx, dy), tile(tints + 2, dx, dy)} * w;
            }

        // Wide penumbrae: points of the whole ellipse, each a filtered value that stands for several rays.
        const Float far = linear_step(1.5f, 6.f, width) * Float(3.f);
        if (any(far > zero)) {
            const PlaneTest plane = plane_test(frame, normal, point, a.plane_sensitivity);
            Float far_sum(0.f), far_total(0.f), far_squares(0.f);
            Float3 far_colour = {zero, zero, zero};
            for (int t = 0; t < 16; t++) {
                const DiscTap tap = disc_taps[t];
                const Float e = Float(tap.x * a.rotation[0] - tap.y * a.rotation[1]) * sigma_across, l = Float(tap.x * a.rotation[1] + tap.y * a.rotation[0]) * sigma_along;
                const Float2 step = to_pixels(across, ux * e - uy * l, uy * e + ux * l, a.max_radius);
                const Float fx = floor(p.center_x() + step.x), fy = floor(p.center_y() + step.y);
                const Int ix = clamp_int(to_int(fx), Int(frame.width - 1)), iy = clamp_int(to_int(fy), Int(frame.height - 1));
                const Mask inside = to_float(ix) == fx && to_float(iy) == fy;
                const Float z = gather(a.guide, ix, iy).view_z;
                const Int word = gather(a.penumbra[k], ix, iy);
                const Float other = decode_width(word);
                // A much narrower penumbra is another shadow. Pixels without one are wholly lit or dark and belong.
                const Float alike = select(other > zero, min(other / max(width, Float(1e-3f)), one), one);
                Float w = compact_weight(plane.residual(fx, fy, z)) * alike * Float(tap.weight);
                w = select(inside && decode_receives(word), w, zero);
                far_sum = far_sum + w * decode_visibility(word);
                far_total = far_total + w;
                far_squares = far_squares + w * w;
                if constexpr (Tinted) far_colour = far_colour + decode_tint(gather(a.tint, ix, iy)) * w;
            }
            sum = sum + far * far_sum;
            total = total + far * far_total;
            squares = squares + square(far) * far_squares * Float(0.2f);  // neighbouring points share rays, or it were less
            if constexpr (Tinted) colour = colour + far_colour * far;
        }
        visible = sum / total;
        if constexpr (Tinted) tint = colour * (one / total);
        blend(a, frame, p, tile, k, same, width, squares / square(total), visible, frames, tint);
    }

    // Is what the past says of the pixels around borne out by this frame's rays? Their mean must not differ by more than their noise (a ray
    // is lit or not: variance v (1 - v)), and they must not surprise more often than v says. `leftover` is the part of that variance that
    // the filter leaves.
    DN_FN static void blend(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile, int k, const Float same[window], Float width, Float leftover,
                            Float& visible, Float& frames, Float3& tint) {
        const int raw = 1 + per_light * k, past = raw + 2;
        const Float zero(0.f), one(1.f);
        Float clear(1.f);  // how much less a tinted occluder changes than an opaque one
        if constexpr (Tinted) {
            Float blocked(0.f), through(0.f);
            for (int dy = -2; dy <= 2; dy++)
                for (int dx = -2; dx <= 2; dx++) {
                    const Float w = select(tile(raw, dx, dy) == zero, one, zero);
                    blocked = blocked + w;
                    through = through + w * luminance({tile(tints, dx, dy), tile(tints + 1, dx, dy), tile(tints + 2, dx, dy)});
                }
            clear = max(one - through / max(blocked, one), Float(0.1f));
        }
        Float weight(0.f), difference(0.f), variance(0.f), surprise(0.f), expected(0.f);
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++) {
                const Float h = tile(past, dx, dy), v = tile(raw, dx, dy);
                const Mask counts = h >= zero && v >= zero;
                const Float w = select(counts, same[(dy + 3) * side + dx + 3] * Float(window_weight(dx, dy)), zero);
                Float d = v - h;
                if constexpr (Tinted) {
                    const Float luma = luminance({tile(tints, dx, dy), tile(tints + 1, dx, dy), tile(tints + 2, dx, dy)}) - tile(tints + 3, dx, dy);
                    d = select(abs(luma) > abs(d) * clear, luma / clear, d);
                }
                const Float noise = h * (one - h);
                weight = weight + w;
                difference = difference + w * d;
                variance = variance + w * w * noise;
                surprise = surprise + w * d * d;
                expected = expected + w * noise;
            }
        const Float scale = one / max(weight, Float(1e-6f));
        const Float z2 = square(difference * scale) / (variance * scale * scale + Float(0.05f * 0.05f));
        const Float excess = surprise * scale / (expected * scale + Float(0.04f));
        // A wide penumbra changes slowly from frame to frame, and so it does at a high frame rate.
        const Float tolerated = clamp(width, one, Float(5.f)) * Float(1.6f * frame.frame_rate_scale);
        const Float beyond = max(z2 - tolerated, zero) / tolerated, odd = max(excess - Float(1.2f), zero) * Float(1.f / 1.2f);
        Float keep = rcp((one + beyond + square(beyond)) * (one + odd));
        // Edges narrower than a pixel hold little noise, and would only blur on their way from frame to frame.
        keep = keep * smooth_step(width * Float(1.f / 0.7f));

        const Int word = fetch(a.past[k], p);
        // Where the filter gathers many rays, its own result tells more: a wide penumbra that moves changes by less than the noise of a ray.
        const Float then = past_visibility(word), doubt = max(then * (one - then), visible * (one - visible)) * leftover + Float(0.02f * 0.02f);
        const Float moved = max(square(visible - then) / (doubt * Float(6.f)) - one, zero) * linear_step(1.5f, 4.f, width);
        keep = keep * rcp(one + moved + square(moved));
        const Float length = past_frames(word) * keep, speed = one / (one + length);
        visible = sat(mix(then, visible, speed));
        if constexpr (Tinted) {
            const Float3 t = mix(decode_tint(fetch(a.past_tint, p)), tint, speed);
            tint = {sat(t.x), sat(t.y), sat(t.z)};
        }
        frames = length + one;
    }
};
}  // namespace denoise::DN_TARGET
#endif
