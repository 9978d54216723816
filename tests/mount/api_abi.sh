#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# libdmabuffs as programs see it that are compiled already: symbols with their versions, prototypes, constants, and where the
# members of structures lie, held to the record tests/mount/api/abi. Within a major version (SONAME) lines may be added to it
# (a function gets a version of its own in libdmabuffs.map, a member takes the place of a reserved one); none goes or changes.
source "$(dirname "$0")/lib.sh"
here=$(realpath "$(dirname "$0")")
export LC_ALL=C # sort
header=$here/../../dmabuffs/control/dmabuffs.h
cd "$T" || exit

check 'it stays in memory: a question may wait in it still' \
    bash -c 'readelf -d "$1" | grep -q NODELETE' - "$DMABUFFS_BUILD/libdmabuffs.so"
symbols() {
    echo "soname $(objdump -p "$DMABUFFS_BUILD/libdmabuffs.so" | awk '$1 == "SONAME" { print $2 }')"
    nm -D --defined-only --with-symbol-versions "$DMABUFFS_BUILD/libdmabuffs.so" | awk '$2 != "A" { print "symbol", $2, $3 }' | sort
}
prototypes() {
    cc -std=c11 -fsyntax-only -aux-info prototypes -x c "$header" && sed -n 's/^.*dmabuffs.h:.*\*\/ extern \(.*\);.*/function \1/p' prototypes | sort
}
# By the C compiler, of each member that the header declares.
layout() {
    {
        printf '#include <stddef.h>\n#include <stdio.h>\n#include "%s"\n#define SIZE(s) ((s*)0)\nint main(void) {\n' "$header"
        cc -std=c11 -E -P "$header" | awk '
            /^struct [a-z_]+ \{/ { of = "struct " $2; printf "printf(\"%s: %%zu bytes\\n\", sizeof(%s));\n", of, of; next }
            /^\};/ { of = "" }
            of { type = $1; name = $2; sub(/;/, "", name); sub(/\[.*/, "", name)
                 printf "printf(\"%s.%s: %s, %%zu bytes at %%zu\\n\", sizeof(SIZE(%s)->%s), offsetof(%s, %s));\n", of, name, type, of, name, of, name }'
        cc -std=c11 -dM -E "$header" | awk '$2 ~ /^DMABUFFS_/ && NF > 2 { printf "printf(\"constant %s %%u, %%zu bytes\\n\", %s, sizeof(%s));\n", $2, $2, $2 }' | sort
        echo 'return 0; }'
    } >layout.c
    cc -std=c11 -Wall -Wextra -Werror -o layout layout.c && ./layout
}
{ symbols; prototypes; layout; } >seen 2>&1
sed '/^#/d' "$here/api/abi" >record
is 'the library is that of the record' "$(diff record seen)" ''

exported=$(sed -n 's/^symbol T \(.*\)@@.*/\1/p' seen)
is 'its functions are those of the header' "$exported" "$(sed -n 's/^function .*\(dmabuffs_[a-z_]*\) (.*/\1/p' seen | sort)"
is 'and those of libdmabuffs(3)' "$exported" "$(sed '/^\.SH DESCRIPTION/q' "$here/../../docs/man/libdmabuffs.3" | grep -o 'dmabuffs_[a-z_]*(' | tr -d '(' | sort)"
