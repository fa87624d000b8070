// SPDX-License-Identifier: Apache-2.0
#include "denoiser.h"

#include <algorithm>
#include <stdexcept>

#include "reblur.h"
#include "reference.h"
#include "relax.h"
#include "sigma.h"

namespace denoise {
namespace {

const std::string light_prefix = "light place ";  // in states, before a light's key

std::unique_ptr<Family> make_family(const std::string& name) {
    if (name == "reblur") return std::make_unique<Reblur>();
    if (name == "relax") return std::make_unique<Relax>();
    if (name == "sigma") return std::make_unique<Sigma>();
    if (name == "reference") return std::make_unique<Reference>();
    throw std::invalid_argument("family: expected 'reblur', 'relax', 'sigma' or 'reference', got '" + name + "'");
}

}  // namespace

Denoiser::Denoiser(const std::vector<std::string>& families, int width, int height, std::unique_ptr<Backend> backend) : graph_(std::move(backend)), width_(width), height_(height) {
    for (const std::string& name : families) families_.push_back(make_family(name));
}

bool Denoiser::set(const std::string& family, const std::string& setting, double value) {
    for (const auto& f : families_)
        if (f->name() == family) return settings_.set(setting, value) || f->set(setting, value);
    return false;
}

FrameConstants Denoiser::constants(const FrameInput& input) const {
    const bool fresh = input.reset || !memory_.started;
    const Camera camera = input.camera.value_or(memory_.previous), previous = fresh ? camera : memory_.previous;
    const FrameSettings& s = settings_;
    FrameConstants f = frame_constants(camera, previous, width_, height_);
    f.frame_index = fresh ? 0 : memory_.frame_index;
    f.history_valid = fresh ? 0 : 1;
    f.world_motion = input.world_motion;
    f.units_per_metre = s.units_per_metre;
    f.sky_distance = s.sky_distance;
    f.frame_rate_scale = std::max(1 / (30 * s.frame_time), 1.f);
    f.split_screen = s.split_screen;
    const float jitter_slack = (1 + jitter_step(camera, previous)) * f.inv_height;
    f.disocclusion_threshold = s.disocclusion_threshold + jitter_slack;
    f.disocclusion_threshold_alternate = s.disocclusion_threshold_alternate + jitter_slack;
    f.strand_material = s.strand_material;
    f.strand_thickness = s.strand_thickness * s.units_per_metre;
    for (const auto& family : families_) family->constants(f);
    return f;
}

Needs Denoiser::needs() const {
    Needs all;
    for (const auto& family : families_) {
        const Needs n = family->needs();
        all = {all.guide || n.guide, all.prev_guide || n.prev_guide, all.tiles || n.tiles, all.material || n.material, all.strands || n.strands};
    }
    return all;
}

Guides Denoiser::pack_guides() {
    Graph& g = graph_;
    const Needs needed = needs();
    Guides guides;
    if (!needed.guide) return guides;
    guides.motion = g.input("motion");
    guides.threshold_mix = g.input("disocclusion_threshold_mix");
    const Array material_id = needed.material || (needed.strands && frame_.strand_material >= 0) ? g.input("material_id") : Array{};
    if (needed.prev_guide) {
        const auto both = g.history<Guide>("guide");
        guides.guide = both.current, guides.prev_guide = both.previous;
    } else {
        guides.guide = g.transient<Guide>("guide");
    }
    if (material_id.present()) {
        const auto both = g.history<R8U>("material");
        guides.material = both.current;
        if (both.valid) guides.prev_material = both.previous;
    }
    g.run<Pass::pack_guides>({.view_z = g.input("view_z"),
                              .normal = g.input("normal"),
                              .roughness = g.input("roughness"),
                              .material_id = material_id,
                              .guide = guides.guide,
                              .material = guides.material});
    if (needed.tiles) {
        guides.tiles = g.transient<R8U>("tiles", (width_ + tile_size - 1) / tile_size, (height_ + tile_size - 1) / tile_size);
        g.run<Pass::classify_tiles>({.guide = guides.guide, .tiles = guides.tiles});
    }
    return guides;
}

void Denoiser::write_page(const FrameInput& input) {
    frame_ = constants(input);
    graph_.begin(width_, height_);
    graph_.bind(input.inputs, input.outputs);
    const Guides guides = pack_guides();
    FrameInput known = input;
    for (Light& light : known.lights) {
        const auto it = frame_.history_valid ? places_.find(light.key) : places_.end();
        const bool same = it != places_.end() && it->second.local == int64_t(light.local);
        std::copy_n(same ? it->second.vector : light.vector, 3, light.last);
    }
    for (const auto& family : families_) family->page(graph_, frame_, known, guides);
    described_ = true;
}

void Denoiser::denoise(const FrameInput& input) {
    write_page(input);
    graph_.execute(frame_, input.queue);
    remember(input);
}

std::vector<Crosscheck> Denoiser::crosscheck(const FrameInput& input, Backend& other) {
    write_page(input);
    auto results = graph_.crosscheck(frame_, other);
    remember(input);
    return results;
}

void Denoiser::remember(const FrameInput& input) {
    if (input.camera) memory_.previous = *input.camera;
    memory_.frame_index = frame_.frame_index + 1;
    memory_.started = 1;
    places_.clear();
    for (const Light& light : input.lights) places_[light.key] = {{light.vector[0], light.vector[1], light.vector[2]}, light.local};
}

std::string Denoiser::describe() {
    if (!described_) {
        FrameInput frame;
        if (needs().guide)
            frame.inputs = {
                {"view_z", {.channels = 1, .type = ArrayType::f16}}, {"normal", {.channels = 3, .type = ArrayType::f16}}, {"motion", {.channels = 3, .type = ArrayType::f16}}};
        for (const auto& family : families_) family->example(frame);
        for (auto* arrays : {&frame.inputs, &frame.outputs})
            for (auto& [name, array] : *arrays) array.width = width_, array.height = height_;
        write_page(frame);
        described_ = false;
    }
    return graph_.describe();
}

void Denoiser::resize(int width, int height) {
    graph_.forget();
    width_ = width;
    height_ = height;
    memory_ = {};
    places_.clear();
    described_ = false;
}

std::map<std::string, std::string> Denoiser::save() const {
    auto state = graph_.save();
    state["memory"] = std::string(reinterpret_cast<const char*>(&memory_), sizeof memory_);
    for (const auto& [key, place] : places_) state[light_prefix + key] = std::string(reinterpret_cast<const char*>(&place), sizeof place);
    return state;
}

void Denoiser::restore(const std::map<std::string, std::string>& state) {
    auto images = state;
    const auto it = images.find("memory");
    if (it == images.end() || it->second.size() != sizeof(Memory)) throw std::invalid_argument("state: not a state of this denoiser");
    Memory memory;
    std::memcpy(&memory, it->second.data(), sizeof memory);
    images.erase(it);
    std::map<std::string, LightPlace> places;
    for (auto at = images.lower_bound(light_prefix); at != images.end() && at->first.compare(0, light_prefix.size(), light_prefix) == 0; at = images.erase(at)) {
        if (at->second.size() != sizeof(LightPlace)) throw std::invalid_argument("state: not a state of this denoiser");
        std::memcpy(&places[at->first.substr(light_prefix.size())], at->second.data(), sizeof(LightPlace));
    }
    graph_.begin(width_, height_);
    graph_.restore(images);
    memory_ = memory;
    places_ = places;
    described_ = false;
}

}  // namespace denoise
