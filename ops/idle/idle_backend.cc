#include "ops/idle/idle_backend.h"

#include <algorithm>

#include "core/ranges.h"
#include "core/target.h"
#include "ops/pages/process_pages.h"

namespace damonfs {

namespace {

// Each page once; near ones share a system call.
RangeList pages_at(std::span<const uint64_t> addrs) {
  RangeList pages;
  for (const uint64_t addr : addrs) append_joined(pages, {addr, addr + kPageSize});
  return pages;
}

}  // namespace

Result<std::unique_ptr<IdleBackend>> IdleBackend::open(const Paths& paths, PteReader read_entries) {
  auto marks = PageIdle::open(paths);
  if (!marks) return tl::unexpected(marks.error());
  return std::unique_ptr<IdleBackend>(
      new IdleBackend(*std::move(marks), paths, std::move(read_entries)));
}

void IdleBackend::find_frames(std::span<const Sample> samples) {
  marks_.flags().tick();
  const std::span<const PagemapEntry> entries = pagemap_.read(samples);
  const std::span<PageIdle::Mark> marks = marks_.renew(samples.size());
  exclusive_.assign(samples.size(), false);
  for (size_t i = 0; i < samples.size(); ++i) {
    const uint64_t pfn = entries[i].pfn();
    if (pfn == 0) continue;
    exclusive_[i] = entries[i].exclusive();
    marks[i] = {pfn, marks_.flags().guess(pfn, samples[i].addr / kPageSize)};
  }
}

void IdleBackend::prepare(std::span<Sample> samples) {
  find_frames(samples);
  marks_.set();
}

void IdleBackend::look(std::span<Sample> samples) {
  find_frames(samples);
  marks_.take();
  check(samples);
}

void IdleBackend::check(std::span<Sample> samples) {
  for (Sample& sample : samples) {
    sample.accessed = false;
    sample.unknown = pagemap_.left_out(sample.target);
    sample.leaf_sz = 0;
  }
  if (read_entries_) ask_entries(samples);
  marks_.read([&](size_t i, bool idle) { settle(samples[i], i, idle); });
}

void IdleBackend::ask_entries(std::span<Sample> samples) {
  entries_.assign(samples.size(), {});
  read_entries_(samples, entries_);
  const Target* last = nullptr;
  bool has_device = false;
  marks_.leave_out([&](size_t i) {
    const PageIdle::Mark& mark = marks_.marks()[i];
    const PageEntry& entry = entries_[i];
    // A guest's or a device's accesses are in the bitmap, not in the entry.
    if (samples[i].target != last) {
      last = samples[i].target;
      has_device = !devices_.of(last->handle).empty();
    }
    if (has_device) return false;
    // Another frame by now, or a huge page that several entries map.
    if (!entry.mapped || entry.frame != mark.pfn || entry.size < mark.folio.size()) return false;
    if (!entry.young && !exclusive_[i]) return false;
    settle(samples[i], i, !entry.young && marks_.flags().idle(mark.folio.head));
    return true;
  });
}

void IdleBackend::settle(Sample& sample, size_t mark, bool idle) {
  sample.leaf_sz = marks_.marks()[mark].folio.size();
  sample.accessed = !idle && marks_.confirm(mark);
}

void IdleBackend::young(const Process& process, std::span<const uint64_t> addrs,
                        std::span<bool> young) {
  std::ranges::fill(young, false);
  auto info = ProcessPages::open(process, marks_.flags());
  if (!info) return;
  std::vector<size_t> asked;  // which of addrs is there
  std::vector<uint64_t> frames;
  size_t at = 0;
  for (const ProcessPages::Page& page : info->present_pages(pages_at(addrs))) {
    while (at < addrs.size() && addrs[at] < page.addr) ++at;
    asked.push_back(at);
    frames.push_back(page.entry.pfn());
  }
  std::vector<Folio> folios(frames.size());
  if (marks_.flags().folios(frames, folios) != 0) return;
  const auto answers = std::make_unique<bool[]>(folios.size());
  marks_.young(folios, {answers.get(), folios.size()});
  for (size_t i = 0; i < folios.size(); ++i) young[asked[i]] = answers[i];
}

}  // namespace damonfs
