// SPDX-License-Identifier: Apache-2.0
#define DN_TARGET sse42
#define DN_TABLE kernels_sse42
#define DN_LANES 4
#include "lanes_simd.h"
#include "kernels.inl"
