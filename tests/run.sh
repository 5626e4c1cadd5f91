#!/bin/sh
# tests/run.sh: installs what is missing, builds, runs every test. This is all that .ci/run calls.
#
#     sh tests/run.sh            release, ASan+UBSan and TSan builds
#     sh tests/run.sh release    one of them: release, asan or tsan
#
# Warnings are errors. Each build has its tests run by ctest, whose closing line says how many passed.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/.." && pwd)
cd "$root"
# shellcheck source=cli/deps.sh
. cli/deps.sh
deps_install build test

# Debian's own python3, which cli/deps.sh names, before another that PATH may have: a wrapper starts ten times slower.
PATH=/usr/bin:$PATH
export PATH
kinds=${1:-release asan tsan}
jobs=$(nproc)
# intercept_tls_get_addr: where a library that is loaded late keeps what is a thread's own, it would be guessed from the bytes in front of it if that
# block lies 16 bytes behind a page's beginning (glibc before 2.25 put its size there): once in some ten thousand programs the leak checker then
# reads at an address that is none, and ends with "LeakSanitizer has encountered a fatal error".
export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:allocator_may_return_null=1:intercept_tls_get_addr=0"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="halt_on_error=1"
for kind in $kinds; do
    build=build/$kind
    echo "== $kind: build"
    mkdir -p "$build"
    # TSan watches what threads share: the engine's tests; the rest is single-threaded, and not built.
    only=
    target=all
    [ "$kind" = tsan ] && only='-L threads' && target=tieout_threads
    if ! { cmake -G Ninja -C "tests/cache/$kind.cmake" -DTIEOUT_WERROR=ON -DTIEOUT_BENCH_WHOLE=OFF -S . -B "$build" && cmake --build "$build" -j "$jobs" --target "$target"; } \
        >"$build/build.log" 2>&1; then
        tail -n 60 "$build/build.log"
        echo "run.sh: the $kind build failed; all of it is in $build/build.log" >&2
        exit 1
    fi
    echo "== $kind: tests"
    # Two more than there are cores: tests with servers wait much of their time. Half an hour is for what hangs: the longest test takes two minutes
    # of processor, and a machine may be slow and busy.
    # shellcheck disable=SC2086 # words on purpose
    ctest --test-dir "$build" $only --output-on-failure -j "$((jobs + 2))" --timeout 1800
done
