#include <fmt/format.h>

#include "fs/commands.h"

namespace damonfs {

int run_doctor(const DoctorOptions&) {
  fmt::print(stderr, "damonfs doctor: not there yet\n");
  return 1;
}

}  // namespace damonfs
