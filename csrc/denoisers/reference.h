// SPDX-License-Identifier: Apache-2.0
// The reference: a running mean of any signal, with its error. The page is in reference.cpp.
#pragma once
#include "denoiser.h"

namespace denoise {

class Reference final : public Family {
   public:
    std::string name() const override { return "reference"; }
    Needs needs() const override { return {}; }
    bool set(const std::string& setting, double value) override { return settings_.set(setting, value); }
    void page(Graph& g, const FrameConstants& frame, const FrameInput& input, const Guides& guides) override;
    void example(FrameInput& input) const override;

   private:
    ReferenceSettings settings_;
};

}  // namespace denoise
