// SPDX-License-Identifier: MIT
/// What clients ask of one buffer by the name of its file: what it is, and its memory; and that a dma-buf is
/// one.
#pragma once
#include <string>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/control/client.h"

namespace dmabuffs {

// Both open the file, having seen that its daemon answers (ETIMEDOUT); errors as in control/dmabuffs.h.

/// docs/json.md, "info". The file must be readable or writable.
Result<Json> info_of(Clients& clients, const std::string& path);

struct HandedOut {
  UniqueFd fd;  ///< the dma-buf; where info.is_dmabuf is false a memfd
  Json info;    ///< the reply: size, capacity, heap, is_dmabuf, inode, exporter, moved
};
/// The file must be readable and writable. `huge`: huge pages stay what they are.
Result<HandedOut> hand_out(Clients& clients, const std::string& path, bool huge);

/// Makes the file `path`, which must not be there, of the dma-buf `fd` (borrowed), for the caller to read,
/// and to write with `writable`. `format`: see set_format(); "": none. Returns the reply: what info_of()
/// tells.
Result<Json> import_dmabuf(Clients& clients, int fd, const std::string& path, bool writable,
                           const std::string& format = {});

/// Says what picture is in the buffer: "NV12:1920x1080", with ":stride=…" and so on; "": nobody knows. The
/// file must be writable. Returns what info_of() tells. EINVAL: no such picture, or it does not fit.
Result<Json> set_format(Clients& clients, const std::string& path, const std::string& format);
/// Makes the file `path`, which must not be there, a picture of zeros, with the strides that its heap's
/// devices want unless `format` has some.
Result<Json> create_picture(Clients& clients, const std::string& path, const std::string& format);

}  // namespace dmabuffs
