/* io/sink/digest.c: see digest.h */
#include "io/sink/digest.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

struct digest *digest_open(void)
{
    return (struct digest *)EVP_MD_CTX_new();
}

void digest_begin(struct digest *digest)
{
    EVP_DigestInit_ex((EVP_MD_CTX *)digest, EVP_sha256(), NULL);
}

void digest_put(struct digest *digest, const void *bytes, size_t size)
{
    EVP_DigestUpdate((EVP_MD_CTX *)digest, bytes, size);
}

void digest_end(struct digest *digest, char out[DIGEST_TEXT])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex((EVP_MD_CTX *)digest, sum, &size);
    strcpy(out, "sha256:");
    for (unsigned i = 0; i < size && i < 32; i++)
        sprintf(out + 7 + 2 * i, "%02x", sum[i]);
}

void digest_close(struct digest *digest)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)digest);
}
