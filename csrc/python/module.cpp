// SPDX-License-Identifier: Apache-2.0
// The native module denoise._core: bindings only. What may be wrong with a call is checked in Python, before it comes here.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <tuple>

#include "../cpu/cpu_backend.h"
#include "../cpu/thread_pool.h"
#include "../cuda/cuda_backend.h"
#include "../denoisers/denoiser.h"
#include "dlpack.h"

namespace py = pybind11;
using namespace py::literals;
using namespace denoise;

namespace {

std::map<std::string, Array> borrow(const py::dict& arrays, std::vector<Borrowed>& keep) {
    std::map<std::string, Array> views;
    for (const auto& [name, array] : arrays) {
        keep.emplace_back(name.cast<std::string>(), array);
        views[name.cast<std::string>()] = keep.back().view;
    }
    return views;
}

void matrix(const py::handle& values, double out[16]) {
    const auto list = values.cast<std::vector<double>>();
    if (list.size() != 16) throw py::value_error("camera: expected 16 numbers, got " + std::to_string(list.size()));
    std::copy(list.begin(), list.end(), out);
}

void set_all(Denoiser& d, const py::dict& settings) {
    for (const auto& [family, values] : settings)
        for (const auto& [name, value] : values.cast<py::dict>())
            if (!d.set(family.cast<std::string>(), name.cast<std::string>(), value.cast<double>()))
                throw py::value_error("settings: " + family.cast<std::string>() + " has no '" + name.cast<std::string>() + "'");
}

// The arguments of one frame. `keep` holds the arrays as long as the frame is denoised.
FrameInput frame_input(Denoiser& d, const py::dict& inputs, const py::dict& outputs, const py::dict& camera, const py::list& lights, const py::dict& settings, bool reset,
                       std::vector<Borrowed>& keep) {
    FrameInput frame;
    frame.inputs = borrow(inputs, keep);
    frame.outputs = borrow(outputs, keep);
    if (!camera.empty()) {
        Camera& c = frame.camera.emplace();
        matrix(camera["world_to_view"], c.world_to_view);
        matrix(camera["view_to_clip"], c.view_to_clip);
        std::tie(c.jitter[0], c.jitter[1]) = camera["jitter"].cast<std::pair<double, double>>();
        frame.world_motion = camera["world_motion"].cast<bool>();
    }
    frame.reset = reset;
    for (const py::handle light : lights) {
        const auto [key, local, vector, size] = light.cast<std::tuple<std::string, bool, std::array<double, 3>, float>>();
        frame.lights.push_back({.key = key, .local = local, .vector = {vector[0], vector[1], vector[2]}, .size = size});
    }
    set_all(d, settings);
    return frame;
}

void denoise_frame(Denoiser& d, const py::dict& inputs, const py::dict& outputs, const py::dict& camera, const py::list& lights, const py::dict& settings, bool reset,
                   uintptr_t stream, const py::tuple& after) {
    std::vector<Borrowed> keep;
    FrameInput frame = frame_input(d, inputs, outputs, camera, lights, settings, reset, keep);
    frame.queue.stream = stream;
    for (const py::handle other : after) frame.queue.after.push_back(other.cast<uintptr_t>());
    py::gil_scoped_release release;
    d.denoise(frame);
}

py::list crosscheck_frame(Denoiser& d, const py::dict& inputs, const py::dict& outputs, const py::dict& camera, const py::list& lights, const py::dict& settings, bool reset,
                          const std::string& backend) {
    std::vector<Borrowed> keep;
    const FrameInput frame = frame_input(d, inputs, outputs, camera, lights, settings, reset, keep);
    const auto other = make_cpu_backend(backend);
    std::vector<Crosscheck> results;
    {
        py::gil_scoped_release release;
        results = d.crosscheck(frame, *other);
    }
    py::list list;
    for (const Crosscheck& r : results)
        list.append(py::dict("pass"_a = r.pass, "image"_a = r.image, "format"_a = r.format, "width"_a = r.width, "height"_a = r.height, "channels"_a = r.channels,
                             "first"_a = py::bytes(r.first), "second"_a = py::bytes(r.second)));
    return list;
}

void probe(const std::string& function, const py::object& inputs, const py::object& outputs, const std::string& backend) {
    std::string names;
    int index = 0;
    for (const auto& p : probes) {
        if (p.name == function) {
            const Borrowed in("inputs", inputs), out("outputs", outputs);
            if (in.view.type != ArrayType::f32 || out.view.type != ArrayType::f32) throw py::type_error("probe: expected float32 arrays");
            if (in.view.channels != p.inputs || out.view.channels != p.outputs || in.view.width != out.view.width || in.view.height != out.view.height)
                throw py::value_error(function + ": expected (H, W, " + std::to_string(p.inputs) + ") inputs and (H, W, " + std::to_string(p.outputs) + ") outputs");
            Graph g(make_cpu_backend(backend));
            g.begin(in.view.width, in.view.height);
            g.bind({{"inputs", in.view}}, {{"outputs", out.view}});
            g.run<Pass::probe>({.in = g.input("inputs"), .out = g.output("outputs"), .function = ProbeFunction(index)});
            return g.execute({});
        }
        names += (index++ ? ", " : "") + std::string(p.name);
    }
    throw py::value_error("function: expected one of " + names + "; got '" + function + "'");
}

std::unique_ptr<Backend> make_backend(const std::string& name) {
    const std::string cuda = "cuda:";
    return name.rfind(cuda, 0) == 0 ? make_cuda_backend(std::stoi(name.substr(cuda.size()))) : make_cpu_backend(name);
}

// Ends a denoiser while other threads run: on a GPU that waits for what is queued.
struct EndWithoutGil {
    void operator()(Denoiser* d) const {
        const py::gil_scoped_release release;
        delete d;
    }
};

py::dict save_state(const Denoiser& d) {
    std::map<std::string, std::string> saved;
    {
        py::gil_scoped_release release;
        saved = d.save();
    }
    py::dict state;
    for (const auto& [name, bytes] : saved) state[py::str(name)] = py::bytes(bytes);
    return state;
}

void load_state(Denoiser& d, const py::dict& state) {
    std::map<std::string, std::string> bytes;
    for (const auto& [name, value] : state) bytes[name.cast<std::string>()] = value.cast<std::string>();
    py::gil_scoped_release release;
    d.restore(bytes);
}

}  // namespace

PYBIND11_MODULE(_core, m) {
    m.doc() = "The native module, as the Python side sees it.";
    static const std::string package = m.attr("__name__").cast<std::string>().substr(0, m.attr("__name__").cast<std::string>().rfind('.'));
    py::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            std::rethrow_exception(thrown);
        } catch (const DeviceFailure& failure) {
            py::set_error(py::module_::import((package + ".errors").c_str()).attr("DeviceError"), failure.what());
        }
    });

    m.def(
        "backends",
        [] {
            py::dict all;
            for (const auto& [name, why_not] : cpu_backends()) all[py::str(name)] = why_not;
            return all;
        },
        "Name of a compute backend to \"\" where this machine runs it, else to the sentence why not.");
    m.def("default_backend", &default_cpu_backend, "The fastest backend of this machine, or the one DENOISE_ISA names. ValueError lists what this machine can run.");
    m.def("cpu_name", &cpu_name, "The processor, as the system names it.");
    m.def("threads", [] { return ThreadPool::shared().size(); }, "Threads that denoise a frame: DENOISE_THREADS, else the usable cores.");
    m.def(
        "configure_cpu",
        [](int threads, std::pair<int, int> tile) {
            set_cpu_tile(tile.first, tile.second);
            ThreadPool::shared().resize(threads);
        },
        "threads"_a, "tile"_a, "Sets the number of threads and the tile shape of the process, for tests and measurements; results do not depend on them.");

    m.def("probe", &probe, "function"_a, "inputs"_a, "outputs"_a, "backend"_a,
          "Applies a shared function of the shaders to each pixel of a float32 array (H, W, K), for tests; the names are in shaders/testing/probe.h.");

    m.def(
        "cuda_devices",
        [] {
            const CudaDevices found = cuda_devices();
            std::vector<std::pair<std::string, std::string>> list;
            for (const CudaDevice& device : found.list) list.emplace_back(device.detail, device.why_not);
            return std::make_pair(list, found.why_none);
        },
        "NVIDIA GPUs as (what it is, \"\" or the sentence why it cannot be used), and the sentence why there are none.");
    m.def("cuda_wait", &cuda_wait, "device"_a, "stream"_a, "producer"_a, "What is queued on `stream` from now on waits for what is queued on `producer` by now.");
    m.def("from_dlpack", &dlpack::look, "name"_a, "capsule"_a,
          "What is in a capsule of __dlpack__: device type, device, address, shape, strides in bytes, type code, bits, whether it is read-only.");
    m.def(
        "to_dlpack",
        [](py::object owner, uintptr_t address, std::vector<int64_t> shape, std::vector<int64_t> strides, int code, int bits, int device, bool versioned) {
            return versioned ? dlpack::produce<dlpack::ManagedVersioned>(std::move(owner), address, std::move(shape), std::move(strides), code, bits, device)
                             : dlpack::produce<dlpack::Managed>(std::move(owner), address, std::move(shape), std::move(strides), code, bits, device);
        },
        "owner"_a, "address"_a, "shape"_a, "strides"_a, "code"_a, "bits"_a, "device"_a, "versioned"_a,
        "A capsule of DLPack for memory of a GPU that `owner` keeps alive; strides count elements.");
    py::class_<CudaMemory>(m, "CudaMemory", py::module_local(), "Memory of a GPU, which comes and goes in the order of a stream.")
        .def(py::init<int, size_t, uintptr_t>(), "device"_a, "bytes"_a, "stream"_a)
        .def_property_readonly("address", &CudaMemory::address);

    py::class_<Denoiser, std::unique_ptr<Denoiser, EndWithoutGil>>(m, "Denoiser", py::module_local(), "One or more denoiser families with their history on one device.")
        .def(py::init([](const std::vector<std::string>& families, int width, int height, const std::string& backend) {
                 return std::unique_ptr<Denoiser, EndWithoutGil>(new Denoiser(families, width, height, make_backend(backend)));
             }),
             "families"_a, "width"_a, "height"_a, "backend"_a)
        .def("denoise", &denoise_frame, "inputs"_a, "outputs"_a, "camera"_a, "lights"_a, "settings"_a, "reset"_a, "stream"_a = 0, "after"_a = py::tuple(),
             "Denoises one frame into the arrays of `outputs`, which like those of `inputs` offer __dlpack__, or for a GPU are tuples (address, shape, strides in\n"
             "bytes, bits of an element).\n\n"
             "camera: \"world_to_view\" and \"view_to_clip\" as 16 floats in row-major order, \"jitter\" as (x, y), \"world_motion\" as\n"
             "bool; empty where there is none. lights: (key, local, (x, y, z), size) each. settings: family to setting to number. On a GPU the frame is queued on\n"
             "`stream`, after what the streams of `after` hold by now. Arguments were checked before:\n"
             "nothing is read or written here that does not fit.")
        .def("crosscheck", &crosscheck_frame, "inputs"_a, "outputs"_a, "camera"_a, "lights"_a, "settings"_a, "reset"_a, "backend"_a,
             "Denoises one frame like `denoise` and runs every pass on `backend` too, from the same inputs, for tests.\n\n"
             "Returns what each pass wrote, in order: \"pass\", \"image\", \"format\", \"width\", \"height\", \"channels\", and the pixels by\n"
             "this denoiser's backend (\"first\") and by the other one (\"second\") as bytes.")
        .def(
            "describe",
            [](Denoiser& d, const py::dict& settings) {
                set_all(d, settings);
                return d.describe();
            },
            "settings"_a, "The page of the last frame as text; before the first, of a typical one with these settings.")
        .def(
            "timings",
            [](const Denoiser& d) {
                py::gil_scoped_release release;
                return d.graph().timings();
            },
            "Name and milliseconds of each pass of the last frame. A GPU measures from the first call on, and gives none until then.")
        .def(
            "memory", [](const Denoiser& d) { return std::make_pair(d.graph().permanent_bytes(), d.graph().transient_bytes()); }, "Bytes of permanent and of transient images.")
        .def("resize", &Denoiser::resize, "width"_a, "height"_a, py::call_guard<py::gil_scoped_release>())
        .def("save_state", &save_state, "History, previous camera and frame count as bytes, by name.")
        .def("load_state", &load_state, "state"_a, "Takes over what save_state gave; ValueError if it belongs to another size.");
}
