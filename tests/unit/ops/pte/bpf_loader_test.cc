#include "ops/pte/bpf_loader.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/base/read_whole.h"
#include "ops/doctor/features.h"
#include "ops/pte/page_walker.h"
#include "tests/unit/ops/required.h"

namespace damonfs {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string log_of(const std::string& lines) {
  return "libbpf: prog 'walk_pages': BPF program load failed: Invalid argument\n"
         "libbpf: prog 'walk_pages': -- BEGIN PROG LOAD LOG --\n" +
         lines +
         "processed 12 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
         "mark_read 0\n-- END PROG LOAD LOG --\nlibbpf: failed to load object 'pte_walk'\n";
}

TEST(BpfRefusalTest, ReasonsAreToldApart) {
  const auto code = [](int number, const std::string& log, const char* release) {
    return explain_bpf_refusal(number, log, release).code;
  };
  const auto message = [](int number, const std::string& log, const char* release) {
    return explain_bpf_refusal(number, log, release).message;
  };
  EXPECT_EQ(code(ENOSYS, "", "6.1.0"), ENOSYS);
  EXPECT_THAT(message(ENOSYS, "", "6.1.0"), HasSubstr("CONFIG_BPF_SYSCALL"));

  EXPECT_EQ(code(EPERM, "", "6.1.0"), EPERM);
  EXPECT_THAT(message(EPERM, "", "6.1.0"), HasSubstr("CAP_BPF"));

  for (const char* line : {"5: (85) call bpf_probe_read_kernel#113\n"
                           "unknown func bpf_probe_read_kernel#113\n",
                           "46: (85) call bpf_probe_read#4\nunknown func bpf_probe_read#4\n",
                           "program of this type cannot use helper bpf_probe_read_kernel#113\n",
                           // 7.3 says more, below.
                           "46: (85) call bpf_probe_read#4\n"
                           "program of this type cannot use helper bpf_probe_read#4\n\n"
                           "Verification failed: Policy: Operation is not allowed\n\nReason:\n"
                           "  The helper is not allowed.\n\nSuggestion:\n  Use another one.\n"}) {
    EXPECT_EQ(code(EINVAL, log_of(line), "6.1.0"), EPERM);
    EXPECT_THAT(message(EINVAL, log_of(line), "6.1.0"), HasSubstr("locked down"));
  }

  for (const auto& [log, release] :
       {std::pair<std::string, const char*>{log_of("invalid func unknown#181\n"), "5.16.20"},
        {log_of("unknown func bpf_loop#181\n"), "5.15.0-91-generic"},
        {"libbpf: failed to load program 'walk_pages'\n", "4.19.0-26-amd64"}}) {
    EXPECT_EQ(code(EINVAL, log, release), ENOSYS);
    EXPECT_THAT(message(EINVAL, log, release), AllOf(HasSubstr("too old"), HasSubstr(release)));
  }

  const std::string refused = log_of(
      "0: R1=ctx(off=0,imm=0) R10=fp0\n; int walk_pages(struct pte_args* args) {\n"
      "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'\n"
      "verification time 1234 usec\nstack depth 96+0\n");
  EXPECT_EQ(code(EACCES, refused, "7.9.0"), ENOTSUP);
  EXPECT_THAT(message(EACCES, refused, "7.9.0"),
              AllOf(HasSubstr("verifier refuses"),
                    testing::EndsWith("R2 unbounded memory access, use 'var &= "
                                      "const' or 'if (var < const)'")));
  EXPECT_THAT(message(EACCES,
                      log_of("R2 unbounded memory access\n\nVerification failed: Bounds\n\n"
                             "Suggestion:\n  Check it.\n"),
                      "7.9.0"),
              testing::EndsWith("R2 unbounded memory access"));
  EXPECT_EQ(code(ENOSPC, "libbpf: map 'bss': failed to create\n", "6.1.0"), ENOSPC);
}

// A sysfs that has the kernel's description of its types, or one that was changed.
class BtfFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/damonfs-btf-XXXXXX";
    root_ = ::mkdtemp(name.data());
    paths_.sys = root_;
    if (auto walker = PageWalker::load({}); !walker) SKIP_WITHOUT("pte", walker.error());
    auto whole = read_whole(kernel_btf({}));
    ASSERT_TRUE(whole);
    whole_ = *std::move(whole);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& types) {
    std::filesystem::create_directories(root_ + "/kernel/btf");
    std::ofstream(kernel_btf(paths_), std::ios::binary) << types;
  }
  // The kernel's types, one name replaced by another as long, wherever it is whole.
  [[nodiscard]] std::string renamed(const std::string& name) const {
    std::string types = whole_;
    const std::string whole_name = '\0' + name + '\0';
    const size_t at = types.find(whole_name);
    EXPECT_NE(at, std::string::npos) << name;
    if (at != std::string::npos) types[at + 1] = '9';
    return types;
  }
  // The kernel's types, struct page having another size.
  [[nodiscard]] std::string with_page_of(uint32_t size) const {
    btf* types = btf__new(whole_.data(), static_cast<uint32_t>(whole_.size()));
    EXPECT_NE(types, nullptr);
    btf_type changed = *btf__type_by_id(
        types, static_cast<uint32_t>(btf__find_by_name_kind(types, "page", BTF_KIND_STRUCT)));
    const std::string before(reinterpret_cast<const char*>(&changed), sizeof(changed));
    btf__free(types);
    std::string made = whole_;
    const size_t at = made.find(before);
    EXPECT_NE(at, std::string::npos);
    changed.size = size;
    made.replace(at, sizeof(changed), reinterpret_cast<const char*>(&changed), sizeof(changed));
    return made;
  }
  Error refusal() {
    const auto walker = PageWalker::load(paths_);
    EXPECT_FALSE(walker);
    return walker ? Error{} : walker.error();
  }

  std::string root_;
  Paths paths_;
  std::string whole_;
};

TEST_F(BtfFileTest, ThePathGivenIsUsed) {
  write(whole_);
  const auto walker = PageWalker::load(paths_);
  EXPECT_TRUE(walker) << walker.error().message;
}

TEST_F(BtfFileTest, WithoutTypesItIsRefused) { EXPECT_EQ(refusal().code, ENOENT); }

TEST_F(BtfFileTest, WhatAreNoTypesIsRefused) {
  write("nonsense");
  EXPECT_THAT(refusal().message, HasSubstr("cannot be read"));
  write(whole_.substr(0, whole_.size() / 2));
  EXPECT_THAT(refusal().message, HasSubstr("cannot be read"));
}

TEST_F(BtfFileTest, WhatIsMissingIsNamed) {
  for (const auto& [name, reason] : {
           std::pair{"private_data", "struct file of this kernel has no private_data"},
           {"max_fds", "struct fdtable of this kernel has no max_fds"},
           {"mm_users", "struct mm_struct of this kernel has no mm_users"},
           {"PG_mlocked", "enum pageflags of this kernel has no PG_mlocked"},
           {"_mapcount", "struct folio of this kernel has no _mapcount"},
           {"fdtable", "the kernel has no struct fdtable"},
       }) {
    write(renamed(name));
    const Error error = refusal();
    EXPECT_EQ(error.code, ENOTSUP);
    EXPECT_THAT(error.message, HasSubstr(reason));
  }
}

TEST_F(BtfFileTest, ATailPagesLinkHasOneOfTwoNames) {
  const bool newer = whole_.find(std::string("\0compound_info", 14)) != std::string::npos;
  write(renamed(newer ? "compound_info" : "compound_head"));
  EXPECT_THAT(refusal().message,
              HasSubstr("struct page of this kernel has neither compound_head nor compound_info"));
}

TEST_F(BtfFileTest, DescriptorsOfAnotherSizeAreNotReadWrongly) {
  for (const uint32_t size : {56U, 128U}) {
    write(with_page_of(size));
    const Error error = refusal();
    EXPECT_EQ(error.code, ENOTSUP) << size;
    EXPECT_THAT(error.message, testing::AnyOf(HasSubstr("page descriptors of this kernel"),
                                              HasSubstr("reads wrongly")))
        << size;
  }
  EXPECT_TRUE(PageWalker::load({})) << "the right layout was forgotten";
}

TEST_F(BtfFileTest, DoctorNamesWhatIsMissing) {
  write(renamed("max_fds"));
  for (const BackendReport& report : judge_backends(find_backend_facts(paths_))) {
    if (report.name != "pte") continue;
    EXPECT_FALSE(report.usable);
    EXPECT_THAT(report.reason, HasSubstr("has no max_fds"));
    EXPECT_THAT(report.remedy, HasSubstr("idle"));
  }
}

// The fields and values of the kernel's types that the program names.
std::vector<std::string> members_read() {
  std::vector<std::string> names;
  btf* types = btf__parse(DAMONFS_BPF_OBJECT, nullptr);
  EXPECT_NE(types, nullptr) << DAMONFS_BPF_OBJECT;
  const auto name = [types](uint32_t at) { return std::string(btf__name_by_offset(types, at)); };
  for (uint32_t id = 1; types != nullptr && id < btf__type_cnt(types); ++id) {
    const btf_type* type = btf__type_by_id(types, id);
    // The kernel has no type of these names: they are the program's own.
    const std::string own = name(type->name_off);
    if (own.starts_with("pte_") || own == "walk" || own == "extent") continue;
    if (own == "counter" || own == "long_counter") continue;
    for (uint32_t i = 0; i < btf_vlen(type); ++i) {
      if (btf_is_struct(type)) names.push_back(name(btf_members(type)[i].name_off));
      if (btf_is_enum(type)) names.push_back(name(btf_enum(type)[i].name_off));
    }
  }
  btf__free(types);
  return names;
}

// Whatever the program reads is optional or is in the table that is looked up before loading: else
// the verifier would refuse the program, with a message that names nothing.
TEST_F(BtfFileTest, NothingThatIsMissingIsLeftToTheVerifier) {
  if (std::getenv("DAMONFS_LAB") != nullptr)
    GTEST_SKIP() << "loads a program or reads all types for each name: minutes in a guest";
  const std::vector<std::string> names = members_read();
  EXPECT_THAT(names, AllOf(testing::Contains("compound_info"), testing::Contains("PG_mlocked"),
                           testing::Contains("max_fds")));
  for (const std::string& name : names) {
    if (whole_.find('\0' + name + '\0') == std::string::npos) continue;
    write(renamed(name));
    const auto walker = PageWalker::load(paths_);
    if (walker) continue;
    EXPECT_EQ(walker.error().code, ENOTSUP) << name;
    EXPECT_THAT(walker.error().message, Not(HasSubstr("verifier"))) << name;
  }
}

// Kernel 7.3's verifier follows what a program keeps on its stack across the calls of bpf_loop():
// it once took 411,822 of the million instructions that it may, and 7 s in a guest.
TEST_F(BtfFileTest, TheVerifierIsDoneSoon) {
  bpf_object* object = bpf_object__open_file(DAMONFS_BPF_OBJECT, nullptr);
  ASSERT_NE(object, nullptr) << DAMONFS_BPF_OBJECT;
  EXPECT_EQ(bpf_object__load(object), 0);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    bpf_prog_info info{};
    uint32_t size = sizeof(info);
    EXPECT_EQ(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
    EXPECT_GT(info.verified_insns, 0U) << bpf_program__name(program);
    EXPECT_LT(info.verified_insns, 20000U) << bpf_program__name(program);
  }
  bpf_object__close(object);
}

}  // namespace
}  // namespace damonfs
