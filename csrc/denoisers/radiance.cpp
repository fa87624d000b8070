// SPDX-License-Identifier: Apache-2.0
#include "radiance.h"

#include <algorithm>

namespace denoise {

std::vector<LobePage> lobe_pages(const FrameInput& input) {
    std::vector<LobePage> lobes;
    if (input.inputs.count("diffuse")) lobes.push_back({Lobe::diffuse, "diffuse"});
    if (input.inputs.count("specular")) lobes.push_back({Lobe::specular, "specular"});
    return lobes;
}

void radiance_example(FrameInput& input) {
    const int channels[] = {3, 1, 3, 1, 1};
    const char* const inputs[] = {"diffuse", "diffuse_hit_distance", "specular", "specular_hit_distance", "roughness"};
    for (int k = 0; k < 5; k++) input.inputs[inputs[k]] = {.channels = channels[k], .type = ArrayType::f16};
    for (const char* name : {"diffuse", "specular"}) input.outputs[name] = {.channels = 3, .type = ArrayType::f16};
}

std::array<LobeImages, 2> accumulate(Graph& g, const FrameConstants& f, const std::vector<LobePage>& lobes, const Guides& guides, const Accumulation& how) {
    const float scale = radius_scale(f.height, least_radius_scale);
    const Signals signals = lobes.size() == 2 ? Signals::both : (lobes[0].lobe == Lobe::diffuse ? Signals::diffuse : Signals::specular);
    const Variant variants[] = {{0, "diffuse"}, {1, "specular"}, {2, "both"}};
    const auto& [motion, threshold_mix, guide, prev_guide, tiles, material, prev_material] = guides;
    std::array<LobeImages, 2> images = {};
    Image<R16F> tracking;
    History<R16F> tracking_history{};

    for (const LobePage& page : lobes) {
        LobeImages& i = images[int(page.lobe)];
        const bool specular = page.lobe == Lobe::specular;
        i.radiance = g.input(page.name);
        i.distance = g.input(page.with("_hit_distance"));
        i.factor = g.input(specular ? "specular_albedo" : "albedo");
        i.frames = g.history<R8U>(page.with("_frames"));
        i.signal = g.transient<RGBA16F>(page.with("_packed"));
        if (how.relight || how.needs.samples) i.sample = g.transient<R16U>(page.with("_sample"));
        if (how.relight) i.past = g.transient<R16U>(page.with("_past"));
        g.run<Pass::pack_signal>(
            page.label(), {.radiance = i.radiance, .hit_distance = i.distance, .factor = i.factor, .guide = guide, .signal = i.signal, .sample = i.sample, .lobe = page.lobe});

        if (how.reconstruction != 0) {
            const auto completed = g.transient<RGBA16F>(page.with("_completed"));
            g.run<Pass::reconstruct_hit_distance>(
                page.variant(), {.tiles = tiles, .guide = guide, .signal = i.signal, .out = completed, .reach = how.reconstruction, .plane_sensitivity = how.plane_sensitivity});
            i.signal = completed;
        }

        // The specular pre-pass also finds the distance that the reflection's motion follows, so it always runs.
        const float radius = how.prepass_radius[int(page.lobe)] * scale;
        if (radius > 0 || specular) {
            const auto [c, sn] = kernel_rotation(f.frame_index, 0.70710678, 90);
            const auto blurred = g.transient<RGBA16F>(page.with("_prepass"));
            if (how.needs.responsive) i.averaged = g.transient<R8U>(page.with("_averaged"));
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
                                                  .averaged = i.averaged,
                                                  .tracking = tracking,
                                                  .max_radius = radius,
                                                  .lobe_fraction = how.lobe_fraction,
                                                  .roughness_fraction = how.roughness_fraction,
                                                  .plane_sensitivity = how.plane_sensitivity,
                                                  .min_hit_weight = how.min_hit_weight,
                                                  .rotation = {c, sn},
                                                  .min_material = how.min_material[int(page.lobe)],
                                                  .tracking_only = how.tracking_only || radius <= 0,
                                                  .convergence = how.convergence});
            i.signal = blurred;
        }
        i.slow = g.permanent<RGBA16F>(page.with("_history"));
        if (how.needs.responsive) {
            i.responsive_history = g.permanent<RGBA16F>(page.with("_responsive_history"));
            i.responsive = g.transient<RGBA16F>(page.with("_responsive"));
            if (specular) i.trust = g.transient<R8U>(page.with("_trust"));
        } else {
            i.fast_history = g.permanent<R16F>(page.with("_fast_history"));
            i.fast = g.transient<R16F>(page.with("_fast"));
        }
        if (how.needs.places) {
            i.footprint = g.transient<R16U>(page.with("_footprint"));
            if (specular) i.offset = g.transient<R32U>(page.with("_offset"));
        }
        if (specular) i.tracking = tracking_history.current;
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
                                                                .history_responsive_diffuse = d.responsive_history,
                                                                .history_responsive_specular = sp.responsive_history,
                                                                .responsive_diffuse = d.responsive,
                                                                .responsive_specular = sp.responsive,
                                                                .averaged_diffuse = d.averaged,
                                                                .averaged_specular = sp.averaged,
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
                                                                .trust_specular = sp.trust,
                                                                .past_diffuse = d.past,
                                                                .past_specular = sp.past,
                                                                .max_frames = {float(how.max_frames[0]), float(how.max_frames[1])},
                                                                .max_fast_frames = {float(how.max_fast_frames[0]), float(how.max_fast_frames[1])},
                                                                .fix_frames = how.fix_frames,
                                                                .responsive_roughness = how.responsive_roughness,
                                                                .responsive_min_frames = how.responsive_min_frames,
                                                                .roughness_fraction = how.roughness_fraction,
                                                                .firefly_min_scale = how.firefly_min_scale,
                                                                .max_blur_radius = how.max_blur_radius,
                                                                .min_material = std::min(how.min_material[0], how.min_material[1]),
                                                                .min_material_specular = how.min_material[1]});

    for (const LobePage& page : lobes) {
        LobeImages& i = images[int(page.lobe)];
        const Array confidence = g.input(page.with("_confidence")), confidence_out = g.output(page.with("_confidence")), gain_out = g.output(page.with("_gain"));
        if (how.relight)
            i.light = relight(g, page.name,
                              {.samples = i.sample,
                               .past = i.past,
                               .confidence = confidence,
                               .signal = i.signal,
                               .fast = i.fast,
                               .responsive = i.responsive,
                               .frames = i.frames.current,
                               .max_fast_frames = float(how.max_fast_frames[int(page.lobe)])},
                              how.relight_proof);
        if (confidence_out.present() || gain_out.present())
            g.run<Pass::relight_views>(page.label(), {.guide = guide,
                                                      .gain = i.light.gain,
                                                      .add = i.light.add,
                                                      .past = how.relight ? i.past : Image<R16U>{},
                                                      .confidence = confidence,
                                                      .confidence_out = confidence_out,
                                                      .gain_out = gain_out});
    }
    return images;
}

}  // namespace denoise
