// SPDX-License-Identifier: Apache-2.0
#include "relight.h"

#include <string>

namespace denoise {

LightChange relight(Graph& g, const char* name, const Relit& s, float proof) {
    const Variant label{0, name};
    struct Level {
        int width, height;
        Image<RGBA16F> now, before;
    } levels[relight_levels];
    int width = (s.past.width + relight_tile - 1) / relight_tile, height = (s.past.height + relight_tile - 1) / relight_tile;
    const auto image = [&](const char* what, int level) { return std::string(name) + what + std::to_string(relight_tile << level); };

    LightChange change;
    change.changed = g.transient<R8U>(std::string(name) + "_changed", width, height);
    for (int l = 0; l < relight_levels; l++, width = (width + 1) / 2, height = (height + 1) / 2) {
        levels[l] = {width, height, g.transient<RGBA16F>(image("_now", l), width, height), g.transient<RGBA16F>(image("_before", l), width, height)};
        const Level& level = levels[l];
        if (l == 0)
            g.run<Pass::relight_measure>(label, {.samples = s.samples, .past = s.past, .now = level.now, .before = level.before, .changed = change.changed});
        else
            g.run<Pass::relight_reduce>(label, {.now = levels[l - 1].now, .before = levels[l - 1].before, .coarse_now = level.now, .coarse_before = level.before});
    }

    for (int l = relight_levels - 1; l >= 0; l--) {
        const Level& level = levels[l];
        const LightChange coarse = change;
        change.gain = g.transient<RGBA16F>(image("_gain", l), level.width, level.height);
        change.add = g.transient<RGBA16F>(image("_add", l), level.width, level.height);
        // Tiles of the finest level would add up their own pattern: only coarser ones remember where they drift.
        const auto drift = l > 0 ? g.permanent<R8U>(image("_drift", l), level.width, level.height) : Image<R8U>{};
        g.run<Pass::relight_gain>(label, {.now = level.now,
                                          .before = level.before,
                                          .coarse_gain = coarse.gain,
                                          .coarse_add = coarse.add,
                                          .memory = g.permanent<R16U>(image("_light", l), level.width, level.height),
                                          .drift = drift,
                                          .gain = change.gain,
                                          .add = change.add,
                                          .changed = l == 0 ? change.changed : Image<R8U>{},
                                          .pixels = float(relight_tile << l) * float(relight_tile << l),
                                          .proof = proof * proof});
    }
    g.run<Pass::relight_apply>(label, {.gain = change.gain,
                                       .add = change.add,
                                       .changed = change.changed,
                                       .samples = s.samples,
                                       .past = s.past,
                                       .confidence = s.confidence,
                                       .signal = s.signal,
                                       .fast = s.fast,
                                       .responsive = s.responsive,
                                       .frames = s.frames,
                                       .max_fast_frames = s.max_fast_frames});
    return change;
}

}  // namespace denoise
