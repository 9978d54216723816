#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/run itself, on a project of made-up tests: it is green only where each of them has reported in this run.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
failed=0
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
project=$T/project
program=$project/build/release/tests/unit-tests
mkdir -p "$project"/{.ci,bin,tests/mount,tests/guest,tests/lib} "$(dirname "$program")"
cp tests/run "$project/tests/run"
cp tests/lib/run-tests "$project/tests/lib/run-tests"
made() { # FILE: from standard input
    cat >"$1"
    chmod 755 "$1"
}
made "$project/.ci/install-packages" <<<'#!/bin/sh'
made "$project/bin/cmake" <<<'#!/bin/sh'
good_program() { report '<OverallResult success="true"/></TestCase>' '</Catch2TestRun>'; }
report() { # END-OF-A-TEST END-OF-THE-REPORT [COMMAND]: a program that writes that report
    made "$program" <<END
#!/bin/sh
printf '%s\n' '<Catch2TestRun>' '<TestCase name="adds up">' '$1' '$2' >"\$4"
${3-}
END
}
shell_test() { made "$project/tests/mount/$1.sh"; } # NAME
as=()
runs() { # PART...: its exit status is in $status, its output in $T/out
    status=0
    "${as[@]}" env -u T PATH="$project/bin:$PATH" "$project/tests/run" "$@" >"$T/out" 2>&1 </dev/null || status=$?
    sed 's/^/# /' "$T/out"
}
refuses() { ! "$@"; }
last_is() { [[ $(tail -n 1 "$T/out") == "$1" ]]; }
says() { grep -qF -- "$1" "$T/out"; }
red() { # NAME TEXT
    check "$1: red" test "$status" == 1
    check "$1: says why" says "$2"
}

good_program
shell_test fine <<<'echo "ok - one"; echo "ok - two"'
shell_test elsewhere <<<'echo "skip - no such machine"; exit 77'
runs unit mount
check 'where all reported: green' test "$status" == 0
check 'and counted' last_is '3 passed, 0 failed'
check 'what was skipped is counted before' says '1 skipped'
check 'with its reason' says 'SKIPPED: mount: elsewhere: skip - no such machine'

printf 'pass\tof another day\n' >"$project/build/results/mount.tsv"
runs unit
check 'an old result is none' last_is '1 passed, 0 failed'

shell_test silent <<<':'
runs mount
red 'a shell test without a word' 'FAIL: silent'
rm "$project/tests/mount/silent.sh"

report '' ''
runs unit
red 'a program that ended within a test, content' 'FAIL: unit-tests: adds up'
report '<OverallResult success="true"/></TestCase>' ''
runs unit
red 'a program that ended between two tests, content' 'FAIL: unit-tests (its report has no test, or no end)'
report '<OverallResult success="true"/></TestCase>' '' 'kill -SEGV $$'
runs unit
red 'a program that crashed' 'FAIL: unit-tests (it ended with: 139)'
made "$program" <<'END'
#!/bin/sh
printf '%s\n' '<Catch2TestRun>' '</Catch2TestRun>' >"$4"
END
runs unit
red 'a program of no tests' 'FAIL: unit-tests (its report has no test, or no end)'
good_program

made "$project/tests/lib/run-tests" <<<'#!/bin/sh'
runs unit mount
red 'tests that nobody ran' 'mount: no result of fine'
check 'of each part' says 'unit: no result of unit-tests'
cp tests/lib/run-tests "$project/tests/lib/run-tests"
rm "$project"/tests/mount/*.sh
runs mount
red 'a part of no tests' 'mount: there are no tests'

# Without a part: what continuous integration runs.
shell_test fine <<<'echo "ok - one"'
mkdir -p "$project"/tests/{unit,vm}
echo 'have_device(' >"$project/tests/unit/dma_heap_test.cpp"
echo 'no word of one' >"$project/tests/unit/other_test.cpp"
made "$project/tests/lint" <<<'printf "pass\tstyle\n" >>"$2"'
made "$project/tests/vm/module" <<<'#!/bin/sh'
made "$project/tests/vm/run" <<'END' # this machine, and not said to have real devices
#!/bin/bash
until [[ $1 == -- ]]; do shift; done
shift
for word; do [[ $word == --real ]] || words+=("$word"); done
exec "${words[@]}"
END
runs --list nope
check 'a part that is none can not be listed' test "$status" == 2
check 'and is named' says 'no part "nope"'
runs --list unit
check 'of a part its tests are listed' says "${program#"$project/"}"
check 'and no others' refuses says 'tests/mount/'
core=$("$project/tests/run" --list | sed -n 's,^guest-core *tests/guest/\(.*\)\.sh$,\1,p')
for name in $core; do made "$project/tests/guest/$name.sh" <<<'echo "ok - it works"'; done
check 'of the programs a guest runs what needs a dma-buf' grep -q '^guest-core .*/unit-tests:\[#dma_heap_test]~\[\.]$' <<<"$("$project/tests/run" --list)"
runs
check 'without a part: green' test "$status" == 0
check 'without a part: lint, unit, mount and guest-core' \
    test "$(cd "$project/build/results" && echo ./*.tsv)" == './guest-core.tsv ./lint.tsv ./mount.tsv ./unit.tsv'
check 'and each of their tests' last_is "$((4 + $(wc -l <<<"$core"))) passed, 0 failed"
made "$project/tests/guest/kernel.sh" <<<'echo "not ok - it works"'
runs
red 'a test in the guest' 'FAILED: guest-core: kernel: it works'

# A directory in which somebody else's run left its results.
printf 'pass\tof another day\n' >"$project/build/results/mount.tsv"
if ((EUID == 0)); then
    chmod 755 "$T"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
else
    chmod 555 "$project/build/results"
fi
runs mount
red 'results that can not be written' 'cannot be made anew'
check 'whose they are' says "belongs to $(stat -c %U "$project/build/results")"
check 'and nothing is counted' last_is '0 passed, 1 failed'
chmod 755 "$project/build/results"
exit "$failed"
