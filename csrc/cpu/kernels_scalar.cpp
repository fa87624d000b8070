// SPDX-License-Identifier: Apache-2.0
#define DN_TARGET scalar
#define DN_TABLE kernels_scalar
#include "lanes_scalar.h"
#include "kernels.inl"
