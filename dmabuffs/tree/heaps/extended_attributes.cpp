// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/heaps/extended_attributes.h"

#include <linux/limits.h>
#include <sys/xattr.h>

#include <string_view>

#include "dmabuffs/tree/known_picture.h"

namespace dmabuffs {

std::vector<std::string> ExtendedAttributes::names() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : all_) names.push_back(name);
  return names;
}

Result<std::string> ExtendedAttributes::get(const std::string& name) const {
  const auto found = all_.find(name);
  if (found == all_.end()) return fail_errno(ENODATA, name);
  return found->second;
}

Result<void> ExtendedAttributes::set(const std::string& name, const std::string& value, int flags,
                                     Share& share) {
  constexpr std::string_view kPrefix = "user.";
  constexpr size_t kMost = XATTR_LIST_MAX;
  if (!name.starts_with(kPrefix)) return fail_errno(ENOTSUP, name);
  if (name.size() == kPrefix.size()) return fail_errno(EINVAL, name);
  if (name == kPictureAttribute) TRY(from_attribute(value));
  const auto known = all_.find(name);
  if ((flags & XATTR_CREATE) != 0 && known != all_.end()) return fail_errno(EEXIST, name);
  if ((flags & XATTR_REPLACE) != 0 && known == all_.end()) return fail_errno(ENODATA, name);
  size_t held = bytes_ + value.size();
  held = known == all_.end() ? held + name.size() + 1 : held - known->second.size();
  if (held > kMost) return fail_errno(ENOSPC, name);
  TRY(hold(held, share));
  all_[name] = value;
  return {};
}

Result<void> ExtendedAttributes::remove(const std::string& name, Share& share) {
  const auto known = all_.find(name);
  if (known == all_.end()) return fail_errno(ENODATA, name);
  TRY(hold(bytes_ - known->second.size() - name.size() - 1, share));
  all_.erase(known);
  return {};
}

Result<void> ExtendedAttributes::hold(size_t bytes, Share& share) {
  TRY(share.resize(share.amount() - bytes_ + bytes));
  bytes_ = bytes;
  return {};
}

}  // namespace dmabuffs
