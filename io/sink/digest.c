/* io/sink/digest.c: see digest.h; what results are summed by.
 *
 * libcrypto's plain SHA-256: the EVP functions give the same, but the first of them reads OpenSSL's configuration and
 * fetches its providers, 1.5 ms of every run.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "io/sink/digest.h"
#include "core/base/mem.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

struct digest {
    SHA256_CTX sha;
};

struct digest *digest_open(void)
{
    return mem_take(sizeof(struct digest));
}

void digest_begin(struct digest *digest)
{
    SHA256_Init(&digest->sha);
}

void digest_put(struct digest *digest, const void *bytes, size_t size)
{
    SHA256_Update(&digest->sha, bytes, size);
}

void digest_end(struct digest *digest, char out[DIGEST_TEXT])
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    SHA256_Final(sum, &digest->sha);
    strcpy(out, "sha256:");
    for (unsigned i = 0; i < sizeof sum; i++)
        sprintf(out + 7 + 2 * i, "%02x", sum[i]);
}

void digest_sum(const void *bytes, size_t size, uint8_t out[32])
{
    SHA256_CTX sha;
    SHA256_Init(&sha);
    SHA256_Update(&sha, bytes, size);
    SHA256_Final(out, &sha);
}

void digest_close(struct digest *digest)
{
    mem_give(digest);
}
