// Frames as they stand in a file.
#include "recording/frame_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "recording/columns.h"
#include "recording/varint.h"
#include "tests/unit/recording/frames.h"

namespace damonfs::test {
namespace {

Result<RecordFrame> unpacked(const std::string& bytes) {
  const auto header = read_frame_header(bytes);
  if (!header) return tl::unexpected(header.error());
  return unpack_frame(*header, std::string_view(bytes).substr(kFrameHeaderBytes));
}

TEST(VarintTest, TakesWhatWasPut) {
  std::string bytes;
  const std::vector<uint64_t> numbers = {0, 1, 127, 128, 300, uint64_t{1} << 63, UINT64_MAX};
  for (const uint64_t number : numbers) put_varint(bytes, number);
  VarintReader reader(bytes);
  for (const uint64_t number : numbers) EXPECT_EQ(reader.next(), number);
  EXPECT_TRUE(reader.at_end());
  EXPECT_FALSE(reader.failed());
  EXPECT_EQ(reader.next(), 0);
  EXPECT_TRUE(reader.failed());
  for (const int64_t number : {int64_t{0}, int64_t{-1}, int64_t{1}, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(from_zigzag(to_zigzag(number)), number);
  }
}

TEST(FrameTest, IsWhatItWas) {
  RecordFrame frame = frame_of(1'700'000'000'000'000, 30);
  frame.snapshots[3].targets.clear();
  frame.snapshots[4].targets[0].regions[1].age = 1'000'000;  // older than the kdamond
  frame.snapshots[5].targets[0].regions[1].swept = SweptState::unknown;
  frame.snapshots[6].targets[0].regions[2].range = {UINT64_MAX - 0x1FFF, UINT64_MAX - 0xFFF};
  const auto back = unpacked(pack_frame(frame, 5));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, frame);
}

TEST(FrameTest, KeepsOddAddressesAndOddNames) {
  RecordFrame frame = frame_of(1, 2);
  frame.snapshots[0].targets[0].regions[0].range = {1, 3};
  frame.names[0].name = "a\"b\\n\n<script>";
  EXPECT_EQ(unpacked(pack_frame(frame, 0)).value(), frame);
  // What is no UTF-8 is replaced; the frame stays readable.
  frame.names[0].name = "\xff";
  EXPECT_EQ(unpacked(pack_frame(frame, 0)).value().names[0].name, "\xef\xbf\xbd");
}

TEST(FrameTest, AnyByteThatIsWrongIsNoticed) {
  const RecordFrame frame = frame_of(1, 3);
  const std::string bytes = pack_frame(frame, 5);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    const auto back = unpacked(damaged);
    // What zstd does not read of its header changes nothing.
    if (back) {
      EXPECT_EQ(*back, frame) << i;
    }
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(unpacked(bytes.substr(0, size))) << size;
  }
}

TEST(FrameTest, WhatNoWriterMakesIsDamaged) {
  const RecordFrame good = frame_of(1, 3);
  ASSERT_TRUE(unpacked(pack_frame(good, 0)));
  RecordFrame late = good;
  late.mappings[0].from = 3;
  RecordFrame nothing_mapped = good;
  nothing_mapped.mappings[0].mappings[1].range = {0x700000, 0x700000};
  RecordFrame empty = good;
  empty.snapshots[1].targets[0].regions[0].range = {0x100000, 0x100000};
  for (const RecordFrame& frame : {late, nothing_mapped, empty}) {
    const auto back = unpacked(pack_frame(frame, 0));
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().code, EBADMSG);
  }
}

TEST(FrameTest, IsFoundAmongOtherBytes) {
  const std::string bytes = pack_frame(frame_of(1, 1), 9);
  EXPECT_EQ(find_frame("xyz" + bytes), 3);
  EXPECT_EQ(find_frame("xyz"), std::string::npos);
  EXPECT_EQ(read_frame_header(bytes)->sequence, 9);
  EXPECT_FALSE(read_frame_header("x" + bytes));
}

TEST(FrameTest, AFileHeaderTellsTheBound) {
  EXPECT_EQ(file_header(123).size(), kFileHeaderBytes);
  EXPECT_EQ(read_file_header(file_header(123)).value(), 123);
  EXPECT_EQ(read_file_header("#!/bin/sh\n").error().code, EINVAL);
  EXPECT_EQ(read_file_header("").error().code, EINVAL);
  std::string newer = file_header(0);
  newer[16] = 2;
  EXPECT_EQ(read_file_header(newer).error().code, ENOTSUP);
}

TEST(ColumnsTest, NonsenseIsRefused) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    SnapshotColumns columns = to_columns(frame_of(1, 2).snapshots, 4096);
    std::string& column = columns.bytes[random() % SnapshotColumns::kNumber];
    column[random() % column.size()] = static_cast<char>(random());
    if (random() % 4 == 0) column.resize(random() % column.size());
    std::array<std::string_view, SnapshotColumns::kNumber> views;
    std::copy(columns.bytes.begin(), columns.bytes.end(), views.begin());
    const auto back = from_columns(views, 4096, 1);
    if (!back) {
      EXPECT_EQ(back.error().code, EBADMSG);
    }
  }
}

}  // namespace
}  // namespace damonfs::test
