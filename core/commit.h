// Committing: a running context takes over what a user now wants, keeping what it has found so far
// (usage.rst, "kdamonds/<N>/", the commit command).
#pragma once

#include <memory>
#include <span>

#include "core/base/result.h"
#include "core/context.h"
#include "core/target.h"

namespace damonfs {

// Makes `running` want what `wanted` wants; `wanted` is used up. Targets and schemes pair by index
// (targets of a context that follows: by process): a paired target keeps its regions unless the
// wanted one sets some, a paired scheme keeps its statistics; surplus ones go or come. Where a
// pair's process differs the operations follow at once, not at the next update interval as the
// kernel's do. EINVAL, and nothing changed, for attributes that are not valid or an obsolete target
// without counterpart. Called on the kdamond's thread, between two sampling intervals.
Result<void> commit_context(Context& running, Context& wanted);

// Has `running`, whose targets are processes, watch just those of `handles`, in that order: targets
// of the same processes keep all that was found, new ones are looked at at once, the others go. It
// follows from now on (Context::follows). On the kdamond's thread, between two sampling intervals.
void commit_followed(Context& running, std::span<const std::shared_ptr<TargetHandle>> handles);

// Takes over what is wanted of a quota; what it has spent, measured and learnt stays.
void commit_quota(Quota& running, const QuotaParams& wanted);

// Takes over monitoring attributes, which must be valid: counts and ages are rescaled, every
// deadline starts anew.
void set_attrs(Context& running, const MonitoringAttrs& attrs);

}  // namespace damonfs
