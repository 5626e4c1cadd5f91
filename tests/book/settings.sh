#!/bin/sh
# tests/book/settings.sh TIEOUT: a book of which one setting is wrong: a job file that is broken, a sink whose secret is not there. It is told once, by
# its place, and by an alarm; what has nothing to do with it goes on, and nobody is told anything twice.
set -eu
. "$(dirname -- "$0")/common.sh"
. "$root/tests/support/processes.sh"
daemon=
trap '[ -z "$daemon" ] || kill $daemon 2>/dev/null || true; rm -rf "$work"' EXIT

# only WORDS...: what was said last holds one error, and none of these words
only() {
    [ "$(grep -c '^error' said)" -eq 1 ] || { fail "not one error:"; cat said; }
    for words in "$@"; do
        if grep -qF -- "$words" said; then fail "said: $words:"; cat said; fi
    done
}

# ---- a broken job file, alone in its folder, and beside a good one
mkdir -p alone book
job A >alone/a.yaml
rows alone A 1 'o,1.00,SUCCESS\n' 't,o,1.00,SUCCESS\n'
cp -r alone/. book
job B >book/b.yaml
rows book B 1 'o,1.00,SUCCESS\n' 't,o,1.00,SUCCESS\n'
expect 0 '1 task made' t task init --date=2026-11-01 --jobs=alone
expect 0 '2 tasks made' t task init --date=2026-11-01 --jobs=book
sed -i 's/^currency: CNY/currency: CNYY/' alone/a.yaml book/b.yaml
for command in "init --date=2026-11-02" run; do
    # shellcheck disable=SC2086 # words on purpose
    expect 2 'alone/a.yaml:5:11:' t task $command --jobs=alone
    only 'no job' 'there is no job file'
done
expect 2 'book/b.yaml:5:11:' t task init --date=2026-11-02 --channel=B --jobs=book
only 'no job'
expect 2 'book/b.yaml:5:11:' t task run --jobs=book
only 'no job' ' 1 stand behind others'
grep -qF '1 task done (0 of them do not tie out), 0 failed, 0 wait for a bill, 0 stand behind others, 1 of a broken job file' said || { fail 'the end of a run with a broken job'; cat said; }
expect 0 'job.broken' t status --jobs=book
# a folder whose state is gone, and whose one job cannot be read, is not begun anew
mv alone/state away
expect 2 'alone/a.yaml:5:11:' t task init --date=2026-11-02 --jobs=alone
only 'no job'
[ ! -e alone/state ] || fail 'a state was made for a book of which nothing can be read'
mv away alone/state
# the daemon goes on: the others have their nights
mkdir nights
cp book/a.yaml nights/
job B >nights/b.yaml
expect 0 '1 task made' t task init --date=2026-11-01 --channel=B --jobs=nights
cp book/b.yaml nights/
"$tieout" daemon --every=1 --jobs=nights >rounds 2>&1 &
daemon=$!
until [ "$(grep -c '^error.*nights/b.yaml:5:11' rounds 2>/dev/null)" -ge 2 ] || has_ended $daemon; do sleep 0.05; done
kill -TERM $daemon 2>/dev/null || true
code=0
wait $daemon || code=$?
daemon=
[ $code -eq 0 ] || { fail "a daemon beside a broken job file: exit code $code"; cat rounds; }
[ "$(grep -c '^error.*nights/b.yaml:5:11' rounds)" -ge 2 ] || { fail 'the daemon had one round'; cat rounds; }
# mended
sed -i 's/CNYY/CNY/' alone/a.yaml book/b.yaml
expect 0 '1 task done' t task run --channel=B --date=2026-11-01 --jobs=book
t status --jobs=book >said
grep -q job.broken said && fail 'the alarm of a job that was mended stands'
# a job file that somebody took away: no broken one
rm book/b.yaml
expect 2 'no job of the folder has this channel_code' t task init --date=2026-11-03 --channel=B --jobs=book

# ---- a sink whose secret is not there: nobody is written to, and what was told is told once
job S 0 >alone/s.yaml
rows alone S 1 'a,1.00,SUCCESS\n' ''
cat >alone/book.yaml <<END
version: 1
push:
  sinks:
    archive: {file: told.jsonl}
    desk: {webhook: env:TIEOUT_TEST_DESK}
END
expect 0 'made' t task init --channel=S --date=2026-11-01 --jobs=alone
expect 1 '1 task done' t task run --channel=S --jobs=alone
unset TIEOUT_TEST_DESK
expect 2 'TIEOUT_TEST_DESK' t push --jobs=alone
[ ! -e alone/told.jsonl ] || fail 'a sink was written to before the settings of all were looked at'
expect 0 'push.settings' t status --jobs=alone
expect 0 'pushed 1' t push --sink=archive --jobs=alone # the other one is not asked
TIEOUT_TEST_DESK=http://127.0.0.1:9/
export TIEOUT_TEST_DESK
expect 5 'desk' t push --jobs=alone --deadline=0
[ "$(wc -l <alone/told.jsonl)" -eq 1 ] || fail 'what was told was told again'
t status --jobs=alone >said
grep -q push.settings said && fail 'the alarm of a setting that was mended stands'
# ... of alarms, too
printf 'version: 1\npush: {sinks: {more: {file: more.jsonl}}}\nalarms: {sinks: {oncall: {lark: env:TIEOUT_TEST_LARK}}}\n' >alone/book.yaml
expect 2 'TIEOUT_TEST_LARK' t push --jobs=alone
[ ! -e alone/more.jsonl ] || fail 'errors were pushed before the settings of alarms were looked at'

finish "settings that are wrong: told once, in their place, and nothing else stops"
