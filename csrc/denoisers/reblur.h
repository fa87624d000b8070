// SPDX-License-Identifier: Apache-2.0
// ReBLUR: recurrent, self-stabilising blur for diffuse and specular signals. The page is in reblur.cpp.
#pragma once
#include "denoiser.h"

namespace denoise {

class Reblur final : public Denoiser {
   public:
    Reblur(int width, int height, std::unique_ptr<Backend> backend) : Denoiser(width, height, std::move(backend)) {}
    bool set(const std::string& setting, double value) override { return settings_.set(setting, value); }

   private:
    void page(Graph& g, const FrameConstants& frame, const FrameInput& input) override;
    void constants(FrameConstants& frame, const Camera& current, const Camera& previous) const override;
    FrameInput example() const override;

    ReblurSettings settings_;
};

}  // namespace denoise
