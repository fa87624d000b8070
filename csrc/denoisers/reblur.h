// SPDX-License-Identifier: Apache-2.0
// ReBLUR: recurrent, self-stabilising blur for diffuse and specular signals. The page is in reblur.cpp.
#pragma once
#include "denoiser.h"

namespace denoise {

class Reblur final : public Family {
   public:
    std::string name() const override { return "reblur"; }
    Needs needs() const override { return {.guide = true, .prev_guide = true, .tiles = true, .material = true}; }
    bool set(const std::string& setting, double value) override { return settings_.set(setting, value); }
    void constants(FrameConstants& frame) const override;
    void page(Graph& g, const FrameConstants& frame, const FrameInput& input, const Guides& guides) override;
    void example(FrameInput& input) const override;

   private:
    ReblurSettings settings_;
};

}  // namespace denoise
