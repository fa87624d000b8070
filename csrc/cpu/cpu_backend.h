// SPDX-License-Identifier: Apache-2.0
// Runs passes on this machine's cores, with the best instruction set it has or the one it is told to use.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../graph/backend.h"

namespace denoise {

// Every CPU backend of this build, best first: its name, and "" or the sentence why this machine can't run it.
std::vector<std::pair<std::string, std::string>> cpu_backends();

// The best one, or what DENOISE_ISA names. Throws std::invalid_argument that lists what this machine can run.
std::string default_cpu_backend();

std::unique_ptr<Backend> make_cpu_backend(const std::string& name);

// Shape of the tiles handed to the threads, for tests and measurements; results do not depend on it.
void set_cpu_tile(int width, int height);

std::string cpu_name();

}  // namespace denoise
