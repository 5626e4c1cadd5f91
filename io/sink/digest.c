/* io/sink/digest.c: see digest.h
 *
 * Results are summed by libcrypto's plain SHA-256: the EVP functions give the same, but the first of them reads
 * OpenSSL's configuration and fetches its providers, 1.5 ms of every run. Files to check may name another method.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "io/sink/digest.h"
#include "io/ring/sys.h"
#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

struct digest {
    SHA256_CTX sha;
};

struct digest *digest_open(void)
{
    return OPENSSL_malloc(sizeof(struct digest));
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

void digest_close(struct digest *digest)
{
    OPENSSL_free(digest);
}

int digest_file(int fd, uint64_t size, const char *algorithm, char out[DIGEST_FILE_TEXT])
{
    uint8_t piece[32 * 1024];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *method = EVP_get_digestbyname(algorithm);
    int error = !context ? -ENOMEM : !method || !EVP_DigestInit_ex(context, method, NULL) ? -ENOTSUP : 0;
    for (uint64_t at = 0; !error && at < size; at += sizeof piece) {
        size_t want = size - at < sizeof piece ? (size_t)(size - at) : sizeof piece;
        ssize_t n = sys_pread_full(fd, piece, want, at);
        if (n < 0)
            error = (int)n;
        else if ((size_t)n < want)
            error = 1;
        else
            EVP_DigestUpdate(context, piece, want);
    }
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned sum_size = 0;
    if (!error)
        EVP_DigestFinal_ex(context, sum, &sum_size);
    size_t used = 0;
    for (const char *p = algorithm; *p; p++)
        out[used++] = (char)tolower((unsigned char)*p);
    out[used++] = ':';
    out[used] = 0;
    for (unsigned i = 0; i < sum_size && i < 32; i++, used += 2)
        sprintf(out + used, "%02x", sum[i]);
    EVP_MD_CTX_free(context);
    return error;
}
