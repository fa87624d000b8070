// SPDX-License-Identifier: Apache-2.0
// A denoiser family on a device, frame by frame: binds the caller's arrays, keeps the previous camera, writes the page, runs it.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "../graph/camera.h"
#include "../graph/graph.h"
#include "settings.h"  // generated from denoise/settings.py

namespace denoise {

struct FrameInput {
    std::map<std::string, Array> inputs, outputs;  // by the names of the Python API
    Camera camera;
    bool world_motion = false;  // motion is a world-space displacement instead of pixels
    bool reset = false;         // a cut: forget history, previous camera and frame count
};

class Denoiser {
   public:
    // Throws std::invalid_argument for an unknown family.
    static std::unique_ptr<Denoiser> make(const std::string& family, int width, int height, std::unique_ptr<Backend> backend);
    virtual ~Denoiser() = default;

    virtual bool set(const std::string& setting, double value) = 0;  // false if there is no such setting
    void denoise(const FrameInput& input);
    std::vector<Crosscheck> crosscheck(const FrameInput& input, Backend& other);  // the same, see Graph::crosscheck
    std::string describe();  // the page of the last frame; before the first, of a frame with every input
    void resize(int width, int height);

    const Graph& graph() const { return graph_; }
    std::map<std::string, std::string> save() const;
    void restore(const std::map<std::string, std::string>& state);

   protected:
    Denoiser(int width, int height, std::unique_ptr<Backend> backend) : graph_(std::move(backend)), width_(width), height_(height) {}
    virtual void page(Graph& g, const FrameConstants& frame, const FrameInput& input) = 0;
    virtual void constants(FrameConstants& frame, const Camera& current, const Camera& previous) const = 0;
    virtual FrameInput example() const = 0;  // every input and output present, for describe()

   private:
    // What is remembered from frame to frame beside the images.
    struct Memory {
        Camera previous;
        uint32_t frame_index = 0;
        int32_t started = 0;
    };
    void write_page(const FrameInput& input);
    void remember(const FrameInput& input);

    Graph graph_;
    int width_, height_;
    Memory memory_;
    FrameConstants frame_;
    bool described_ = false;
};

}  // namespace denoise
