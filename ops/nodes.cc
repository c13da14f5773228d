#include "ops/nodes.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/fd.h"
#include "core/read_whole.h"
#include "ops/page_size.h"

namespace damonfs {
namespace {

constexpr uint64_t kCountWindow = uint64_t{128}
                                  << 20;  // bytes of memory whose frames are read at once

// The whole of `text` as a number.
bool parse(std::string_view text, int base, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

Result<uint64_t> block_size(const Paths& paths) {
  const std::string path = paths.sys + "/devices/system/memory/block_size_bytes";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail(errno, "{}: {}", path, std::strerror(errno));
  const auto text = read_whole(file);
  if (!text) return tl::unexpected(text.error());
  const std::string_view digits = std::string_view(*text).substr(0, text->find('\n'));
  uint64_t size = 0;
  if (!parse(digits, 16, size) || size == 0) return fail(EINVAL, "{}: '{}'", path, digits);
  return size;
}

uint64_t users_pages(std::span<const AddrRange> memory, PageFrames& frames) {
  uint64_t bytes = 0;
  std::vector<Folio> folios;
  for (const RangeList& window : by_window(memory, kCountWindow)) {
    for (const AddrRange& range : window) {
      folios.clear();
      if (frames.folios_in(range.start / kPageSize, range.end / kPageSize, folios) != 0) return 0;
      for (const Folio& folio : folios) {
        if ((folio.flags & frame_flags::kLru) != 0) bytes += folio.nr_pages * kPageSize;
      }
    }
  }
  return bytes;
}

}  // namespace

Result<RangeList> node_memory(const Paths& paths, int nid) {
  const auto size = block_size(paths);
  if (!size) return tl::unexpected(size.error());
  const std::string directory = paths.sys + "/devices/system/node/node" + std::to_string(nid);
  constexpr std::string_view kMemory = "memory";
  RangeList blocks;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    uint64_t block = 0;
    if (!name.starts_with(kMemory) ||
        !parse(std::string_view(name).substr(kMemory.size()), 10, block))
      continue;
    blocks.push_back({block * *size, (block + 1) * *size});
  }
  if (error) return fail(error.value(), "{}: {}", directory, error.message());
  if (blocks.empty()) return fail(ENOENT, "{} names no memory", directory);
  std::ranges::sort(blocks, {}, &AddrRange::start);
  return join(blocks);
}

NodeShare pages_on_node(std::span<const AddrRange> memory, int nid, PageFrames& frames,
                        const Paths& paths) {
  const auto of_node = node_memory(paths, nid);
  const RangeList there = of_node ? intersect(memory, *of_node) : RangeList{};
  const uint64_t on_node = users_pages(there, frames);
  return {.all = on_node + users_pages(subtract(memory, there), frames), .on_node = on_node};
}

}  // namespace damonfs
