// The functions of code that was made at run time, by the file that just-in-time compilers write
// for perf: /tmp/perf-PID.map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/region.h"

namespace damonfs {

// What such a file says: a line a function, "START SIZE NAME", numbers in hexadecimal. Where lines
// overlap, the later one counts: code is moved and replaced. Owned by one thread.
class JitSymbols {
 public:
  // A larger file is not read, and of a name no more is kept.
  static constexpr size_t kMaxBytes = size_t{32} << 20;
  static constexpr size_t kMaxName = 256;

  // The file of the process that `directory` is of in procfs, such as /proc/17: in its own root,
  // with the number that it has itself. Everybody may write to /tmp. So it is read only when it is
  // a file with one name that belongs to the user whom the process runs as (effective), that not
  // everybody may write to, and that no symbolic link leads to: EPERM otherwise. ENOENT when there
  // is none, EFBIG for a larger one; what open(2) and read(2) say.
  static Result<std::unique_ptr<JitSymbols>> open(const std::string& directory);

  // Of the text of such a file. Lines of another form, and a last one without its end, are left
  // out.
  explicit JitSymbols(std::string text);
  JitSymbols(const JitSymbols&) = delete;
  JitSymbols& operator=(const JitSymbols&) = delete;

  // The first function that has bytes in `range`, raw bytes; empty where there is none.
  [[nodiscard]] std::string_view first_in(AddrRange range) const;

 private:
  struct Function {
    uint64_t end;
    std::string_view name;  // in text_
  };
  void add_line(std::string_view line);
  void put(AddrRange range, std::string_view name);

  std::string text_;
  std::map<uint64_t, Function> functions_;  // by their start; they do not overlap
};

}  // namespace damonfs
