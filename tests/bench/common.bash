# SPDX-License-Identifier: MIT
# Sourced by the benchmarks: samples by name, their medians, and a table that holds them against each other.
# BENCH is the directory with the program stopwatch.
set -euo pipefail
declare -A samples=()

add() { samples[$1]+=" $2"; }                              # NAME MILLISECONDS
timed() { local name=$1; shift; add "$name" "$("$BENCH/stopwatch" "$@")"; } # NAME COMMAND...: the whole process
sorted() { tr ' ' '\n' <<<"${samples[$1]}" | grep . | sort -n; }
median() { sorted "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# Only the file's own pages: emptying all caches would take the programs' out, too, and make `cp` start slowly.
forget() { # FILE...
    local file
    for file; do
        dd if="$file" iflag=nocache count=0 status=none
        [[ $(fincore -n -b -o RES "$file" | tr -d ' ') == 0 ]] || { echo "$file stays in the page cache" >&2; return 1; }
    done
}

heading() { printf '\n%s\n%-52s %9s %17s %7s %8s\n' "$1" '' 'median ms' 'lowest-highest' 'ratio' 'target'; }
# One line; with a baseline also the ratio of the medians, and whether it keeps the target.
row() { # NAME [BASELINE [TARGET]]
    local m ratio='' verdict=''
    m=$(median "$1")
    if [[ ${2-} ]]; then
        ratio=$(awk -v a="$m" -v b="$(median "$2")" 'BEGIN { printf "%.6f", a / b }')
        [[ ! ${3-} ]] || verdict=$(awk -v r="$ratio" -v t="$3" 'BEGIN { print (r <= t ? "kept" : "MISSED") }')
    fi
    [[ ! $ratio ]] || ratio=$(printf %.2f "$ratio")
    printf '%-52s %9.1f %17s %7s %8s %s\n' "$1" "$m" "$(sorted "$1" | sed -n '1p;$p' | paste -sd-)" "$ratio" \
        "${3:+<= $3}" "$verdict"
}

mnt=''
mount_it() { # MOUNTPOINT OPTION...
    mnt=$1
    shift
    mkdir -p "$mnt"
    "$DMABUFFS" mount "$@" "$mnt"
}
# That the copies went the way the table speaks of.
moved() { jq -c '.transfers | map_values(.bytes) | with_entries(select(.value > 0))' "$mnt/status"; }
