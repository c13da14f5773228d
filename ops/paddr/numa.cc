#include "ops/paddr/numa.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/base/page_size.h"
#include "core/base/read_whole.h"

namespace damonfs {
namespace {

// Memory whose frames are read at once.
constexpr uint64_t kCountWindow = uint64_t{128} << 20;

// The whole of `text` as a number.
bool parse(std::string_view text, int base, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

Result<uint64_t> block_size(const Paths& paths) {
  const std::string path = paths.sys + "/devices/system/memory/block_size_bytes";
  const auto text = read_whole(path);
  if (!text) return tl::unexpected(text.error());
  const std::string_view digits = std::string_view(*text).substr(0, text->find('\n'));
  uint64_t size = 0;
  if (!parse(digits, 16, size) || size == 0) return fail(EINVAL, "{}: '{}'", path, digits);
  return size;
}

// The memory blocks of a node's directory; none where that has none.
Result<RangeList> blocks_in(const std::string& directory, const Paths& paths) {
  constexpr std::string_view kMemory = "memory";
  std::vector<uint64_t> blocks;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    uint64_t block = 0;
    if (name.starts_with(kMemory) &&
        parse(std::string_view(name).substr(kMemory.size()), 10, block)) {
      blocks.push_back(block);
    }
  }
  if (error) return fail(error.value(), "{}: {}", directory, error.message());
  if (blocks.empty()) return {};
  const auto size = block_size(paths);
  if (!size) return tl::unexpected(size.error());
  std::ranges::sort(blocks);
  RangeList memory;
  for (const uint64_t block : blocks) append_joined(memory, {block * *size, (block + 1) * *size});
  return memory;
}

// What /proc/zoneinfo says of a node: for each zone a line "Node N, zone NAME", below it, each on a
// line of its own, "spanned PAGES" and "start_pfn: FRAME".
RangeList zones_of(int nid, const std::string& zoneinfo) {
  std::istringstream lines(zoneinfo);
  RangeList memory;
  std::string word;
  bool ours = false;
  uint64_t spanned = 0;
  while (lines >> word) {
    if (word == "Node") {
      lines >> word;
      ours = word == std::to_string(nid) + ",";
    } else if (word == "spanned") {
      lines >> spanned;
    } else if (word == "start_pfn:") {
      uint64_t start = 0;
      lines >> start;
      if (ours) memory.push_back({start * kPageSize, (start + spanned) * kPageSize});
    }
  }
  std::erase_if(memory, [](const AddrRange& range) { return range.size() == 0; });
  std::ranges::sort(memory, {}, &AddrRange::start);
  return join(memory);
}

uint64_t users_pages(std::span<const AddrRange> memory, Kpageflags& frames) {
  uint64_t bytes = 0;
  std::vector<Folio> folios;
  for (const RangeList& window : by_window(memory, kCountWindow)) {
    for (const AddrRange& range : window) {
      folios.clear();
      if (frames.folios_in(range.start / kPageSize, range.end / kPageSize, folios) != 0) return 0;
      for (const Folio& folio : folios) {
        if ((folio.flags & frame_flags::kLru) != 0) bytes += folio.size();
      }
    }
  }
  return bytes;
}

}  // namespace

Result<RangeList> node_memory(const Paths& paths, int nid) {
  const std::string directory = paths.sys + "/devices/system/node/node" + std::to_string(nid);
  auto blocks = blocks_in(directory, paths);
  if (!blocks || !blocks->empty()) return blocks;
  return read_whole(paths.proc + "/zoneinfo").map([&](const std::string& zoneinfo) {
    return zones_of(nid, zoneinfo);
  });
}

NodeShare pages_on_node(std::span<const AddrRange> memory, int nid, Kpageflags& frames,
                        const Paths& paths) {
  const auto of_node = node_memory(paths, nid);
  const RangeList there = of_node ? intersect(memory, *of_node) : RangeList{};
  const uint64_t on_node = users_pages(there, frames);
  return {.all = on_node + users_pages(subtract(memory, there), frames), .on_node = on_node};
}

}  // namespace damonfs
