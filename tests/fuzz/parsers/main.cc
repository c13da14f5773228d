// fuzz_parsers NAME [OPTION-OF-LIBFUZZER...] [FOLDER...]: feeds one parser. Without a name: says
// which there are.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/parsers/parser.h"

namespace {

using damonfs::fuzz::Parser;

// Passes the name on to processes that libFuzzer starts, whose arguments lack it.
constexpr const char* kVariable = "DAMONFS_FUZZ_PARSER";
const Parser* chosen = nullptr;

template <class Fn>
void for_each_parser(const Fn& fn) {
  for (const auto list : {damonfs::fuzz::ops_parsers(), damonfs::fuzz::services_parsers(),
                          damonfs::fuzz::recording_parsers(), damonfs::fuzz::command_parsers(),
                          damonfs::fuzz::fs_parsers()}) {
    for (const Parser& parser : list) fn(parser);
  }
}

void choose(std::string_view name) {
  for_each_parser([&](const Parser& parser) {
    if (parser.name == name) chosen = &parser;
  });
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (const char* name = std::getenv(kVariable)) choose(name);
  if (chosen == nullptr && *argc > 1) {
    choose((*argv)[1]);
    if (chosen != nullptr) ::setenv(kVariable, (*argv)[1], 1);
    (*argv)[1] = (*argv)[0];
    --*argc;
    ++*argv;
  }
  if (chosen == nullptr) {
    for_each_parser([](const Parser& parser) { std::puts(std::string(parser.name).c_str()); });
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  chosen->feed({reinterpret_cast<const char*>(data), size});
  return 0;
}
