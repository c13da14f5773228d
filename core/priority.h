// Which regions come first when a quota does not let all in (design.rst, "Prioritization").
#pragma once

#include <cstdint>

#include "core/context.h"

namespace damonfs {

inline constexpr uint32_t kMaxScore = 99;

// How urgently `region` is to be acted on, from 0 to kMaxScore: for actions meant for hot memory
// the more the hotter it is (by the quota's weights of access frequency and age), for those meant
// for cold memory the more the colder; kMaxScore for all others.
[[nodiscard]] uint32_t priority_score(const Context& context, const Scheme& scheme,
                                      const Region& region);

}  // namespace damonfs
