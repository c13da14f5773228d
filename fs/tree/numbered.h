// Objects of numbered directories.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace damonfs {

// The directories "0", "1", ... below one nr_ file. A copy holds copies.
template <class T>
class Numbered {
 public:
  Numbered() = default;
  Numbered(Numbered&&) noexcept = default;
  Numbered& operator=(Numbered&&) noexcept = default;
  Numbered(const Numbered& other) {
    items_.reserve(other.size());
    for (const auto& item : other.items_) items_.push_back(std::make_shared<T>(*item));
  }
  Numbered& operator=(const Numbered& other) {
    if (this != &other) *this = Numbered(other);
    return *this;
  }
  ~Numbered() = default;

  [[nodiscard]] size_t size() const { return items_.size(); }
  [[nodiscard]] bool empty() const { return items_.empty(); }
  [[nodiscard]] T& operator[](size_t i) { return *items_[i]; }
  [[nodiscard]] const T& operator[](size_t i) const { return *items_[i]; }
  // For directories, and whoever must know later whether an item is still the same.
  [[nodiscard]] const std::vector<std::shared_ptr<T>>& items() const { return items_; }

  // Adds one with default values.
  const std::shared_ptr<T>& add() { return items_.emplace_back(std::make_shared<T>()); }
  void clear() { items_.clear(); }
  // Has these, which are not null, in place of those there were.
  void assign(std::vector<std::shared_ptr<T>> items) { items_ = std::move(items); }

 private:
  std::vector<std::shared_ptr<T>> items_;
};

}  // namespace damonfs
