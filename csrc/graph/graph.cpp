// SPDX-License-Identifier: Apache-2.0
#include "graph.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string_view>

namespace denoise {
namespace {

// Rows start 64-byte aligned and end with room for one store of the widest lanes. The odd 64 bytes keep rows of power-of-two
// sizes from falling into the same cache sets.
int row_pitch(int width, int bytes_per_pixel) { return ((width + 15) / 16 * 16 * bytes_per_pixel + 63) / 64 * 64 + 64; }

// Calls visit(bytes, count) for every run of adjacent bytes of an image or array, row by row.
template <class Visit> void each_run(const Array& array, int bytes_per_pixel, Visit visit) {
    const int bytes = bytes_per_pixel / array.channels;
    for (int y = 0; y < array.height; y++)
        for (int x = 0; x < array.width; x++)
            for (int c = 0; c < array.channels; c++) visit(array.data + y * array.stride_y + x * array.stride_x + c * array.stride_c, bytes);
}
std::string pack(const Array& array, int bytes_per_pixel) {
    std::string packed;
    each_run(array, bytes_per_pixel, [&](const uint8_t* at, int bytes) { packed.append(reinterpret_cast<const char*>(at), bytes); });
    return packed;
}
void unpack(const std::string& packed, const Array& array, int bytes_per_pixel) {
    const char* from = packed.data();
    each_run(array, bytes_per_pixel, [&](uint8_t* at, int bytes) { std::memcpy(at, from, bytes), from += bytes; });
}

}  // namespace

Graph::Graph(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
Graph::~Graph() { forget(); }

void Graph::forget() {
    for (auto& [name, b] : permanents_) backend_->release(b.memory);
    permanents_.clear();
    flipped_.clear();
    if (arena_) backend_->release(arena_);
    arena_ = nullptr;
    arena_bytes_ = 0;
}

void Graph::begin(int width, int height) {
    width_ = width;
    height_ = height;
    images_.clear();
    nodes_.clear();
    histories_.clear();
    ran_ = false;
}

ImageView Graph::declare(const std::string& name, const char* format, int bytes_per_pixel, Life life, int width, int height) {
    for (const Declared& d : images_)
        if (d.name == name) throw std::logic_error("the page names the image '" + name + "' twice");
    ImageView view;
    view.width = width;
    view.height = height;
    view.pitch = row_pitch(width, bytes_per_pixel);
    view.id = int(images_.size());
    Declared d{};
    d.name = name;
    d.format = format;
    d.bytes_per_pixel = bytes_per_pixel;
    d.width = width;
    d.height = height;
    d.pitch = view.pitch;
    d.life = life;
    d.bytes = size_t(view.pitch) * height + 64;
    images_.push_back(d);
    return view;
}

Array Graph::external(const std::string& name, const std::map<std::string, Array>& bound, Life life) {
    const auto it = bound.find(name);
    if (it == bound.end()) return {};
    Array array = it->second;
    array.id = int(images_.size());
    Declared d{};
    d.name = life == Life::output ? "out." + name : name;
    d.format = array.type == ArrayType::f16 ? "f16" : array.type == ArrayType::f32 ? "f32" : "u8";
    d.bytes_per_pixel = array.channels * (array.type == ArrayType::f16 ? 2 : array.type == ArrayType::f32 ? 4 : 1);
    d.width = array.width;
    d.height = array.height;
    d.life = life;
    d.array = array;
    images_.push_back(d);
    return array;
}
Array Graph::input(const std::string& name) { return external(name, inputs_, Life::input); }
Array Graph::output(const std::string& name) { return external(name, outputs_, Life::output); }

void Graph::record(Node node) {
    const int index = int(nodes_.size());
    for (const auto* list : {&node.reads, &node.writes})
        for (int id : *list) {
            if (images_[id].first_use < 0) images_[id].first_use = index;
            images_[id].last_use = index;
        }
    nodes_.push_back(std::move(node));
}

// Places transients in one arena, each at the lowest offset that is free during its life: large ones first, or those that live long first,
// or as they come, whatever needs the least. A page like the last one keeps its places.
size_t Graph::plan() {
    std::vector<int> images;
    std::vector<Claim> claims;
    for (int i = 0; i < int(images_.size()); i++)
        if (images_[i].life == Life::transient && images_[i].first_use >= 0) {
            images.push_back(i);
            claims.push_back({images_[i].bytes, images_[i].first_use, images_[i].last_use});
        }
    if (claims == plan_.claims) {
        for (size_t k = 0; k < images.size(); k++) images_[images[k]].offset = plan_.offsets[k];
        return plan_.total;
    }
    const auto need = [&](int i) { return (images_[i].bytes + 63) / 64 * 64; };
    const auto lives = [&](int i) { return images_[i].last_use - images_[i].first_use; };
    const auto place = [&](const std::vector<int>& order) {
        size_t total = 0;
        for (size_t k = 0; k < order.size(); k++) {
            Declared& d = images_[order[k]];
            std::vector<std::pair<size_t, size_t>> taken;
            for (size_t j = 0; j < k; j++) {
                const Declared& o = images_[order[j]];
                if (o.first_use <= d.last_use && d.first_use <= o.last_use) taken.emplace_back(o.offset, o.offset + need(order[j]));
            }
            std::sort(taken.begin(), taken.end());
            d.offset = 0;
            for (const auto& [begin, end] : taken) {
                if (d.offset + need(order[k]) <= begin) break;
                d.offset = std::max(d.offset, end);
            }
            total = std::max(total, d.offset + need(order[k]));
        }
        return total;
    };
    std::vector<int> orders[] = {images, images, images};
    std::stable_sort(orders[0].begin(), orders[0].end(), [&](int a, int b) { return need(a) > need(b); });
    std::stable_sort(orders[1].begin(), orders[1].end(), [&](int a, int b) { return lives(a) > lives(b); });
    std::stable_sort(orders[2].begin(), orders[2].end(), [&](int a, int b) { return images_[a].first_use < images_[b].first_use; });
    size_t totals[3];
    for (int k = 0; k < 3; k++) totals[k] = place(orders[k]);
    plan_ = {claims, {}, place(orders[std::min_element(totals, totals + 3) - totals])};
    for (int i : images) plan_.offsets.push_back(images_[i].offset);
    return plan_.total;
}

Graph::Buffer& Graph::buffer(const std::string& name, const Declared& like) {
    Buffer& b = permanents_[name];
    if (b.bytes != like.bytes || b.width != like.width || b.height != like.height) {
        if (b.memory) backend_->release(b.memory);
        b = {};
        b.memory = static_cast<uint8_t*>(backend_->allocate(like.bytes));
        b.bytes = like.bytes;
        b.width = like.width;
        b.height = like.height;
    }
    return b;
}

std::string Graph::label(const Node& node) const {
    const std::string name = pass_names[int(node.pass)];
    return node.variant.name.empty() ? name : name + "." + node.variant.name;
}

void Graph::place_images() {
    const size_t total = plan();
    if (total != arena_bytes_) {
        uint8_t* fresh = total ? static_cast<uint8_t*>(backend_->allocate(total)) : nullptr;
        if (arena_) backend_->release(arena_);
        arena_ = fresh;
        arena_bytes_ = total;
    }
    for (Declared& d : images_) {
        if (d.life == Life::permanent) d.memory = buffer(d.name, d).memory;
        if (d.life == Life::transient) d.memory = arena_ + d.offset;
    }
}

Launch Graph::prepare(Node& node) {
    node.patch(*this, node.args.data());
    return {node.pass, node.variant.index, node.args.data(), node.width, node.height};
}

void Graph::execute(const FrameConstants& frame, const Queue& queue) {
    backend_->begin(queue);
    place_images();
    std::vector<Launch> launches;
    launches.reserve(nodes_.size());
    for (Node& node : nodes_) launches.push_back(prepare(node));
    backend_->run(launches, frame);
    ran_ = true;
    finish_frame();
}

std::vector<Crosscheck> Graph::crosscheck(const FrameConstants& frame, Backend& other) {
    place_images();
    std::vector<Crosscheck> results;
    for (Node& node : nodes_) {
        const Launch launch = prepare(node);
        const size_t first = results.size();
        std::vector<Array> targets;
        std::vector<std::string> before;
        for (int id : node.writes) {
            const Declared& d = images_[id];
            Array target = d.array;  // an image is an array of whole texels
            if (d.memory) target = {.data = d.memory, .stride_x = d.bytes_per_pixel, .stride_y = d.pitch, .width = d.width, .height = d.height, .channels = 1};
            const bool read = std::find(node.reads.begin(), node.reads.end(), id) != node.reads.end();
            before.push_back(read ? pack(target, d.bytes_per_pixel) : std::string(size_t(d.width) * d.height * d.bytes_per_pixel, '\xff'));
            targets.push_back(target);
            results.push_back({label(node), d.name, d.format, d.width, d.height, target.channels, "", ""});
        }
        const auto run = [&](Backend& backend, std::string Crosscheck::* result) {
            for (size_t k = 0; k < targets.size(); k++) unpack(before[k], targets[k], images_[node.writes[k]].bytes_per_pixel);
            backend.run({launch}, frame);
            for (size_t k = 0; k < targets.size(); k++) results[first + k].*result = pack(targets[k], images_[node.writes[k]].bytes_per_pixel);
        };
        run(other, &Crosscheck::second);
        run(*backend_, &Crosscheck::first);  // last: the frame goes on from here
    }
    finish_frame();
    return results;
}

void Graph::finish_frame() {
    for (const Node& node : nodes_)
        for (int id : node.writes)
            if (images_[id].life == Life::permanent) permanents_[images_[id].name].written = frame_number_;
    // What this page did not name has no successor to hand its memory to: a light that went out, an input that is gone.
    std::set<std::string_view> named;
    for (const Declared& d : images_) named.insert(d.name);
    for (auto it = permanents_.begin(); it != permanents_.end();) {
        if (named.count(it->first)) {
            ++it;
            continue;
        }
        backend_->release(it->second.memory);
        it = permanents_.erase(it);
    }
    std::map<std::string, bool> flipped;
    for (const std::string& name : histories_) flipped[name] = !flipped_[name];
    flipped_ = std::move(flipped);
    frame_number_++;
}

std::string Graph::describe() {
    const size_t transient = plan();
    const auto line = [](const char* format, auto... values) {
        char text[512];
        std::snprintf(text, sizeof text, format, values...);
        return std::string(text);
    };
    const auto names = [&](const std::vector<int>& ids) {
        std::string s;
        for (int id : ids) s += (s.empty() ? "" : ", ") + images_[id].name;
        return s;
    };
    std::string text = line("%d x %d pixels on %s\n\npasses\n", width_, height_, backend_->name().c_str());
    double own = 0, callers = 0;
    for (const Node& n : nodes_) {
        double bytes = 0;
        const auto count = [&](int id, float share) {
            const Declared& d = images_[id];
            const double size = double(share) * d.bytes_per_pixel * d.width * d.height / (double(width_) * height_);
            bytes += size;
            (d.life == Life::input || d.life == Life::output ? callers : own) += size;
        };
        for (size_t k = 0; k < n.reads.size(); k++) count(n.reads[k], n.shares[k]);
        for (int id : n.writes) count(id, 1);
        text += line("  %-34s %6.1f B/px   %s -> %s\n", label(n).c_str(), bytes, names(n.reads).c_str(), names(n.writes).c_str());
    }
    text += line("  in all %29s %6.1f B/px   %.1f of own images, %.1f of the caller's arrays\n", "", own + callers, own, callers);
    static const char* const lives[] = {"permanent", "transient", "input", "output"};
    text += "\nimages\n";
    double permanent = 0;
    for (const Declared& d : images_) {
        if (d.life == Life::permanent) permanent += double(d.bytes);
        text += line("  %-34s %-9s %-8s %2d B/px\n", d.name.c_str(), lives[int(d.life)], d.format, d.bytes_per_pixel);
    }
    text += line("\nmemory: %.1f MB permanent + %.1f MB transient (disjoint lives share memory)\n", permanent / 1e6, transient / 1e6);
    return text;
}

std::vector<std::pair<std::string, double>> Graph::timings() const {
    std::vector<std::pair<std::string, double>> list;
    if (!ran_) return list;
    const std::vector<double> ms = backend_->timings();
    for (size_t k = 0; k < ms.size(); k++) {
        const std::string name = label(nodes_[k]);
        const auto same = std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.first == name; });
        if (same == list.end())
            list.emplace_back(name, ms[k]);
        else
            same->second += ms[k];
    }
    return list;
}

size_t Graph::permanent_bytes() const {
    return std::accumulate(permanents_.begin(), permanents_.end(), size_t(0), [](size_t sum, const auto& b) { return sum + b.second.bytes; });
}

std::map<std::string, std::string> Graph::save() const {
    std::map<std::string, std::string> state;
    state["frame"] = std::to_string(width_) + "x" + std::to_string(height_);
    for (const auto& [name, b] : permanents_) {
        const std::string age = std::to_string(frame_number_ - b.written);
        std::string& text = state[name] = std::to_string(b.width) + "x" + std::to_string(b.height) + " " + age + "\n";
        const size_t head = text.size();
        text.resize(head + b.bytes);
        backend_->read(text.data() + head, b.memory, b.bytes);
    }
    for (const auto& [name, flip] : flipped_) state["flip:" + name] = std::to_string(int(flip));
    return state;
}

void Graph::restore(const std::map<std::string, std::string>& state) {
    struct Loaded {
        int width, height;
        uint64_t age;
        const char* bytes;
        size_t size;
    };
    std::map<std::string, Loaded> loaded;
    int width = 0, height = 0;
    const auto frame = state.find("frame");
    if (frame == state.end() || std::sscanf(frame->second.c_str(), "%dx%d", &width, &height) != 2) throw std::invalid_argument("state: its size is missing");
    if (width_ && width && (width != width_ || height != height_))  // a state from before the first frame fits any
        throw std::invalid_argument("state: expected " + std::to_string(width_) + " x " + std::to_string(height_) + ", got " + std::to_string(width) + " x " +
                                    std::to_string(height));
    for (const auto& [name, text] : state) {
        if (name.rfind("flip:", 0) == 0 || name == "frame") continue;
        Loaded l{};
        const size_t end = text.find('\n');
        unsigned long long age = 0;
        if (end == std::string::npos || std::sscanf(text.c_str(), "%dx%d %llu", &l.width, &l.height, &age) != 3)
            throw std::invalid_argument("state: image '" + name + "' is damaged");
        l.age = age;
        l.bytes = text.data() + end + 1;
        l.size = text.size() - end - 1;
        loaded[name] = l;
    }
    forget();
    frame_number_ = uint64_t(1) << 32;  // more than any age
    for (const auto& [name, l] : loaded) {
        Buffer& b = permanents_[name];
        b = {static_cast<uint8_t*>(backend_->allocate(l.size)), l.size, l.width, l.height, frame_number_ - l.age};
        backend_->write(b.memory, l.bytes, l.size);
    }
    for (const auto& [name, text] : state)
        if (name.rfind("flip:", 0) == 0) flipped_[name.substr(5)] = text == "1";
}

}  // namespace denoise
