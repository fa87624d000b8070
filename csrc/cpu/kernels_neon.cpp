// SPDX-License-Identifier: Apache-2.0
#define DN_TARGET neon
#define DN_TABLE kernels_neon
#define DN_LANES 4
#include "lanes_simd.h"
#include "kernels.inl"
