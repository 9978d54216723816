# SPDX-License-Identifier: MIT
# Sourced by the tests that hold JSON to its record: what members there are and of which types, not what is in them.
#
# A record (beside this file) has a line for each place:  info[].capacity number
#   []        an element of a list        *   members whose names are data: a channel, a path
#   number?   a type that is seen on some machines only
#   number+   a type that is seen with real dma-bufs only (TEST_HEAP)
# Types are those of jq.
records=$(realpath "$(dirname "${BASH_SOURCE[0]}")")

shape() { # NAME [FREE]: "PLACE TYPE" for each value of the JSON on standard input; FREE: places (a regular expression) with * members
    jq -r --arg name "$1" --arg free "^(${2-})\$" '
        def values_at(at): "\(at) \(type)",
            if type == "array" then .[] | values_at(at + "[]")
            elif type == "object" then to_entries[] | (if at | test($free) then "*" else .key end) as $key | .value | values_at("\(at).\($key)")
            else empty end;
        values_at($name)' | sort -u
}
# What differs, a line each, and nothing if the shapes are those of the record. A member must be there wherever what it is in was seen.
deviations() { # RECORD NAME SHAPES
    local real=
    on_memfd || real=1
    awk -v name="$2" -v real="$real" '
        function about(place) { return place == name || index(place, name ".") == 1 || index(place, name "[") == 1 }
        function parent(place) { return place ~ /\[\]$/ ? "" : substr(place, 1, match(place, /\.[^.]*$/) - 1) }
        /^#/ || !about($1) { next }
        FNR == NR { recorded[$1] = 1; for (i = 2; i <= NF; i++) { type = $i; mark = sub(/[?]$/, "", type) ? "?" : sub(/[+]$/, "", type) ? "+" : ""
                    may[$1 " " type] = 1; if (mark == "" || mark == "+" && real) must[$1 " " type] = 1 }
                    next }
        { seen[$1] = 1; types[$1 " " $2] = 1 }
        END {
            if (!(name in recorded)) print "not in the record: " name
            for (one in types) if (!(one in may)) print "not in the record: " one
            for (one in must) if (!(one in types)) print "not there any more: " one
            for (one in recorded) if (!(one in seen) && (parent(one) " object") in types) print "not there any more: " one
        }' "$records/$1" "$3" 2>&1 | sort
}
keeps() { # RECORD NAME SHAPES
    is "$2: its members and their types are those of the record" "$(deviations "$1" "$2" "$3")" ''
}
# The members of the record that this documentation does not name.
undocumented() { # RECORD NAME TEXT
    awk -v name="$2" '$1 ~ "^" name "[].[]" { sub(/.*[.\]]/, "", $1); if ($1 != "" && $1 != "*") print $1 }' "$records/$1" | sort -u |
        while read -r member; do grep -qwF -- "$member" <<<"$3" || echo "$member"; done
}
