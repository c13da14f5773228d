#include "ops/pte/pte_reader.h"

#include <memory>
#include <vector>

#include "core/base/page_size.h"
#include "ops/base/steady_clock.h"
#include "ops/pte/accessed_bit_clearer.h"

namespace damonfs {
namespace {

class Walk {
 public:
  explicit Walk(std::unique_ptr<AccessedBitClearer> ager) : ager_(std::move(ager)) {}

  void read(std::span<const Sample> samples, std::span<PageEntry> entries) {
    ager_->forget_unused();
    ager_->set_queries(samples, queries_);
    ager_->hold(queries_);
    ager_->look(queries_, true, [&](size_t i, const pte_slot& slot) {
      if ((slot.flags & PTE_MAPPED) == 0) return;
      const uint64_t size = uint64_t{1} << slot.leaf_shift;
      entries[i] = {.mapped = true,
                    .young = (slot.flags & PTE_YOUNG) != 0,
                    .frame = slot.frame + (slot.addr & (size - 1)) / kPageSize,
                    .size = size};
    });
  }

 private:
  std::unique_ptr<AccessedBitClearer> ager_;
  std::vector<PageQuery> queries_;
};

}  // namespace

Result<PteReader> read_entries_by_walk(const Paths& paths) {
  static const SteadyClock machine;
  auto ager = AccessedBitClearer::create(paths, machine);
  if (!ager) return tl::unexpected(ager.error());
  const auto walk = std::make_shared<Walk>(*std::move(ager));
  return PteReader([walk](std::span<const Sample> samples, std::span<PageEntry> entries) {
    walk->read(samples, entries);
  });
}

}  // namespace damonfs
