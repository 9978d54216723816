# SPDX-License-Identifier: MIT
# Read by cpack before anything else. Units and pkg-config's file have the prefix in them.
if(NOT CPACK_DMABUFFS_PREFIX STREQUAL "/usr")
  message(FATAL_ERROR "packages: this build is for the prefix ${CPACK_DMABUFFS_PREFIX}, packages are for /usr: configure it with -DCMAKE_INSTALL_PREFIX=/usr (the preset release does)")
endif()
foreach(tool dpkg-architecture file gzip)
  find_program(found_${tool} ${tool})
  if(NOT found_${tool})
    message(FATAL_ERROR "packages: ${tool} is missing: .ci/install-packages package")
  endif()
endforeach()
