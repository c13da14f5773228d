// A program with a known access pattern, for demonstrations, tests and benchmarks: it maps memory,
// faults all of it in, and from then on keeps touching every page of one hot part, which moves from
// time to time. It says on its standard output what is where, one line an event.

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHugePage = 2 << 20;
constexpr const char* kUsage = R"(usage: workload [OPTIONS]
  --size SIZE          memory to map and to fault in (256M)
  --hot SIZE           part of it that is kept hot (16M)
  --offset SIZE        where the hot part is at first (0)
  --move-every TIME    the hot part moves on by its own size, and from the end back to the start
                       (never)
  --moves N            stop moving after N moves
  --spots N            the hot part is N parts of that size in all, evenly spread over the memory (1)
  --loop-sleep-us N    sleep after each pass over the hot part (100)
  --rate N             touch each page of the hot part N times a second, evenly, in place of that
  --write, --read      touch pages by writing (the default) or by reading
  --idle               touch nothing
  --grow SIZE          map and fault in SIZE more at each move
  --threads N          share the hot part out to N threads (1)
  --fork               have a child do the same on the memory it shares with us
  --huge, --no-huge    ask for huge pages, or for none
  --probe              say each second what held us up: see below
  --count-every TIME   say so often how often each of the threads has touched all its hot pages (never)
  --seconds N          end after that time
  --announce, --quiet  print events (the default), or none
SIZE is bytes, or with K, M or G; TIME has ms, s or min. Ends on SIGTERM or SIGINT, and when its
parent dies. Events:
  ready pid=PID start=0xADDR end=0xADDR     all is faulted in
  hot start=0xADDR end=0xADDR at=NS         hot from now on (CLOCK_MONOTONIC)
  grown start=0xADDR end=0xADDR at=NS       mapped and faulted in
  probe pid=PID map_us=N fault_us=N passes=N cpu_us=N at=NS
                                            of the last second: the longest mmap() and munmap(), one
                                            each ms, the longest fault, passes over the hot part,
                                            time on a processor
  passes n=N at=NS                          of all threads together)";

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr Unit kSizes[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};
constexpr Unit kTimes[] = {{"ms", 1000000}, {"s", 1000000000}, {"min", 60000000000}};
constexpr Unit kCounts[] = {{"", 1}};

struct Options {
  uint64_t size = 256 << 20;
  uint64_t hot = 16 << 20;
  uint64_t offset = 0;
  uint64_t move_every_ns = 0;
  uint64_t moves = UINT64_MAX;
  uint64_t loop_sleep_us = 100;
  uint64_t rate = 0;  // touches of each page a second; 0: as often as can be
  uint64_t grow = 0;
  uint64_t spots = 1;
  uint64_t threads = 1;
  uint64_t seconds = 0;
  uint64_t count_every_ns = 0;
  bool write = true;
  bool idle = false;
  bool fork = false;
  bool probe = false;
  bool announce = true;
  std::optional<bool> huge;
};

std::atomic<bool> stopped = false;
static_assert(std::atomic<bool>::is_always_lock_free);
std::atomic<uint64_t> passes = 0;  // over a thread's share of the hot part

[[noreturn]] void refuse(std::string_view why, std::string_view what) {
  std::fprintf(stderr, "workload: %.*s: %.*s\n%s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(why.size()), why.data(), kUsage);
  std::exit(2);
}

uint64_t parse(std::string_view word, std::span<const Unit> units) {
  uint64_t number = 0;
  const auto part = std::from_chars(word.data(), word.data() + word.size(), number);
  const std::string_view rest = word.substr(static_cast<size_t>(part.ptr - word.data()));
  for (const Unit& unit : units) {
    if (part.ec == std::errc() && unit.name == rest && number <= UINT64_MAX / unit.factor) {
      return number * unit.factor;
    }
  }
  refuse("is no such number", word);
}

// Takes a word that stands for itself; false when it is none.
bool take_flag(std::string_view word, Options& options) {
  if (word == "--write" || word == "--read") {
    options.write = word == "--write";
  } else if (word == "--huge" || word == "--no-huge") {
    options.huge = word == "--huge";
  } else if (word == "--announce" || word == "--quiet") {
    options.announce = word == "--announce";
  } else if (word == "--idle") {
    options.idle = true;
  } else if (word == "--fork") {
    options.fork = true;
  } else if (word == "--probe") {
    options.probe = true;
  } else {
    return false;
  }
  return true;
}

struct NumberOption {
  std::string_view name;
  uint64_t Options::*value;
  std::span<const Unit> units;
};
constexpr NumberOption kNumbers[] = {
    {"--size", &Options::size, kSizes},
    {"--hot", &Options::hot, kSizes},
    {"--offset", &Options::offset, kSizes},
    {"--grow", &Options::grow, kSizes},
    {"--move-every", &Options::move_every_ns, kTimes},
    {"--moves", &Options::moves, kCounts},
    {"--loop-sleep-us", &Options::loop_sleep_us, kCounts},
    {"--spots", &Options::spots, kCounts},
    {"--rate", &Options::rate, kCounts},
    {"--threads", &Options::threads, kCounts},
    {"--count-every", &Options::count_every_ns, kTimes},
    {"--seconds", &Options::seconds, kCounts},
};

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--help") {
      std::puts(kUsage);
      std::exit(0);
    }
    if (take_flag(word, options)) continue;
    if (i + 1 >= argc) refuse("unknown, or its value is missing", word);
    const auto* const number = std::ranges::find(kNumbers, word, &NumberOption::name);
    if (number == std::end(kNumbers)) refuse("unknown", word);
    options.*number->value = parse(argv[++i], number->units);
  }
  options.spots = std::max<uint64_t>(options.spots, 1);
  for (uint64_t* size : {&options.size, &options.hot, &options.offset, &options.grow}) {
    *size -= *size % kPage;
  }
  if (options.size == 0 || options.hot == 0) refuse("need at least a page", "--size, --hot");
  if (options.hot > options.size || options.offset > options.size - options.hot) {
    refuse("leaves the memory", "--hot, --offset");
  }
  if (options.threads == 0 || options.threads > 1024) refuse("1 to 1024", "--threads");
  return options;
}

uint64_t time_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
}
uint64_t now_ns() { return time_ns(CLOCK_MONOTONIC); }
uint64_t cpu_ns() { return time_ns(CLOCK_PROCESS_CPUTIME_ID); }

void sleep_us(uint64_t us) {
  const timespec time{static_cast<time_t>(us / 1000000), static_cast<long>(us % 1000000 * 1000)};
  ::nanosleep(&time, nullptr);
}

// Touches each page of [start, start + size).
void touch(char* start, uint64_t size, bool write) {
  for (uint64_t at = 0; at < size; at += kPage) {
    volatile char& byte = start[at];
    if (write) {
      byte = 1;
    } else {
      [[maybe_unused]] const char read = byte;
    }
  }
}

// At the start of a huge page, so that none is hot in part only because it begins elsewhere.
char* map_in(uint64_t size, const Options& options) {
  void* whole =
      ::mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED) refuse(std::strerror(errno), "cannot map memory");
  const uint64_t before = -reinterpret_cast<uintptr_t>(whole) % kHugePage;
  char* memory = static_cast<char*>(whole) + before;
  if (before > 0) ::munmap(whole, before);
  ::munmap(memory + size, kHugePage - before);
  if (options.huge) ::madvise(memory, size, *options.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  touch(memory, size, true);
  return memory;
}

// Says where something is. In one write, so that lines of parent and child do not mix.
void announce(const Options& options, const char* event, const char* start, uint64_t size) {
  if (!options.announce) return;
  const auto from = reinterpret_cast<uintptr_t>(start);
  const bool ready = std::strcmp(event, "ready") == 0;
  char line[160];
  int length = 0;
  if (ready) {
    length =
        std::snprintf(line, sizeof(line), "ready pid=%d start=0x%" PRIxPTR " end=0x%" PRIxPTR "\n",
                      ::getpid(), from, from + size);
  } else {
    length = std::snprintf(line, sizeof(line),
                           "%s start=0x%" PRIxPTR " end=0x%" PRIxPTR " at=%" PRIu64 "\n", event,
                           from, from + size, now_ns());
  }
  if (::write(STDOUT_FILENO, line, static_cast<size_t>(length)) != length) stopped = true;
}

// Maps, touches and unmaps memory once a millisecond, as an allocator may, and says how long that
// took at most.
void probe() {
  constexpr uint64_t kSize = 16 * kPage;
  uint64_t passes_before = passes;
  uint64_t cpu_before = cpu_ns();
  while (!stopped) {
    uint64_t map_ns = 0;
    uint64_t fault_ns = 0;
    for (const uint64_t end = now_ns() + 1000000000; !stopped && now_ns() < end;) {
      const uint64_t begun = now_ns();
      void* memory =
          ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) return;
      const uint64_t mapped = now_ns();
      *static_cast<volatile char*>(memory) = 1;
      const uint64_t touched = now_ns();
      ::munmap(memory, kSize);
      map_ns = std::max({map_ns, mapped - begun, now_ns() - touched});
      fault_ns = std::max(fault_ns, touched - mapped);
      sleep_us(1000);
    }
    const uint64_t now = passes;
    const uint64_t cpu = cpu_ns();
    char line[200];
    const int length = std::snprintf(line, sizeof(line),
                                     "probe pid=%d map_us=%" PRIu64 " fault_us=%" PRIu64
                                     " passes=%" PRIu64 " cpu_us=%" PRIu64 " at=%" PRIu64 "\n",
                                     ::getpid(), map_ns / 1000, fault_ns / 1000,
                                     now - passes_before, (cpu - cpu_before) / 1000, now_ns());
    passes_before = now;
    cpu_before = cpu;
    if (::write(STDOUT_FILENO, line, static_cast<size_t>(length)) != length) stopped = true;
  }
}

// Touches each page of [first, end) of the hot part so many times a second until the program ends.
void keep_warm(const std::atomic<char*>& hot, uint64_t first, uint64_t end,
               const Options& options) {
  const uint64_t pages = (end - first) / kPage;
  const uint64_t begun = now_ns();
  for (uint64_t done = 0; !stopped;) {
    const double rounds = static_cast<double>((now_ns() - begun) * options.rate) * 1e-9;
    const auto due = static_cast<uint64_t>(rounds * static_cast<double>(pages));
    // More than one pass that was missed is not caught up on.
    for (done = due > done + pages ? due - pages : done; done < due; ++done)
      touch(hot + first + done % pages * kPage, kPage, options.write);
    sleep_us(1000);
  }
}

void announce_passes(const Options& options) {
  if (!options.announce) return;
  char line[80];
  const int length = std::snprintf(line, sizeof(line), "passes n=%" PRIu64 " at=%" PRIu64 "\n",
                                   passes.load(std::memory_order_relaxed), now_ns());
  if (::write(STDOUT_FILENO, line, static_cast<size_t>(length)) != length) stopped = true;
}

// The address of each spot is so far behind that of the one before.
uint64_t spot_distance(const Options& options) {
  return options.size / options.spots / kPage * kPage;
}

void touch_spots(char* hot, const Options& options) {
  for (uint64_t i = 0; i < options.spots; ++i) {
    touch(hot + i * spot_distance(options), options.hot / options.spots, options.write);
  }
}

// Keeps share number `index` of the hot part hot until the program ends.
void keep_hot(const std::atomic<char*>& hot, uint64_t index, const Options& options) {
  const uint64_t pages = options.hot / kPage;
  const uint64_t first = pages * index / options.threads * kPage;
  const uint64_t end = pages * (index + 1) / options.threads * kPage;
  if (options.rate > 0 && end > first) return keep_warm(hot, first, end, options);
  while (!stopped) {
    if (options.spots > 1) {
      if (index == 0) touch_spots(hot, options);
    } else {
      touch(hot + first, end - first, options.write);
    }
    passes.fetch_add(1, std::memory_order_relaxed);
    if (options.loop_sleep_us > 0) sleep_us(options.loop_sleep_us);
  }
}

// Moves the hot part, counts and ends the program in time.
void direct(char* memory, std::atomic<char*>& hot, const Options& options) {
  const uint64_t begun = now_ns();
  const uint64_t end = options.seconds == 0 ? UINT64_MAX : begun + options.seconds * 1000000000;
  uint64_t moves = 0;
  uint64_t count_at = options.count_every_ns == 0 ? UINT64_MAX : begun + options.count_every_ns;
  while (!stopped) {
    const bool moving = options.move_every_ns > 0 && moves < options.moves;
    const uint64_t move_at = moving ? begun + (moves + 1) * options.move_every_ns : UINT64_MAX;
    const uint64_t now = now_ns();
    if (now >= end) return;
    if (now >= count_at) {
      announce_passes(options);
      count_at = now + options.count_every_ns;
    }
    if (now >= move_at) {
      ++moves;
      char* next = hot + options.hot;
      if (next + options.hot > memory + options.size) next = memory;
      hot = next;
      if (!options.idle) announce(options, "hot", next, options.hot);
      if (options.grow > 0) {
        announce(options, "grown", map_in(options.grow, options), options.grow);
      }
      continue;
    }
    // A signal ends the sleep; it is short for one that came just before it.
    const uint64_t next = std::min({move_at, end, count_at});
    sleep_us(std::min(uint64_t{100000}, (next - now) / 1000 + 1));
  }
}

void die_with_parent(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) std::exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  const pid_t parent = ::getppid();
  const Options options = parse_options(argc, argv);
  for (const int signal : {SIGTERM, SIGINT}) {
    struct sigaction action {};
    action.sa_handler = [](int) { stopped = true; };
    ::sigaction(signal, &action, nullptr);
  }
  ::signal(SIGPIPE, SIG_IGN);
  die_with_parent(parent);
  char* memory = map_in(options.size, options);
  if (options.fork) {
    const pid_t us = ::getpid();
    if (::fork() == 0) die_with_parent(us);
  }
  announce(options, "ready", memory, options.size);
  std::atomic<char*> hot = memory + options.offset;
  for (uint64_t i = 0; i < options.spots && !options.idle; ++i) {
    announce(options, "hot", hot + i * spot_distance(options), options.hot / options.spots);
  }
  std::vector<std::jthread> threads;
  for (uint64_t i = 0; i < options.threads && !options.idle; ++i) {
    threads.emplace_back([&, i] { keep_hot(hot, i, options); });
  }
  if (options.probe) threads.emplace_back(probe);
  direct(memory, hot, options);
  stopped = true;
}
