// When memory was accessed last.
#include "recording/idle_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <tuple>
#include <utility>
#include <vector>

namespace damonfs::test {
namespace {

using testing::ElementsAre;
using Found = std::tuple<uint64_t, uint64_t, uint64_t, Heat>;

std::vector<Found> pieces(const IdleMap& map) {
  std::vector<Found> found;
  map.for_each({0, UINT64_MAX}, [&](AddrRange part, const IdleMap::Piece& piece) {
    found.emplace_back(part.start, part.end, piece.last_us, piece.heat);
  });
  return found;
}

TEST(IdleMapTest, TellsTheLastAccess) {
  IdleMap map;
  map.see({0, 100}, 5);
  map.touch({20, 40}, 10, Heat::warm, nullptr);
  map.touch({30, 60}, 20, Heat::hot, nullptr);
  EXPECT_THAT(pieces(map),
              ElementsAre(Found{0, 20, 5, Heat::idle}, Found{20, 30, 10, Heat::warm},
                          Found{30, 60, 20, Heat::hot}, Found{60, 100, 5, Heat::idle}));
  // An access that is older changes nothing, one at the same time only when it is hotter.
  map.touch({0, 100}, 7, Heat::hot, nullptr);
  map.touch({30, 60}, 20, Heat::warm, nullptr);
  EXPECT_THAT(pieces(map), ElementsAre(Found{0, 20, 7, Heat::hot}, Found{20, 30, 10, Heat::warm},
                                       Found{30, 60, 20, Heat::hot}, Found{60, 100, 7, Heat::hot}));
}

TEST(IdleMapTest, TellsWhatCameBack) {
  IdleMap map;
  map.see({0, 100}, 5);
  std::vector<std::pair<uint64_t, uint64_t>> back;
  const auto note = [&](uint64_t bytes, uint64_t idle_us) { back.emplace_back(bytes, idle_us); };
  map.touch({50, 150}, 25, Heat::warm, note);
  map.touch({0, 60}, 30, Heat::warm, note);
  EXPECT_THAT(back, ElementsAre(std::pair(50, 20), std::pair(50, 25), std::pair(10, 5)));
}

TEST(IdleMapTest, SeesOnlyWhatIsNew) {
  IdleMap map;
  map.touch({20, 40}, 10, Heat::warm, nullptr);
  map.see({0, 60}, 3);
  map.see({10, 80}, 9);
  EXPECT_THAT(pieces(map), ElementsAre(Found{0, 20, 3, Heat::idle}, Found{20, 40, 10, Heat::warm},
                                       Found{40, 60, 3, Heat::idle}, Found{60, 80, 9, Heat::idle}));
}

TEST(IdleMapTest, ForgetsWhatIsGone) {
  IdleMap map;
  map.see({0, 100}, 1);
  const std::vector<AddrRange> kept = {{10, 20}, {50, 200}};
  map.keep(kept);
  EXPECT_THAT(pieces(map),
              ElementsAre(Found{10, 20, 1, Heat::idle}, Found{50, 100, 1, Heat::idle}));
  map.keep({});
  EXPECT_EQ(map.nr_pieces(), 0);
}

struct Cell {
  bool known = false;
  uint64_t last = 0;
  Heat heat = Heat::idle;
  friend bool operator==(const Cell&, const Cell&) = default;
};

// Against an array of single addresses.
TEST(IdleMapTest, IsAsIfEachAddressWereByItself) {
  constexpr size_t kSize = 64;
  std::vector<Cell> cells(kSize);
  IdleMap map;
  std::mt19937 random(3);
  for (uint64_t round = 1; round < 5000; ++round) {
    const uint64_t a = random() % kSize;
    const uint64_t b = random() % kSize;
    const AddrRange range{std::min(a, b), std::max(a, b)};
    const uint64_t time = random() % 50;
    const Heat heat = random() % 2 == 0 ? Heat::warm : Heat::hot;
    const bool see = random() % 3 == 0;
    if (see) map.see(range, time);
    if (!see) map.touch(range, time, heat, nullptr);
    for (uint64_t i = range.start; i < range.end; ++i) {
      Cell& cell = cells[i];
      if (see && !cell.known) cell = {true, time, Heat::idle};
      if (!see && (!cell.known || std::tie(time, heat) > std::tie(cell.last, cell.heat))) {
        cell = {true, time, heat};
      }
    }
    if (random() % 20 == 0) {
      const AddrRange kept{random() % kSize, kSize};
      map.keep(std::vector<AddrRange>{kept});
      for (uint64_t i = 0; i < kept.start; ++i) cells[i] = {};
    }
    std::vector<Cell> found(kSize);
    map.for_each({0, kSize}, [&](AddrRange part, const IdleMap::Piece& piece) {
      for (uint64_t i = part.start; i < part.end; ++i) found[i] = {true, piece.last_us, piece.heat};
    });
    ASSERT_EQ(found, cells) << round;
  }
}

}  // namespace
}  // namespace damonfs::test
