// SPDX-License-Identifier: Apache-2.0
// ReLAX: accumulation that keeps the detail of lighting, then a filter as wide as the variance asks for. The page is in relax.cpp.
#pragma once
#include "denoiser.h"

namespace denoise {

class Relax final : public Family {
   public:
    std::string name() const override { return "relax"; }
    Needs needs() const override { return {.guide = true, .prev_guide = true, .tiles = true, .material = true}; }
    bool set(const std::string& setting, double value) override { return settings_.set(setting, value); }
    void constants(FrameConstants& frame) const override;
    void page(Graph& g, const FrameConstants& frame, const FrameInput& input, const Guides& guides) override;
    void example(FrameInput& input) const override;

   private:
    RelaxSettings settings_;
};

}  // namespace denoise
