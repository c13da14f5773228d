// The table of functions that libfuse calls, each of which unpacks its arguments and asks Server.
#include <fuse_lowlevel.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <span>

#include "core/base/guarded.h"
#include "core/base/page_size.h"
#include "fs/fuse/server.h"

namespace damonfs {

struct Server::Operations {
  static Server& server(fuse_req_t request) {
    return *static_cast<Server*>(fuse_req_userdata(request));
  }

  // Has `work` answer `request`. What it throws, it throws before it has answered.
  template <class Work>
  static void serve(fuse_req_t request, const Work& work) {
    const auto served = guarded([&] { work(server(request)); });
    if (!served) fuse_reply_err(request, served.error().code);
  }

  static void init(void* server, fuse_conn_info* connection) {
    static_cast<Server*>(server)->init(*connection);
  }
  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    serve(request, [&](Server& server) { server.look_up(request, parent, name); });
  }
  static void forget(fuse_req_t request, fuse_ino_t inode, uint64_t times) {
    server(request).known_.forget(inode, times);
    fuse_reply_none(request);
  }
  static void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
    for (const auto& one : std::span(forgets, count)) {
      server(request).known_.forget(one.ino, one.nlookup);
    }
    fuse_reply_none(request);
  }
  static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
    serve(request, [&](Server& server) { server.get_attributes(request, inode); });
  }
  static void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int which,
                      fuse_file_info*) {
    serve(request, [&](Server& server) { server.set_attributes(request, inode, *wanted, which); });
  }
  static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
    serve(request, [&](Server& server) { server.open(request, inode, file->flags); });
  }
  static void read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                   fuse_file_info* file) {
    serve(request, [&](Server& server) {
      server.read(request, inode, *file, size, static_cast<uint64_t>(offset));
    });
  }
  static void write(fuse_req_t request, fuse_ino_t inode, const char* text, size_t size, off_t,
                    fuse_file_info* file) {
    serve(request, [&](Server& server) { server.write(request, inode, file->fh, text, size); });
  }
  static void release(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    server(request).handles_.remove(file->fh);
    fuse_reply_err(request, 0);
  }
  static void opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
    serve(request, [&](Server& server) { server.open_directory(request, inode, file); });
  }
  static void readdir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                      fuse_file_info* file) {
    serve(request, [&](Server& server) {
      server.read_directory(request, inode, file->fh, size, static_cast<uint64_t>(offset));
    });
  }
  static void statfs(fuse_req_t request, fuse_ino_t) {
    struct statvfs fs {};
    fs.f_bsize = kPageSize;
    fs.f_frsize = kPageSize;
    fs.f_namemax = 255;
    fuse_reply_statfs(request, &fs);
  }

  // Users make and remove nothing; the errors are those of the kernel's sysfs.
  static void mkdir(fuse_req_t request, fuse_ino_t, const char*, mode_t) {
    fuse_reply_err(request, EPERM);
  }
  static void mknod(fuse_req_t request, fuse_ino_t, const char*, mode_t mode, dev_t) {
    fuse_reply_err(request, S_ISREG(mode) ? EACCES : EPERM);
  }
  static void create(fuse_req_t request, fuse_ino_t, const char*, mode_t, fuse_file_info*) {
    fuse_reply_err(request, EACCES);
  }
  static void remove(fuse_req_t request, fuse_ino_t, const char*) {
    fuse_reply_err(request, EPERM);
  }
  static void symlink(fuse_req_t request, const char*, fuse_ino_t, const char*) {
    fuse_reply_err(request, EPERM);
  }
  static void rename(fuse_req_t request, fuse_ino_t, const char*, fuse_ino_t, const char*,
                     unsigned) {
    fuse_reply_err(request, EPERM);
  }
  static void link(fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) {
    fuse_reply_err(request, EPERM);
  }
  static void fsyncdir(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    fuse_reply_err(request, EINVAL);
  }
};

// What is not in the table libfuse answers with ENOSYS, which the kernel turns into what a plain
// file does, and does not ask again: flush, fsync, poll, locks, extended attributes.
const fuse_lowlevel_ops& Server::operations() {
  static const fuse_lowlevel_ops table = [] {
    fuse_lowlevel_ops ops{};
    ops.init = Operations::init;
    ops.lookup = Operations::lookup;
    ops.forget = Operations::forget;
    ops.forget_multi = Operations::forget_multi;
    ops.getattr = Operations::getattr;
    ops.setattr = Operations::setattr;
    ops.open = Operations::open;
    ops.read = Operations::read;
    ops.write = Operations::write;
    ops.release = Operations::release;
    ops.opendir = Operations::opendir;
    ops.readdir = Operations::readdir;
    ops.releasedir = Operations::release;
    ops.fsyncdir = Operations::fsyncdir;
    ops.statfs = Operations::statfs;
    ops.mkdir = Operations::mkdir;
    ops.mknod = Operations::mknod;
    ops.create = Operations::create;
    ops.unlink = Operations::remove;
    ops.rmdir = Operations::remove;
    ops.symlink = Operations::symlink;
    ops.rename = Operations::rename;
    ops.link = Operations::link;
    return ops;
  }();
  return table;
}

}  // namespace damonfs
