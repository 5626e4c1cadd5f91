#!/bin/sh
# cli/adapters/alipay_bill.sh: brings Alipay's bill of one date, for `tieout fetch` (the contract is in io/fetch/adapter.h).
#
#     fetch:
#       command: [/usr/share/tieout/adapters/alipay_bill.sh, --type=trade]      # or signcustomer
#       env: {ALIPAY_APP_ID: "2021000000000000", ALIPAY_APP_KEY: "file:alipay_app_key.pem", ALIPAY_PUBLIC_KEY: "file:alipay_public.pem"}
#
# Calls alipay.data.dataservice.bill.downloadurl.query, signed with RSA2 (SHA256withRSA) over the sorted parameters; checks the
# answer's signature with Alipay's public key; then gets the file from the address in the answer. ALIPAY_GATEWAY names another
# gateway (https://openapi.alipay.com/gateway.do). Needs curl and openssl. Secrets come from the environment and go to openssl
# through a file that only this user can read, never through an argument list.
set -eu
umask 077
type=trade
for option; do
    case $option in
    --date=*) date=${option#*=} ;;
    --channel=*) ;;
    --out=*) out=${option#*=} ;;
    --type=*) type=${option#*=} ;;
    *)
        echo "alipay_bill.sh: what is $option?" >&2
        exit 64
        ;;
    esac
done
gateway=${ALIPAY_GATEWAY:-https://openapi.alipay.com/gateway.do}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
printf '%s\n' "$ALIPAY_APP_KEY" >"$work/key.pem"
printf '%s\n' "$ALIPAY_PUBLIC_KEY" >"$work/alipay.pem"

# What is signed: the parameters, sorted by name, NAME=VALUE joined by &.
printf '%s\n' "app_id=$ALIPAY_APP_ID" "biz_content={\"bill_type\":\"$type\",\"bill_date\":\"$date\"}" charset=utf-8 format=JSON \
    method=alipay.data.dataservice.bill.downloadurl.query sign_type=RSA2 "timestamp=$(TZ=Asia/Shanghai date '+%Y-%m-%d %H:%M:%S')" \
    version=1.0 >"$work/parameters"
LC_ALL=C sort "$work/parameters" | paste -s -d'&' - | tr -d '\n' >"$work/signed"
sign=$(openssl dgst -sha256 -sign "$work/key.pem" "$work/signed" | openssl base64 -A)
set --
while IFS= read -r parameter; do
    set -- "$@" --data-urlencode "$parameter"
done <"$work/parameters"
if ! curl -sS --fail --max-time 60 ${CURL_CA_BUNDLE:+--cacert "$CURL_CA_BUNDLE"} -o "$work/answer" "$@" --data-urlencode "sign=$sign" "$gateway"; then
    exit 75
fi

# {"alipay_data_dataservice_bill_downloadurl_query_response":{...},"sign":"..."}: the signature is over the inner bytes.
tr -d '\r\n' <"$work/answer" | sed -n 's/^.*_query_response":\({.*}\),"sign":.*$/\1/p' | tr -d '\n' >"$work/inner"
[ -s "$work/inner" ] || tr -d '\r\n' <"$work/answer" | sed -n 's/^{"sign":"[^"]*","[a-z_]*_response":\({.*}\)}$/\1/p' | tr -d '\n' >"$work/inner"
sed -n 's/.*"sign":"\([^"]*\)".*/\1/p' "$work/answer" | openssl base64 -d -A >"$work/their_sign"
if ! openssl dgst -sha256 -verify "$work/alipay.pem" -signature "$work/their_sign" "$work/inner" >/dev/null 2>&1; then
    echo "alipay_bill.sh: the answer's signature is not Alipay's; it begins: $(head -c 200 "$work/answer")" >&2
    exit 1
fi
value() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p' "$work/inner" | sed 's|\\/|/|g'; }
case $(value code) in
10000) ;;
*)
    echo "alipay_bill.sh: $(value sub_code): $(value sub_msg)" >&2
    case $(value sub_code) in
    isp.bill_not_exist) exit 66 ;;
    isp.* | aop.*) exit 75 ;;
    *) exit 1 ;;
    esac
    ;;
esac
name=$(printf '%s' "$(value bill_download_url)" | sed -n 's/.*[?&]downloadFileName=\([A-Za-z0-9_.-]*\).*/\1/p')
name=${name:-alipay_$(printf '%s' "$date" | tr -d -)_$type.csv.zip}
# The address is as good as a password for as long as it is valid: it goes through a file too.
printf 'url = "%s"\n' "$(value bill_download_url)" >"$work/request"
if ! curl -sS --fail --max-time 600 ${CURL_CA_BUNDLE:+--cacert "$CURL_CA_BUNDLE"} -o "$out/$name" --config "$work/request"; then
    exit 75
fi
printf '%s\n' "$name"
