// SPDX-License-Identifier: Apache-2.0
#include "denoiser.h"

#include <stdexcept>

#include "reblur.h"

namespace denoise {

std::unique_ptr<Denoiser> Denoiser::make(const std::string& family, int width, int height, std::unique_ptr<Backend> backend) {
    if (family == "reblur") return std::make_unique<Reblur>(width, height, std::move(backend));
    throw std::invalid_argument("family: expected 'reblur', got '" + family + "'");
}

void Denoiser::write_page(const FrameInput& input) {
    const bool fresh = input.reset || !memory_.started;
    const Camera& previous = fresh ? input.camera : memory_.previous;
    frame_ = frame_constants(input.camera, previous, width_, height_);
    frame_.frame_index = fresh ? 0 : memory_.frame_index;
    frame_.history_valid = fresh ? 0 : 1;
    frame_.world_motion = input.world_motion;
    constants(frame_, input.camera, previous);

    graph_.begin(width_, height_);
    graph_.bind(input.inputs, input.outputs);
    page(graph_, frame_, input);
    described_ = true;
}

void Denoiser::denoise(const FrameInput& input) {
    write_page(input);
    graph_.execute(frame_);
    remember(input);
}

std::vector<Crosscheck> Denoiser::crosscheck(const FrameInput& input, Backend& other) {
    write_page(input);
    auto results = graph_.crosscheck(frame_, other);
    remember(input);
    return results;
}

void Denoiser::remember(const FrameInput& input) {
    memory_.previous = input.camera;
    memory_.frame_index = frame_.frame_index + 1;
    memory_.started = 1;
}

std::string Denoiser::describe() {
    if (!described_) {
        FrameInput frame = example();
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
    described_ = false;
}

std::map<std::string, std::string> Denoiser::save() const {
    auto state = graph_.save();
    state["memory"] = std::string(reinterpret_cast<const char*>(&memory_), sizeof memory_);
    return state;
}

void Denoiser::restore(const std::map<std::string, std::string>& state) {
    auto images = state;
    const auto it = images.find("memory");
    if (it == images.end() || it->second.size() != sizeof(Memory)) throw std::invalid_argument("state: not a state of this denoiser");
    Memory memory;
    std::memcpy(&memory, it->second.data(), sizeof memory);
    images.erase(it);
    graph_.begin(width_, height_);
    graph_.restore(images);
    memory_ = memory;
    described_ = false;
}

}  // namespace denoise
