// SPDX-License-Identifier: Apache-2.0
// The list of all passes. PASS(name, Args, instances...): one name for the file, the timings, the tests and the benchmarks;
// the instances are the compiled variants, chosen by index when the pass is run.
#pragma once
#include "common/classify_tiles.h"
#include "common/pack_guides.h"
#include "reblur/history_fix.h"
#include "reblur/pack_signal.h"
#include "reblur/reconstruct_hit_distance.h"
#include "reblur/resolve.h"
#include "reblur/spatial_filter.h"
#include "reblur/stabilize.h"
#include "reblur/temporal_accumulation.h"
#include "reference/accumulate.h"
#include "relax/atrous.h"
#include "relax/clamp_history.h"
#include "relax/estimate_error.h"
#include "relight/apply.h"
#include "relight/gain.h"
#include "relight/measure.h"
#include "relight/reduce.h"
#include "relight/views.h"
#include "sigma/classify_shadow.h"
#include "sigma/estimate_penumbra.h"
#include "sigma/filter_shadow.h"
#include "sigma/follow_occluder.h"
#include "testing/probe.h"

// clang-format off
#define DN_PASSES(PASS)                                                                                                                   \
    PASS(pack_guides,              PackGuidesArgs,             PackGuides)                                                                \
    PASS(classify_tiles,           ClassifyTilesArgs,          ClassifyTiles)                                                             \
    PASS(pack_signal,              PackSignalArgs,             PackSignal)                                                                \
    PASS(reconstruct_hit_distance, ReconstructHitDistanceArgs, ReconstructHitDistance<Lobe::diffuse>, ReconstructHitDistance<Lobe::specular>) \
    PASS(prepass,                  SpatialFilterArgs,          PrePass<Lobe::diffuse>, PrePass<Lobe::specular>)                           \
    PASS(temporal_accumulation,    TemporalAccumulationArgs,   TemporalAccumulation<Signals::diffuse>, TemporalAccumulation<Signals::specular>, TemporalAccumulation<Signals::both>) \
    PASS(relight_measure,          RelightMeasureArgs,         RelightMeasure)                                                            \
    PASS(relight_reduce,           RelightReduceArgs,          RelightReduce)                                                             \
    PASS(relight_gain,             RelightGainArgs,            RelightGain)                                                               \
    PASS(relight_apply,            RelightApplyArgs,           RelightApply)                                                              \
    PASS(relight_views,            RelightViewsArgs,           RelightViews)                                                              \
    PASS(history_fix,              HistoryFixArgs,             HistoryFix<Lobe::diffuse>, HistoryFix<Lobe::specular>)                     \
    PASS(blur,                     SpatialFilterArgs,          Blur<Lobe::diffuse>, Blur<Lobe::specular>)                                 \
    PASS(post_blur,                SpatialFilterArgs,          PostBlur<Lobe::diffuse>, PostBlur<Lobe::specular>)                         \
    PASS(stabilize,                StabilizeArgs,              Stabilize<Lobe::diffuse>, Stabilize<Lobe::specular>)                       \
    PASS(clamp_history,            ClampHistoryArgs,           ClampHistory)                                                              \
    PASS(atrous_first,             AtrousArgs,                 AtrousFirst<Lobe::diffuse>, AtrousFirst<Lobe::specular>)                   \
    PASS(atrous_near,              AtrousArgs,                 AtrousNear<Lobe::diffuse>, AtrousNear<Lobe::specular>, AtrousMiddle<Lobe::diffuse>, AtrousMiddle<Lobe::specular>) \
    PASS(atrous_far,               AtrousArgs,                 AtrousFar<Lobe::diffuse>, AtrousFar<Lobe::specular>)                       \
    PASS(estimate_error,           EstimateErrorArgs,          EstimateError)                                                             \
    PASS(resolve,                  ResolveArgs,                Resolve)                                                                    \
    PASS(classify_shadow,          ClassifyShadowArgs,         ClassifyShadow)                                                            \
    PASS(spread_softness,          SpreadSoftnessArgs,         SpreadSoftness)                                                            \
    PASS(follow_occluder,          FollowOccluderArgs,         FollowOccluder)                                                            \
    PASS(estimate_penumbra,        EstimatePenumbraArgs,       EstimatePenumbra<1, false>, EstimatePenumbra<lights_per_pass, false>, EstimatePenumbra<1, true>) \
    PASS(filter_shadow,            FilterShadowArgs,           FilterShadow<1, false>, FilterShadow<lights_per_pass, false>, FilterShadow<1, true>) \
    PASS(reference_accumulate,     ReferenceAccumulateArgs,    ReferenceAccumulate)                                                        \
    PASS(probe,                    ProbeArgs,                  Probe)
// clang-format on

namespace denoise {

enum class Pass : int {
#define DN_PASS(name, ...) name,
    DN_PASSES(DN_PASS)
#undef DN_PASS
        count
};
constexpr int pass_count = int(Pass::count);
constexpr int max_variants = 4;

template <Pass> struct PassArgs;
#define DN_PASS(name, Arguments, ...)         \
    template <> struct PassArgs<Pass::name> { \
        using Args = Arguments;               \
    };
DN_PASSES(DN_PASS)
#undef DN_PASS

constexpr const char* pass_names[pass_count] = {
#define DN_PASS(name, ...) #name,
    DN_PASSES(DN_PASS)
#undef DN_PASS
};

}  // namespace denoise
