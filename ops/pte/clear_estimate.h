// How much memory clear_refs may be given at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace damonfs {

// Estimates how long clear_refs holds a process's memory map, from what calls have taken so far: a
// page's processor time, and how often a call took too long by the wall, where others had the
// processor in its middle. Each such call halves what the next may have, down to a sixteenth; a
// row of good ones doubles it again. A value of one AccessedBitClearer.
class ClearEstimate {
 public:
  // The longest that one call is to hold a memory map, by the wall.
  static constexpr std::chrono::milliseconds kMaxHold{2};

  // So many pages of a kind may be cleared by one call.
  [[nodiscard]] uint64_t max_pages() const { return (kMaxHoldNs / ns_a_page_) >> nr_halvings_; }

  // A call cleared about so many pages, and took so long by the wall and of a processor.
  void learn(uint64_t pages, uint64_t wall_ns, uint64_t cpu_ns) {
    if (wall_ns > kMaxHoldNs) {
      nr_halvings_ = std::min(nr_halvings_ + 1, kMaxHalvings);
      nr_good_ = 0;
    } else if (++nr_good_ == kGoodRow) {
      double_again();
    }
    if (pages < kEnough) return;
    const uint64_t ns = std::clamp<uint64_t>(cpu_ns / pages, 1, kMaxNs);
    // What is slower than before may be so because the machine is busy.
    const uint64_t weight = ns > ns_a_page_ ? 8 : 2;
    ns_a_page_ = (ns_a_page_ * (weight - 1) + ns) / weight;
  }
  // What was refused is to be tried again some time: to be called a second after the last time.
  void ease() {
    if (ns_a_page_ > kAssumedNs) ns_a_page_ -= (ns_a_page_ - kAssumedNs + 3) / 4;
    if (++nr_good_ >= kGoodRow) double_again();
  }

 private:
  static constexpr uint64_t kMaxHoldNs = std::chrono::nanoseconds(kMaxHold).count();
  static constexpr uint64_t kAssumedNs = 50;  // 40 to 70 on several kernels
  static constexpr uint64_t kMaxNs = 1000;
  static constexpr uint64_t kEnough = 4096;  // pages, to tell a page's time from a call's
  static constexpr unsigned kMaxHalvings = 4;
  static constexpr unsigned kGoodRow = 16;

  void double_again() {
    if (nr_halvings_ > 0) --nr_halvings_;
    nr_good_ = 0;
  }

  uint64_t ns_a_page_ = kAssumedNs;
  unsigned nr_halvings_ = 0;
  unsigned nr_good_ = 0;  // calls in a row
};

}  // namespace damonfs
