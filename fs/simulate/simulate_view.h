// How the rows of a simulation are shown.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "fs/simulate/simulation.h"

namespace damonfs {

// The state at one moment, in seconds since the start.
struct SimulatedRow {
  double time = 0;
  std::vector<SimulatedKdamond> kdamonds;
};

// A JSON object and a newline for each scheme (or kdamond without any): sums since the start, under
// the names of the files in the tree.
[[nodiscard]] std::string to_json_lines(const SimulatedRow& row);

// A table for each scheme: what was done from one row to the next, and in all. `rows` begin with
// the start, and all have the same kdamonds and schemes.
[[nodiscard]] std::string to_tables(const std::vector<SimulatedRow>& rows);

// A heat map for each target, `views` being all looks at it.
[[nodiscard]] std::string to_heat_maps(
    const std::vector<std::vector<Simulation::TargetView>>& looks);

}  // namespace damonfs
