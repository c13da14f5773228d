#include "fs/metrics/families.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/actions.h"
#include "fs/damon/keywords.h"
#include "fs/metrics/label_text.h"

namespace damonfs {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr double kNsPerSecond = 1e9;
constexpr double kUsPerSecond = 1e6;
constexpr double kMsPerSecond = 1e3;

double as_double(uint64_t value) { return static_cast<double>(value); }

// One family that is being filled.
class Family {
 public:
  Family(MetricType type, std::string name, std::string help) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  void add(const Labels& labels, double value) {
    ClientMetric& metric = family_.metric.emplace_back();
    for (const auto& [name, text] : labels) metric.label.push_back({name, label_text(text)});
    if (family_.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
  }
  void move_to(std::vector<MetricFamily>& families) {
    if (!family_.metric.empty()) families.push_back(std::move(family_));
  }

 private:
  MetricFamily family_;
};

// A metric of one number for each T, and for what it is.
template <class T>
struct Row {
  MetricType type;
  const char* name;
  const char* help;
  double (*value)(const T&);
};

constexpr Row<MetricsSample> kDaemonMetrics[] = {
    {MetricType::Counter, "damonfs_cpu_seconds_total", "Processor time of the daemon",
     [](const MetricsSample& s) { return as_double(s.cpu_ns) / kNsPerSecond; }},
    {MetricType::Gauge, "damonfs_resident_bytes", "Resident memory of the daemon",
     [](const MetricsSample& s) { return as_double(s.resident_bytes); }},
    {MetricType::Gauge, "damonfs_collect_seconds",
     "How long it took to collect these metrics, waits included",
     [](const MetricsSample& s) { return as_double(s.collect_ns) / kNsPerSecond; }},
    {MetricType::Gauge, "damonfs_services_left_out",
     "Services that are not told of, as there are too many",
     [](const MetricsSample& s) { return as_double(s.services_left_out); }},
    {MetricType::Counter, "damonfs_metrics_file_errors_total",
     "How often the file of --metrics-file could not be written",
     [](const MetricsSample& s) { return as_double(s.file_write_errors); }},
};

constexpr Row<ServiceSample> kServiceMetrics[] = {
    {MetricType::Gauge, "damonfs_kdamond_running", "Whether the service's kdamond runs",
     [](const ServiceSample& s) { return s.running ? 1.0 : 0.0; }},
    {MetricType::Counter, "damonfs_kdamond_cpu_seconds_total",
     "Processor time of the service's kdamond since it began",
     [](const ServiceSample& s) { return as_double(s.cpu_ns) / kNsPerSecond; }},
    {MetricType::Counter, "damonfs_major_faults_total",
     "Pages that the service's processes waited for, from swap or a disk, since they are watched",
     [](const ServiceSample& s) { return as_double(s.major_faults); }},
};

constexpr Row<ServiceContext> kContextMetrics[] = {
    {MetricType::Gauge, "damonfs_processes", "Processes of the service that are watched",
     [](const ServiceContext& c) { return as_double(c.nr_processes); }},
    {MetricType::Gauge, "damonfs_regions", "Regions of the service",
     [](const ServiceContext& c) { return as_double(c.summary.nr_regions); }},
    {MetricType::Gauge, "damonfs_accessed_bytes",
     "Memory that was accessed in the last aggregation interval",
     [](const ServiceContext& c) { return as_double(c.memory.accessed); }},
    {MetricType::Gauge, "damonfs_working_set_bytes", "Memory that was accessed in the last minute",
     [](const ServiceContext& c) {
       uint64_t sum = 0;
       for (size_t age = 0; age < kNrIdleSteps && kIdleSteps[age].seconds < 60; ++age) {
         sum += c.memory.of_age(age);
       }
       return as_double(sum);
     }},
    {MetricType::Gauge, "damonfs_sampling_interval_seconds", "The sampling interval, as tuned",
     [](const ServiceContext& c) { return as_double(c.summary.sample_us) / kUsPerSecond; }},
    {MetricType::Gauge, "damonfs_aggregation_interval_seconds",
     "The aggregation interval, as tuned",
     [](const ServiceContext& c) { return as_double(c.summary.aggr_us) / kUsPerSecond; }},
    {MetricType::Counter, "damonfs_samplings_total", "Sampling intervals since the start",
     [](const ServiceContext& c) { return as_double(c.summary.timing.since_start.late.count); }},
    {MetricType::Counter, "damonfs_sampling_late_seconds_total",
     "By how much samples were checked too late, all together",
     [](const ServiceContext& c) {
       return as_double(c.summary.timing.since_start.late.total_ns) / kNsPerSecond;
     }},
    {MetricType::Gauge, "damonfs_sampling_late_max_seconds",
     "By how much a sample was checked too late at the most, in the last aggregation interval",
     [](const ServiceContext& c) {
       return as_double(c.summary.timing.last_aggregation.late.max_ns) / kNsPerSecond;
     }},
    {MetricType::Counter, "damonfs_sampling_work_seconds_total",
     "What the kdamond did beside sleeping, by which sampling intervals were longer",
     [](const ServiceContext& c) {
       return as_double(c.summary.timing.since_start.work.total_ns) / kNsPerSecond;
     }},
};

using SchemeSummary = ContextSummary::OfScheme;
constexpr Row<SchemeSummary> kSchemeMetrics[] = {
    {MetricType::Gauge, "damonfs_scheme_active", "Whether the scheme's watermarks let it work",
     [](const SchemeSummary& s) { return s.active ? 1.0 : 0.0; }},
    {MetricType::Counter, "damonfs_scheme_tried_regions_total",
     "Regions that the action was tried on",
     [](const SchemeSummary& s) { return as_double(s.stat.nr_tried); }},
    {MetricType::Counter, "damonfs_scheme_tried_bytes_total", "Bytes that the action was tried on",
     [](const SchemeSummary& s) { return as_double(s.stat.sz_tried); }},
    {MetricType::Counter, "damonfs_scheme_applied_regions_total",
     "Regions that the action was applied to",
     [](const SchemeSummary& s) { return as_double(s.stat.nr_applied); }},
    {MetricType::Counter, "damonfs_scheme_applied_bytes_total",
     "Bytes that the action was applied to",
     [](const SchemeSummary& s) { return as_double(s.stat.sz_applied); }},
    {MetricType::Counter, "damonfs_scheme_filter_passed_bytes_total",
     "Bytes that passed the filters of the operations",
     [](const SchemeSummary& s) { return as_double(s.stat.sz_ops_filter_passed); }},
    {MetricType::Counter, "damonfs_scheme_quota_exceeds_total",
     "Windows in which the quota was used up",
     [](const SchemeSummary& s) { return as_double(s.stat.qt_exceeds); }},
    {MetricType::Counter, "damonfs_scheme_snapshots_total",
     "How often the scheme was applied to all regions",
     [](const SchemeSummary& s) { return as_double(s.stat.nr_snapshots); }},
    {MetricType::Gauge, "damonfs_scheme_quota_effective_bytes",
     "Bytes that the quota allows in a window now; 0: no quota",
     [](const SchemeSummary& s) { return as_double(s.effective_bytes); }},
};

// All families, in order.
class Builder {
 public:
  explicit Builder(const MetricsSample& sample) : sample_(sample) {}

  std::vector<MetricFamily> build() {
    add_info();
    for (const auto& row : kDaemonMetrics) {
      one(row, [&](const auto& add) { add(Labels{}, sample_); });
    }
    add_refaults();
    for (const auto& row : kServiceMetrics) {
      one(row, [&](const auto& add) {
        for (const ServiceSample& service : sample_.services) add(labels_of(service), service);
      });
    }
    add_memory();
    for (const auto& row : kContextMetrics) {
      one(row, [&](const auto& add) {
        for_each_context([&](const ServiceSample& service, const ServiceContext& context) {
          add(labels_of(service), context);
        });
      });
    }
    for (const auto& row : kSchemeMetrics) {
      one(row, [&](const auto& add) { for_each_scheme(add); });
    }
    add_access_stat();
    return std::move(families_);
  }

 private:
  static Labels labels_of(const ServiceSample& service) { return {{"service", service.name}}; }

  // `visit` calls what it is given for each metric of the row.
  template <class T, class Visit>
  void one(const Row<T>& row, const Visit& visit) {
    Family family(row.type, row.name, row.help);
    visit([&](const Labels& labels, const T& of) { family.add(labels, row.value(of)); });
    family.move_to(families_);
  }
  template <class Visit>
  void for_each_context(const Visit& visit) const {
    for (const ServiceSample& service : sample_.services) {
      if (service.context) visit(service, *service.context);
    }
  }
  template <class Add>
  void for_each_scheme(const Add& add) const {
    for_each_context([&](const ServiceSample& service, const ServiceContext& context) {
      const auto& schemes = context.summary.schemes;
      for (size_t i = 0; i < schemes.size() && i < kMaxSchemes; ++i) {
        Labels labels = labels_of(service);
        labels.emplace_back("scheme", fmt::format("{}", i));
        labels.emplace_back("action", keyword_of(schemes[i].action));
        add(labels, schemes[i]);
      }
    });
  }
  void add_info() {
    Family info(MetricType::Gauge, "damonfs_info", "The daemon; always 1");
    info.add({{"backend", sample_.backend}, {"dry_run", sample_.dry_run ? "Y" : "N"}}, 1);
    info.move_to(families_);
  }
  void add_refaults() {
    Family refaults(MetricType::Counter, "damonfs_refaults_total",
                    "Pages of the machine that were reclaimed and soon wanted back, since boot");
    for (const auto& [kind, pages] : sample_.refaults) {
      refaults.add({{"kind", kind}}, as_double(pages));
    }
    refaults.move_to(families_);
  }
  // Kinds that a service has none of are left out; ages are not, so that a panel has all of them.
  void add_memory() {
    Family memory(MetricType::Gauge, "damonfs_memory_bytes",
                  "Memory of the service that was not accessed for at least `age`, and for less "
                  "than the next one");
    for_each_context([&](const ServiceSample& service, const ServiceContext& context) {
      for (size_t kind = 0; kind < kNrKinds; ++kind) {
        if (context.memory.of_kind(kind) == 0) continue;
        for (size_t age = 0; age < kNrAges; ++age) {
          memory.add({{"service", service.name},
                      {"age", std::string(age_name(age))},
                      {"kind", std::string(kKindNames[kind])}},
                     as_double(context.memory.bytes[age][kind]));
        }
      }
    });
    memory.move_to(families_);
  }
  void add_access_stat() {
    if (!sample_.access_stat) return;
    Family bandwidth(MetricType::Gauge, "damonfs_stat_accessed_bytes_per_second",
                     "DAMON_STAT: an estimate of the bytes that are accessed a second");
    bandwidth.add({}, as_double(sample_.access_stat->bytes_per_second));
    bandwidth.move_to(families_);
    Family idle(MetricType::Gauge, "damonfs_stat_idle_seconds",
                "DAMON_STAT: so long the given share of memory was not accessed at the most; below "
                "0 for what is accessed");
    for (const size_t percentile : {1, 10, 25, 50, 75, 90, 99, 100}) {
      idle.add({{"percentile", fmt::format("{}", percentile)}},
               static_cast<double>(sample_.access_stat->idle_ms[percentile]) / kMsPerSecond);
    }
    idle.move_to(families_);
  }

  const MetricsSample& sample_;
  std::vector<MetricFamily> families_;
};

}  // namespace

std::vector<prometheus::MetricFamily> families_of(const MetricsSample& sample) {
  return Builder(sample).build();
}

}  // namespace damonfs
