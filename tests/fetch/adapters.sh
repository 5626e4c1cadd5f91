#!/bin/sh
# tests/fetch/adapters.sh TIEOUT: programs that bring bills: the contract, and the examples for Alipay and WeChat Pay against a
# server that checks their signatures. Every wrong is told; exit 1 when there is one.
set -eu
tieout=$(readlink -f -- "$1")
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
adapters=$(readlink -f -- "$here/../../cli/adapters")
# shellcheck source=tests/support/processes.sh
. "$here/../support/processes.sh"
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
unset http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY || true
cd "$work"
failed=0
wrong()
{
    echo "WRONG: $*"
    sed 's/^/    /' "$work/stderr"
    failed=1
}

# job NAME 'fetch settings'
job()
{
    cat >"$work/$1.yaml" <<END
version: 1
job: $1
channel_code: $1
currency: CNY
local: {files: local.csv, fields: {biz_order_no: order, amount: amount}}
channel: {files: "data/$1/{date}/*", fields: {biz_order_no: order, amount: amount}, fetch: $2}
match: {keys: [[biz_order_no]]}
END
}

# fetch NAME DATE EXIT ['words']
fetch()
{
    code=0
    "$tieout" fetch "$1.yaml" --date="$2" >stdout 2>stderr || code=$?
    [ "$code" -eq "$3" ] || wrong "$1 $2: exit code $code, expected $3"
    [ $# -lt 4 ] || grep -q -- "$4" stderr || wrong "$1 $2: does not say: $4"
    if grep -q 'PRIVATE KEY\|s3cret' stdout stderr; then
        wrong "$1 $2: tells the secret"
    fi
    [ -z "$(find data -name '.*' ! -name . ! -name .fetched ! -name .no-bill 2>/dev/null)" ] || wrong "$1 $2: left behind: $(find data -name '.*')"
}

# What runs is told to stop, and says that it was.
stop_fetch()
{
    kill $server 2>/dev/null || true
    code=0
    wait $server || code=$?
    server=
    [ $code -eq 130 ] || wrong "a signal: exit code $code, expected 130"
    grep -q 'stopped before the end' stderr || wrong "a signal: it does not say that it was stopped"
}

# The same in the middle of an adapter, whose two processes must be gone then.
stop_adapter()
{
    until [ -s begun ]; do
        ! has_ended $server || break
        sleep 0.05
    done
    [ -s begun ] || wrong "the adapter has not begun"
    stop_fetch
    for pid in $(cat begun); do
        wait_until "an adapter's process has ended" has_ended "$pid" || wrong "an adapter's process was left behind"
    done
    [ -z "$(find data -name .adapter)" ] || wrong "a signal: $(find data -name .adapter) was left behind"
}

printf 'order,amount\nB1,10.00\nB2,20.50\n' >bill.csv
cp bill.csv local.csv

# ---- the contract ----
printf 's3cret' >secret
chmod 600 secret
cat >adapter.sh <<'END'
#!/bin/sh
for option; do
    case $option in --out=*) out=${option#*=} ;; --date=*) date=${option#*=} ;; --channel=*) channel=${option#*=} ;; esac
done
echo run >>runs
case $date in
2026-11-19)
    [ "$TOKEN" = s3cret ] && [ "$PLAIN" = text ] && [ "$1" = first ] && [ "$channel" = contract ] || exit 9
    printf 'order,amount\nB1,10.00\nB2,20.50\n' >"$out/bill $date.csv"
    cp "$out/bill $date.csv" "$out/not named"
    echo "bill $date.csv $(sha256sum "$out/bill $date.csv" | cut -d' ' -f1)"
    ;;
2026-11-20) exit 66 ;;
2026-11-21) exit 75 ;;
2026-11-22) echo "it is broken" >&2; exit 3 ;;
2026-11-23) echo ../../../stolen; echo x >"$out/../../../stolen" ;;
2026-11-24) echo not-there.csv ;;
2026-11-25) echo x,y >"$out/a.csv"; echo "a.csv 0123456789012345678901234567890123456789" ;;
2026-11-26) sleep 60 & sleep 60 ;;
2026-11-27) ln -s /etc/passwd "$out/link.csv"; echo link.csv ;;
2026-11-28) ;;
2026-11-29) sleep 600 & echo "$$ $!" >begun; sleep 600 ;;
esac
END
chmod 755 adapter.sh
job contract '{command: [./adapter.sh, first], env: {TOKEN: "file:secret", PLAIN: text}, deadline: 0s}'
fetch contract 2026-11-19 0
cmp -s 'data/contract/2026-11-19/bill 2026-11-19.csv' bill.csv || wrong "the adapter's file is not in the spool"
[ ! -e 'data/contract/2026-11-19/not named' ] || wrong "a file that was not named is in the spool"
fetch contract 2026-11-19 0 'is there already'
[ "$(wc -l <runs)" -eq 1 ] || wrong "an adapter was run for what is there"
fetch contract 2026-11-20 0 'there is no bill for 2026-11-20'
# Only because the channel said so is that day an empty one; a day that nobody asked for is not.
run()
{
    code=0
    rm -rf out
    "$tieout" run contract.yaml --date="$1" --out=out >stdout 2>stderr || code=$?
    [ "$code" -eq "$2" ] || wrong "run $1: exit code $code, expected $2"
    grep -q -- "$3" stderr || wrong "run $1: does not say: $3"
}
run 2026-11-20 1 'the channel said that there is no bill'
[ "$(wc -l <out/contract/2026-11-20/missing.csv)" -eq 3 ] || wrong "a day without a bill: the two local rows are not missing"
for threads in 1 4; do
    "$tieout" run contract.yaml --date=2026-11-20 --out=out$threads --threads=$threads --write-match >stdout 2>stderr || true
done
diff -r --exclude=stats.json out1 out4 >/dev/null || wrong "a day without a bill: threads change the outputs"
run 2026-11-18 3 'no file matches'
# The same by a profile, with a manifest, and as a task of a book.
mkdir book
printf '#!/bin/sh\nexit 66\n' >book/none.sh
chmod 755 book/none.sh
printf 'order,amount,state,at\no1,5.00,SUCCESS,2026-11-19 10:00:00\n' >book/local.csv
cat >book/none.yaml <<'END'
version: 1
job: none
channel_code: WECHAT
biz_type: pay
currency: CNY
local: {files: local.csv, fields: {biz_order_no: order, amount: amount, status: state, trade_time: at}}
channel: {files: "data/WECHAT/{date}/*.csv", profile: wechat-tradebill, fetch: {command: [./none.sh], deadline: 0s}}
match: {keys: [[channel_code, biz_order_no]], compare: [amount, status]}
END
{ cat book/none.yaml; echo 'manifest: admitted.db'; } >book/once.yml
"$tieout" fetch book/once.yml --date=2026-11-19 >stdout 2>stderr || wrong "fetch: exit code $?"
code=0
"$tieout" run book/once.yml --date=2026-11-19 --out=once >stdout 2>stderr || code=$?
{ [ $code -eq 1 ] && [ "$(wc -l <once/none/2026-11-19/missing.csv)" -eq 2 ]; } || wrong "a bill by a profile that is not there: exit code $code"
"$tieout" task init --date=2026-11-19 --jobs=book >stdout 2>stderr || wrong "task init"
code=0
"$tieout" task run --jobs=book >stdout 2>stderr || code=$?
{ [ $code -le 1 ] && [ "$(wc -l <book/out/none/2026-11-19/missing.csv)" -eq 2 ]; } || wrong "a task without a bill: exit code $code"
# What is brought after all takes it back.
mkdir -p data/contract/.fetched/2026-11-19
: >data/contract/.fetched/2026-11-19/.no-bill
mv data/contract/2026-11-19 kept
run 2026-11-19 1 'the channel said that there is no bill'
fetch contract 2026-11-19 0
run 2026-11-19 0 'match'
rm -r kept
fetch contract 2026-11-21 5 'not now'
# It is run again, for as long as there is time: here until it was.
: >runs
"$tieout" fetch contract.yaml --date=2026-11-21 --deadline=3600 >stdout 2>stderr &
server=$!
until [ "$(wc -l <runs)" -gt 1 ]; do
    ! has_ended $server || break
    sleep 0.05
done
[ "$(wc -l <runs)" -gt 1 ] || wrong "exit code 75 was not tried again"
stop_fetch
# A signal in the middle of an adapter ends it with all that it has started, alone and in a task.
: >runs
rm -f begun
"$tieout" fetch contract.yaml --date=2026-11-29 --deadline=3600 >stdout 2>stderr &
server=$!
stop_adapter
mkdir later
cp adapter.sh later
sed 's/^job:.*/job: later/; s/^channel_code:.*/channel_code: later\nbiz_type: pay/; s|data/[a-z]*/|data/later/|; s/, first\]/]/; s/env: {[^}]*}, //; s/\[\[biz/[[channel_code, biz/' contract.yaml >later/later.yaml
cp local.csv later
"$tieout" task init --date=2026-11-29 --jobs=later >stdout 2>stderr || wrong "task init: exit code $?"
rm -f begun
"$tieout" task run --jobs=later >stdout 2>stderr &
server=$!
ln -s later/begun begun
stop_adapter
[ -z "$(find later -name .adapter)" ] || wrong "a stopped task left $(find later -name .adapter)"
fetch contract 2026-11-22 5 'exit code 3'
grep -q 'it is broken' stderr || wrong "what the adapter says is not shown"
fetch contract 2026-11-23 3 'holds a slash\|begins with a dot'
fetch contract 2026-11-24 3 'not there'
fetch contract 2026-11-25 3 'SHA1'
[ ! -e data/contract/2026-11-25/a.csv ] || wrong "a file with a wrong checksum is in the spool"
job contract_slow '{command: [./adapter.sh], deadline: 1s}'
fetch contract_slow 2026-11-26 5 'was stopped'
fetch contract 2026-11-27 3 'no regular file'
fetch contract 2026-11-28 3 'names no file'
job no_program '{command: [./not-there.sh]}'
fetch no_program 2026-11-19 2 'cannot be run'

# ---- Alipay and WeChat Pay ----
for name in app alipay other; do
    openssl genrsa -out $name.key 2048 2>/dev/null
    openssl rsa -in $name.key -pubout -out $name.pub 2>/dev/null
done
chmod 600 ./*.key ./*.pub
mkfifo answers
python3 "$here/bill_api.py" "$work" >answers &
server=$!
read -r port <answers
settings='deadline: 600s, retry: {max: 1s}'
alipay="ALIPAY_APP_ID: \"2021001\", ALIPAY_GATEWAY: \"http://127.0.0.1:$port/gateway.do\", ALIPAY_PUBLIC_KEY: \"file:alipay.pub\""
job ALIPAY "{command: [$adapters/alipay_bill.sh, --type=trade], env: {$alipay, ALIPAY_APP_KEY: \"file:app.key\"}, $settings}"
fetch ALIPAY 2026-11-19 0
[ "$(cat stdout)" = ./data/ALIPAY/2026-11-19/2088_20261119.csv.zip ] || wrong "ALIPAY: brought $(cat stdout)"
fetch ALIPAY 2026-11-20 0 'no bill for 2026-11-20'
fetch ALIPAY 2026-11-21 0 'again in'
fetch ALIPAY 2026-11-22 5 "signature is not Alipay's"
"$tieout" run ALIPAY.yaml --date=2026-11-19 --out=out >stdout 2>stderr || wrong "ALIPAY: the fetched bill does not tie out"
job ALIPAY_OTHER "{command: [$adapters/alipay_bill.sh], env: {$alipay, ALIPAY_APP_KEY: \"file:other.key\"}, $settings}"
fetch ALIPAY_OTHER 2026-11-19 5 'isv.invalid-signature'

wechat="WECHAT_MCHID: \"1900001\", WECHAT_SERIAL: 3A5B, WECHAT_API: \"http://127.0.0.1:$port\""
job WECHAT "{command: [$adapters/wechat_bill.sh, --type=ALL], env: {$wechat, WECHAT_KEY: \"file:app.key\"}, $settings}"
fetch WECHAT 2026-11-19 0
[ "$(cat stdout)" = ./data/WECHAT/2026-11-19/wechat_20261119_ALL.csv.gz ] || wrong "WECHAT: brought $(cat stdout)"
fetch WECHAT 2026-11-20 0 'no bill for 2026-11-20'
fetch WECHAT 2026-11-21 0 'again in'
job WECHAT_OTHER "{command: [$adapters/wechat_bill.sh], env: {$wechat, WECHAT_KEY: \"file:other.key\"}, $settings}"
fetch WECHAT_OTHER 2026-11-19 5 'SIGN_ERROR'
job WECHAT_SUM "{command: [$adapters/wechat_bill.sh], env: {$wechat, WECHAT_KEY: \"file:app.key\"}, deadline: 0s}"
fetch WECHAT_SUM 2026-11-22 5 'SHA-1'
"$tieout" run WECHAT.yaml --date=2026-11-19 --out=out >stdout 2>stderr || wrong "WECHAT: the fetched bill does not tie out"

[ $failed -eq 0 ] && echo "adapters do what they say"
exit $failed
