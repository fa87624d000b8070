// SPDX-License-Identifier: Apache-2.0
// A frame as a list of passes over named images. The page of a denoiser is written anew every frame, so that choices are plain `if`s;
// images keep their memory by name, permanent ones as long as every page names them. Usable from C++ without Python (see csrc/example.cpp).
#pragma once
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend.h"

namespace denoise {

// Two buffers of one image, exchanged after every frame that uses it.
template <class F> struct History {
    Image<F> current, previous;
    bool valid;  // `previous` was written in the last frame
};

// What a pass wrote into an image, computed by two backends from the same inputs. Rows are packed: width * bytes_per_pixel.
struct Crosscheck {
    std::string pass, image, format;
    int width, height, channels;
    std::string first, second;  // this graph's backend, the other one
};

// One of a pass's compiled instances, and how it shows in timings.
struct Variant {
    int index = 0;
    std::string name;
};

class Graph {
   public:
    explicit Graph(std::unique_ptr<Backend> backend);
    ~Graph();
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    // ---- describing a frame: begin, images, passes
    void begin(int width, int height);
    Array input(const std::string& name);   // absent unless bound
    Array output(const std::string& name);  // absent unless bound
    template <class F> Image<F> permanent(const std::string& name) { return image<F>(name, Life::permanent, width_, height_); }
    template <class F> Image<F> permanent(const std::string& name, int width, int height) { return image<F>(name, Life::permanent, width, height); }
    template <class F> Image<F> transient(const std::string& name) { return image<F>(name, Life::transient, width_, height_); }
    template <class F> Image<F> transient(const std::string& name, int width, int height) { return image<F>(name, Life::transient, width, height); }
    template <class F> History<F> history(const std::string& name);
    // The output of the pass (its first `out` or `inout`) gives the size of the launch.
    template <Pass P> void run(typename PassArgs<P>::Args args) { run<P>({}, args); }
    template <Pass P> void run(Variant variant, typename PassArgs<P>::Args args);

    // ---- binding the caller's arrays, by name, for the frame that follows
    void bind(const std::map<std::string, Array>& inputs, const std::map<std::string, Array>& outputs) {
        inputs_ = inputs;
        outputs_ = outputs;
    }

    void execute(const FrameConstants& frame, const Queue& queue = {});
    // The same, but every pass also runs on `other`, from the inputs that it had here; what both wrote comes back in order. Outputs start
    // poisoned, so that a pixel which a pass leaves out shows. For tests: `other` must reach the memory of this graph's backend.
    std::vector<Crosscheck> crosscheck(const FrameConstants& frame, Backend& other);

    // ---- looking
    std::string describe();                                       // the page as text
    std::vector<std::pair<std::string, double>> timings() const;  // ms of every pass in the last frame measured; of runs with one name, their sum
    size_t permanent_bytes() const;
    size_t transient_bytes() const { return arena_bytes_; }

    // ---- permanent memory as bytes, by name; `restore` throws std::invalid_argument if the state is of another size or page
    std::map<std::string, std::string> save() const;
    void restore(const std::map<std::string, std::string>& state);
    void forget();  // releases all memory

   private:
    enum class Life { permanent, transient, input, output };
    struct Declared {
        std::string name;
        const char* format;
        int bytes_per_pixel, width, height, pitch;
        Life life;
        size_t bytes;
        int first_use = -1, last_use = -1;
        size_t offset = 0;  // in the arena, transients only
        uint8_t* memory = nullptr;
        Array array{};
        bool partner = false;  // the previous half of a history
    };
    struct Node {
        Pass pass;
        Variant variant;
        int width, height;
        std::vector<char> args;
        std::vector<int> reads, writes;
        std::vector<float> shares;  // of what is read
        void (*patch)(Graph&, void* args);
    };
    struct Buffer {
        uint8_t* memory = nullptr;
        size_t bytes = 0;
        int width = 0, height = 0;
        uint64_t written = 0;  // frame number
    };
    // What a transient asks of the arena, and where the transients of a page went.
    struct Claim {
        size_t bytes;
        int first_use, last_use;
        bool operator==(const Claim&) const = default;
    };
    struct Plan {
        std::vector<Claim> claims;
        std::vector<size_t> offsets;
        size_t total = 0;
    };
    struct Recorder;
    struct Patcher;

    template <class F> Image<F> image(const std::string& name, Life life, int width, int height) {
        Image<F> result;
        static_cast<ImageView&>(result) = declare(name, F::name, F::bytes, life, width, height);
        return result;
    }
    ImageView declare(const std::string& name, const char* format, int bytes_per_pixel, Life life, int width, int height);
    Array external(const std::string& name, const std::map<std::string, Array>& bound, Life life);
    Buffer& buffer(const std::string& name, const Declared& like);
    void place_images();
    Launch prepare(Node& node);  // its arguments, with memory in place of names
    void finish_frame();
    std::string label(const Node& node) const;
    size_t plan();  // offsets of the transients; returns the bytes they need together
    void record(Node node);

    std::unique_ptr<Backend> backend_;
    int width_ = 0, height_ = 0;
    uint64_t frame_number_ = 2;  // a buffer that was never written says 0
    std::vector<Declared> images_;
    std::vector<Node> nodes_;
    bool ran_ = false;  // the page, not only written
    Plan plan_;
    std::map<std::string, Array> inputs_, outputs_;
    std::map<std::string, Buffer> permanents_;
    std::map<std::string, bool> flipped_;  // histories: which half is current
    std::vector<std::string> histories_;   // of this page
    uint8_t* arena_ = nullptr;
    size_t arena_bytes_ = 0;
};

// Collects what a pass reads and writes. A share below 1: it looks at no more than that much of the pixels.
struct Graph::Recorder {
    Node& node;
    std::vector<Declared>& images;
    void in(const ImageView& v, float share = 1) { read(v.id, share); }
    void in(const Array& a, float share = 1) { read(a.id, share); }
    void out(const ImageView& v) { wrote(v.id); }
    void out(const Array& a) { wrote(a.id); }
    void inout(const ImageView& v) {
        in(v);
        out(v);
    }
    void read(int id, float share) {
        if (id < 0) return;
        node.reads.push_back(id);
        node.shares.push_back(share);
    }
    void wrote(int id) {
        if (id < 0) return;
        if (node.writes.empty()) node.width = images[id].width, node.height = images[id].height;
        node.writes.push_back(id);
    }
};
// Replaces the names in a pass's arguments by memory.
struct Graph::Patcher {
    Graph& graph;
    void in(ImageView& v, float = 1) {
        if (v.present()) v.data = graph.images_[v.id].memory;
    }
    void in(Array& a, float = 1) {
        const int id = a.id;
        if (a.present()) a = graph.images_[id].array, a.id = id;
    }
    void out(ImageView& v) { in(v); }
    void out(Array& a) { in(a); }
    void inout(ImageView& v) { in(v); }
};

template <class F> History<F> Graph::history(const std::string& name) {
    const bool flip = flipped_[name];
    histories_.push_back(name);
    History<F> h;
    h.current = permanent<F>(name + (flip ? ".1" : ".0"));
    h.previous = permanent<F>(name + (flip ? ".0" : ".1"));
    images_[h.previous.id].partner = true;
    const auto it = permanents_.find(images_[h.previous.id].name);
    h.valid = it != permanents_.end() && it->second.written + 1 == frame_number_;
    return h;
}

template <Pass P> void Graph::run(Variant variant, typename PassArgs<P>::Args args) {
    using Args = typename PassArgs<P>::Args;
    static_assert(std::is_trivially_copyable_v<Args>);
    Node node{};
    node.pass = P;
    node.variant = variant;
    Recorder recorder{node, images_};
    args.io(recorder);
    node.args.resize(sizeof(Args));
    std::memcpy(node.args.data(), &args, sizeof(Args));
    node.patch = [](Graph& graph, void* bytes) {
        Patcher patcher{graph};
        static_cast<Args*>(bytes)->io(patcher);
    };
    record(std::move(node));
}

}  // namespace denoise
