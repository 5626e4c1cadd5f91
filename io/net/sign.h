/* io/net/sign.h: SHA-256 and HMAC-SHA256, as ids and signatures need them. Threads: any. */
#ifndef TIEOUT_IO_NET_SIGN_H
#define TIEOUT_IO_NET_SIGN_H

#include "core/base/span.h"

enum { SIGN_BYTES = 32, SIGN_HEX = 65, SIGN_BASE64 = 45 }; /* with the NUL */

/* Each returns 1, or 0 when memory is out or libcrypto cannot be loaded. */
int sign_sha256(unsigned char out[SIGN_BYTES], struct span bytes);
int sign_hmac(unsigned char out[SIGN_BYTES], struct span secret, struct span bytes);
void sign_hex(char out[SIGN_HEX], const unsigned char bytes[SIGN_BYTES]);
/* Of what sign_hmac made. */
void sign_base64(char out[SIGN_BASE64], const unsigned char bytes[SIGN_BYTES]);

#endif
