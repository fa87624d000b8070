// SPDX-License-Identifier: Apache-2.0
#include "relax.h"

#include <algorithm>

#include "radiance.h"

//  inputs ─ as ReBLUR ─► temporal accumulation ─► history fix ─► clamp ─┬─► a-trous, step 1 ─► 2 ─► 4 ... ─► resolve ─► outputs
//                              ▲                                        │
//                              └──── long and short history, deviation ─┘

namespace denoise {

// Correlation of the noise of a level's taps, by what open levels leave of white noise: deviations of 0.351, 0.162, 0.080, 0.040, each half of the
// one before, where independent taps would leave a third.
constexpr float shared_noise_of_levels[] = {0, 0.102f, 0.135f, 0.143f};

void Relax::constants(FrameConstants& f) const { radiance_constants(f, settings_); }
void Relax::example(FrameInput& input) const { radiance_example(input); }

void Relax::page(Graph& g, const FrameConstants& f, const FrameInput& input, const Guides& guides) {
    const RelaxSettings& s = settings_;
    const float scale = radius_scale(f.height, least_radius_scale);
    const int max_frames[] = {s.diffuse_max_accumulated_frames, s.specular_max_accumulated_frames};
    const int max_fast_frames[] = {s.diffuse_max_fast_frames, s.specular_max_fast_frames};
    const float min_luminance_weight[] = {s.diffuse_min_luminance_weight, s.specular_min_luminance_weight};
    const float phi[] = {s.diffuse_phi_luminance, s.specular_phi_luminance};
    const int min_material[] = {s.min_material_diffuse, s.min_material_specular};
    // The pre-pass fades as the history grows, at ReBLUR's pace.
    const Convergence convergence{1, 0.2f, 0.8f * float(std::max(max_frames[0], max_frames[1]))};
    constexpr float prepass_lobe_fraction = 0.15f * 0.15f;

    const auto lobes = lobe_pages(input);
    const auto images = accumulate(g, f, lobes, guides,
                                   {.needs = {.responsive = true, .samples = true},
                                    .convergence = convergence,
                                    .max_frames = {max_frames[0], max_frames[1]},
                                    .max_fast_frames = {max_fast_frames[0], max_fast_frames[1]},
                                    .prepass_radius = {s.diffuse_prepass_radius, s.specular_prepass_radius},
                                    .min_hit_weight = s.min_hit_distance_weight,
                                    .plane_sensitivity = s.plane_sensitivity,
                                    .roughness_fraction = s.roughness_fraction,
                                    .lobe_fraction = prepass_lobe_fraction,
                                    .min_material = {min_material[0], min_material[1]},
                                    .reconstruction = s.hit_distance_reconstruction,
                                    .tracking_only = s.prepass_tracking_only,
                                    .relight = s.relight,
                                    .relight_proof = s.relight_proof});

    for (const LobePage& page : lobes) {
        const int lobe = int(page.lobe);
        const LobeImages& i = images[lobe];
        const bool specular = page.lobe == Lobe::specular;
        const float fix_frames = float(std::min(s.history_fix_frames, max_frames[lobe]));
        Image<RGBA16F> signal = i.signal;
        if (fix_frames > 0) {
            signal = g.transient<RGBA16F>(page.with("_rebuilt"));
            g.run<Pass::history_fix>(page.variant(), {.tiles = guides.tiles,
                                                      .guide = guides.guide,
                                                      .material = guides.material,
                                                      .frames = i.frames.current,
                                                      .signal = i.signal,
                                                      .tracking = i.tracking,
                                                      .out = signal,
                                                      .fix_frames = fix_frames,
                                                      .stride = s.history_fix_stride * scale,
                                                      .stride_alternate = s.history_fix_stride_alternate * scale,
                                                      .alternate_material = s.history_fix_alternate_material,
                                                      .lobe_fraction = prepass_lobe_fraction,
                                                      .roughness_fraction = s.roughness_fraction,
                                                      .plane_sensitivity = s.plane_sensitivity,
                                                      .normal_power = specular ? 0 : s.history_fix_normal_power,
                                                      .min_material = min_material[lobe]});
        }
        g.run<Pass::clamp_history>(page.label(), {.tiles = guides.tiles,
                                                  .guide = guides.guide,
                                                  .frames = i.frames.current,
                                                  .signal = signal,
                                                  .responsive = i.responsive,
                                                  .sample = i.sample,
                                                  .averaged = specular ? i.trust : i.averaged,
                                                  .out = i.slow,
                                                  .responsive_out = i.responsive_history,
                                                  .fix_frames = fix_frames,
                                                  .max_frames = float(max_frames[lobe]),
                                                  .max_fast_frames = float(max_fast_frames[lobe]),
                                                  .clamp_sigma = s.fast_clamp_sigma,
                                                  .acceleration = s.antilag_acceleration * (specular ? 0.33f : 1.f),
                                                  .reset = s.antilag_reset * (specular ? 0.5f : 1.f),
                                                  .spatial_sigma = s.antilag_spatial_sigma,
                                                  .temporal_sigma = s.antilag_temporal_sigma,
                                                  .anti_firefly = s.anti_firefly});

        AtrousArgs level{.tiles = guides.tiles,
                         .guide = guides.guide,
                         .material = guides.material,
                         .frames = i.frames.current,
                         .trust = i.trust,
                         .confidence = g.input(page.with("_confidence")),
                         .signal = i.slow,
                         .responsive = i.responsive_history,
                         .phi = phi[lobe],
                         .min_luminance_weight = min_luminance_weight[lobe],
                         .lobe_fraction = s.lobe_angle_fraction,
                         .lobe_slack = s.specular_lobe_angle_slack * 3.14159265f / 180,
                         .roughness_fraction = s.roughness_fraction,
                         .plane_sensitivity = s.plane_sensitivity,
                         .spatial_frames = float(s.spatial_variance_frames),
                         .variance_boost = s.specular_variance_boost,
                         .luminance_relaxation = s.luminance_relaxation,
                         .normal_relaxation = s.normal_relaxation,
                         .view_relaxation = s.view_relaxation,
                         .doubt = s.confidence_relaxation,
                         .doubt_luminance = s.confidence_luminance_relaxation,
                         .doubt_normal = s.confidence_normal_relaxation,
                         .roughness_stop = s.roughness_stop,
                         .min_material = min_material[lobe]};
        const Image<RGBA16F> levels[] = {g.transient<RGBA16F>(page.with("_even")), g.transient<RGBA16F>(page.with("_odd"))};
        for (int k = 0; k < s.atrous_iterations; k++, level.step *= 2) {
            level.out = levels[k % 2];
            level.shared = shared_noise_of_levels[std::min(k, 3)];
            if (k == 0)
                g.run<Pass::atrous_first>(page.variant(), level);
            else if (k <= 2)
                g.run<Pass::atrous_near>({lobe + 2 * (k - 1), page.name + std::string(k == 1 ? ".2" : ".4")}, level);
            else
                g.run<Pass::atrous_far>({lobe, page.name + std::string(".") + std::to_string(level.step)}, level);
            level.signal = level.out;
            level.responsive = {};
        }
        if (const Array variance = g.output(page.with("_variance")); variance.present())
            g.run<Pass::estimate_error>(page.label(),
                                        {.guide = guides.guide, .signal = level.out, .factor = i.factor, .variance = variance, .plane_sensitivity = s.plane_sensitivity});
        g.run<Pass::resolve>(page.label(), {.guide = guides.guide,
                                            .signal = level.out,
                                            .distances = i.slow,
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
