// SPDX-License-Identifier: Apache-2.0
// Denoising from C++, without Python: a noisy wall, eight frames. Build with -DDENOISE_EXAMPLE=ON; the argument names a backend.
#include <cmath>
#include <cstdio>
#include <random>

#include "cpu/cpu_backend.h"
#include "denoisers/denoiser.h"

int main(int argc, char** argv) try {
    constexpr int width = 320, height = 180, pixels = width * height;
    std::vector<float> diffuse(3 * pixels), distance(pixels, 2.f), view_z(pixels, 5.f), normal(3 * pixels), clean(3 * pixels);
    for (int i = 0; i < pixels; i++) normal[3 * i + 2] = -1.f;

    const auto array = [](std::vector<float>& values, int channels) {
        const int64_t texel = 4 * channels;
        return denoise::Array{
            .data = reinterpret_cast<uint8_t*>(values.data()), .stride_x = texel, .stride_y = texel * width, .stride_c = 4, .width = width, .height = height, .channels = channels};
    };
    denoise::FrameInput frame;  // the camera is the default one: at the origin, looking along z, 90 degrees wide
    frame.inputs = {{"diffuse", array(diffuse, 3)}, {"diffuse_hit_distance", array(distance, 1)}, {"view_z", array(view_z, 1)}, {"normal", array(normal, 3)}};
    frame.outputs = {{"diffuse", array(clean, 3)}};

    const std::string backend = argc > 1 ? argv[1] : denoise::default_cpu_backend();
    denoise::Denoiser denoiser({"reblur"}, width, height, denoise::make_cpu_backend(backend));
    std::mt19937 random(1);
    std::exponential_distribution<float> noise(1.f);  // mean and deviation 1
    for (int k = 0; k < 8; k++) {
        for (float& value : diffuse) value = noise(random);
        denoiser.denoise(frame);
    }

    std::printf("%s\n", denoiser.describe().c_str());
    for (const auto& [pass, ms] : denoiser.graph().timings()) std::printf("%-28s %7.3f ms\n", pass.c_str(), ms);
    double sum = 0, squares = 0;
    for (float value : clean) sum += value, squares += value * value;
    const double mean = sum / clean.size(), deviation = std::sqrt(squares / clean.size() - mean * mean);
    std::printf("\nnoisy: mean 1, deviation 1; denoised: mean %.3f, deviation %.3f\n", mean, deviation);
    return std::abs(mean - 1) < 0.05 && deviation < 0.1 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
}
