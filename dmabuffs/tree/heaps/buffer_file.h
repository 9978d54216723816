// SPDX-License-Identifier: MIT
#pragma once
#include <mutex>
#include <optional>
#include <string>

#include "dmabuffs/tree/heaps/entry.h"
#include "dmabuffs/tree/heaps/extended_attributes.h"
#include "dmabuffs/tree/known_picture.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

/// A regular file below heaps/. It has a Buffer, which takes descriptors, only while it holds memory or is
/// used; the Buffer is charged to who made the file.
class BufferFile : public HeapEntry {
 public:
  BufferFile(MountContext& context, std::shared_ptr<Heap> heap, const Attributes& attributes, Share name);
  ~BufferFile() override;

  [[nodiscard]] mode_t type() const override { return S_IFREG; }
  [[nodiscard]] const Heap& heap() const { return *heap_; }
  [[nodiscard]] BufferInfo info() const;
  /// Names change through the mount only; sizes also by the control socket, so attributes are asked for each
  /// time. A new file's the kernel keeps until it writes, or is told to forget them (see MountContext).
  [[nodiscard]] double name_timeout() const override { return 1; }
  [[nodiscard]] double new_timeout() const override { return 1; }

  Result<struct stat> getattr(const Caller&, OpenFile*) override;
  Result<void> setattr(const Caller&, const AttributeChange&, OpenFile*) override;
  Result<OpenPtr> open(const Caller&, int flags) override;
  Result<std::string> getxattr(const Caller&, const std::string& name) override;
  Result<std::vector<std::string>> listxattr(const Caller&) override;
  Result<void> setxattr(const Caller&, const std::string& name, const std::string& value, int flags) override;
  Result<void> removexattr(const Caller&, const std::string& name) override;

  /// What picture is in it: as somebody said, else as its name says.
  [[nodiscard]] std::optional<KnownPicture> picture() const;
  /// Nothing: nobody says any more. ENOSPC: the user's share of names and attributes is used up.
  Result<void> set_picture(const std::optional<KnownPicture>& known);
  /// Makes a picture of zeros in an empty file, with strides that its heap's devices want where none are
  /// given. EEXIST: it has bytes; errors of image::make_picture().
  Result<void> create_picture(const image::PictureWords& words);
  /// A copy from the start of something else begins, of which `known` is known. What somebody said of this
  /// file stays.
  void copied_from(const std::optional<KnownPicture>& known);

  void placed(const std::shared_ptr<HeapDirectory>& parent, const std::string& name) override;
  void unlinked() override;
  /// Of a new file: what an earlier program has left of it. EINVAL: `memory` is not that; ENOSPC.
  Result<void> restore(const KeptEntry& kept, UniqueFd memory);
  /// Has its memory kept for when this program has ended, as it is now. `again`: also what could not be when
  /// it was asked for last.
  void keep(bool again = true) noexcept;
  /// This program ends: makes the dma-buf of what was written.
  void settle();

  /// The file's Buffer, in use: it stays the file's until this goes.
  class Use {
   public:
    Use(std::shared_ptr<BufferFile> file, std::shared_ptr<Buffer> buffer)
        : file_(std::move(file)), buffer_(std::move(buffer)) {}
    Use(Use&&) noexcept = default;
    Use& operator=(Use&&) = delete;
    ~Use() {
      buffer_.reset();  // an empty one goes with its last user
      if (file_) file_->closed();
    }
    [[nodiscard]] const std::shared_ptr<BufferFile>& file() const { return file_; }
    [[nodiscard]] const std::shared_ptr<Buffer>& buffer() const { return buffer_; }

   private:
    std::shared_ptr<BufferFile> file_;
    std::shared_ptr<Buffer> buffer_;
  };
  /// ENOSPC: the user's share of descriptors is used up; EMFILE: there is none for a memfd.
  Result<Use> opened();

  /// See Buffer::hand_out; `asked_by` is the open file that it is asked for by. EBUSY: others have a memfd
  /// open past the daemon.
  Result<Buffer::HandedOut> hand_out(bool huge, const OpenFile& asked_by);
  [[nodiscard]] bool held_elsewhere() const;
  /// An empty file of the heap "import" becomes `dmabuf` (see ImportedBuffer::take), for its owner to read,
  /// and to write with `writable`. EINVAL: of another heap.
  Result<void> import(UniqueFd dmabuf, bool writable);

  // For its open files.
  /// Whether one more may read and write past the daemon: not what was handed out, whose size only the daemon
  /// knows.
  bool begin_passing();
  void end_passing();
  /// One of them is about to be closed.
  void closing();
  void contents_changed();
  [[nodiscard]] MountContext& context() { return context_; }

 private:
  /// Memory that is kept.
  struct KeptMemory {
    uint64_t number = 0;  ///< 0: none
    uint64_t inode = 0, size = 0, huge_bytes = 0;
    bool operator==(const KeptMemory&) const = default;
  };

  [[nodiscard]] std::shared_ptr<Buffer> buffer() const;
  Result<void> make_buffer();
  void describe(KeptEntry& entry) const override;
  [[nodiscard]] KeptMemory kept_now(const Buffer::Memory& memory, const KeptMemory& before, bool again);
  void keep_now(bool again);
  /// With mutex_: nothing of its memory is kept any more.
  void forget_memory();
  /// With mutex_: they may be those of the buffer's own file.
  [[nodiscard]] Attributes attributes_now() const;
  void closed();
  [[nodiscard]] bool may_be_mapped() const;
  void drop_empty_buffer();
  [[nodiscard]] std::optional<KnownPicture> said_picture() const;
  void forget_guess();

  const std::shared_ptr<Heap> heap_;
  const uid_t maker_;
  std::mutex keeping_;  // held while the buffer is asked what there is to keep; before mutex_
  std::unique_ptr<Freeing::Expected> leaving_;  // ends after the buffer, so when its memory is free
  // Guarded by mutex_:
  std::shared_ptr<const Share> descriptors_;  // memory that was handed out shares it
  Share addresses_;                           // of what was imported
  std::shared_ptr<Buffer> buffer_;
  struct timespec keeper_made_ {};  // ctime of the inode that keeps the times when it was new
  ExtendedAttributes xattrs_;
  bool had_bytes_ = false;  // since it was made; what is written by passthrough is seen at the last close
  unsigned open_ = 0;
  unsigned passing_ = 0;  // of these
  KeptMemory kept_;       // changes with keeping_ held, too, but for the last time
  bool nobody_passes_ = false;
};

}  // namespace dmabuffs
