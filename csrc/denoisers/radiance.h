// SPDX-License-Identifier: Apache-2.0
// What the pages of ReBLUR and ReLAX have in common: from the caller's radiance to histories with this frame's samples blended in.
//
//  inputs ─ pack ─► signal ─► [reconstruct] ─► [prepass] ─► temporal accumulation ─► [re-lighting] ─►
#pragma once
#include <array>
#include <string>
#include <vector>

#include "denoiser.h"
#include "relight.h"

namespace denoise {

struct LobePage {
    Lobe lobe;
    const char* name;
    Variant variant() const { return {int(lobe), name}; }
    Variant label() const { return {0, name}; }  // of passes with one instance for both lobes
    std::string with(const char* suffix) const { return std::string(name) + suffix; }
};

// A lobe's images that live across passes.
struct LobeImages {
    Array radiance, distance, factor;
    Image<RGBA16F> signal, slow;  // this frame's, and once it is accumulated the blend; history
    Image<R16F> fast, fast_history;
    Image<RGBA16F> responsive, responsive_history;
    Image<R16U> sample, past, footprint;
    Image<R32U> offset;
    Image<R8U> trust;
    Image<R16F> tracking;  // of specular
    History<R8U> frames;
    LightChange light;
};

// What the short history of a family is, and what it asks accumulation to write beside.
struct AccumulationNeeds {
    bool responsive = false;  // a colour and the samples' deviation, and not a luma
    bool places = false;      // where the past was found
    bool samples = false;     // this frame's light, not filtered, even without re-lighting
};

struct Accumulation {
    AccumulationNeeds needs;
    Convergence convergence;
    int max_frames[2], max_fast_frames[2];
    float prepass_radius[2], min_hit_weight, plane_sensitivity, roughness_fraction, lobe_fraction;
    int min_material[2], reconstruction;
    bool tracking_only, relight;
    float relight_proof;
    float responsive_roughness = 0, responsive_min_frames = 0, firefly_min_scale = 0, max_blur_radius = 0, fix_frames = 0;
};

// Radii are pixels at 1440 lines, down to 0.4 of it.
float radius_scale(int height);
// One angle a frame for the whole picture, by the golden ratio; cosine and sine. The kernel has 90 degree symmetry.
std::array<float, 2> kernel_rotation(uint32_t frame_index, double phase, double offset_degrees);
// The lobes of a frame.
std::vector<LobePage> lobe_pages(const FrameInput& input);
// An entry for each lobe, by its number.
std::array<LobeImages, 2> accumulate(Graph& g, const FrameConstants& frame, const std::vector<LobePage>& lobes, const Guides& guides, const Accumulation& how);
// Adds the inputs and outputs of a typical frame.
void radiance_example(FrameInput& input);

}  // namespace denoise
