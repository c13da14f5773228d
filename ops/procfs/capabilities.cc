#include "ops/procfs/capabilities.h"

#include <fstream>
#include <string>

namespace damonfs {

Capabilities Capabilities::effective(const Paths& paths) {
  std::ifstream status(paths.proc + "/self/status");
  for (std::string word; status >> word;) {
    if (word != "CapEff:") continue;
    Capabilities found;
    status >> std::hex >> found.bits;
    return status ? found : Capabilities{};
  }
  return {};
}

}  // namespace damonfs
