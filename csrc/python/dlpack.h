// SPDX-License-Identifier: Apache-2.0
// Arrays of any library as plain views, by the DLPack protocol (dmlc.github.io/dlpack, versions 0.x and 1.x).
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

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
constexpr int cpu = 1;
}  // namespace dlpack

// Holds the capsule of an array: the memory stays alive as long as this does.
class Borrowed {
   public:
    // Accepts (H, W) and (H, W, C) of fp16, fp32 and uint8 in CPU memory; the Python side has checked the rest.
    Borrowed(const std::string& name, const py::handle& array) {
        const py::object dlpack = array.attr("__dlpack__");
        try {
            capsule_ = dlpack(py::arg("max_version") = py::make_tuple(1, 0));
        } catch (py::error_already_set& e) {
            if (!e.matches(PyExc_TypeError)) throw;  // a producer older than versions
            capsule_ = dlpack();
        }
        const dlpack::Tensor* t = nullptr;
        if (PyCapsule_IsValid(capsule_.ptr(), "dltensor_versioned"))
            t = &static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule_.ptr(), "dltensor_versioned"))->tensor;
        else if (PyCapsule_IsValid(capsule_.ptr(), "dltensor"))
            t = &static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule_.ptr(), "dltensor"))->tensor;
        else
            throw py::type_error(name + ": __dlpack__ gave no DLPack capsule");
        if (t->device.type != dlpack::cpu) throw py::type_error(name + ": expected an array in CPU memory");
        if (t->ndim != 2 && t->ndim != 3) throw py::value_error(name + ": expected 2 or 3 dimensions, got " + std::to_string(t->ndim));

        const int bytes = t->dtype.bits / 8;
        if (t->dtype.code == 2 && bytes == 4)
            view.type = ArrayType::f32;
        else if (t->dtype.code == 2 && bytes == 2)
            view.type = ArrayType::f16;
        else if (t->dtype.code == 1 && bytes == 1)
            view.type = ArrayType::u8;
        else
            throw py::type_error(name + ": expected float16, float32 or uint8");
        view.data = static_cast<uint8_t*>(t->data) + t->byte_offset;
        view.height = int32_t(t->shape[0]);
        view.width = int32_t(t->shape[1]);
        view.channels = t->ndim == 3 ? int32_t(t->shape[2]) : 1;
        const bool dense = t->strides == nullptr;
        view.stride_c = (t->ndim == 3 ? (dense ? 1 : t->strides[2]) : 0) * bytes;
        view.stride_x = (dense ? view.channels : t->strides[1]) * bytes;
        view.stride_y = (dense ? int64_t(view.channels) * view.width : t->strides[0]) * bytes;
    }

    Array view;

   private:
    py::object capsule_;  // never renamed to "used": its own destructor frees the tensor
};

}  // namespace denoise
