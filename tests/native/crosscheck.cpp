// SPDX-License-Identifier: Apache-2.0
// Runs frames on two backends pass by pass, for machines without Python. Arguments: width, height, the two backends, the families.
// Standard input is a list of
//   set FAMILY NAME VALUE               a setting
//   camera N1 ... N34                   world_to_view, view_to_clip, jitter of the frames that follow
//   light KEY LOCAL X Y Z SIZE          a light of the frame that follows
//   input NAME CHANNELS TYPE bytes      TYPE: 0 fp16, 1 fp32, 2 uint8; bytes: height * width * CHANNELS values after the line's end
//   output NAME CHANNELS TYPE
//   frame                               denoises; writes a line "PASS IMAGE FORMAT WIDTH HEIGHT CHANNELS" and both results for each image written
#include <iostream>
#include <list>

#include "../../csrc/cpu/cpu_backend.h"
#include "../../csrc/denoisers/denoiser.h"

int main(int argc, char** argv) try {
    using namespace denoise;
    if (argc < 6) throw std::invalid_argument("usage: crosscheck WIDTH HEIGHT BACKEND OTHER FAMILY... < frames");
    const int width = std::stoi(argv[1]), height = std::stoi(argv[2]);
    Denoiser denoiser({argv + 5, argv + argc}, width, height, make_cpu_backend(argv[3]));
    const auto other = make_cpu_backend(argv[4]);

    FrameInput frame;
    std::list<std::vector<char>> memory;  // of the arrays of one frame
    const auto read_array = [&](bool with_bytes) {
        std::string name;
        Array array{.width = width, .height = height};
        int type = 0;
        std::cin >> name >> array.channels >> type;
        array.type = ArrayType(type);
        array.stride_c = array.type == ArrayType::f16 ? 2 : array.type == ArrayType::f32 ? 4 : 1;
        array.stride_x = array.stride_c * array.channels;
        array.stride_y = array.stride_x * width;
        auto& bytes = memory.emplace_back(array.stride_y * height);
        std::cin.ignore();  // the line's end
        if (with_bytes) std::cin.read(bytes.data(), std::streamsize(bytes.size()));
        array.data = reinterpret_cast<uint8_t*>(bytes.data());
        return std::pair(name, array);
    };

    for (std::string command; std::cin >> command;) {
        if (command == "set") {
            std::string family, name;
            double value = 0;
            std::cin >> family >> name >> value;
            if (!denoiser.set(family, name, value)) throw std::invalid_argument(family + ": no setting " + name);
        } else if (command == "camera") {
            Camera& camera = frame.camera.emplace();
            for (double& n : camera.world_to_view) std::cin >> n;
            for (double& n : camera.view_to_clip) std::cin >> n;
            for (double& n : camera.jitter) std::cin >> n;
        } else if (command == "light") {
            Light& light = frame.lights.emplace_back();
            std::cin >> light.key >> light.local;
            for (double& n : light.vector) std::cin >> n;
            std::cin >> light.size;
        } else if (command == "input") {
            frame.inputs.insert(read_array(true));
        } else if (command == "output") {
            frame.outputs.insert(read_array(false));
        } else if (command == "frame") {
            for (const Crosscheck& c : denoiser.crosscheck(frame, *other))
                std::cout << c.pass << ' ' << c.image << ' ' << c.format << ' ' << c.width << ' ' << c.height << ' ' << c.channels << '\n' << c.first << c.second;
            frame.lights.clear();
            frame.inputs.clear();
            frame.outputs.clear();
            memory.clear();
        } else {
            throw std::invalid_argument("no command " + command);
        }
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
}
