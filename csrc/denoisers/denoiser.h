// SPDX-License-Identifier: Apache-2.0
// A denoiser on a device, frame by frame: binds the caller's arrays, keeps the previous camera, packs the guides, lets each of its families
// write its part of the page, runs it.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../graph/camera.h"
#include "../graph/graph.h"
#include "settings.h"  // generated from denoise/settings.py

namespace denoise {

// One light. Its arrays carry its key: inputs "occluder_distance.KEY" and perhaps "translucency.KEY", outputs "shadow.KEY" and perhaps
// "shadow_history_length.KEY". What is remembered of it goes by the key, too.
struct Light {
    std::string key;
    bool local = false;
    double vector[3] = {0, 1, 0};  // world: unit direction towards the light; local: its position
    float size = 0;                // tangent of the angular radius; local: radius, world units
    double last[3] = {0, 1, 0};    // `vector` in the last frame, or this frame's if there was none; the denoiser fills it in
};

struct FrameInput {
    std::map<std::string, Array> inputs, outputs;  // by the names of the Python API
    std::optional<Camera> camera;                  // absent: it stands still
    std::vector<Light> lights;
    bool world_motion = false;  // motion is a world-space displacement instead of pixels
    Queue queue;
    bool reset = false;         // a cut: forget history, previous camera and frame count
};

// What families share, declared and packed once a frame: as much of it as one of them needs.
struct Guides {
    Array motion, threshold_mix;  // the caller's; may be absent
    Image<Guide> guide, prev_guide;
    Image<R8U> tiles;                    // see classify_tiles.h
    Image<R8U> material, prev_material;  // absent without the caller's material ids; prev_ also where the last frame had none
};
struct Needs {
    bool guide = false, prev_guide = false;
    bool tiles = false;
    bool material = false;  // of both frames
    bool strands = false;   // material, where the settings name that of strands
};

// A family of denoisers: its settings and its part of the page.
class Family {
   public:
    virtual ~Family() = default;
    virtual std::string name() const = 0;
    virtual Needs needs() const = 0;
    virtual bool set(const std::string& setting, double value) = 0;  // false if there is no such setting
    virtual void constants(FrameConstants&) const {}                 // the frame's constants that are this family's to fill in
    virtual void page(Graph& g, const FrameConstants& frame, const FrameInput& input, const Guides& guides) = 0;
    virtual void example(FrameInput& input) const = 0;  // adds the inputs and outputs of a typical frame
};

class Denoiser {
   public:
    // Families by name, each once. Throws std::invalid_argument for an unknown one.
    Denoiser(const std::vector<std::string>& families, int width, int height, std::unique_ptr<Backend> backend);

    // Settings that all families share are the frame's: given for one of them, they are set for all. False if there is no such setting.
    bool set(const std::string& family, const std::string& setting, double value);
    void denoise(const FrameInput& input);
    std::vector<Crosscheck> crosscheck(const FrameInput& input, Backend& other);  // the same, see Graph::crosscheck
    std::string describe();  // the page of the last frame; before the first, of a typical one
    void resize(int width, int height);

    const Graph& graph() const { return graph_; }
    std::map<std::string, std::string> save() const;
    void restore(const std::map<std::string, std::string>& state);

   private:
    // What is remembered from frame to frame beside the images.
    struct Memory {
        Camera previous;
        uint32_t frame_index = 0;
        int32_t started = 0;
    };
    struct LightPlace {
        double vector[3];
        int64_t local;
    };
    void write_page(const FrameInput& input);
    FrameConstants constants(const FrameInput& input) const;
    Needs needs() const;
    Guides pack_guides();
    void remember(const FrameInput& input);

    Graph graph_;
    int width_, height_;
    FrameSettings settings_;
    std::vector<std::unique_ptr<Family>> families_;
    Memory memory_;
    std::map<std::string, LightPlace> places_;  // of the last frame's lights
    FrameConstants frame_;
    bool described_ = false;
};

}  // namespace denoise
