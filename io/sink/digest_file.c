/* io/sink/digest_file.c: see digest.h; a file to check may name another method than SHA-256. */
#include "io/net/evp.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

int digest_file(int fd, uint64_t size, const char *algorithm, char out[DIGEST_FILE_TEXT])
{
    uint8_t piece[32 * 1024];
    const struct evp *evp = evp_get();
    EVP_MD_CTX *context = evp ? evp->EVP_MD_CTX_new() : NULL;
    const EVP_MD *method = evp ? evp->EVP_get_digestbyname(algorithm) : NULL;
    int error = !evp                                                        ? -ELIBACC
                : !context                                                  ? -ENOMEM
                : !method || !evp->EVP_DigestInit_ex(context, method, NULL) ? -ENOTSUP
                                                                            : 0;
    for (uint64_t at = 0; !error && at < size; at += sizeof piece) {
        size_t want = size - at < sizeof piece ? (size_t)(size - at) : sizeof piece;
        ssize_t n = sys_pread_full(fd, piece, want, at);
        if (n < 0)
            error = (int)n;
        else if ((size_t)n < want)
            error = 1;
        else
            evp->EVP_DigestUpdate(context, piece, want);
    }
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned sum_size = 0;
    if (!error)
        evp->EVP_DigestFinal_ex(context, sum, &sum_size);
    size_t used = 0;
    for (const char *p = algorithm; *p; p++)
        out[used++] = (char)tolower((unsigned char)*p);
    out[used++] = ':';
    out[used] = 0;
    for (unsigned i = 0; i < sum_size && i < 32; i++, used += 2)
        sprintf(out + used, "%02x", sum[i]);
    if (evp)
        evp->EVP_MD_CTX_free(context);
    return error;
}
