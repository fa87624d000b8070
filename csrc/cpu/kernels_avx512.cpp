// SPDX-License-Identifier: Apache-2.0
#define DN_TARGET avx512
#define DN_TABLE kernels_avx512
#define DN_LANES 16
#include "lanes_simd.h"
#include "kernels.inl"
