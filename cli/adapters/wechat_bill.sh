#!/bin/sh
# cli/adapters/wechat_bill.sh: brings WeChat Pay's bill of one date, for `tieout fetch` (the contract is in io/fetch/adapter.h).
#
#     fetch:
#       command: [/usr/share/tieout/adapters/wechat_bill.sh, --type=ALL]      # or SUCCESS, REFUND, fundflow
#       env: {WECHAT_MCHID: "1900000000", WECHAT_SERIAL: "3A5B...", WECHAT_KEY: "file:apiclient_key.pem"}
#
# API v3: GET /v3/bill/tradebill, signed as WECHATPAY2-SHA256-RSA2048, answers with an address and the SHA-1 of the unpacked bill;
# the address is got with a signature of its own. WECHAT_API names another server (https://api.mch.weixin.qq.com). Needs curl and
# openssl. Secrets come from the environment and go to openssl through a file that only this user can read.
set -eu
umask 077
type=ALL
for option; do
    case $option in
    --date=*) date=${option#*=} ;;
    --channel=*) ;;
    --out=*) out=${option#*=} ;;
    --type=*) type=${option#*=} ;;
    *)
        echo "wechat_bill.sh: what is $option?" >&2
        exit 64
        ;;
    esac
done
api=${WECHAT_API:-https://api.mch.weixin.qq.com}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
printf '%s\n' "$WECHAT_KEY" >"$work/key.pem"

# get URL FILE: a signed GET; the answer's status goes to $status. What is signed: method, path with query, time, nonce, body.
get()
{
    path=/${1#*://*/}
    time=$(date +%s)
    nonce=$(openssl rand -hex 16)
    printf 'GET\n%s\n%s\n%s\n\n' "$path" "$time" "$nonce" >"$work/signed"
    sign=$(openssl dgst -sha256 -sign "$work/key.pem" "$work/signed" | openssl base64 -A)
    {
        printf 'url = "%s"\n' "$1"
        printf 'header = "Authorization: WECHATPAY2-SHA256-RSA2048 mchid=\\"%s\\",nonce_str=\\"%s\\",signature=\\"%s\\",timestamp=\\"%s\\",serial_no=\\"%s\\""\n' \
            "$WECHAT_MCHID" "$nonce" "$sign" "$time" "$WECHAT_SERIAL"
        printf 'header = "Accept: application/json"\n'
    } >"$work/request"
    if ! status=$(curl -sS --max-time 600 ${CURL_CA_BUNDLE:+--cacert "$CURL_CA_BUNDLE"} --config "$work/request" -o "$2" -w '%{http_code}'); then
        exit 75
    fi
}
case $type in
fundflow) query="/v3/bill/fundflowbill?bill_date=$date&tar_type=GZIP" ;;
*) query="/v3/bill/tradebill?bill_date=$date&bill_type=$type&tar_type=GZIP" ;;
esac
get "$api$query" "$work/answer"
value() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' "$work/answer" | sed 's|\\/|/|g; s|\\u0026|\&|g'; }
if [ "$status" != 200 ]; then
    echo "wechat_bill.sh: $status $(value code): $(value message)" >&2
    case $status/$(value code) in
    */NO_STATEMENT_EXIST) exit 66 ;;
    */STATEMENT_CREATING | 429/* | 5??/*) exit 75 ;;
    *) exit 1 ;;
    esac
fi
name=wechat_$(printf '%s' "$date" | tr -d -)_$type.csv.gz
get "$(value download_url)" "$out/$name"
if [ "$status" != 200 ]; then
    echo "wechat_bill.sh: the download answers $status" >&2
    exit 75
fi
# The checksum is that of the unpacked bytes; what is packed carries one of its own, which tieout checks.
sum=$(gzip -dc "$out/$name" | openssl dgst -sha1 -r | cut -d' ' -f1)
if [ "$sum" != "$(value hash_value)" ]; then
    echo "wechat_bill.sh: the bill's SHA-1 is $sum, and should be $(value hash_value)" >&2
    exit 75
fi
printf '%s\n' "$name"
