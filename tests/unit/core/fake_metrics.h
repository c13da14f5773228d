// The machine's memory as a test says.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "core/metrics.h"

namespace damonfs {

// Tells what its fields hold, and how often watermarks asked. One thread.
class FakeMetrics final : public Metrics {
 public:
  uint64_t free_permille = 0;
  uint64_t psi_us = 0;
  uint64_t active_bp = 0;
  uint64_t hugepage_bp = 0;
  std::map<int, uint64_t> node_bp;
  std::map<std::pair<int, std::string>, uint64_t> memcg_bp;
  int nr_free_readings = 0;

  [[nodiscard]] uint64_t free_mem_permille() override {
    ++nr_free_readings;
    return free_permille;
  }
  [[nodiscard]] uint64_t some_mem_psi_us() override { return psi_us; }
  [[nodiscard]] uint64_t node_mem_used_bp(int nid) override { return node_bp[nid]; }
  [[nodiscard]] uint64_t node_memcg_used_bp(int nid, const std::string& path) override {
    return memcg_bp[{nid, path}];
  }
  [[nodiscard]] uint64_t active_mem_bp() override { return active_bp; }
  [[nodiscard]] uint64_t hugepage_mem_bp() override { return hugepage_bp; }
};

}  // namespace damonfs
