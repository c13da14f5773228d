#include "ops/vaddr.h"

#include "core/target.h"
#include "ops/maps.h"
#include "ops/process.h"

namespace damonfs {
namespace {

const Process& process_of(const Target& target) {
  return static_cast<const Process&>(*target.handle);
}

}  // namespace

bool VaddrOperations::target_valid(const Target& target) { return process_of(target).exists(); }

Result<std::vector<AddrRange>> VaddrOperations::mappings(const Target& target) {
  return read_maps(process_of(target));
}

}  // namespace damonfs
