/* io/net/evp.h: what is needed of libcrypto now and then, loaded when it is first asked for.
 *
 * libcrypto looks up 4,191 names of its own whenever it is loaded, 1.2 ms of each start; results need nothing of it but SHA-256, which is
 * linked by itself (io/sink/digest.c). The library stays loaded until the process ends. Threads: any.
 */
#ifndef TIEOUT_IO_NET_EVP_H
#define TIEOUT_IO_NET_EVP_H

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define EVP_CALLS(X)                                                                                         \
    X(EVP_MD_CTX_new)                                                                                        \
    X(EVP_MD_CTX_free)                                                                                       \
    X(EVP_get_digestbyname)                                                                                  \
    X(EVP_DigestInit_ex)                                                                                     \
    X(EVP_DigestUpdate)                                                                                      \
    X(EVP_DigestFinal_ex)                                                                                    \
    X(EVP_Digest)                                                                                            \
    X(EVP_sha256)                                                                                            \
    X(EVP_EncodeBlock)                                                                                       \
    X(HMAC)
#define EVP_POINTER(name) __typeof__(name) *name;
struct evp {
    EVP_CALLS(EVP_POINTER)
};
#undef EVP_POINTER

/* NULL where libcrypto cannot be loaded. */
const struct evp *evp_get(void);

#endif
