// The backend `pte` for physical memory.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "ops/backend/paddr_backend.h"
#include "ops/procfs/paths.h"
#include "ops/pte/accessed_bit_clearer.h"
#include "ops/pte/pte_frame_sweeper.h"
#include "ops/pte/pte_sweeper.h"
#include "ops/rmap/reverse_map_scan.h"

namespace damonfs {

// Sees accesses to page frames in the page tables of all processes that map them, by a reverse map
// and an AccessedBitClearer, whose ways of making pages old and whose meaning of bits are
// described there. A frame is accessed if it is through any of its mappings. A mapping counts only
// while it leads to the frame that the reverse map says; those that lead elsewhere by now are told
// to the keeper. What a user has to know:
//  - A frame that was given to a process after the last scan is not seen until the next one.
//  - Pages of the page cache that no process maps are not seen as accessed, whoever reads the file;
//    neither is what bypasses page tables (see PteBackend).
//  - Pages that only this process or protected ones map are not looked at: to look is to change.
class PtePaddrBackend final : public PaddrBackend {
 public:
  // `keeper` outlives it. Errors, and the meaning of `clock`, as of PteBackend::create().
  static Result<std::unique_ptr<PtePaddrBackend>> create(const Paths& paths, RmapRefresher& keeper);
  static Result<std::unique_ptr<PtePaddrBackend>> create(const Paths& paths, RmapRefresher& keeper,
                                                         const Clock& clock);

  void prepare(std::span<FrameSample> samples) override;
  void check(std::span<FrameSample> samples) override;
  void look(std::span<FrameSample> samples) override;
  // Of a huge page the first page is asked, of others all: the same unless some process maps the
  // huge page by small entries.
  void young(std::span<const Folio> folios, std::span<bool> young) override;
  [[nodiscard]] Sweeper* sweeper() override { return &frames_; }
  [[nodiscard]] bool needs_map() const override { return true; }

 private:
  // A mapping that is asked about for what has the number `about`.
  struct Question {
    PageQuery query;
    uint32_t about;
  };

  PtePaddrBackend(std::unique_ptr<AccessedBitClearer> ager, RmapRefresher& keeper)
      : ager_(std::move(ager)), keeper_(keeper), sweeper_(*ager_), frames_(sweeper_, keeper) {}

  // Asks about all mappings of the samples' frames.
  void set_queries(std::span<const FrameSample> samples);
  void ask(const ReverseMap& map, uint64_t frame, uint64_t last, uint32_t about,
           std::vector<Question>& questions);
  // In the order that AccessedBitClearer wants; fills `queries`.
  static void sort(std::vector<Question>& questions, std::vector<PageQuery>& queries);

  std::unique_ptr<AccessedBitClearer> ager_;
  RmapRefresher& keeper_;
  PteSweeper sweeper_;
  PteFrameSweeper frames_;
  std::shared_ptr<const ReverseMap> map_;  // of the running sampling interval
  std::vector<Question> questions_;        // of it, parallel to queries_ and aged_
  std::vector<PageQuery> queries_;
  std::vector<Aged> aged_;
};

}  // namespace damonfs
