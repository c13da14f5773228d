// Watching the virtual address spaces of processes.
#pragma once

#include <memory>

#include "ops/accessed_bits.h"
#include "ops/virtual_operations.h"

namespace damonfs {

// vaddr and fvaddr: targets are processes, their handles each a Process. Where accesses are learnt
// from is the business of the AccessedBits it owns. Same ownership and thread rule as Operations.
class VaddrOperations final : public VirtualOperations {
 public:
  VaddrOperations(OpsId id, std::unique_ptr<AccessedBits> bits)
      : VirtualOperations(id), bits_(std::move(bits)) {}

  void prepare(std::span<Sample> samples) override { bits_->prepare(samples); }
  void check(std::span<Sample> samples) override { bits_->check(samples); }

  // While its process exists; a zombie, which has no memory left, still does.
  [[nodiscard]] bool target_valid(const Target& target) override;

 protected:
  [[nodiscard]] Result<std::vector<AddrRange>> mappings(const Target& target) override;

 private:
  std::unique_ptr<AccessedBits> bits_;
};

}  // namespace damonfs
