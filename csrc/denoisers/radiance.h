// SPDX-License-Identifier: Apache-2.0
// What the pages of ReBLUR and ReLAX have in common: from the caller's radiance to histories with this frame's samples blended in.
//
//  inputs ─ pack ─► signal ─► [reconstruct] ─► [prepass] ─► temporal accumulation ─► [re-lighting] ─►
#pragma once
#include <array>
#include <string>
#include <vector>

#include "denoiser.h"
#include "kernel_shape.h"
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
    Image<R8U> trust, averaged;
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

constexpr float least_radius_scale = 0.4f;  // see radius_scale()

// The lobes of a frame.
std::vector<LobePage> lobe_pages(const FrameInput& input);
// An entry for each lobe, by its number.
std::array<LobeImages, 2> accumulate(Graph& g, const FrameConstants& frame, const std::vector<LobePage>& lobes, const Guides& guides, const Accumulation& how);
// The frame's constants that are settings of every family of radiance.
template <class Settings> void radiance_constants(FrameConstants& f, const Settings& s) {
    f.camera_attached_material = s.camera_attached_material;
    f.hit_distance_offset = s.hit_distance_offset * f.units_per_metre;
    f.hit_distance_depth_scale = s.hit_distance_depth_scale;
    f.hit_distance_roughness_scale = s.hit_distance_roughness_scale;
}
// Adds the inputs and outputs of a typical frame.
void radiance_example(FrameInput& input);

}  // namespace denoise
