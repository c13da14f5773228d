// The files of a context beside the ABI that are about following services.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "fs/tree/node.h"

namespace damonfs {

// `follow`: what the context follows, in the words of parse_selector(); an empty line for none. To
// write it begins or ends that. EINVAL for other words, for a tree of a process that is not there,
// and where processes are only described; ENOTSUP where nobody follows.
Result<std::string> show_follow(const Call& call);
Result<void> store_follow(const Call& call, std::string_view text);

// `follow_max`: how many processes at most, oldest first; 1 to 100,000.
Result<std::string> show_follow_max(const Call& call);
Result<void> store_follow_max(const Call& call, std::string_view text);

// `follow_state`: one line for people: how many processes, how many are left out, why there is
// none.
Result<std::string> show_follow_state(const Call& call);

}  // namespace damonfs
