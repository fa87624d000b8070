// SPDX-License-Identifier: Apache-2.0
// Arrays of any library as plain views, by the DLPack protocol (dmlc.github.io/dlpack, versions 0.x and 1.x).
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "../../shaders/image.h"

namespace denoise {
namespace py = pybind11;

namespace dlpack {  // the binary layout that the protocol fixes
struct Device {
    int32_t type, id;
};
struct DataType {
    uint8_t code, bits;
    uint16_t lanes;
};
struct Tensor {
    void* data;
    Device device;
    int32_t ndim;
    DataType dtype;
    int64_t* shape;
    int64_t* strides;  // in elements; null = contiguous
    uint64_t byte_offset;
};
struct Managed {
    Tensor tensor;
    void* context;
    void (*deleter)(Managed*);
};
struct ManagedVersioned {
    uint32_t major, minor;
    void* context;
    void (*deleter)(ManagedVersioned*);
    uint64_t flags;  // bit 0: read-only
    Tensor tensor;
};
constexpr int cpu = 1, cuda = 2;
constexpr uint64_t read_only = 1;

struct View {
    const Tensor* tensor;
    bool read_only;
};
inline View view(const std::string& name, const py::object& capsule) {
    if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
        const auto* managed = static_cast<ManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
        return {&managed->tensor, (managed->flags & read_only) != 0};
    }
    if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) return {&static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->tensor, false};
    throw py::type_error(name + ": __dlpack__ gave no DLPack capsule");
}
inline int64_t stride(const Tensor& t, int axis) {  // in elements
    if (t.strides) return t.strides[axis];
    int64_t dense = 1;
    for (int k = axis + 1; k < t.ndim; k++) dense *= t.shape[k];
    return dense;
}

// What a tensor is, for the Python side: (device type, device, address, shape, strides in bytes, type code, bits, read-only).
using Look = std::tuple<int, int, uintptr_t, std::vector<int64_t>, std::vector<int64_t>, int, int, bool>;
inline Look look(const std::string& name, const py::object& capsule) {
    const auto [t, fixed] = view(name, capsule);
    std::vector<int64_t> strides;
    for (int k = 0; k < t->ndim; k++) strides.push_back(stride(*t, k) * t->dtype.bits / 8);
    return {
        t->device.type, t->device.id, reinterpret_cast<uintptr_t>(t->data) + t->byte_offset, {t->shape, t->shape + t->ndim}, strides, t->dtype.code, t->dtype.bits * t->dtype.lanes,
        fixed};
}

// A tensor in the memory of a GPU, of the caller's to consume; it keeps `owner` alive. `strides` count elements.
template <class M> py::object produce(py::object owner, uintptr_t address, std::vector<int64_t> shape, std::vector<int64_t> strides, int code, int bits, int device) {
    struct Held {
        M managed;
        py::object owner;
        std::vector<int64_t> shape, strides;
    };
    auto* held = new Held{{}, std::move(owner), std::move(shape), std::move(strides)};
    M& managed = held->managed;
    managed.tensor = {.data = reinterpret_cast<void*>(address),
                      .device = {cuda, device},
                      .ndim = int32_t(held->shape.size()),
                      .dtype = {uint8_t(code), uint8_t(bits), 1},
                      .shape = held->shape.data(),
                      .strides = held->strides.data(),
                      .byte_offset = 0};
    constexpr bool versioned = std::is_same_v<M, ManagedVersioned>;
    if constexpr (versioned) managed.major = 1;
    managed.context = held;
    managed.deleter = [](M* self) {
        const py::gil_scoped_acquire gil;  // consumers let go of it wherever they are
        delete static_cast<Held*>(self->context);
    };
    static constexpr const char* name = versioned ? "dltensor_versioned" : "dltensor";
    return py::capsule(&managed, name, [](PyObject* capsule) {  // one that was consumed has another name
        if (PyCapsule_IsValid(capsule, name)) {
            auto* unused = static_cast<M*>(PyCapsule_GetPointer(capsule, name));
            unused->deleter(unused);
        }
    });
}
}  // namespace dlpack

// Holds the capsule of an array: the memory stays alive as long as this does.
class Borrowed {
   public:
    // Accepts (H, W) and (H, W, C) of fp16, fp32 and uint8; the Python side has checked the rest. Arrays in CPU memory come as they are, those in
    // the memory of a GPU as (address, shape, strides in bytes).
    Borrowed(const std::string& name, const py::handle& array) {
        if (py::isinstance<py::tuple>(array)) {
            using Shape = std::vector<int64_t>;
            const auto [address, shape, strides, bits] = array.cast<std::tuple<uintptr_t, Shape, Shape, int>>();
            fill(name, reinterpret_cast<uint8_t*>(address), int(shape.size()), shape.data(), strides.data(), bits);
            return;
        }
        const py::object dlpack = array.attr("__dlpack__");
        try {
            capsule_ = dlpack(py::arg("max_version") = py::make_tuple(1, 0));
        } catch (py::error_already_set& e) {
            if (!e.matches(PyExc_TypeError)) throw;  // a producer older than versions
            capsule_ = dlpack();
        }
        const dlpack::Tensor* t = dlpack::view(name, capsule_).tensor;
        if (t->device.type != dlpack::cpu) throw py::type_error(name + ": expected an array in CPU memory");
        const int bytes = t->dtype.bits / 8;
        const bool floats = t->dtype.code == 2 && (bytes == 4 || bytes == 2), integers = t->dtype.code == 1 && bytes == 1;
        if (!floats && !integers) throw py::type_error(name + ": expected float16, float32 or uint8");
        int64_t strides[3] = {};
        for (int k = 0; k < std::min(t->ndim, 3); k++) strides[k] = dlpack::stride(*t, k) * bytes;
        fill(name, static_cast<uint8_t*>(t->data) + t->byte_offset, t->ndim, t->shape, strides, t->dtype.bits);
    }

    Array view;

   private:
    void fill(const std::string& name, uint8_t* data, int ndim, const int64_t* shape, const int64_t* strides, int bits) {
        if (ndim != 2 && ndim != 3) throw py::value_error(name + ": expected 2 or 3 dimensions, got " + std::to_string(ndim));
        view.data = data;
        view.type = bits == 32 ? ArrayType::f32 : bits == 16 ? ArrayType::f16 : ArrayType::u8;
        view.height = int32_t(shape[0]);
        view.width = int32_t(shape[1]);
        view.channels = ndim == 3 ? int32_t(shape[2]) : 1;
        view.stride_y = strides[0];
        view.stride_x = strides[1];
        view.stride_c = ndim == 3 ? strides[2] : 0;
    }

    py::object capsule_;  // never renamed to "used": its own destructor frees the tensor
};

}  // namespace denoise
