# SPDX-License-Identifier: MIT
# Run by cpack when the files of all packages are in their places, before they are packed: what Debian wants otherwise
# than `cmake --install` leaves it.
function(compress file as)
  execute_process(COMMAND gzip -9n INPUT_FILE ${file} OUTPUT_FILE ${as} COMMAND_ERROR_IS_FATAL ANY)
  file(CHMOD ${as} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

foreach(package ${CPACK_COMPONENTS_ALL})
  set(usr ${CPACK_TEMPORARY_DIRECTORY}/${package}/usr)
  set(doc ${usr}/share/doc/${package})
  file(MAKE_DIRECTORY ${doc})
  file(COPY ${CPACK_DMABUFFS_MADE}/copyright DESTINATION ${doc} FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  compress(${CPACK_DMABUFFS_MADE}/${package}/changelog ${doc}/changelog.Debian.gz)
  if(EXISTS ${CPACK_DMABUFFS_SOURCE}/CHANGELOG.md)
    compress(${CPACK_DMABUFFS_SOURCE}/CHANGELOG.md ${doc}/changelog.gz)
  endif()
  if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/${package}/lintian-overrides)
    file(MAKE_DIRECTORY ${usr}/share/lintian/overrides)
    file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/${package}/lintian-overrides ${usr}/share/lintian/overrides/${package})
  endif()
  file(GLOB pages ${usr}/share/man/man*/*)
  foreach(page ${pages})
    compress(${page} ${page}.gz)
    file(REMOVE ${page})
  endforeach()
endforeach()

set(base ${CPACK_TEMPORARY_DIRECTORY}/dmabuffs/usr)
set(development ${CPACK_TEMPORARY_DIRECTORY}/libdmabuffs-dev/usr)
file(CREATE_LINK mount.dmabuffs.8.gz ${base}/share/man/man8/mount.fuse.dmabuffs.8.gz SYMBOLIC)
file(REMOVE ${base}/share/doc/dmabuffs/LICENSE) # it is in copyright
# Examples belong to their package, and what Python imports is where Python looks.
file(RENAME ${development}/share/doc/dmabuffs/docs/examples ${development}/share/doc/libdmabuffs-dev/examples)
file(REMOVE_RECURSE ${development}/share/doc/dmabuffs)
file(MAKE_DIRECTORY ${development}/lib/python3/dist-packages)
file(RENAME ${development}/share/doc/libdmabuffs-dev/examples/dmabuffs.py ${development}/lib/python3/dist-packages/dmabuffs.py)
# Loaded at every start where it is a package: a source install does not build it.
set(module ${CPACK_TEMPORARY_DIRECTORY}/dmabuffs-dkms/usr/lib/modules-load.d)
file(MAKE_DIRECTORY ${module})
file(COPY_FILE ${CPACK_DMABUFFS_SOURCE}/dmabuffs/packaging/dmabuffs-dkms.modules-load ${module}/dmabuffs-dkms.conf)
