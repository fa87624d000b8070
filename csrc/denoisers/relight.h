// SPDX-License-Identifier: Apache-2.0
// Re-lighting of a history, see shaders/relight/tiles.h: the part of a page that every accumulating denoiser shares.
#pragma once
#include "../graph/graph.h"

namespace denoise {

// What one accumulated signal hands over.
struct Relit {
    Image<R16U> samples;     // this frame's, not filtered, by encode_light()
    Image<R16U> past;        // what accumulation found, likewise
    Array confidence;        // the caller's, may be absent
    Image<RGBA16F> signal;   // the two blended: changed in place
    Image<R16F> fast;        // changed in place; of these two, one is absent
    Image<RGBA16F> responsive;
    Image<R8U> frames;       // history length, changed in place
    float max_fast_frames;
};
// For other images that live on from frame to frame: see relight_at(). Absent where re-lighting is off.
struct LightChange {
    Image<RGBA16F> gain, add;
    Image<R8U> changed;
};
// `name` is of static storage, and unique on the page; `proof` is in standard deviations of the mean.
LightChange relight(Graph& g, const char* name, const Relit& signal, float proof);

}  // namespace denoise
