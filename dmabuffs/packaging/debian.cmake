# SPDX-License-Identifier: MIT
# Debian packages: `cmake --build DIR --target package` puts them into DIR/packages. A component of the install rules is a
# package of the same name; debian/PACKAGE has its maintainer scripts.
set(DMABUFFS_PACKAGE_REVISION 1 CACHE STRING "Which packages of this version: the number after the - in theirs")
set(DMABUFFS_PACKAGE_CONTACT "The dmabuffs authors <dmabuffs@dmabuffs.invalid>" CACHE STRING "Maintainer of the packages: NAME <ADDRESS>")

set(packages dmabuffs libdmabuffs1 libdmabuffs-dev dmabuffs-dkms)
set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL ${packages})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_PACKAGE_CONTACT ${DMABUFFS_PACKAGE_CONTACT})

# Packages of one version differ by what they were built on; an upgrade of the system is to one of them as well.
if(EXISTS /etc/os-release)
  file(STRINGS /etc/os-release release REGEX "^VERSION_ID=")
endif()
string(REGEX REPLACE "[^0-9]" "" release "${release}")
set(CPACK_DEBIAN_PACKAGE_RELEASE ${DMABUFFS_PACKAGE_REVISION}~deb${release})
set(version ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
# The compiler says for what; CPack itself would take the machine that builds.
execute_process(COMMAND dpkg-architecture -t "${CMAKE_LIBRARY_ARCHITECTURE}" -q DEB_HOST_ARCH
  OUTPUT_VARIABLE CPACK_DEBIAN_PACKAGE_ARCHITECTURE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)

set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Built for another machine: the libraries are in its tree, and the packages that have them are those of its dpkg
# (finish.cmake).
if(CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_SYSROOT}/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
  set(CPACK_DMABUFFS_SHLIBS ${CMAKE_SYSROOT}/var/lib/dpkg/info/*.shlibs)
endif()
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_DMABUFFS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_DMABUFFS_PACKAGE_DEPENDS fuse3)
set(CPACK_DEBIAN_DMABUFFS_PACKAGE_SUGGESTS dmabuffs-dkms)
set(CPACK_DEBIAN_LIBDMABUFFS1_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBDMABUFFS-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBDMABUFFS-DEV_PACKAGE_DEPENDS "libdmabuffs1 (= ${version})")
set(CPACK_DEBIAN_LIBDMABUFFS-DEV_PACKAGE_SUGGESTS "dmabuffs, python3")
# Those of several architectures may be installed together. CPack knows the field from 3.31 on; before that it goes in by another.
foreach(package LIBDMABUFFS1 LIBDMABUFFS-DEV)
  if(CMAKE_VERSION VERSION_LESS 3.31)
    string(APPEND CPACK_DEBIAN_${package}_PACKAGE_SECTION "\nMulti-Arch: same")
  else()
    set(CPACK_DEBIAN_${package}_PACKAGE_MULTIARCH same)
  endif()
endforeach()
set(CPACK_DEBIAN_DMABUFFS-DKMS_PACKAGE_SECTION kernel)
set(CPACK_DEBIAN_DMABUFFS-DKMS_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DMABUFFS-DKMS_PACKAGE_DEPENDS "dkms (>= 3.0)")
set(CPACK_DEBIAN_DMABUFFS-DKMS_PACKAGE_ENHANCES dmabuffs)

set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each has its own, as the first line:
set(CPACK_COMPONENT_DMABUFFS_DESCRIPTION "dma-bufs as files
dmabuffs is a FUSE file system in which files are buffers: dma-bufs where the
machine has a device that makes them, else ordinary shared memory. cp, dd, cmp,
sha256sum and tar work on them, and a cp between a disk and a buffer goes by
direct I/O.
.
A dma-buf is memory that GPUs, cameras, neural processors and displays share by
file descriptor. It has no name. A mount gives each one a path, an owner and a
mode; programs get the dma-buf by that path. Pictures in buffers can be viewed
and compared.
.
This package has the program, mount.dmabuffs for mount(8) and fstab, units for
systemd, and the udev rules for the devices. No kernel module is needed.")
set(CPACK_COMPONENT_LIBDMABUFFS1_DESCRIPTION "dma-bufs of a dmabuffs mount by name (library)
A program that has a path below the heaps of a dmabuffs mount gets the memory
behind it from this library, as a descriptor: a dma-buf that devices can
import. It also gives dma-bufs that the program has made a name in the mount.
.
This package has the shared library.")
set(CPACK_COMPONENT_LIBDMABUFFS-DEV_DESCRIPTION "dma-bufs of a dmabuffs mount by name (development files)
A program that has a path below the heaps of a dmabuffs mount gets the memory
behind it from this library, as a descriptor: a dma-buf that devices can
import. It also gives dma-bufs that the program has made a name in the mount.
.
This package has the header dmabuffs.h, what pkg-config and the linker need, a
Python module that does the same without the library, an example in C, and
the header dmabuf_file.h of the kernel module.")
set(CPACK_COMPONENT_DMABUFFS-DKMS_DESCRIPTION "kernel module for direct I/O into dma-bufs (DKMS)
Linux refuses direct I/O between a disk and most dma-bufs. With this module
dmabuffs reads and writes those of the heap \"system\" without a copy, and has
a heap of its own, \"direct\", in huge pages.
.
This package has the sources. DKMS builds the module dmabuf_file for each
kernel whose headers are installed, from Linux 6.12 on. dmabuffs works without
it.")

# What Debian wants in every package, and what depends on the version.
string(TIMESTAMP CHANGELOG_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(CHANGELOG_VERSION ${version})
file(READ LICENSE EXPAT) # from its third paragraph on, as a field of several lines
string(REGEX REPLACE "^.*\n(Permission is hereby.*[^\n])\n*$" " \\1" EXPAT "${EXPAT}")
string(REPLACE "\n\n" "\n.\n" EXPAT "${EXPAT}")
string(REPLACE "\n" "\n " EXPAT "${EXPAT}")
set(from ${CMAKE_CURRENT_LIST_DIR}/debian)
set(made ${CMAKE_BINARY_DIR}/debian)
configure_file(${from}/copyright.in ${made}/copyright @ONLY)
foreach(package ${packages})
  set(CHANGELOG_SOURCE ${package})
  configure_file(${from}/changelog.in ${made}/${package}/changelog @ONLY)
  file(GLOB scripts CONFIGURE_DEPENDS ${from}/${package}/post* ${from}/${package}/pre* ${from}/${package}/triggers)
  string(TOUPPER ${package} PACKAGE)
  set(CPACK_DEBIAN_${PACKAGE}_PACKAGE_NAME ${package})
  foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WLE)
    if(script MATCHES "\\.in$")
      configure_file(${script} ${made}/${package}/${name} @ONLY)
      set(script ${made}/${package}/${name})
    endif()
    list(APPEND CPACK_DEBIAN_${PACKAGE}_PACKAGE_CONTROL_EXTRA ${script})
  endforeach()
endforeach()
set(CPACK_DMABUFFS_MADE ${made})
set(CPACK_DMABUFFS_SOURCE ${CMAKE_SOURCE_DIR})
set(CPACK_DMABUFFS_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_PROJECT_CONFIG_FILE ${from}/check.cmake)
set(CPACK_PRE_BUILD_SCRIPTS ${from}/finish.cmake)
include(CPack)
