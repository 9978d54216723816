// SPDX-License-Identifier: MIT
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dmabuffs/heap/shares.h"

namespace dmabuffs {

/// The extended attributes of a buffer, user.* all of them. Not thread-safe.
class ExtendedAttributes {
 public:
  using Map = std::map<std::string, std::string>;
  [[nodiscard]] const Map& all() const { return all_; }
  [[nodiscard]] std::vector<std::string> names() const;
  /// ENODATA.
  [[nodiscard]] Result<std::string> get(const std::string& name) const;
  /// As setxattr(2); what they take is part of `share`. EINVAL also: kPictureAttribute and no picture.
  Result<void> set(const std::string& name, const std::string& value, int flags, Share& share);
  Result<void> remove(const std::string& name, Share& share);

 private:
  Result<void> hold(size_t bytes, Share& share);

  Map all_;
  size_t bytes_ = 0;
};

}  // namespace dmabuffs
