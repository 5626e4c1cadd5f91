#!/bin/sh
# tests/shape/includes.sh [TIEOUT]: which way arrows point (EXAMPLES.md section 2), and a few things that must not be there.
# Every break is told with file and line; exit 1 when there is one.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
tieout=${1:-}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT TERM

# Rooms of core/ have numbers; a room includes itself and lower ones. index/ and io/ include core 1 to 5; inside io/, ring, net and
# the own room, and a source takes a format by its header but a format never a source. cli/, bench/, tests/ and fixtures/ may all.
find core index io -name '*.[ch]' -exec grep -Hn '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + | awk '
    BEGIN {
        # config stands below rules (core/README.md): a normalizer is compiled from a job.
        count = split("base model config rules ops engine workflow service", names, " ")
        for (i = 1; i <= count; i++)
            number[names[i]] = i
    }
    function complain(why) { print file ":" line ": " why ": " path }
    {
        split($0, part, ":")
        file = part[1]
        line = part[2]
        path = $0
        sub(/^[^"]*"/, "", path)
        sub(/".*$/, "", path)
        n = split(file, from, "/")
        m = split(path, to, "/")
        if (m < 2 || (to[1] != "core" && to[1] != "index" && to[1] != "io")) {
            complain("not spelled from the top, or a folder that nobody here may include")
            next
        }
        if (from[1] == "core") {
            if (to[1] != "core")
                complain("core knows nothing of " to[1])
            else if (!(from[2] in number) || !(to[2] in number))
                complain("a room of core without a number")
            else if (number[to[2]] > number[from[2]])
                complain("room " number[from[2]] " includes room " number[to[2]])
        } else if (to[1] == "core") {
            if (!(to[2] in number) || number[to[2]] > 5)
                complain(from[1] " includes core above room 5")
        } else if (from[1] == "index") {
            if (to[1] != "index")
                complain("index includes " to[1])
        } else if (to[1] == "index") {
            complain("io includes index")
        } else if (to[2] == "source" && from[2] == "format") {
            complain("a format includes a source")
        } else if (from[2] == "ring" && to[2] != "ring") {
            complain("ring includes " to[2])
        }
    }' >"$out"

# A folder that the first one may not link: a header is included by the path it has.
find core index io cli fixtures -name '*.[ch]' -exec grep -Hn '#[[:space:]]*include[[:space:]]*"' {} + | while IFS=: read -r file line text; do
    path=$(printf '%s\n' "$text" | sed 's/^[^"]*"\([^"]*\)".*/\1/')
    [ -f "$path" ] || echo "$file:$line: no such header from the top: $path"
done >>"$out"

tell() { sed "s|\$|   <- $1|" >>"$out"; }
# Orders between threads are said where the store or the load stands, so that TSan sees them.
grep -rn --include='*.[ch]' 'atomic_thread_fence' core index io cli fixtures | tell 'a fence' || true
# Money is never a float; the seconds of progress and statistics are no money.
grep -rnE --include='*.[ch]' '(^|[^a-z_])(double|float)([^a-z_]|$)' core/model core/rules index | grep -vE '/\*.*(double|float).*\*/|^[^:]*:[0-9]*: \*' | tell 'a floating-point number' || true
grep -rnwE --include='*.[ch]' --include='*.sh' --include='CMakeLists.txt' --include='*.md' --include='*.yaml' --exclude-dir=.git \
    'TODO|FIXME|XXX|HACK' core index io cli fixtures/*.[ch] tests bench 2>/dev/null | grep -v '^tests/shape/includes.sh:' | grep -v 'XXXXXX' |
    grep -vE '"XXX2"|"(BIF|XAF)' | tell 'unfinished' || true

# Text becomes no float anywhere, but where a log's own FLOAT and DOUBLE columns are printed in their shortest form.
grep -rnE --include='*.[ch]' '(^|[^a-z_])(strto(d|f|ld)|ato(f|ll?)|sscanf)[[:space:]]*\([^)]*(%[0-9]*l?[efg])?' core index io cli fixtures |
    grep -E 'strto(d|f|ld)|atof|%[0-9]*l?[efg]' | grep -v '^io/format/binlog_types.c:' | tell 'text read as a float' || true

# All memory goes through core/base/mem.h, or the nth-call tests and the memory limit do not see it. cli/ frees what jansson gives it.
grep -rnE --include='*.c' '(^|[^a-z_>.])(malloc|calloc|realloc|strdup|strndup|asprintf|aligned_alloc|posix_memalign|reallocarray)[[:space:]]*\(' core index io |
    grep -v '^core/base/mem.c:' | tell 'memory that mem.h does not know of' || true

if [ -n "$tieout" ]; then
    if ! command -v nm >/dev/null; then
        echo "skipped the symbols: no nm"
    else
        # Each start looks up all their names; they are loaded when they are needed (io/net/evp.h, lazy.c, filter/unzip.c, push/kafka.c).
        readelf -d "$tieout" | grep -E 'NEEDED.*lib(crypto|ssl|zip|curl|mariadb|rdkafka|stdc[+][+])[.]' | tell "loaded by every start of $tieout" || true
        nm -D --undefined-only "$tieout" | grep -wE 'strtold|atof|wcstod|gets|tmpnam|mktemp|system|popen' | tell "called by $tieout" || true
    fi
fi
if [ -s "$out" ]; then
    cat "$out"
    exit 1
fi
echo "includes and symbols are as they should be"
