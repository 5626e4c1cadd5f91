#!/bin/sh
# tests/book/power.sh TIEOUT: in which order a task reaches the disk, as strace sees it: every file fsynced under its other name, then
# renamed, then its folder fsynced; the outputs and the state's files before the commit, BOOK behind it. And a disk without any room:
# what is there can still be looked at.
set -eu
. "$(dirname -- "$0")/common.sh"
mounted=
trap '[ -z "$mounted" ] || umount "$mounted"; rm -rf "$work"' EXIT

book() { # DIR
    mkdir -p "$1/local" "$1/bill"
    job P 0 | sed 's/output: {dir: out}/output: {dir: "new\/out", match: true}/' >"$1/p.yaml"
    printf 'order_no,amount,status\na,1.00,SUCCESS\nz,1.00,SUCCESS\n' >"$1/local/P-2026-11-01.csv"
    printf 'trade_no,order_no,amount,status\nt1,z,1.00,SUCCESS\nt2,x,2.00,SUCCESS\n' >"$1/bill/P-2026-11-01.csv"
    expect 0 'made' t task init --date=2026-11-01 --jobs="$1"
}

book order
if command -v strace >/dev/null && strace -o probe true 2>/dev/null; then
    ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS-}" strace -f -y -qq -e trace=fsync,fdatasync,rename,renameat,renameat2,mkdir -o trace \
        "$tieout" task run --threads=2 --jobs=order >said 2>&1 || [ $? -eq 1 ]
    python3 - trace "$work" <<'PY' || failures=$((failures + 1))
import os, re, sys
calls, wrong, begun = [], [], {}
for line in open(sys.argv[1], errors="replace"):
    # A call that another thread's came into stands on two lines, and counts where it ended.
    thread = line.split(" ", 1)[0]
    if "<unfinished ...>" in line:
        begun[thread] = line[: line.index("<unfinished ...>")].rstrip()
        continue
    m = re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)", line, re.S)
    if m:
        line = begun.pop(thread) + m.group(1)
    if "= -1" in line:
        continue
    m = re.match(r"\d+ +(f(?:data)?sync)\(\d+<([^>]*)>\)", line)
    if m:
        calls.append(("sync", os.path.relpath(m.group(2), sys.argv[2])))
        continue
    m = re.match(r'\d+ +(rename\w*|mkdir)\((?:AT_FDCWD[^,]*, )?"([^"]*)"(?:, (?:AT_FDCWD[^,]*, )?"([^"]*)")?', line)
    if m:
        calls.append((m.group(1)[:6], os.path.normpath(m.group(2)), os.path.normpath(m.group(3) or "")))
syncs = lambda path, fr, to: any(c == ("sync", path) for c in calls[fr:to])
end = len(calls)
book = next((i for i, c in enumerate(calls) if c[0] == "rename" and c[2] == "order/state/BOOK"), None)
if book is None:
    sys.exit("FAILED: BOOK was not replaced: %s" % calls)
commit = max((i for i, c in enumerate(calls[:book]) if c == ("sync", "order/state/state.db-wal")), default=None)
if commit is None:
    sys.exit("FAILED: no commit before BOOK")
kept = published = 0
for i, c in enumerate(calls):
    if c[0] == "mkdir" and c[1] in ("order/new", "order/new/out", "order/new/out/P") and not syncs(os.path.dirname(c[1]) or ".", i, commit):
        wrong.append("the new folder %s is not in its folder for good before the commit" % c[1])
    if c[0] != "rename":
        continue
    old, new = c[1], c[2]
    if new == "order/state/BOOK":
        limit = end
    else:
        limit = commit
        kept += new.startswith("order/state/")
    if i > limit:
        wrong.append("%s is renamed behind the commit" % new)
    if not syncs(old, 0, i):
        wrong.append("%s is renamed before it is fsynced" % old)
    if not syncs(os.path.dirname(new), i, limit):
        wrong.append("the folder of %s is not fsynced between its renaming and %s" % (new, "the end" if limit == end else "the commit"))
    if new.endswith("/2026-11-01"):
        published += 1
        for name in os.listdir(os.path.join(sys.argv[2], new)):
            if not syncs(os.path.join(old, name), 0, i):
                wrong.append("%s of the outputs is not fsynced before they are published" % name)
if not kept or published != 1:
    wrong.append("%d files of the state and %d sets of outputs were renamed" % (kept, published))
if wrong:
    sys.exit("FAILED: " + "\n".join(wrong) + "\n" + "\n".join(map(str, calls)))
PY
else
    echo "skipped the order of fsyncs: strace is not there, or may not trace"
fi

mkdir disk
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=6m tmpfs disk 2>/dev/null; then
    mounted=$work/disk
    book disk/book
    expect 1 '1 task done' t task run --jobs=disk/book
    dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || :
    expect 0 'DONE                        1' t status --jobs=disk/book
    expect 0 '2 errors' t errors list --jobs=disk/book
    expect 0 'missing' t trace a --jobs=disk/book
    expect 0 'all agree' t verify --jobs=disk/book
    expect 4 'the disk is full: at least 32768 bytes are wanted, 0 are free there' t task run --jobs=disk/book
    rm disk/fill
    expect 0 'nothing to do' t task run --jobs=disk/book
    for size in 200 280 360 440; do # the very first command meets a full disk: with room it makes the book
        rm -rf disk/first
        mkdir disk/first
        cp disk/book/*.yaml disk/first/
        dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || :
        truncate -s "-${size}k" disk/fill
        expect 4 'the disk is full' t task init --date=2026-11-01 --jobs=disk/first
        rm disk/fill
        expect 0 '1 task made' t task init --date=2026-11-01 --jobs=disk/first
        expect 0 'all agree' t verify --jobs=disk/first
    done
    umount disk
    mounted=
else
    echo "skipped a full disk: no right to mount a tmpfs"
fi
finish "power cuts and full disks: as they should be"
