// SPDX-License-Identifier: Apache-2.0
#include "reblur.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "relight.h"

//  inputs ─ pack ─► guide, signal ─► [reconstruct] ─► [prepass] ─► temporal accumulation ─► history fix ─► blur ─► post-blur ─┬─► stabilize ─► resolve ─► outputs
//                                                                          ▲     ▲                │                            │
//                                                                          │     └─ fast luma ◄───┘                            │
//                                                                          └──────────── slow history, history length ◄────────┘

namespace denoise {
namespace {

constexpr double degrees = 3.14159265358979 / 180;

// Radii are pixels at 1440 lines. See radius_scale() for the floor.
constexpr float reference_lines = 1440;
float radius_scale(int height) { return std::max(float(height) / reference_lines, 0.4f); }

// One angle a frame for the whole picture, by the golden ratio; the kernel has 90 degree symmetry.
std::array<float, 2> rotation(uint32_t frame_index, double phase, double offset_degrees) {
    const double t = std::fmod(phase + frame_index * 0.6180339887498949, 1.0);
    const double angle = (t * 90 + offset_degrees) * degrees;
    return {float(std::cos(angle)), float(std::sin(angle))};
}

struct LobePage {
    Lobe lobe;
    const char* name;
    Variant variant() const { return {int(lobe), name}; }
    Variant label() const { return {0, name}; }  // of passes with one instance for both lobes
    std::string with(const char* suffix) const { return std::string(name) + suffix; }
};

}  // namespace

void Reblur::constants(FrameConstants& f) const {
    const ReblurSettings& s = settings_;
    f.camera_attached_material = s.camera_attached_material;
    f.hit_distance_offset = s.hit_distance_offset * f.units_per_metre;
    f.hit_distance_depth_scale = s.hit_distance_depth_scale;
    f.hit_distance_roughness_scale = s.hit_distance_roughness_scale;
}

void Reblur::example(FrameInput& input) const {
    const int channels[] = {3, 1, 3, 1, 1};
    const char* const inputs[] = {"diffuse", "diffuse_hit_distance", "specular", "specular_hit_distance", "roughness"};
    for (int k = 0; k < 5; k++) input.inputs[inputs[k]] = {.channels = channels[k], .type = ArrayType::f16};
    for (const char* name : {"diffuse", "specular"}) input.outputs[name] = {.channels = 3, .type = ArrayType::f16};
}

void Reblur::page(Graph& g, const FrameConstants& f, const FrameInput& input, const Guides& guides) {
    const ReblurSettings& s = settings_;
    const float scale = radius_scale(f.height);
    const float max_radius = std::max(s.max_blur_radius * scale, s.min_blur_radius);
    const Convergence convergence{s.convergence_scale, s.convergence_base, s.convergence_period * float(s.max_accumulated_frames)};
    const float fix_frames = float(std::min(s.history_fix_frames, s.max_accumulated_frames));
    const float lobe_fraction = s.lobe_angle_fraction * s.lobe_angle_fraction;

    std::vector<LobePage> lobes;
    if (input.inputs.count("diffuse")) lobes.push_back({Lobe::diffuse, "diffuse"});
    if (input.inputs.count("specular")) lobes.push_back({Lobe::specular, "specular"});
    const Signals signals = lobes.size() == 2 ? Signals::both : (lobes[0].lobe == Lobe::diffuse ? Signals::diffuse : Signals::specular);
    const Variant variants[] = {{0, "diffuse"}, {1, "specular"}, {2, "both"}};

    const auto& [motion, threshold_mix, guide, prev_guide, tiles, material, prev_material] = guides;

    // Per lobe: images that live across passes
    struct LobeImages {
        Array radiance, distance, factor;
        Image<RGBA16F> signal, slow;
        Image<R16F> fast, fast_history;
        Image<R16U> sample, past, footprint;
        Image<R32U> offset;
        History<R8U> frames;
        LightChange light;
    } images[2] = {};
    Image<R16F> tracking;
    History<R16F> tracking_history{};
    const auto min_material = [&](Lobe lobe) { return lobe == Lobe::diffuse ? s.min_material_diffuse : s.min_material_specular; };

    for (const LobePage& page : lobes) {
        LobeImages& i = images[int(page.lobe)];
        const bool specular = page.lobe == Lobe::specular;
        i.radiance = g.input(page.name);
        i.distance = g.input(page.with("_hit_distance"));
        i.factor = g.input(specular ? "specular_albedo" : "albedo");
        i.frames = g.history<R8U>(page.with("_frames"));
        i.signal = g.transient<RGBA16F>(page.with("_packed"));
        if (s.relight) {
            i.sample = g.transient<R16U>(page.with("_sample"));
            i.past = g.transient<R16U>(page.with("_past"));
        }
        g.run<Pass::pack_signal>(
            page.label(), {.radiance = i.radiance, .hit_distance = i.distance, .factor = i.factor, .guide = guide, .signal = i.signal, .sample = i.sample, .lobe = page.lobe});

        if (s.hit_distance_reconstruction != 0) {
            const auto completed = g.transient<RGBA16F>(page.with("_completed"));
            g.run<Pass::reconstruct_hit_distance>(
                page.variant(),
                {.tiles = tiles, .guide = guide, .signal = i.signal, .out = completed, .reach = s.hit_distance_reconstruction, .plane_sensitivity = s.plane_sensitivity});
            i.signal = completed;
        }

        // The specular pre-pass also finds the distance that the reflection's motion follows, so it always runs.
        const float radius = (specular ? s.specular_prepass_radius : s.diffuse_prepass_radius) * scale;
        if (radius > 0 || specular) {
            const auto [c, sn] = rotation(f.frame_index, 0.70710678, 0);
            const auto blurred = g.transient<RGBA16F>(page.with("_prepass"));
            if (specular) {
                tracking = g.transient<R16F>("tracking");
                tracking_history = g.history<R16F>("tracking_history");
            }
            g.run<Pass::prepass>(page.variant(), {.tiles = tiles,
                                                  .guide = guide,
                                                  .material = material,
                                                  .frames = f.history_valid ? i.frames.previous : Image<R8U>{},
                                                  .prev_guide = prev_guide,
                                                  .motion = motion,
                                                  .signal = i.signal,
                                                  .out = blurred,
                                                  .tracking = tracking,
                                                  .max_radius = radius,
                                                  .lobe_fraction = lobe_fraction,
                                                  .roughness_fraction = s.roughness_fraction,
                                                  .plane_sensitivity = s.plane_sensitivity,
                                                  .min_hit_weight = s.min_hit_distance_weight,
                                                  .rotation = {c, sn},
                                                  .min_material = min_material(page.lobe),
                                                  .tracking_only = s.prepass_tracking_only || radius <= 0,
                                                  .convergence = convergence});
            i.signal = blurred;
        }
        i.slow = g.permanent<RGBA16F>(page.with("_history"));
        i.fast_history = g.permanent<R16F>(page.with("_fast_history"));
        i.fast = g.transient<R16F>(page.with("_fast"));
        i.footprint = g.transient<R16U>(page.with("_footprint"));
        if (specular) i.offset = g.transient<R32U>(page.with("_offset"));
    }

    const LobeImages &d = images[0], &sp = images[1];
    g.run<Pass::temporal_accumulation>(variants[int(signals)], {.tiles = tiles,
                                                                .guide = guide,
                                                                .prev_guide = prev_guide,
                                                                .material = material,
                                                                .prev_material = prev_material,
                                                                .motion = motion,
                                                                .diffuse_confidence = g.input("diffuse_confidence"),
                                                                .specular_confidence = g.input("specular_confidence"),
                                                                .threshold_mix = threshold_mix,
                                                                .diffuse = d.signal,
                                                                .specular = sp.signal,
                                                                .history_diffuse = d.slow,
                                                                .history_specular = sp.slow,
                                                                .history_fast_diffuse = d.fast_history,
                                                                .history_fast_specular = sp.fast_history,
                                                                .fast_diffuse = d.fast,
                                                                .fast_specular = sp.fast,
                                                                .prev_frames_diffuse = d.frames.previous,
                                                                .prev_frames_specular = sp.frames.previous,
                                                                .frames_diffuse = d.frames.current,
                                                                .frames_specular = sp.frames.current,
                                                                .tracking = tracking,
                                                                .prev_tracking = tracking_history.previous,
                                                                .tracking_out = tracking_history.current,
                                                                .footprint_diffuse = d.footprint,
                                                                .footprint_specular = sp.footprint,
                                                                .offset_specular = sp.offset,
                                                                .past_diffuse = d.past,
                                                                .past_specular = sp.past,
                                                                .max_frames = float(s.max_accumulated_frames),
                                                                .max_fast_frames = float(s.max_fast_frames),
                                                                .fix_frames = fix_frames,
                                                                .responsive_roughness = s.responsive_roughness,
                                                                .responsive_min_frames = float(s.responsive_min_frames),
                                                                .roughness_fraction = s.roughness_fraction,
                                                                .firefly_min_scale = s.firefly_min_scale,
                                                                .max_blur_radius = max_radius,
                                                                .min_material = std::min(s.min_material_diffuse, s.min_material_specular),
                                                                .min_material_specular = s.min_material_specular});

    if (s.relight)
        for (const LobePage& page : lobes) {
            LobeImages& i = images[int(page.lobe)];
            i.light = relight(g, page.name,
                              {.samples = i.sample, .past = i.past, .signal = i.signal, .fast = i.fast, .frames = i.frames.current, .max_fast_frames = float(s.max_fast_frames)},
                              s.relight_proof);
        }

    for (const LobePage& page : lobes) {
        LobeImages& i = images[int(page.lobe)];
        const bool specular = page.lobe == Lobe::specular;
        const auto other = g.transient<RGBA16F>(page.with("_filtered"));
        g.run<Pass::history_fix>(page.variant(), {.tiles = tiles,
                                                  .guide = guide,
                                                  .material = material,
                                                  .frames = i.frames.current,
                                                  .signal = i.signal,
                                                  .fast = i.fast,
                                                  .tracking = specular ? tracking_history.current : Image<R16F>{},
                                                  .out = other,
                                                  .fast_out = i.fast_history,
                                                  .fix_frames = fix_frames,
                                                  .stride = s.history_fix_stride * scale,
                                                  .stride_alternate = s.history_fix_stride_alternate * scale,
                                                  .alternate_material = s.history_fix_alternate_material,
                                                  .max_frames = float(s.max_accumulated_frames),
                                                  .max_fast_frames = float(s.max_fast_frames),
                                                  .clamp_sigma = max_radius < 2 ? 3 + (s.fast_clamp_sigma - 3) * max_radius / 2 : s.fast_clamp_sigma,
                                                  .lobe_fraction = lobe_fraction,
                                                  .roughness_fraction = s.roughness_fraction,
                                                  .plane_sensitivity = s.plane_sensitivity,
                                                  .min_material = min_material(page.lobe),
                                                  .anti_firefly = s.anti_firefly});
        SpatialFilterArgs filter{.tiles = tiles,
                                 .guide = guide,
                                 .material = material,
                                 .frames = i.frames.current,
                                 .max_radius = max_radius,
                                 .min_radius = s.min_blur_radius,
                                 .lobe_fraction = lobe_fraction,
                                 .roughness_fraction = s.roughness_fraction,
                                 .plane_sensitivity = s.plane_sensitivity,
                                 .min_hit_weight = s.min_hit_distance_weight,
                                 .min_material = min_material(page.lobe),
                                 .convergence = convergence};
        const auto run_filter = [&]<Pass P>(Image<RGBA16F> from, Image<RGBA16F> to, double offset) {
            const auto [c, sn] = rotation(f.frame_index, 0.57735027, offset);
            filter.signal = from, filter.out = to, filter.rotation[0] = c, filter.rotation[1] = sn;
            g.run<P>(page.variant(), filter);
        };
        run_filter.template operator()<Pass::blur>(other, i.signal, 0);
        run_filter.template operator()<Pass::post_blur>(i.signal, i.slow, 22.5);

        Image<R16F> luma;
        if (s.max_stabilized_frames > 0) {
            const auto stabilized = g.history<R16F>(page.with("_stabilized"));
            luma = stabilized.current;
            g.run<Pass::stabilize>(page.variant(), {.tiles = tiles,
                                                    .guide = guide,
                                                    .material = material,
                                                    .motion = specular ? Array{} : motion,
                                                    .footprint = i.footprint,
                                                    .offset = i.offset,
                                                    .signal = i.slow,
                                                    .history_luma = stabilized.previous,
                                                    .luma = luma,
                                                    .frames = i.frames.current,
                                                    .gain = i.light.gain,
                                                    .add = i.light.add,
                                                    .changed = i.light.changed,
                                                    .max_stabilized_frames = float(s.max_stabilized_frames),
                                                    .fix_frames = fix_frames,
                                                    .sigma_scale = s.antilag_sigma_scale,
                                                    .sensitivity = s.antilag_sensitivity,
                                                    .responsive_roughness = s.responsive_roughness,
                                                    .split = f.split_screen,
                                                    .history_valid = f.history_valid && stabilized.valid,
                                                    .convergence = convergence});
        }
        g.run<Pass::resolve>(page.label(), {.guide = guide,
                                            .signal = i.slow,
                                            .luma = luma,
                                            .frames = i.frames.current,
                                            .noisy = i.radiance,
                                            .noisy_distance = i.distance,
                                            .factor = i.factor,
                                            .out = g.output(page.name),
                                            .history_length = g.output(page.with("_history_length")),
                                            .hit_distance = g.output(page.with("_hit_distance")),
                                            .lobe = page.lobe,
                                            .split = f.split_screen});
    }
}

}  // namespace denoise
