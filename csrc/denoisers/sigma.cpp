// SPDX-License-Identifier: Apache-2.0
#include "sigma.h"

#include <algorithm>

#include "kernel_shape.h"

//  occluder distance ─► classify ─► spread ─► tiles ─┐
//  occluder distance, guide ─► estimate penumbra ────┼─► penumbra, past ─► filter ─► shadow
//                                     ▲                                       │
//                                     └───────────── history ◄────────────────┘
//
//  Lights share passes in groups; a tinted one has its own.

namespace denoise {
namespace {

ShadowLight in_view(const Light& light, const Camera& camera, const FrameConstants& f) {
    const auto eye = camera_position(camera);
    ShadowLight l;
    for (int i = 0; i < 3; i++) {
        double now = 0, last = 0;
        for (int j = 0; j < 3; j++) {
            const double origin = light.local ? eye[j] : 0;
            now += f.world_to_view[3 * i + j] * (light.vector[j] - origin);
            last += f.world_to_view[3 * i + j] * (light.last[j] - origin);
        }
        l.vector[i] = float(now), l.last[i] = float(last);
    }
    l.size = light.size;
    l.local = light.local;
    return l;
}

bool moves(const ShadowLight& light) { return !std::equal(light.vector, light.vector + 3, light.last); }

}  // namespace

void Sigma::example(FrameInput& input) const {
    input.lights.push_back({.key = "0"});
    input.inputs["occluder_distance.0"] = {.channels = 1, .type = ArrayType::f16};
    input.outputs["shadow.0"] = {.channels = 1, .type = ArrayType::f16};
}

void Sigma::page(Graph& g, const FrameConstants& f, const FrameInput& input, const Guides& guides) {
    std::vector<const Light*> plain, tinted;
    for (const Light& light : input.lights) (input.inputs.count("translucency." + light.key) ? tinted : plain).push_back(&light);
    for (size_t k = 0; k < plain.size(); k += lights_per_pass) group(g, f, input, guides, {plain.begin() + k, plain.begin() + std::min(k + lights_per_pass, plain.size())}, false);
    for (const Light* light : tinted) group(g, f, input, guides, {light}, true);
}

void Sigma::group(Graph& g, const FrameConstants& f, const FrameInput& input, const Guides& guides, const std::vector<const Light*>& lights, bool tint) {
    const SigmaSettings& s = settings_;
    const bool remembers = s.max_stabilized_frames > 0;
    EstimatePenumbraArgs estimate{.guide = guides.guide,
                                  .material = guides.material,
                                  .motion = guides.motion,
                                  .threshold_mix = guides.threshold_mix,
                                  .count = int(lights.size()),
                                  .plane_sensitivity = s.plane_sensitivity,
                                  .max_radius = s.max_blur_radius * radius_scale(f.height, 0.5f)};
    FilterShadowArgs filter{.guide = guides.guide, .count = estimate.count, .plane_sensitivity = s.plane_sensitivity, .max_radius = estimate.max_radius};
    filter.max_frames = float(s.max_stabilized_frames);
    const auto turn = [&](float (&rotation)[2], double phase) {
        const auto [c, sn] = kernel_rotation(f.frame_index, phase, 360);
        rotation[0] = c, rotation[1] = sn;
    };
    turn(estimate.rotation, 0.57735027);
    turn(filter.rotation, 0.70710678);

    const int tiles_x = (f.width + shadow_tile - 1) / shadow_tile, tiles_y = (f.height + shadow_tile - 1) / shadow_tile;
    std::string names;
    for (size_t k = 0; k < lights.size(); k++) {
        const std::string& key = lights[k]->key;
        const auto of_light = [&](const char* name) { return std::string(name) + "." + key; };
        const Array distance = g.input(of_light("occluder_distance")), translucency = tint ? g.input(of_light("translucency")) : Array{};
        const auto tiles = g.transient<R16U>(of_light("mixed_tiles"), tiles_x, tiles_y), spread = g.transient<R16U>(of_light("soft_tiles"), tiles_x, tiles_y);
        const ShadowLight light = in_view(*lights[k], *input.camera, f);
        g.run<Pass::classify_shadow>({0, key}, {.occluder_distance = distance, .translucency = translucency, .tiles = tiles});
        g.run<Pass::spread_softness>({0, key}, {.tiles = tiles, .spread = spread});

        estimate.light[k] = filter.light[k] = light;
        estimate.occluder_distance[k] = distance;
        estimate.tiles[k] = spread;
        estimate.penumbra[k] = filter.penumbra[k] = g.transient<R16U>(of_light("penumbra"));
        estimate.past[k] = filter.past[k] = g.transient<R16U>(of_light("past"));
        filter.out[k] = g.output(of_light("shadow"));
        filter.history_length[k] = g.output(of_light("shadow_history_length"));
        History<R32U> history{}, tints{};
        if (remembers) {
            history = g.history<R32U>(of_light("shadow_history"));
            if (history.valid && f.history_valid) estimate.history[k] = history.previous;
            filter.history[k] = history.current;
        }
        if (tint) {
            estimate.translucency = filter.translucency = translucency;
            estimate.tint = filter.tint = g.transient<R32U>(of_light("tint"));
            estimate.past_tint = filter.past_tint = g.transient<R32U>(of_light("past_tint"));
            if (remembers) {
                tints = g.history<R32U>(of_light("tint_history"));
                if (tints.valid && f.history_valid)
                    estimate.tint_history = tints.previous;
                else
                    estimate.history[k] = {};
                filter.tint_history = tints.current;
            }
        }
        if (remembers && (guides.motion.present() || moves(light))) {
            const int blocks_x = (f.width + step_block - 1) / step_block, blocks_y = (f.height + step_block - 1) / step_block;
            const auto steps = g.transient<RGBA16F>(of_light("occluder_steps"), blocks_x, blocks_y);
            g.run<Pass::follow_occluder>({0, key},
                                         {.guide = guides.guide, .motion = guides.motion, .occluder_distance = distance, .tiles = spread, .light = light, .steps = steps});
            estimate.steps[k] = steps;
        }
        names += (k ? "+" : "") + key;
    }
    const int variant = tint ? 2 : lights.size() == 1 ? 0 : 1;
    g.run<Pass::estimate_penumbra>({variant, names}, estimate);
    g.run<Pass::filter_shadow>({variant, names}, filter);
}

}  // namespace denoise
