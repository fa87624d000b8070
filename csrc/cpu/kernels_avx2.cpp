// SPDX-License-Identifier: Apache-2.0
#define DN_TARGET avx2
#define DN_TABLE kernels_avx2
#define DN_LANES 8
#include "lanes_simd.h"
#include "kernels.inl"
