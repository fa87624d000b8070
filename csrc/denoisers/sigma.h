// SPDX-License-Identifier: Apache-2.0
// SIGMA: shadows of any number of lights, from one visibility ray per pixel and light. The page is in sigma.cpp.
#pragma once
#include "denoiser.h"

namespace denoise {

class Sigma final : public Family {
   public:
    std::string name() const override { return "sigma"; }
    Needs needs() const override { return {.guide = true, .strands = settings_.max_stabilized_frames > 0}; }
    bool set(const std::string& setting, double value) override { return settings_.set(setting, value); }
    void page(Graph& g, const FrameConstants& frame, const FrameInput& input, const Guides& guides) override;
    void example(FrameInput& input) const override;

   private:
    void group(Graph& g, const FrameConstants& frame, const FrameInput& input, const Guides& guides, const std::vector<const Light*>& lights, bool tint);

    SigmaSettings settings_;
};

}  // namespace denoise
