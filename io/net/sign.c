/* io/net/sign.c: see sign.h */
#include "io/net/sign.h"
#include "io/net/evp.h"

int sign_sha256(unsigned char out[SIGN_BYTES], struct span bytes)
{
    const struct evp *evp = evp_get();
    unsigned size = 0;
    return evp && evp->EVP_Digest(bytes.data, bytes.size, out, &size, evp->EVP_sha256(), NULL) == 1 &&
           size == SIGN_BYTES;
}

int sign_hmac(unsigned char out[SIGN_BYTES], struct span secret, struct span bytes)
{
    const struct evp *evp = evp_get();
    unsigned size = 0;
    return evp &&
           evp->HMAC(evp->EVP_sha256(), secret.data, (int)secret.size, (const unsigned char *)bytes.data,
                     bytes.size, out, &size) &&
           size == SIGN_BYTES;
}

void sign_hex(char out[SIGN_HEX], const unsigned char bytes[SIGN_BYTES])
{
    static const char DIGITS[] = "0123456789abcdef";
    for (int i = 0; i < SIGN_BYTES; i++) {
        out[2 * i] = DIGITS[bytes[i] >> 4];
        out[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    out[2 * SIGN_BYTES] = 0;
}

void sign_base64(char out[SIGN_BASE64], const unsigned char bytes[SIGN_BYTES])
{
    const struct evp *evp = evp_get();
    out[0] = 0;
    if (evp)
        evp->EVP_EncodeBlock((unsigned char *)out, bytes, SIGN_BYTES);
}
