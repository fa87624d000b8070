// SPDX-License-Identifier: Apache-2.0
// Turns `run<Pass instance>` of the including file into its table, with `block_rows<Pass instance>`. Needs DN_TARGET and DN_TABLE.
namespace denoise::DN_TARGET {

template <class... Instances> constexpr void list(Kernel* out) {
    int k = 0;
    ((out[k++] = {run<Instances>, Instances::planes, Instances::halo, block_rows<Instances>}), ...);
}
constexpr KernelTable make_table() {
    KernelTable t{};
#define DN_PASS(name, Args, ...) list<__VA_ARGS__>(t.kernels[int(Pass::name)]);
    DN_PASSES(DN_PASS)
#undef DN_PASS
    return t;
}
constexpr KernelTable table = make_table();

}  // namespace denoise::DN_TARGET

namespace denoise {
const KernelTable& DN_TABLE() { return DN_TARGET::table; }
}  // namespace denoise
