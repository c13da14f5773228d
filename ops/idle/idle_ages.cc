#include "ops/idle/idle_ages.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "ops/pages/process_pages.h"

namespace damonfs {

namespace {

constexpr uint64_t kWordBits = 64;

std::string bitmap_path(const Paths& paths) { return paths.sys + "/kernel/mm/page_idle/bitmap"; }

// Each page once; near ones share a system call.
RangeList pages_at(std::span<const uint64_t> addrs) {
  RangeList pages;
  for (const uint64_t addr : addrs) append_joined(pages, {addr, addr + kPageSize});
  return pages;
}

}  // namespace

Result<std::unique_ptr<IdleAges>> IdleAges::open(const Paths& paths) {
  const std::string path = bitmap_path(paths);
  Fd bitmap(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!bitmap.valid()) {
    const int code = errno == ENOENT ? ENOSYS : errno;
    return fail(code, "idle page tracking: {}: {}", path, std::strerror(code));
  }
  return std::unique_ptr<IdleAges>(new IdleAges(std::move(bitmap), paths));
}

// Each bit that is read has the kernel look for all mappings of a page.
IdleAges::IdleAges(Fd bitmap, const Paths& paths)
    : bitmap_(std::move(bitmap)), words_(bitmap_path(paths), 0), frames_(paths) {}

void IdleAges::young(const Process& process, std::span<const uint64_t> addrs,
                     std::span<bool> young) {
  std::fill(young.begin(), young.end(), false);
  auto info = ProcessPages::open(process, frames_);
  if (!info) return;
  std::vector<size_t> asked;  // which of addrs is there
  std::vector<uint64_t> page_frames;
  size_t at = 0;
  for (const ProcessPages::Page& page : info->present_pages(pages_at(addrs))) {
    while (at < addrs.size() && addrs[at] < page.addr) ++at;
    asked.push_back(at);
    page_frames.push_back(page.entry.pfn());
  }
  std::vector<Folio> folios(page_frames.size());
  if (frames_.folios(page_frames, folios) != 0) return;
  const auto answers = std::make_unique<bool[]>(folios.size());
  young_folios(folios, {answers.get(), folios.size()});
  for (size_t i = 0; i < folios.size(); ++i) young[asked[i]] = answers[i];
}

void IdleAges::young_folios(std::span<const Folio> folios, std::span<bool> young) {
  std::fill(young.begin(), young.end(), false);
  std::vector<uint64_t> indexes(folios.size());
  std::ranges::transform(folios, indexes.begin(),
                         [](const Folio& folio) { return folio.head / kWordBits; });
  std::vector<uint64_t> words(folios.size());
  if (words_.read(indexes, words) != 0) return;
  std::vector<uint64_t> young_heads;
  for (size_t i = 0; i < folios.size(); ++i) {
    const uint64_t head = folios[i].head;
    if ((words[i] >> head % kWordBits & 1) != 0) continue;
    young[i] = true;
    young_heads.push_back(head);
  }
  mark_idle(std::move(young_heads));
}

void IdleAges::mark_idle(std::vector<uint64_t> heads) {
  std::sort(heads.begin(), heads.end());
  for (size_t i = 0; i < heads.size();) {
    const uint64_t index = heads[i] / kWordBits;
    uint64_t word = 0;
    for (; i < heads.size() && heads[i] / kWordBits == index; ++i) {
      word |= uint64_t{1} << heads[i] % kWordBits;
    }
    // A page that went meanwhile is not marked, which makes no difference to anybody.
    [[maybe_unused]] const ssize_t written =
        ::pwrite(bitmap_.get(), &word, sizeof(word), static_cast<off_t>(index * sizeof(word)));
  }
}

}  // namespace damonfs
