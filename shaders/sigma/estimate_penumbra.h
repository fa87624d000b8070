// SPDX-License-Identifier: Apache-2.0
// Estimate penumbra: how wide the penumbra is at each pixel, lit ones included, a first filtered visibility, and what the past knows here.
#pragma once
#include "follow_occluder.h"

namespace denoise {
constexpr int lights_per_pass = 4;  // lights that share the work on guides, motion and geometry
struct EstimatePenumbraArgs {
    Image<Guide> guide;                                 // in
    Image<R8U> material;                                // in, may be absent
    Array motion, threshold_mix;                        // in, may be absent: see surface_motion()
    Array occluder_distance[lights_per_pass];           // in
    Image<R16U> tiles[lights_per_pass];                 // in: of spread_softness
    Image<R32U> history[lights_per_pass];               // in, absent without history
    Image<RGBA16F> steps[lights_per_pass];              // in: of follow_occluder; absent where nothing can move
    Image<R16U> penumbra[lights_per_pass];              // out: see encode_penumbra
    Image<R16U> past[lights_per_pass];                  // out: see encode_past
    Array translucency;                                 // in, may be absent; of a light that is alone in its pass
    Image<R32U> tint_history;                           // in
    Image<R32U> tint, past_tint;                        // out: this frame's, filtered; the past's
    ShadowLight light[lights_per_pass];
    int count = 1;
    float plane_sensitivity = 0;
    float max_radius = 0;      // px
    float rotation[2] = {};    // cosine and sine
    template <class V> void io(V& v) {
        for (int k = 0; k < lights_per_pass; k++) v.out(penumbra[k]), v.out(past[k]), v.in(occluder_distance[k]), v.in(tiles[k]), v.in(history[k]), v.in(steps[k]);
        v.in(guide), v.in(material), v.in(motion), v.in(threshold_mix), v.in(translucency), v.in(tint_history), v.out(tint), v.out(past_tint);
    }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {

// Eight directions: four at the radius, four between them at half of it.
struct RingTap {
    float x, y, weight;
};
DN_CONSTANT RingTap ring_taps[8] = {
    {1, 0, 0.517f}, {0, 1, 0.517f}, {-1, 0, 0.517f}, {0, -1, 0.517f}, {0.354f, 0.354f, 0.848f}, {-0.354f, 0.354f, 0.848f}, {-0.354f, -0.354f, 0.848f}, {0.354f, -0.354f, 0.848f}};
// Gaussian of a 5x5 window, exp(-0.66 (r / 2)^2), by |dx| and |dy|.
DN_CONSTANT float window_gaussian[3][3] = {{1, 0.848f, 0.517f}, {0.848f, 0.719f, 0.438f}, {0.517f, 0.438f, 0.267f}};
DN_FN float window_weight(int dx, int dy) { return window_gaussian[dx < 0 ? -dx : dx][dy < 0 ? -dy : dy]; }

template <int Lights, bool Tinted> struct EstimatePenumbra {
    using Args = EstimatePenumbraArgs;
    static constexpr int tints = 1 + Lights, planes = tints + (Tinted ? 3 : 0), halo = 2;  // view_z, each light's penumbra in pixels, what passes
    static constexpr int window = 25;

    DN_FN static Float3 view_point_at(const FrameConstants& frame, Float x, Float y, Float z) {
        return view_position(frame, x * Float(frame.inv_width), y * Float(frame.inv_height), z);
    }

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        const Mask inside = p.x >= Int(0) && p.x < Int(frame.width) && Mask(p.y >= 0 && p.y < frame.height);
        const Float z = fetch(a.guide, p).view_z;
        const Mask surface = inside && is_surface(frame, z);
        const Float3 point = view_point_at(frame, p.center_x(), p.center_y(), z);
        out[0] = select(surface, z, Float(sky_view_z));
        for (int k = 0; k < Lights; k++)
            out[1 + k] = k < a.count ? penumbra_px(frame, a.light[k], occluder_distance(read(a.occluder_distance[k], p)), point, surface) : Float(away);
        if constexpr (Tinted) {
            const Float3 c = passed(a, p, out[1] >= Float(lit));
            out[tints] = c.x, out[tints + 1] = c.y, out[tints + 2] = c.z;
        }
    }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Surface center = fetch(a.guide, p);
        const Mask surface = is_surface(frame, center.view_z);
        const Float3 point = view_point_at(frame, p.center_x(), p.center_y(), center.view_z), normal = rotate(frame.world_to_view, decode_normal(center.packed));
        const PlaneTest plane = plane_test(frame, normal, point, a.plane_sensitivity);
        Past past{};
        Float same[window];
        bool prepared = false;
        for (int k = 0; k < Lights; k++) {
            if (k >= a.count) break;
            const Float own = tile(1 + k);
            const Mask receives = own > Float(away), is_lit = own >= Float(lit);
            const int around = tile_word(a.tiles[k], p);
            if (!any(receives) || (around & 255) == 0) {  // nothing to filter: what the ray said is the truth, and the past agrees
                store(a.penumbra[k], p, encode_penumbra(select(is_lit, Float(1.f), Float(0.f)), Float(0.f), is_lit, receives));
                store(a.past[k], p, encode_past(select(is_lit, Float(1.f), Float(0.f)), select(receives, Float(max_history_frames), Float(0.f))));
                if constexpr (Tinted) {
                    const Int tint = encode_tint(tint_at(tile, 0, 0));
                    store(a.tint, p, tint), store(a.past_tint, p, select(receives, tint, Int(0)));
                }
                continue;
            }
            if (!prepared) {
                prepared = true;
                past = find_past(a, frame, p, point, surface);
                for (int dy = -2; dy <= 2; dy++)
                    for (int dx = -2; dx <= 2; dx++)
                        same[(dy + 2) * 5 + dx + 2] =
                            compact_weight(plane.residual(to_float(p.x + Int(dx)), Float(float(p.y + dy)), tile(0, dx, dy))) * Float(window_weight(dx, dy));
            }
            estimate(a, frame, p, tile, k, plane, point, normal, same, receives, around >> 8);
            Int tint(0), word(0);
            if (a.history[k].present()) {
                const Past there = a.steps[k].present() ? follow(a, frame, p, tile, k, point, normal, same, receives, past) : past;
                word = remember(frame, a.history[k], a.tint_history, there, tint);
            }
            store(a.past[k], p, select(receives, word, Int(0)));
            if constexpr (Tinted) store(a.past_tint, p, select(receives && past_frames(word) > Float(0.f), tint, Int(0)));
        }
    }

   private:
    // ---- the present

    // Colour that a ray brought: white where it met nothing.
    DN_FN static Float3 passed(const Args& a, const Pixel& p, Mask is_lit) {
        Float c[3];
        for (int k = 0; k < 3; k++) {
            const Float given = read(a.translucency, p, k);
            c[k] = select(is_lit, Float(1.f), select(given > Float(0.f), sat(given), Float(0.f)));
        }
        return {c[0], c[1], c[2]};
    }

    DN_FN static Float3 tint_at(const Tile& tile, int dx, int dy) { return {tile(tints, dx, dy), tile(tints + 1, dx, dy), tile(tints + 2, dx, dy)}; }

    DN_FN static void estimate(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile, int k, const PlaneTest& plane, Float3 point, Float3 normal,
                               const Float same[window], Mask receives, int farthest) {
        const Float zero(0.f), one(1.f), own = tile(1 + k), raw = select(own >= Float(lit), one, zero);
        Float weight(0.f), visible(0.f), narrow(0.f), width(0.f);
        Float3 tint = {zero, zero, zero};
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++) {
                const Float w_px = tile(1 + k, dx, dy), w = select(w_px > Float(away), same[(dy + 2) * 5 + dx + 2], zero);
                weight = weight + w;
                visible = visible + select(w_px >= Float(lit), w, zero);
                if constexpr (Tinted) tint = tint + tint_at(tile, dx, dy) * w;
                const Float u = select(w_px < Float(lit), w * rcp(one + w_px), zero);  // narrow ones count more: contact shadows win
                narrow = narrow + u;
                width = width + u * min(w_px, Float(32768.f));
            }
        const Mask found = narrow > Float(1e-6f);
        visible = visible / max(weight, Float(1e-6f));
        width = select(found, width / max(narrow, Float(1e-6f)), zero);

        // Below two pixels of width the ray itself is trusted. The window counts four taps there, and one where penumbrae are wide.
        const Float wide = smooth_step(width * Float(0.5f)), share = mix(Float(4.f), one, wide);
        visible = mix(raw, visible, wide);
        Float sum = visible * share, total = share, width_sum = select(found, width * share, zero), width_total = select(found, share, zero);
        if constexpr (Tinted) tint = mix(tint_at(tile, 0, 0), tint * rcp(max(weight, Float(1e-6f))), wide) * share;

        // Where no occluder is near, one farther away may still reach here: look as far as the widest penumbra around may.
        const Float search = penumbra_px(frame, a.light[k], decode_distance(farthest), point, receives) * Float(0.7f);
        const Float radius = min(select(found, Float(0.6f) * width, search), Float(a.max_radius)) * softness(a.tiles[k], p);
        const Mask far = receives && radius > Float(1.f);
        if (any(far)) {
            const LightPlane across = light_plane(frame, point, normal, direction_to(a.light[k], point));
            for (int t = 0; t < 8; t++) {
                const RingTap tap = ring_taps[t];
                const Float ox = Float(tap.x * a.rotation[0] - tap.y * a.rotation[1]) * radius, oy = Float(tap.x * a.rotation[1] + tap.y * a.rotation[0]) * radius;
                const Float2 step = to_pixels(across, ox, oy, a.max_radius);
                const Float fx = floor(p.center_x() + step.x), fy = floor(p.center_y() + step.y);
                const Int ix = clamp_int(to_int(fx), Int(frame.width - 1)), iy = clamp_int(to_int(fy), Int(frame.height - 1));
                const Mask inside = to_float(ix) == fx && to_float(iy) == fy;
                const Float zs = gather(a.guide, ix, iy).view_z;
                const Float distance = occluder_distance(read_at(a.occluder_distance[k], ix, iy));
                const Float w_px = penumbra_px(frame, a.light[k], distance, view_point_at(frame, fx + Float(0.5f), fy + Float(0.5f), zs), inside && is_surface(frame, zs));
                // A penumbra narrower than the one here does not belong in the mean; without one here, only those that reach here do.
                const Float reach = select(found, min(w_px / max(width, Float(1e-3f)), one),
                                           sat(Float(2.f) * w_px / max(radius * Float(tap.x * tap.x + tap.y * tap.y > 0.9f ? 1.f : 0.5f), Float(1e-3f))));
                Float w = compact_weight(plane.residual(fx, fy, zs)) * reach * Float(tap.weight);
                w = select(far && w_px > Float(away), w, zero);
                total = total + w;
                const Mask free = w_px >= Float(lit);
                sum = sum + select(free, w, zero);
                const Float u = select(free, zero, w * rcp(one + min(w_px, Float(32768.f))));
                width_sum = width_sum + u * min(w_px, Float(32768.f));
                width_total = width_total + u;
                if constexpr (Tinted) {
                    Float c[3];
                    for (int i = 0; i < 3; i++) {
                        const Array channel = channel_of(a.translucency, i);
                        c[i] = select(free, one, sat(read_at(channel, ix, iy))) * w;
                    }
                    tint = tint + select(w > zero, Float3{c[0], c[1], c[2]}, Float3{zero, zero, zero});
                }
            }
        }
        const Mask known = width_total > Float(1e-6f);
        const Float final_width = select(known, width_sum / max(width_total, Float(1e-6f)), zero);
        store(a.penumbra[k], p, encode_penumbra(sum / total, select(receives, final_width, zero), own >= Float(lit), receives));
        if constexpr (Tinted) store(a.tint, p, encode_tint(tint * (one / total)));
    }
    DN_FN static Array channel_of(Array array, int channel) {
        array.data += channel * array.stride_c;
        return array;
    }

    // ---- the past: where this surface was, and which texels still show it

    struct Past {
        Float2 px;       // in the last frame
        Float view_z;    // expected there
        Float3 world;    // of the surface that is here: its place in the last frame
        Float slack;     // of view_z
        Mask remembered;
        Float most_frames;  // what may be remembered
        Bilinear taps;
        Float cubic_x[4], cubic_y[4];
        Float depth, tolerance;  // codes
    };
    DN_FN static Past find_past(const Args& a, const FrameConstants& frame, const Pixel& p, Float3 point, Mask surface) {
        const Float2 uv = {p.center_x() * Float(frame.inv_width), p.center_y() * Float(frame.inv_height)};
        const SurfaceMotion motion = surface_motion(frame, a.motion, p, uv, rotate_back(frame.world_to_view, point), point.z);
        const Mask strand = Mask(a.material.present() && frame.strand_material >= 0) && (a.material.present() ? fetch(a.material, p) : Int(0)) == Int(frame.strand_material);
        Past past;
        past.world = motion.world;
        past.slack = disocclusion_threshold(frame, a.threshold_mix, p, strand, pixel_world_size(frame, point.z)) * frustum_span(frame, point.z);
        past.most_frames = Float(max_history_frames);
        past.remembered = surface && Mask(frame.history_valid != 0);
        place(frame, past, to_pixels(frame, motion.uv), motion.view_z);
        return past;
    }
    DN_FN static void place(const FrameConstants& frame, Past& past, Float2 px, Float view_z) {
        past.px = {clamp(px.x, Float(-4.f), Float(float(frame.width + 4))), clamp(px.y, Float(-4.f), Float(float(frame.height + 4)))};
        past.view_z = view_z;
        past.taps = bilinear_at(past.px.x, past.px.y);
        catmull_rom(past.px.x - Float(0.5f) - floor(past.px.x - Float(0.5f)), past.cubic_x);
        catmull_rom(past.px.y - Float(0.5f) - floor(past.px.y - Float(0.5f)), past.cubic_y);
        past.depth = depth_code(view_z);
        past.tolerance = min(past.slack / max(view_z, Float(1e-6f)), Float(1.f)) * Float(1.44269504f * depth_codes_per_octave) + Float(0.5f);
    }
    // Where an occluder near moves against the surface, the shadow's own place in the last frame, if this frame's rays agree with what was
    // there as well as they do with what the surface itself showed.
    DN_FN static Past follow(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile, int k, Float3 point, Float3 normal, const Float same[window],
                             Mask receives, const Past& past) {
        const Float4 step = step_at(a.steps[k], p);
        Mask moves = receives && past.remembered && step.w > Float(0.f);
        if (!any(moves)) return past;
        // Most of what is blocked around must be so at the distance of what moves: shadows of other things lie here, too.
        const Float expected = penumbra_px(frame, a.light[k], step.w, point, moves);
        Float alike(0.f), blocked(0.f);
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++) {
                const Float width = tile(1 + k, dx, dy), w = select(width > Float(away) && width < Float(lit), same[(dy + 2) * 5 + dx + 2], Float(0.f));
                blocked = blocked + w;
                alike = alike + select(width > Float(0.7f) * expected && width < Float(1.4f) * expected, w, Float(0.f));
            }
        moves = moves && alike >= Float(0.6f) * blocked;
        if (!any(moves)) return past;
        const Float3 occluder = rotate_back(frame.world_to_view, point + direction_to(a.light[k], point) * step.w) + Float3{step.x, step.y, step.z};
        const Float3 world = shadow_before(frame, a.light[k], occluder, past.world, rotate_back(frame.world_to_view, normal));
        Past moved = past;
        place(frame, moved, to_pixels(frame, project(frame.prev_world_to_clip, world)), transform(frame.prev_world_to_view, world).z);
        const Mask better = moves && mismatch(a.history[k], tile, k, same, moved) < mismatch(a.history[k], tile, k, same, past) * Float(1.15f) + Float(1e-4f);
        if (!any(better)) return past;
        // Each step of a fraction of a pixel blurs; where penumbrae are narrow that outweighs what a long memory saves.
        moved.most_frames = select(better, clamp(expected, Float(1.5f), Float(max_history_frames)), past.most_frames);
        place(frame, moved, {select(better, moved.px.x, past.px.x), select(better, moved.px.y, past.px.y)}, select(better, moved.view_z, past.view_z));
        return moved;
    }
    // Between the centres of the blocks around, of those in which something moves.
    DN_FN static Float4 step_at(const Image<RGBA16F>& steps, const Pixel& p) {
        const Bilinear b = bilinear_at(p.center_x() * Float(1.f / step_block), p.center_y() * Float(1.f / step_block));
        Float4 sum = {Float(0.f), Float(0.f), Float(0.f), Float(0.f)};
        Float known(0.f);
        for (int i = 0; i < 4; i++) {
            const Float4 there = gather_tap(steps, b, i);
            const Float w = select(there.w > Float(0.f), b.weight[i], Float(0.f));
            sum = {sum.x + there.x * w, sum.y + there.y * w, sum.z + there.z * w, sum.w + there.w * w};
            known = known + w;
        }
        const Float scale = Float(1.f) / max(known, Float(1e-6f));
        return {sum.x * scale, sum.y * scale, sum.z * scale, sum.w * scale};
    }
    // Mean square by which this frame's rays of the 5x5 window differ from what was there.
    DN_FN static Float mismatch(const Image<R32U>& history, const Tile& tile, int k, const Float same[window], const Past& past) {
        const Window at = window_at(to_int(floor(past.px.x)), to_int(floor(past.px.y)));
        Float sum(0.f), weight(0.f);
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++) {
                const Int word = gather(history, at, dx, dy);
                const Float ray = tile(1 + k, dx, dy);
                const Float w = select(ray > Float(away) && past_frames(word) > Float(0.f), same[(dy + 2) * 5 + dx + 2], Float(0.f));
                sum = sum + w * square(select(ray >= Float(lit), Float(1.f), Float(0.f)) - past_visibility(word));
                weight = weight + w;
            }
        return select(weight > Float(0.5f), sum / max(weight, Float(0.5f)), Float(1.f));
    }
    DN_FN static Mask shows(const FrameConstants& frame, const Past& past, Int word, int dx, int dy) {
        const Int x = past.taps.at.x + Int(dx), y = past.taps.at.y + Int(dy);
        return past.remembered && past.view_z > Float(0.f) && texel_inside(frame, x, y) && abs(history_depth(word) - past.depth) <= past.tolerance &&
               history_depth(word) > Float(0.f);
    }
    // Sharp where all twelve texels of a Catmull-Rom fetch still show the surface, else from those of the four that do.
    DN_FN static Int remember(const FrameConstants& frame, const Image<R32U>& history, const Image<R32U>& tints, const Past& past, Int& tint) {
        const Float zero(0.f), one(1.f);
        Mask sharp = past.remembered;
        Float cubic(0.f), total(0.f), low(1.f), high(0.f), linear(0.f), covered(0.f), frames(0.f);
        Float3 cubic_tint = {zero, zero, zero}, linear_tint = {zero, zero, zero};
        for (int dy = -1; dy <= 2; dy++)
            for (int dx = -1; dx <= 2; dx++) {
                const bool inner_x = dx == 0 || dx == 1, inner_y = dy == 0 || dy == 1;
                if (!inner_x && !inner_y) continue;
                const Int word = gather(history, past.taps.at, dx, dy);
                const Mask ok = shows(frame, past, word, dx, dy);
                const Float v = past_visibility(word), w = past.cubic_x[dx + 1] * past.cubic_y[dy + 1];
                sharp = sharp && ok;
                cubic = cubic + v * w;
                total = total + w;
                Float3 c;
                if constexpr (Tinted) {
                    c = decode_tint(gather(tints, past.taps.at, dx, dy));
                    cubic_tint = cubic_tint + c * w;
                }
                if (!inner_x || !inner_y) continue;
                const Float b = select(ok, past.taps.weight[dy * 2 + dx], zero);
                linear = linear + v * b;
                covered = covered + b;
                frames = frames + past_frames(word) * b;
                low = min(low, v);
                high = max(high, v);
                if constexpr (Tinted) linear_tint = linear_tint + c * b;
            }
        const Mask any_left = covered > Float(1e-3f);
        const Float scale = select(any_left, one / max(covered, Float(1e-3f)), zero), cubic_scale = one / total;
        if constexpr (Tinted) tint = encode_tint(select(sharp, cubic_tint * cubic_scale, linear_tint * scale));
        return encode_past(select(sharp, clamp(cubic * cubic_scale, low, high), linear * scale), min(frames, past.most_frames));
    }
};
}  // namespace denoise::DN_TARGET
#endif
