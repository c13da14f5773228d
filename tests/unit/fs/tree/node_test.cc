#include "fs/tree/node.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <condition_variable>
#include <new>
#include <stdexcept>
#include <thread>

#include "fs/tree/unlocked.h"

namespace damonfs {

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What the tests' files do: `count` makes that many directories, `wait` unlocks until told to go
// on.
struct Object {
  std::string text;
  Directory* root = nullptr;
  std::mutex mutex;
  std::condition_variable changed;
  bool waiting = false;
  bool go_on = false;
};

Result<std::string> show_text(const Call& call) { return call.object<Object>().text; }

Result<void> store_text(const Call& call, std::string_view text) {
  if (text == "bad\n") return fail(EINVAL, "bad text");
  call.object<Object>().text = text;
  return {};
}

extern const DirectoryType kPlain;

Result<void> store_count(const Call& call, std::string_view text) {
  call.directory.remove_numbered_children();
  for (int i = 0; i < std::stoi(std::string(text)); ++i) {
    Directory& child = call.directory.add_child(std::to_string(i), kPlain, nullptr);
    child.add_child("below", kPlain, nullptr);
  }
  return {};
}

Result<void> store_wait(const Call& call, std::string_view) {
  call.directory.remove_child("named");
  auto& object = call.object<Object>();
  const Unlocked unlocked(call.lock);
  std::unique_lock lock(object.mutex);
  object.waiting = true;
  object.changed.notify_all();
  object.changed.wait(lock, [&] { return object.go_on; });
  return {};
}

Result<std::string> show_nothing(const Call&) { throw std::bad_alloc(); }

Result<void> store_nothing(const Call&, std::string_view text) {
  if (text == "memory") throw std::bad_alloc();
  throw std::runtime_error("something else");
}

enum { text_file, count_file, wait_file, dead_file, throw_file };

constexpr Attribute kFiles[] = {
    {"text", 0600, show_text, store_text},        {"count", 0200, nullptr, store_count},
    {"wait", 0200, nullptr, store_wait},          {"dead", 0400, nullptr, nullptr},
    {"throw", 0600, show_nothing, store_nothing},
};
const DirectoryType kType = {"type", kFiles};
const DirectoryType kPlain = {"plain", {}};

std::vector<std::string> names(const Directory& directory) {
  std::vector<std::string> result;
  for (const auto& [name, child] : directory.children()) result.push_back(name);
  return result;
}

class NodeTest : public testing::Test {
 protected:
  int write(int index, std::string_view text) {
    const auto written = tree_.write(directory_, index, text, {});
    return written ? 0 : written.error().code;
  }
  int read_error(Directory& directory, int index) {
    const auto text = tree_.read(directory, index, {});
    return text ? 0 : text.error().code;
  }

  Tree tree_;
  std::shared_ptr<Object> object_ = std::make_shared<Object>();
  Directory& directory_ = tree_.root().add_child("dir", kType, object_);
};

TEST_F(NodeTest, FilesShowAndStoreTheObjectOfTheirDirectory) {
  EXPECT_EQ(write(text_file, "hello\n"), 0);
  EXPECT_EQ(object_->text, "hello\n");
  EXPECT_EQ(tree_.read(directory_, text_file, {}), "hello\n");
}

TEST_F(NodeTest, ARefusedStoreGivesItsErrorAndMessage) {
  object_->text = "before";
  const auto written = tree_.write(directory_, text_file, "bad\n", {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, EINVAL);
  EXPECT_EQ(written.error().message, "bad text");
  EXPECT_EQ(object_->text, "before");
}

TEST_F(NodeTest, FilesWithoutAFunctionAnswerEio) {
  EXPECT_EQ(write(dead_file, "x"), EIO);
  EXPECT_EQ(read_error(directory_, dead_file), EIO);
}

TEST_F(NodeTest, AReadGivesAPageLessOneByteAtTheMost) {
  object_->text = std::string(5000, 'x');
  EXPECT_EQ(tree_.read(directory_, text_file, {})->size(), 4095);
}

TEST_F(NodeTest, DirectoriesKnowTheirNamesAndPlaces) {
  Directory& below = directory_.add_child("below", kPlain, nullptr);
  EXPECT_EQ(below.path(), "dir/below");
  EXPECT_EQ(tree_.root().path(), "");
  EXPECT_EQ(below.parent(), &directory_);
  EXPECT_EQ(tree_.root().parent(), nullptr);
  EXPECT_EQ(directory_.child("below").get(), &below);
  EXPECT_EQ(directory_.child("other"), nullptr);
  EXPECT_EQ(tree_.find("dir/below").get(), &below);
  EXPECT_EQ(tree_.find("").get(), &tree_.root());
  EXPECT_EQ(tree_.find("other/below"), nullptr);
}

TEST_F(NodeTest, InodeNumbersAreNeverUsedTwice) {
  EXPECT_EQ(tree_.root().inode(), 1);
  std::vector<uint64_t> seen = {1, directory_.inode()};
  for (int round = 0; round < 3; ++round) {
    write(count_file, "2");
    for (const auto& [name, child] : directory_.children()) seen.push_back(child->inode());
  }
  std::ranges::sort(seen);
  for (size_t i = 1; i < seen.size(); ++i) {
    EXPECT_GE(seen[i] - seen[i - 1], Directory::kInodesEach) << "no room for files between them";
  }
}

TEST_F(NodeTest, InodeNumbersCanBeSkipped) {
  constexpr uint64_t kEach = Directory::kInodesEach;
  const uint64_t next = tree_.next_inode();
  EXPECT_EQ(next, directory_.inode() + kEach);
  tree_.skip_inodes(next - 1);
  EXPECT_EQ(tree_.next_inode(), next);
  tree_.skip_inodes(next);
  EXPECT_EQ(tree_.next_inode(), next + kEach);
  tree_.skip_inodes(next + 3 * kEach - 1);
  EXPECT_EQ(directory_.add_child("late", kPlain, nullptr).inode(), next + 3 * kEach);
}

TEST_F(NodeTest, RemovingNumberedDirectoriesSparesOthers) {
  for (const auto* name : {"0", "1", "10", "named", "1x", "-1"}) {
    directory_.add_child(name, kPlain, nullptr);
  }
  directory_.remove_numbered_children();
  EXPECT_THAT(names(directory_), ElementsAre("-1", "1x", "named"));
  directory_.remove_child("named");
  directory_.remove_child("not there");
  EXPECT_THAT(names(directory_), ElementsAre("-1", "1x"));
}

TEST_F(NodeTest, WhatWasRemovedStaysSoAndAnswersEnodev) {
  Directory& above = directory_.add_child("above", kPlain, nullptr);
  const auto held = above.add_child("below", kType, object_).shared_from_this();
  directory_.remove_child("above");
  EXPECT_TRUE(held->removed());
  EXPECT_EQ(held->parent(), nullptr);
  EXPECT_EQ(read_error(*held, text_file), ENODEV);
  EXPECT_EQ(tree_.write(*held, text_file, "x", {}).error().code, ENODEV);
  Directory& new_one = held->add_child("new", kPlain, nullptr);
  EXPECT_TRUE(new_one.removed());
  EXPECT_FALSE(directory_.removed());
}

TEST_F(NodeTest, RemovedDirectoriesGiveTheirObjectsUp) {
  const auto object = std::make_shared<Object>();
  directory_.add_child("above", kPlain, nullptr).add_child("below", kType, object);
  EXPECT_EQ(object.use_count(), 2);
  directory_.remove_child("above");
  EXPECT_EQ(object.use_count(), 1);
}

TEST_F(NodeTest, OwnersAreThoseOfTheTableUntilSet) {
  EXPECT_EQ(directory_.owner(-1).mode, 0755);
  EXPECT_EQ(directory_.owner(text_file).mode, 0600);
  EXPECT_EQ(directory_.owner(dead_file).mode, 0400);
  EXPECT_EQ(directory_.owner(text_file).uid, 0);
  Directory::Owner owner = directory_.owner(text_file);
  owner.mode = 0644;
  owner.gid = 12;
  directory_.set_owner(text_file, owner);
  EXPECT_EQ(directory_.owner(text_file).mode, 0644);
  EXPECT_EQ(directory_.owner(text_file).gid, 12);
  EXPECT_EQ(directory_.owner(-1).mode, 0755);
}

// What the listener was told, in order.
class ListeningTest : public NodeTest {
 protected:
  ListeningTest() {
    tree_.on_removal([this](const Tree::Removal& removal) { removed_.push_back(removal); });
  }
  std::vector<std::string> removed_names() const {
    std::vector<std::string> result;
    for (const auto& removal : removed_) result.push_back(removal.name);
    return result;
  }

  std::vector<Tree::Removal> removed_;
};

TEST_F(ListeningTest, IsToldOfWhatIsRemovedAndThenOfWhatIsBelow) {
  EXPECT_EQ(write(count_file, "2"), 0);
  EXPECT_THAT(removed_, IsEmpty());
  const uint64_t first = directory_.child("0")->inode();
  const uint64_t below = directory_.child("0")->child("below")->inode();
  EXPECT_EQ(write(count_file, "1"), 0);
  EXPECT_THAT(removed_names(), ElementsAre("0", "below", "1", "below"));
  EXPECT_EQ(removed_[0].inode, first);
  EXPECT_EQ(removed_[0].parent_inode, directory_.inode());
  EXPECT_TRUE(removed_[0].top);
  EXPECT_EQ(removed_[1].inode, below);
  EXPECT_EQ(removed_[1].parent_inode, first);
  EXPECT_FALSE(removed_[1].top);
}

TEST_F(ListeningTest, IsNotToldOfWhatNobodyCouldSee) {
  const auto above = directory_.add_child("named", kPlain, nullptr).shared_from_this();
  directory_.remove_child("named");
  removed_.clear();
  above->add_child("0", kPlain, nullptr);
  above->remove_numbered_children();
  EXPECT_THAT(removed_, IsEmpty());
}

TEST_F(ListeningTest, IsToldWhileAWriteStillWaits) {
  directory_.add_child("named", kPlain, nullptr);
  std::thread waiting([this] { write(wait_file, "x"); });
  {
    std::unique_lock lock(object_->mutex);
    object_->changed.wait(lock, [this] { return object_->waiting; });
  }
  {
    const std::lock_guard tree_lock(tree_.mutex());
    EXPECT_THAT(removed_names(), ElementsAre("named"));
  }
  {
    const std::lock_guard lock(object_->mutex);
    object_->go_on = true;
    object_->changed.notify_all();
  }
  waiting.join();
}

TEST_F(NodeTest, WhatIsBelowANumberIsNotPermanent) {
  Directory& named = directory_.add_child("named", kPlain, nullptr);
  Directory& numbered = named.add_child("0", kPlain, nullptr);
  EXPECT_TRUE(tree_.root().permanent());
  EXPECT_TRUE(named.permanent());
  EXPECT_FALSE(numbered.permanent());
  EXPECT_FALSE(numbered.add_child("named", kPlain, nullptr).permanent());
}

TEST_F(NodeTest, NumbersAreInTheOrderOfNumbersBehindNames) {
  for (const auto* name : {"10", "9", "0", "100", "b", "a"}) {
    directory_.add_child(name, kPlain, nullptr);
  }
  EXPECT_THAT(names(directory_), ElementsAre("a", "b", "0", "9", "10", "100"));
}

TEST_F(NodeTest, AnExceptionOfAFileIsAnError) {
  EXPECT_EQ(write(throw_file, "memory"), ENOMEM);
  EXPECT_EQ(write(throw_file, "other"), EIO);
  EXPECT_EQ(read_error(directory_, throw_file), ENOMEM);
  EXPECT_EQ(write(text_file, "x"), 0) << "the lock is free";
}

TEST_F(NodeTest, RoomIsJudgedByWhatThereIsAndWhatIsFree) {
  EXPECT_TRUE(tree_.check_room(Tree::kMaxBytes / 2));
  EXPECT_FALSE(tree_.check_room(Tree::kMaxBytes)) << "some is used";
  EXPECT_FALSE(tree_.check_room(UINT64_MAX));
  uint64_t free = 2000;
  tree_.set_free_bytes([&] { return free; });
  EXPECT_TRUE(tree_.check_room(1000));
  EXPECT_EQ(tree_.check_room(1001).error().code, ENOMEM);
}

TEST_F(NodeTest, DirectoriesAreCountedForAsLongAsTheyAreHeld) {
  const uint64_t before = tree_.nr_directories();
  auto held = directory_.add_child("named", kPlain, nullptr).shared_from_this();
  EXPECT_EQ(tree_.nr_directories(), before + 1);
  directory_.remove_child("named");
  EXPECT_EQ(tree_.nr_directories(), before + 1);
  held.reset();
  EXPECT_EQ(tree_.nr_directories(), before);
}

}  // namespace

}  // namespace damonfs
