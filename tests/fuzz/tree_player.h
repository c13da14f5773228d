// Plays what libFuzzer makes up against a tree: opens, reads, writes, directories that come and go,
// commands.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/fs/fake_machine.h"

namespace damonfs::fuzz {

// One tree on a fake machine, and one input, whose bytes say what is done to it. Ends the process
// where a refused write has changed something, a count is not that of its directories, or not all
// can be set back to 0. One thread.
class TreePlayer {
 public:
  explicit TreePlayer(std::string_view script);
  // Does what the bytes say, then sets everything back.
  void play();

 private:
  using File = test::FakeTree::File;
  // What all files that can be read and written say, by path.
  using Content = std::map<std::string, std::string>;

  // What is next in the script; 0 and nothing at its end.
  uint8_t next();
  std::string_view next_text();
  std::string next_path();

  void act();
  void write(const File& file, std::string_view text);
  void read(const File& file);
  void set_owner(const File& file);

  const Content& content();
  void check_counts();
  void set_back();

  std::string_view script_;
  test::FakeTree tree_;
  std::vector<std::string> paths_;  // of all files, as of the last look
  std::array<File, 8> open_;
  Content content_;
  bool known_ = false;       // nothing has changed since content_ was taken
  uint64_t nr_directories_;  // of the new tree
};

}  // namespace damonfs::fuzz
