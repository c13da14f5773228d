// The words behind `perf record`, one a line.
#include "fs/exec/perf_options.h"

#include <sstream>
#include <string>
#include <vector>

#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  std::vector<std::string> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) lines.push_back(line.c_str());
  std::vector<char*> words;
  for (std::string& line : lines) words.push_back(line.data());
  static_cast<void>(damonfs::parse_perf_record(words));
  return 0;
}
