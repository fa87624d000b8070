// SPDX-License-Identifier: Apache-2.0
#include "reblur.h"

#include <algorithm>

#include "radiance.h"

//  inputs ─ pack ─► guide, signal ─► [reconstruct] ─► [prepass] ─► temporal accumulation ─► history fix ─► blur ─► post-blur ─┬─► stabilize ─► resolve ─► outputs
//                                                                          ▲     ▲                │                            │
//                                                                          │     └─ fast luma ◄───┘                            │
//                                                                          └──────────── slow history, history length ◄────────┘

namespace denoise {

void Reblur::constants(FrameConstants& f) const { radiance_constants(f, settings_); }
void Reblur::example(FrameInput& input) const { radiance_example(input); }

void Reblur::page(Graph& g, const FrameConstants& f, const FrameInput& input, const Guides& guides) {
    const ReblurSettings& s = settings_;
    const float scale = radius_scale(f.height, least_radius_scale);
    const float max_radius = std::max(s.max_blur_radius * scale, s.min_blur_radius);
    const Convergence convergence{s.convergence_scale, s.convergence_base, s.convergence_period * float(s.max_accumulated_frames)};
    const float fix_frames = float(std::min(s.history_fix_frames, s.max_accumulated_frames));
    const float lobe_fraction = s.lobe_angle_fraction * s.lobe_angle_fraction;
    const int min_material[] = {s.min_material_diffuse, s.min_material_specular};
    const auto& [motion, threshold_mix, guide, prev_guide, tiles, material, prev_material] = guides;

    const auto lobes = lobe_pages(input);
    const auto images = accumulate(g, f, lobes, guides,
                                   {.needs = {.places = true},
                                    .convergence = convergence,
                                    .max_frames = {s.max_accumulated_frames, s.max_accumulated_frames},
                                    .max_fast_frames = {s.max_fast_frames, s.max_fast_frames},
                                    .prepass_radius = {s.diffuse_prepass_radius, s.specular_prepass_radius},
                                    .min_hit_weight = s.min_hit_distance_weight,
                                    .plane_sensitivity = s.plane_sensitivity,
                                    .roughness_fraction = s.roughness_fraction,
                                    .lobe_fraction = lobe_fraction,
                                    .min_material = {min_material[0], min_material[1]},
                                    .reconstruction = s.hit_distance_reconstruction,
                                    .tracking_only = s.prepass_tracking_only,
                                    .relight = s.relight,
                                    .relight_proof = s.relight_proof,
                                    .responsive_roughness = s.responsive_roughness,
                                    .responsive_min_frames = float(s.responsive_min_frames),
                                    .firefly_min_scale = s.firefly_min_scale,
                                    .max_blur_radius = max_radius,
                                    .fix_frames = fix_frames});

    for (const LobePage& page : lobes) {
        const LobeImages& i = images[int(page.lobe)];
        const bool specular = page.lobe == Lobe::specular;
        const auto other = g.transient<RGBA16F>(page.with("_filtered"));
        g.run<Pass::history_fix>(page.variant(), {.tiles = tiles,
                                                  .guide = guide,
                                                  .material = material,
                                                  .frames = i.frames.current,
                                                  .signal = i.signal,
                                                  .fast = i.fast,
                                                  .tracking = i.tracking,
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
                                                  .min_material = min_material[int(page.lobe)],
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
                                 .min_material = min_material[int(page.lobe)],
                                 .convergence = convergence};
        const auto run_filter = [&]<Pass P>(Image<RGBA16F> from, Image<RGBA16F> to, double offset) {
            const auto [c, sn] = kernel_rotation(f.frame_index, 0.57735027, 90, offset);
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
