#include "fs/top/top_screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fs/top/top_fixture.h"

namespace damonfs::test {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

std::vector<std::string> lines_of(const TopModel& model, const TopTerminal& terminal) {
  std::vector<std::string> lines;
  for (const TopLine& line : draw_screen(model, terminal)) {
    std::string& text = lines.emplace_back();
    for (const TopSpan& span : line) text += span.text;
  }
  return lines;
}

TopModel model_of(TopInput input) {
  TopModel model;
  model.take(std::move(input));
  return model;
}

TEST(TopScreen, Sizes) {
  EXPECT_EQ(compact_size(0), "0");
  EXPECT_EQ(compact_size(1023), "1023");
  EXPECT_EQ(compact_size(1024), "1.0K");
  EXPECT_EQ(compact_size(10189), "10K");
  EXPECT_EQ(compact_size(1023 * kTopMiB), "1023M");
  EXPECT_EQ(compact_size(1024 * kTopMiB), "1.0G");
  EXPECT_EQ(compact_size(~uint64_t{0}), "16E");
}

TEST(TopScreen, Eighty) {
  EXPECT_THAT(lines_of(model_of(top_input()), {80, 8, false}),
              ElementsAre("damonfs top: /mnt, backend pte",
                          "hot 5.0M warm 2.0M cold 10M  2 by service, sorted by hot",
                          "   HOT  WARM  COLD  LAST MINUTE                    NAME",
                          "  4.0M  2.0M   10M                              @  redis-server.service",
                          "  1.0M     0     0                              @  nginx.service", "",
                          "", "h help  q quit  s sort  g group  Enter zoom  p pause  e export"));
}

TEST(TopScreen, SparksInUtf8) {
  TopModel model;
  for (const uint64_t hot : {1, 2, 4}) {
    TopInput input = top_input();
    input.services.resize(1);
    input.services[0].processes = {
        {.pid = 1, .name = "x", .regions = {top_region(16, hot, 20)}, .mappings = {}, .usage = {}}};
    model.take(std::move(input));
  }
  const auto lines = lines_of(model, {48, 6, true});
  EXPECT_EQ(lines[3], "  4.0M     0     0            ▂▄█  redis-server.service");
}

TEST(TopScreen, ColumnsGoWhereThereIsNoRoom) {
  const TopModel model = model_of(top_input());
  EXPECT_EQ(lines_of(model, {36, 8, false})[2], "   HOT  WARM  COLD  NAME");
  EXPECT_EQ(lines_of(model, {30, 8, false})[2], "   HOT  COLD  NAME");
  EXPECT_EQ(lines_of(model, {20, 8, false})[2], "   HOT  NAME");
  EXPECT_EQ(lines_of(model, {20, 8, false})[3], "  4.0M  redis-server.service");
}

TEST(TopScreen, NoMoreLinesThanTheTerminalHas) {
  TopModel model = model_of(top_input());
  for (size_t height = 1; height < 30; ++height) {
    EXPECT_THAT(lines_of(model, {80, height, false}), SizeIs(height));
  }
  for (const TopCommand command : {TopCommand::zoom, TopCommand::help}) {
    model.handle(command, 10);
    for (const size_t width : {1, 20, 80}) {
      for (size_t height = 1; height < 30; ++height) {
        EXPECT_THAT(lines_of(model, {width, height, false}), SizeIs(height));
      }
    }
  }
}

TEST(TopScreen, TheChosenRowIsOnThePage) {
  TopInput input = top_input();
  for (int i = 0; i < 100; ++i) {
    input.services.push_back(input.services[1]);
    input.services.back().name = "service" + std::to_string(1000 + i);
  }
  TopModel model = model_of(std::move(input));
  model.handle(TopCommand::end, 4);
  const auto lines = draw_screen(model, {80, 8, false});
  EXPECT_EQ(lines[6].front().style, TopStyle::chosen);
  EXPECT_THAT(lines[6].back().text, testing::HasSubstr("service1099"));
}

TEST(TopScreen, NamesWithoutUtf8) {
  TopInput input = top_input();
  input.services[0].name = "gr\xc3\xbc\xc3\x9f";
  EXPECT_THAT(lines_of(model_of(input), {20, 8, false})[3], testing::HasSubstr("  gr??"));
  EXPECT_THAT(lines_of(model_of(input), {20, 8, true})[3],
              testing::HasSubstr("  gr\xc3\xbc\xc3\x9f"));
}

TEST(TopScreen, Zoom) {
  TopModel model;
  model.take(top_input(100));
  model.handle(TopCommand::next_group, 10);
  model.handle(TopCommand::zoom, 10);
  model.take(top_input(101));
  const auto lines = lines_of(model, {40, 12, false});
  EXPECT_EQ(lines[1], "17 redis-server");
  // Half of the columns are hot, half are not accessed.
  EXPECT_THAT(lines, testing::Contains("     0s @@@@@@@@@@@@@@@@................"));
  EXPECT_THAT(lines, testing::Contains("    -1s @@@@@@@@@@@@@@@@................"));
}

TEST(TopScreen, PauseAndHelp) {
  TopModel model = model_of(top_input());
  model.handle(TopCommand::pause, 10);
  EXPECT_EQ(lines_of(model, {80, 8, false})[0], "damonfs top PAUSED: /mnt, backend pte");
  model.handle(TopCommand::help, 10);
  EXPECT_EQ(lines_of(model, {80, 30, false})[1], "Up Down    choose a row");
  model.tell("Written to x");
  EXPECT_EQ(lines_of(model, {80, 30, false}).back(), "Written to x");
}

}  // namespace
}  // namespace damonfs::test
