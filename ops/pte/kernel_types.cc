#include "ops/pte/kernel_types.h"

#include <bpf/btf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <unordered_map>

namespace damonfs {
namespace {

struct FreeBtf {
  void operator()(btf* types) const { btf__free(types); }
};

std::string_view name_at(const btf& types, uint32_t offset) {
  const char* name = btf__name_by_offset(&types, offset);
  return name != nullptr ? name : "";
}

// Whether the struct or union has the field, itself or in a member that has no name.
bool has_field(const btf& types, const btf_type& type, std::string_view field) {
  const std::span members(btf_members(&type), btf_vlen(&type));
  return std::ranges::any_of(members, [&](const btf_member& member) {
    const std::string_view name = name_at(types, member.name_off);
    if (!name.empty()) return name == field;
    const btf_type* inner = btf__type_by_id(&types, member.type);
    return inner != nullptr && btf_is_composite(inner) && has_field(types, *inner, field);
  });
}

bool has_value(const btf& types, const btf_type& type, std::string_view value) {
  const std::span values(btf_enum(&type), btf_vlen(&type));
  return std::ranges::any_of(
      values, [&](const struct btf_enum& one) { return name_at(types, one.name_off) == value; });
}

bool has_member(const btf& types, const btf_type& type, std::string_view member) {
  return btf_is_enum(&type) ? has_value(types, type, member) : has_field(types, type, member);
}

// All types of the kinds and names that are needed, by name as in C. Different ones may share one.
using Found = std::unordered_multimap<std::string, const btf_type*>;

Found find_types(const btf& types, std::span<const KernelNeed> needs) {
  Found found;
  for (uint32_t id = 1; id < btf__type_cnt(&types); ++id) {
    const btf_type* type = btf__type_by_id(&types, id);
    if (!btf_is_struct(type) && !btf_is_enum(type)) continue;
    const std::string_view name = name_at(types, type->name_off);
    if (name.empty()) continue;
    const std::string_view kind = btf_is_struct(type) ? "struct " : "enum ";
    const bool needed = std::ranges::any_of(needs, [&](const KernelNeed& need) {
      const std::string_view whole = need.type;
      return whole.starts_with(kind) && whole.substr(kind.size()) == name;
    });
    if (needed) found.emplace(std::string(kind).append(name), type);
  }
  return found;
}

// "no a", "neither a nor b", "none of a, b and c".
std::string lack_of(const std::vector<const char*>& names) {
  if (names.size() == 1) return fmt::format("no {}", names[0]);
  if (names.size() == 2) return fmt::format("neither {} nor {}", names[0], names[1]);
  const std::vector<const char*> first(names.begin(), names.end() - 1);
  return fmt::format("none of {} and {}", fmt::join(first, ", "), names.back());
}

Result<> check(const btf& types, const Found& found, const KernelNeed& need) {
  const auto [begin, end] = found.equal_range(need.type);
  if (begin == end) return fail(ENOTSUP, "the kernel has no {}", need.type);
  for (auto one = begin; one != end; ++one) {
    const bool has = std::ranges::any_of(
        need.any_of, [&](const char* member) { return has_member(types, *one->second, member); });
    if (has || need.any_of.empty()) return {};
  }
  return fail(ENOTSUP, "{} of this kernel has {}", need.type, lack_of(need.any_of));
}

}  // namespace

std::string kernel_btf(const Paths& paths) { return paths.sys + "/kernel/btf/vmlinux"; }

Result<> check_kernel_types(const Paths& paths, std::span<const KernelNeed> needs) {
  const std::string path = kernel_btf(paths);
  if (::access(path.c_str(), R_OK) != 0)
    return fail(ENOENT,
                "the kernel does not describe its types ({} is missing): it was built without "
                "CONFIG_DEBUG_INFO_BTF",
                path);
  if (needs.empty()) return {};
  const std::unique_ptr<btf, FreeBtf> types(btf__parse(path.c_str(), nullptr));
  if (!types) {
    const int code = errno;
    return fail(code, "the kernel's description of its types, {}, cannot be read: {}", path,
                std::strerror(code));
  }
  const Found found = find_types(*types, needs);
  for (const KernelNeed& need : needs)
    if (auto checked = check(*types, found, need); !checked) return checked;
  return {};
}

}  // namespace damonfs
