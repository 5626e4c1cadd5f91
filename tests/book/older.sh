#!/bin/sh
# tests/book/older.sh TIEOUT: a state folder that is put back as a whole from a backup is told, by what stands where the results go
# (io/store/witness.h): tasks that it does not know, things that people did since, another history. What is no backup is not taken for one.
set -eu
. "$(dirname -- "$0")/common.sh"

refused() { # WHAT TEXT: by whatever opens the state
    for command in status verify 'task init --date=2026-11-04' 'task run' 'task list' 'errors list' 'errors claim 00000000' push 'daemon --once' \
        'trace a1'; do
        # shellcheck disable=SC2086 # words on purpose
        expect 6 "$2" t $command --jobs=book
        grep -q 'error state.older' said || fail "$1: $command: not state.older: $(cat said)"
    done
}
back() { # FOLDER: the state is what it was
    rm -r book/state
    cp -a "$1" book/state
}

mkdir book
job A 0 >book/A.yaml
for d in 1 2 3; do rows book A $d "a$d,1.00,SUCCESS\nb$d,2.00,SUCCESS\nc$d,3.00,SUCCESS\n" "t$d,c$d,3.00,SUCCESS\n"; done
expect 0 'made' t task init --date=2026-11-01 --jobs=book
expect 1 '1 task done' t task run --jobs=book
cp -a book/state day1
set -- book/out/.book-*
witness=$1
[ -f "$witness" ] || fail 'nothing says beside the results how far the book is'
for d in 2 3; do
    t task init --date=2026-11-0$d --jobs=book 2>/dev/null
    expect 1 '1 task done' t task run --jobs=book
done
cp -a book/state day3
cp "$witness" witness3
expect 0 '2 done' t errors resolve --date=2026-11-02 --reason='refunded, ticket 4711' --actor=ann --jobs=book
expect 0 'all agree' t verify --jobs=book
cp -a book/state hands

# days that it does not know; what people did since; and the file says what to do
back day1
refused 'two days behind' 'it is at verdict segment 1, and the book was at 3 already'
grep -q "remove that file and go on" said || fail "no way out is named: $(cat said)"
back day3
refused 'what people did' 'it lacks the last 2 of 2 things that people did to errors'
back hands
expect 0 'all agree' t verify --jobs=book
expect 0 'book ' t status --jobs=book

# on purpose: the file is taken away, and days are done again; then it stands there anew
back day1
rm "$witness"
expect 0 'none' t status --jobs=book
for d in 2 3; do
    expect 0 '1 task made' t task init --date=2026-11-0$d --jobs=book
    expect 1 'the state knows nothing of them' t task run --jobs=book
done
expect 0 '6 errors' t errors list --jobs=book
expect 0 'all agree' t verify --jobs=book
[ -f "$witness" ] || fail 'the book goes on, and nothing says how far'
cp -a book/state again

# another history of the same length: segment 3 was made of other rows
back day1
rm "$witness"
rows book A 2 "d2,1.00,SUCCESS\n" ""
for d in 2 3; do
    t task init --date=2026-11-0$d --jobs=book 2>/dev/null
    t task run --jobs=book >/dev/null 2>&1 || :
done
back again
refused 'another history' 'verdict segment 3 of it is another one than the book had'

# what says nothing: an older file, a cut one, another book's, one of a state that was told less than it had done (a kill, a full disk)
for piece in 0 20 60 150; do
    head -c $piece witness3 >"$witness"
    expect 0 'book ' t status --jobs=book
done
cp witness3 "$witness"
back hands
expect 0 'book ' t status --jobs=book
sed 's/^segment 3/segment 9/' witness3 >"$witness" # its sum says that nobody wrote this
expect 0 'book ' t status --jobs=book
mkdir other
job B 0 | sed 's|dir: out|dir: ../book/out|' >other/B.yaml
rows other B 1 'a,1.00,SUCCESS\n' 't,a,1.00,SUCCESS\n'
expect 0 'made' t task init --date=2026-11-01 --jobs=other
expect 0 '1 task done' t task run --jobs=other
[ "$(find book/out -name '.book-*' | wc -l)" -eq 2 ] || fail 'two books of one output folder, and not a file each'
expect 0 'all agree' t verify --jobs=other
expect 0 'book ' t status --jobs=book

# ... and one that cannot be written stops nothing
rm -f book/out/.book-*
mkdir "$witness"
t task init --date=2026-11-04 --jobs=book 2>/dev/null
rows book A 4 'z,1.00,SUCCESS\n' 'u,z,1.00,SUCCESS\n'
expect 0 'would not be told' t task run --jobs=book
expect 0 '1 done' t errors claim "$(t errors list --format=csv --jobs=book | sed -n '2s/,.*//p')" --actor=ann --jobs=book
rmdir "$witness"

finish 'a state folder from a backup is told, and nothing else is taken for one'
