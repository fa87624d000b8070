// SPDX-License-Identifier: Apache-2.0
#include "sigma.h"

//  guides, occluder distance ─► resolve ─► shadow            for each light; its history length goes by its key

namespace denoise {

void Sigma::example(FrameInput& input) const {
    input.lights.push_back({.key = "0"});
    input.inputs["occluder_distance.0"] = {.channels = 1, .type = ArrayType::f16};
    input.outputs["shadow.0"] = {.channels = 1, .type = ArrayType::f16};
}

void Sigma::page(Graph& g, const FrameConstants& f, const FrameInput& input, const Guides& guides) {
    for (const Light& light : input.lights) {
        const auto of_light = [&](const char* name) { return std::string(name) + "." + light.key; };
        History<R8U> frames{};
        if (settings_.max_stabilized_frames > 0) frames = g.history<R8U>(of_light("shadow_frames"));
        g.run<Pass::sigma_resolve>({0, light.key}, {.guide = guides.guide,
                                                    .occluder_distance = g.input(of_light("occluder_distance")),
                                                    .translucency = g.input(of_light("translucency")),
                                                    .prev_frames = f.history_valid && frames.valid ? frames.previous : Image<R8U>{},
                                                    .out = g.output(of_light("shadow")),
                                                    .frames = frames.current,
                                                    .history_length = g.output(of_light("shadow_history_length")),
                                                    .max_frames = float(settings_.max_stabilized_frames)});
    }
}

}  // namespace denoise
