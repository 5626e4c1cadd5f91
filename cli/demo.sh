#!/bin/sh
# cli/demo.sh: from a fresh clone to a reconciled day: installs what is missing, builds, runs the sample day, shows the result.
#
# Runs from anywhere; as root or with sudo where packages are missing, as anybody where they are not. Exit 0 when the day came out
# as it should: with differences, since they were planted.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/.." && pwd)
cd "$root"
# shellcheck source=cli/deps.sh
. cli/deps.sh

build=${TIEOUT_BUILD:-build/release}
out=build/demo
day=fixtures/days/01-stripe-day
date=2026-11-19

say()
{
    printf '%s\n' "$*" >&2
}

deps_install build

say "building in $build ..."
mkdir -p "$build"
log=$build/demo-build.log
build_it()
{
    # A compiler newer than ours may warn of more; that is CI's business, not the visitor's.
    cmake -G Ninja -C tests/cache/release.cmake -DTIEOUT_WERROR=OFF -S . -B "$build" &&
        cmake --build "$build" -j "$(nproc)" --target tieout tieout_agree
}
if ! build_it >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    say "demo.sh: the build failed; all of it is in $log"
    exit 4
fi

say "
One day of a shop that is paid through Stripe. On the local side the binlog of its MariaDB server: what
became of each order. On the channel's side the bill. Breaks were planted, so differences are what should
come out; $day/README.md tells which.

  $build/cli/tieout run $day/job.yaml --date=$date --out=$out
"
rm -rf "$out"
code=0
"$build/cli/tieout" run "$day/job.yaml" --date="$date" --out="$out" || code=$?
if [ "$code" -ne 1 ]; then
    say "demo.sh: exit code $code, and 1 (there are differences) was expected"
    exit 70
fi

result=$out/stripe/$date
if ! "$build/fixtures/tieout_agree" "$day/expected.json" "$result/summary.json" >&2; then
    say "demo.sh: this is not what $day/expected.json says"
    exit 70
fi

channels=fixtures/days/02-five-channels
say "
The same shop on another day, with five channels: Alipay, WeChat Pay, UnionPay, Stripe and PayPal, their bills as they come (zip, gzip,
GBK, fixed widths, reports in parts), a job file each. $channels/README.md tells what was planted.
"
for job in alipay wechat unionpay stripe paypal; do
    code=0
    "$build/cli/tieout" run "$channels/$job.yaml" --date=2026-01-05 --out="$out" --write-match 2>"$build/demo-$job.log" || code=$?
    if [ "$code" -ne 1 ]; then
        cat "$build/demo-$job.log" >&2
        say "demo.sh: $job: exit code $code, and 1 (there are differences) was expected"
        exit 70
    fi
    line=$(printf '  %-9s' $job)
    for class in match mismatch missing extra; do
        line="$line $(($(wc -l <"$out/$job/2026-01-05/$class.csv") - 1)) $class,"
    done
    say "${line%,}"
done

say "
What you see: each record of both sides is in exactly one class.
  match      both sides agree                    extra      only Stripe has it
  mismatch   they met, but a figure differs      duplicate  the bill says it twice
  missing    only the shop has it                ambiguous  nobody can say which belongs to which
  excluded   no money moved, the row was deleted, or it belongs to another day
The bridge walks from the shop's total to Stripe's, and nothing is left unexplained. Every count and every
sum is the one of $day/expected.json.

In $root:
Where it is   $result/  (mismatch.csv missing.csv extra.csv ... summary.json)
By hand       $build/cli/tieout run $day/job.yaml --date=$date --out=$out
Next          $build/cli/tieout gen --rows=1000000 --seed=1 --order=time --out=build/day
              $build/cli/tieout diff build/day/local.csv build/day/channel.csv \\
                  --key=channel_code,biz_order_no --amount=amount --compare=status --out=build/diff"
