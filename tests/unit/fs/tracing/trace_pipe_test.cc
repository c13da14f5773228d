#include "fs/tracing/trace_pipe.h"

#include <gmock/gmock.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>

#include "fs/tracing/trace_format.h"

namespace damonfs {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr size_t kPlenty = size_t{1} << 20;

AggregatedEvent region(uint32_t nr_accesses = 3) {
  return {.target_id = 1,
          .nr_regions = 12,
          .start = 4096,
          .end = 8192,
          .nr_accesses = nr_accesses,
          .age = 7};
}

size_t nr_lines(const std::string& text) {
  return static_cast<size_t>(std::ranges::count(text, '\n'));
}

TEST(TracePipe, NobodyWantsEventsWithoutReaders) {
  TracePipe hub;
  EXPECT_FALSE(hub.wanted());
  auto reader = hub.open();
  EXPECT_TRUE(hub.wanted());
  reader.reset();
  hub.emit(1, region());  // notices it
  EXPECT_FALSE(hub.wanted());
}

TEST(TracePipe, LinesAreThoseOfTracePipe) {
  TracePipe hub;
  const auto reader = hub.open();
  std::jthread kdamond([&] {
    pthread_setname_np(pthread_self(), "kdamond.0");
    hub.emit(12'000'345'678, region());
  });
  kdamond.join();
  const std::string line = reader->read_now(kPlenty);
  EXPECT_THAT(line, StartsWith("       kdamond.0-"));
  EXPECT_THAT(line, HasSubstr("] ..... 12.000345678: "));
  EXPECT_THAT(line, EndsWith(": damon_aggregated: target_id=1 nr_regions=12 4096-8192: 3 7\n"));
  EXPECT_THAT(reader->read_now(kPlenty), IsEmpty());
}

TEST(TracePipe, EveryReaderGetsEveryEventFromItsOpeningOn) {
  TracePipe hub;
  const auto first = hub.open();
  hub.emit(1, region());
  const auto second = hub.open();
  hub.emit(2, EszEvent{0, 1, 2});
  EXPECT_EQ(nr_lines(first->read_now(kPlenty)), 2U);
  EXPECT_THAT(second->read_now(kPlenty), EndsWith(": damos_esz: ctx_idx=0 scheme_idx=1 esz=2\n"));
}

TEST(TracePipe, ASlowReaderLosesEventsAndIsToldHowMany) {
  TracePipe hub;
  const auto slow = hub.open();
  const auto quick = hub.open();
  constexpr size_t kLost = 37;
  size_t seen = 0;
  for (size_t i = 0; i < TraceReader::kMax + kLost; ++i) {
    hub.emit(i, region());
    if (i % 1000 == 0) seen += nr_lines(quick->read_now(kPlenty));
  }
  seen += nr_lines(quick->read_now(kPlenty));
  EXPECT_EQ(seen, TraceReader::kMax + kLost);
  std::string all;
  for (std::string part; !(part = slow->read_now(kPlenty)).empty();) all += part;
  EXPECT_EQ(nr_lines(all), TraceReader::kMax + 1);
  EXPECT_THAT(all, EndsWith("\n[LOST 37 EVENTS]\n"));
  hub.emit(1, region());
  EXPECT_EQ(nr_lines(slow->read_now(kPlenty)), 1U);  // told once
}

TEST(TracePipe, LinesThatAreCutGoOnInTheNextRead) {
  TracePipe hub;
  const auto reader = hub.open();
  for (int i = 0; i < 100; ++i) hub.emit(1, region());
  std::string all;
  for (std::string part; !(part = reader->read_now(100)).empty();) {
    EXPECT_LE(part.size(), 100U);
    all += part;
  }
  EXPECT_EQ(nr_lines(all), 100U);
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) EXPECT_THAT(line, EndsWith(": 3 7"));
}

TEST(TracePipe, WaitingEndsWithAnEventOrWhenStopped) {
  TracePipe hub;
  const auto reader = hub.open();
  std::stop_source stop;
  std::jthread emitter([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    hub.emit(1, region());
  });
  EXPECT_TRUE(reader->wait(stop.get_token()));
  EXPECT_EQ(nr_lines(reader->read_now(kPlenty)), 1U);
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(reader->wait(stop.get_token()));
}

TEST(TraceFormat, LayoutIsTheKernels) {
  // As /sys/kernel/tracing/events/damon/damos_before_apply/format of 6.18 has it, but for the ID.
  EXPECT_EQ(format_text(trace_formats()[2]),
            "name: damos_before_apply\nID: 3\nformat:\n"
            "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
            "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
            "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
            "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
            "\tfield:unsigned int context_idx;\toffset:8;\tsize:4;\tsigned:0;\n"
            "\tfield:unsigned int scheme_idx;\toffset:12;\tsize:4;\tsigned:0;\n"
            "\tfield:unsigned long target_idx;\toffset:16;\tsize:8;\tsigned:0;\n"
            "\tfield:unsigned long start;\toffset:24;\tsize:8;\tsigned:0;\n"
            "\tfield:unsigned long end;\toffset:32;\tsize:8;\tsigned:0;\n"
            "\tfield:unsigned int nr_accesses;\toffset:40;\tsize:4;\tsigned:0;\n"
            "\tfield:unsigned int age;\toffset:44;\tsize:4;\tsigned:0;\n"
            "\tfield:unsigned int nr_regions;\toffset:48;\tsize:4;\tsigned:0;\n\n"
            "print fmt: \"ctx_idx=%u scheme_idx=%u target_idx=%lu nr_regions=%u %lu-%lu: %u %u\", "
            "REC->context_idx, REC->scheme_idx, REC->target_idx, REC->nr_regions, REC->start, "
            "REC->end, REC->nr_accesses, REC->age\n");
  EXPECT_THAT(format_text(trace_formats()[0]),
              HasSubstr("field:unsigned long start;\toffset:24;\tsize:8;"));
  EXPECT_THAT(format_text(trace_formats()[5]),
              HasSubstr("\tfield:unsigned long start;\toffset:16;\tsize:8;\tsigned:0;\n"
                        "\tfield:unsigned long end;\toffset:24;\tsize:8;\tsigned:0;\n"
                        "\tfield:unsigned int nr_regions;\toffset:32;\tsize:4;\tsigned:0;\n"));
}

TEST(TraceFormat, ProbeHitsAreTwoHexadecimalDigitsEach) {
  RegionAggregatedEvent event{{1, 12, 4096, 8192, 3, 7}, 2, {19, 0, 255}};
  EXPECT_EQ(fields_text(event),
            "damon_region_aggregated: target_id=1 nr_regions=12 4096-8192: 3 7 probe_hits=13 00");
  event.nr_probes = 0;
  EXPECT_THAT(fields_text(event), EndsWith(" 3 7 probe_hits="));
}

TEST(TraceFormat, NamesAreInTheOrderOfTheFields) {
  const TraceFields all[] = {AggregatedEvent{}, IntervalsTuneEvent{}, BeforeApplyEvent{},
                             EszEvent{},        StatEvent{},          RegionAggregatedEvent{}};
  for (const TraceFields& fields : all) {
    EXPECT_THAT(fields_text(fields),
                StartsWith(std::string(trace_formats()[fields.index()].name) + ": "));
  }
}

}  // namespace
}  // namespace damonfs
