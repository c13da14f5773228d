// Lists in which what belongs together stands together.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace damonfs {

// Calls fn(stretch) for each longest run of neighbouring `items` with an equal projection, in their
// order.
template <class Item, class Projection, class Fn>
void for_each_run(std::span<Item> items, const Projection& projection, const Fn& fn) {
  for (size_t first = 0; first < items.size();) {
    size_t end = first + 1;
    while (end < items.size() &&
           std::invoke(projection, items[end]) == std::invoke(projection, items[first])) {
      ++end;
    }
    fn(items.subspan(first, end - first));
    first = end;
  }
}

}  // namespace damonfs
