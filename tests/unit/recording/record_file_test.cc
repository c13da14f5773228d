// Files of frames: written, bounded, cut off, damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "recording/frame_codec.h"
#include "recording/record_reader.h"
#include "recording/record_writer.h"
#include "tests/unit/recording/frames.h"

namespace damonfs::test {
namespace {

namespace stdfs = std::filesystem;
using testing::HasSubstr;

class RecordFileTest : public testing::Test {
 protected:
  RecordFileTest() {
    std::string name = stdfs::temp_directory_path() / "damonfs-record-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    directory_ = name;
    path_ = directory_ / "record";
  }
  ~RecordFileTest() override { stdfs::remove_all(directory_); }

  RecordWriter writer(uint64_t max_bytes = 0) {
    return RecordWriter::create(path_, max_bytes, true).value();
  }
  // Times of the first snapshots of all frames that can be read.
  std::vector<uint64_t> times() {
    std::vector<uint64_t> found;
    const auto reader = RecordReader::open(path_);
    if (!reader) return found;
    const auto done = reader->for_each(
        [&](const RecordFrame& frame) { found.push_back(frame.snapshots.front().time_us); });
    EXPECT_TRUE(done);
    return found;
  }
  std::string content() {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  void set_content(const std::string& text) { std::ofstream(path_) << text; }

  stdfs::path directory_;
  std::string path_;
};

TEST_F(RecordFileTest, FramesComeBackInOrder) {
  auto file = writer();
  for (uint64_t i = 1; i <= 5; ++i) ASSERT_TRUE(file.write(frame_of(i, 2)));
  ASSERT_TRUE(file.finish());
  EXPECT_EQ(times(), (std::vector<uint64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(RecordReader::open(path_)->lost_bytes(), 0);
  EXPECT_EQ(stdfs::file_size(path_), file.bytes_written());
}

TEST_F(RecordFileTest, IsNotOverwrittenUnasked) {
  set_content("precious");
  EXPECT_EQ(RecordWriter::create(path_, 0, false).error().code, EEXIST);
  EXPECT_EQ(content(), "precious");
  EXPECT_TRUE(RecordWriter::create(path_, 0, true));
  EXPECT_NE(content(), "precious");
  EXPECT_EQ(RecordWriter::create(directory_ / "no/where", 0, false).error().code, ENOENT);
  EXPECT_EQ(RecordWriter::create(path_, 100, true).error().code, EINVAL);
  EXPECT_EQ(RecordWriter::create("/dev/null", 1 << 20, true).error().code, EINVAL);
}

TEST_F(RecordFileTest, AFileWithoutFramesIsRemoved) {
  auto file = writer();
  file.remove_empty();
  EXPECT_FALSE(stdfs::exists(path_));
  set_content("");
  writer().remove_empty();
  EXPECT_TRUE(stdfs::exists(path_)) << "it was there before";
}

TEST_F(RecordFileTest, ABoundKeepsTheNewest) {
  constexpr uint64_t kMax = 64 << 10;
  auto file = writer(kMax);
  constexpr uint64_t kFrames = 400;
  for (uint64_t i = 1; i <= kFrames; ++i) {
    ASSERT_TRUE(file.write(frame_of(i, 2)));
    ASSERT_LE(stdfs::file_size(path_), kMax);
  }
  ASSERT_GT(file.bytes_written(), 2 * kMax);
  const auto found = times();
  ASSERT_GT(found.size(), 20);
  EXPECT_EQ(found.back(), kFrames);
  // Nothing is missing between them.
  for (size_t i = 1; i < found.size(); ++i) EXPECT_EQ(found[i], found[i - 1] + 1);
  EXPECT_GT(found.front(), 1);
}

TEST_F(RecordFileTest, WhatIsWrittenIsReadableAtAnyMoment) {
  auto file = writer();
  for (uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(file.write(frame_of(i, 2)));
  const std::string whole = content();
  for (size_t size = 0; size < whole.size(); size += 7) {
    set_content(whole.substr(0, size));
    const auto reader = RecordReader::open(path_);
    if (!reader) {
      EXPECT_THAT(reader.error().code, testing::AnyOf(EINVAL, ENODATA));
      continue;
    }
    EXPECT_EQ(times().size(), reader->nr_frames());
  }
}

TEST_F(RecordFileTest, ADamagedFrameCostsNoOther) {
  auto file = writer();
  std::vector<size_t> ends;
  for (uint64_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(file.write(frame_of(i, 2)));
    ends.push_back(file.bytes_written());
  }
  std::string damaged = content();
  damaged[ends[1] + kFrameHeaderBytes + 40] ^= 0x55;  // data of the third
  set_content(damaged);
  EXPECT_EQ(times(), (std::vector<uint64_t>{1, 2, 4, 5}));
  damaged[ends[2]] ^= 0x55;  // the mark of the fourth
  set_content(damaged);
  EXPECT_EQ(times(), (std::vector<uint64_t>{1, 2, 5}));
  EXPECT_GT(RecordReader::open(path_)->lost_bytes(), 0);
}

TEST_F(RecordFileTest, OtherFilesAreNoRecords) {
  EXPECT_EQ(RecordReader::open(path_).error().code, ENOENT);
  for (const std::string& text :
       {std::string("#!/bin/sh\n"), std::string(), std::string(1 << 20, 'x')}) {
    set_content(text);
    const auto reader = RecordReader::open(path_);
    ASSERT_FALSE(reader);
    EXPECT_EQ(reader.error().code, EINVAL);
    EXPECT_THAT(reader.error().message, HasSubstr("no record"));
  }
  EXPECT_EQ(RecordReader::open(directory_).error().code, EINVAL);
}

// Has files of this process end at a size, while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_F(RecordFileTest, AFrameThatDoesNotFitLeavesNothing) {
  auto file = writer();
  ASSERT_TRUE(file.write(frame_of(1, 2)));
  const uint64_t before = stdfs::file_size(path_);
  {
    const FileSizeLimit limit(before + 100);
    const auto written = file.write(frame_of(2, 2));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, EFBIG);
    EXPECT_THAT(written.error().message, HasSubstr(path_));
  }
  EXPECT_EQ(stdfs::file_size(path_), before);
  EXPECT_EQ(times(), std::vector<uint64_t>{1});
  ASSERT_TRUE(file.write(frame_of(3, 2)));
  EXPECT_EQ(times(), (std::vector<uint64_t>{1, 3}));
}

}  // namespace
}  // namespace damonfs::test
