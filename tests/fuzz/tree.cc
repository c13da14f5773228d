// fuzz_tree [OPTION-OF-LIBFUZZER...] [FOLDER...]
#include <spdlog/spdlog.h>

#include "tests/fuzz/tree_player.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  damonfs::fuzz::TreePlayer({reinterpret_cast<const char*>(data), size}).play();
  return 0;
}
