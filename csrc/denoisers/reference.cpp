// SPDX-License-Identifier: Apache-2.0
#include "reference.h"

//  signal ─► accumulate ─► mean, variance, standard error, count
//              ▲    │
//              └────┴─ of each channel: mean and, where its error is asked for, spread; of each pixel: count

namespace denoise {

void Reference::example(FrameInput& input) const {
    input.inputs["signal"] = {.channels = 3, .type = ArrayType::f16};
    input.outputs["mean"] = {.channels = 3, .type = ArrayType::f32};
}

void Reference::page(Graph& g, const FrameConstants& f, const FrameInput&, const Guides&) {
    const float max_frames = float(settings_.max_accumulated_frames);
    ReferenceAccumulateArgs args{.signal = g.input("signal"),
                                 .mask = g.input("mask"),
                                 .count = g.permanent<R32F>("samples"),
                                 .out = g.output("mean"),
                                 .variance = g.output("variance"),
                                 .standard_error = g.output("standard_error"),
                                 .out_count = g.output("count"),
                                 .max_frames = max_frames,
                                 .split = f.split_screen,
                                 .history_valid = f.history_valid && !f.camera_moved && max_frames > 0};
    for (int k = 0; k < args.signal.channels; k++) {
        const std::string channel = std::to_string(k);
        args.mean[k] = g.permanent<TwoFloats>("mean." + channel);
        if (args.variance.present() || args.standard_error.present()) args.spread[k] = g.permanent<TwoFloats>("spread." + channel);
    }
    g.run<Pass::reference_accumulate>(args);
}

}  // namespace denoise
