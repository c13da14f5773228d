// The functions of a file of code.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace damonfs {

// The symbols that an ELF file has itself: its symbol table, its dynamic symbols, or the compressed
// table of a stripped one (.gnu_debugdata). No other file is looked for. Owned by one thread.
class FileSymbols {
 public:
  // ENOENT and others when the file cannot be opened; EINVAL when it is no ELF file.
  static Result<std::unique_ptr<FileSymbols>> open(const std::string& path);

  // The function that the byte at `offset` of the file belongs to, raw bytes as the file has it;
  // empty where there is none.
  [[nodiscard]] std::string at(uint64_t offset) const;

 private:
  struct Load {  // a segment that is loaded
    uint64_t offset;
    uint64_t size;
    uint64_t address;
  };
  struct EndDwfl {
    void operator()(Dwfl* dwfl) const { ::dwfl_end(dwfl); }
  };
  FileSymbols() = default;

  std::unique_ptr<Dwfl, EndDwfl> dwfl_;
  Dwfl_Module* module_ = nullptr;  // of dwfl_
  uint64_t bias_ = 0;              // from addresses in the file to those of the module
  std::vector<Load> loads_;
};

}  // namespace damonfs
