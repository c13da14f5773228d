#include "services/symbols.h"

#include <fcntl.h>
#include <gelf.h>

#include <cerrno>
#include <cstring>

#include "core/base/fd.h"

namespace damonfs {
namespace {

// Separate files with debug information are not looked for, above all not in the network.
int find_no_debuginfo(Dwfl_Module* /*module*/, void** /*data*/, const char* /*name*/,
                      Dwarf_Addr /*base*/, const char* /*file*/, const char* /*link*/,
                      GElf_Word /*crc*/, char** /*found*/) {
  return -1;
}

const Dwfl_Callbacks kCallbacks = {.find_elf = ::dwfl_build_id_find_elf,
                                   .find_debuginfo = find_no_debuginfo,
                                   .section_address = ::dwfl_offline_section_address,
                                   .debuginfo_path = nullptr};

}  // namespace

Result<std::unique_ptr<FileSymbols>> FileSymbols::open(const std::string& path) {
  std::unique_ptr<FileSymbols> symbols(new FileSymbols);
  symbols->dwfl_.reset(::dwfl_begin(&kCallbacks));
  if (!symbols->dwfl_) return fail(ENOMEM, "{}: {}", path, ::dwfl_errmsg(-1));
  // dwfl takes the descriptor over if it succeeds.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno, "{}: {}", path, std::strerror(errno));
  ::dwfl_report_begin(symbols->dwfl_.get());
  symbols->module_ = ::dwfl_report_elf(symbols->dwfl_.get(), "file", path.c_str(), fd, 0, false);
  if (symbols->module_ == nullptr) {
    ::close(fd);
    return fail(EINVAL, "{}: {}", path, ::dwfl_errmsg(-1));
  }
  ::dwfl_report_end(symbols->dwfl_.get(), nullptr, nullptr);
  GElf_Addr bias = 0;
  Elf* elf = ::dwfl_module_getelf(symbols->module_, &bias);
  size_t number = 0;
  if (elf == nullptr || ::elf_getphdrnum(elf, &number) != 0) {
    return fail(EINVAL, "{}: {}", path, ::dwfl_errmsg(-1));
  }
  symbols->bias_ = bias;
  for (size_t i = 0; i < number; ++i) {
    GElf_Phdr header;
    if (::gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr) continue;
    if (header.p_type == PT_LOAD) {
      symbols->loads_.push_back({header.p_offset, header.p_filesz, header.p_vaddr});
    }
  }
  return symbols;
}

std::string FileSymbols::at(uint64_t offset) const {
  for (const Load& load : loads_) {
    if (offset < load.offset || offset - load.offset >= load.size) continue;
    const char* name =
        ::dwfl_module_addrname(module_, load.address + (offset - load.offset) + bias_);
    return name == nullptr ? std::string() : std::string(name);
  }
  return {};
}

}  // namespace damonfs
