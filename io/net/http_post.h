/* io/net/http_post.h: several POST requests at once, by libcurl.
 *
 *     http_post_open
 *       http_post_begin   a free slot
 *       http_post_step    until all slots that began are done; calls `done` for each
 *     http_post_close     what was under way is broken off
 *
 * A TLS server's certificate and name are checked before anything goes out. A redirect is followed to the very same
 * scheme, host and port only, with the same body. Plain http goes to this machine only, unless the caller trusts it
 * without. Memory: an answer is kept up to HTTP_ANSWER_MAX bytes. Threads: one owner.
 */
#ifndef TIEOUT_IO_NET_HTTP_POST_H
#define TIEOUT_IO_NET_HTTP_POST_H

#include "core/base/diag.h"
#include "core/base/span.h"

enum { HTTP_ANSWER_MAX = 65536, HTTP_SLOTS_MAX = 32 };

enum http_end {
    HTTP_ANSWERED,    /* a whole answer: status, body */
    HTTP_NOT_REACHED, /* nothing was told to it */
    HTTP_LOST,        /* it may have been told; the answer did not come, or not whole */
    HTTP_NOT_TRUSTED, /* the server is not who it should be, and was told nothing */
    HTTP_SETTING      /* the address is none, or a file of certificates is not there */
};

struct http_answer {
    enum http_end end;
    int status;       /* of HTTP_ANSWERED */
    struct span body; /* the first HTTP_ANSWER_MAX bytes; NUL-terminated */
    int cut;          /* there were more */
    uint32_t retry_after_s;
    int elsewhere; /* a redirect to another host, not followed */
    char why[160]; /* what is wrong, in words; never a secret */
};

struct http_post_config {
    unsigned slots;
    int timeout_s;
    const char *ca; /* path; NULL: the system's */
    int trust_without_identity;
    /* NULL or empty: none. They stay the caller's, and must outlive this. */
    const char *user, *password, *token;
    void (*done)(void *context, unsigned slot, const struct http_answer *answer);
    void *context;
};

struct http_post;
enum err http_post_open(struct http_post **out, const struct http_post_config *config, struct diag *diag);
void http_post_close(struct http_post *post);
int http_post_is_busy(const struct http_post *post, unsigned slot);
/* `body` stays until `done` was called. `headers`: "Name: value", copied, NULL at the end. */
enum err http_post_begin(struct http_post *post, unsigned slot, const char *url, const char *const *headers,
                         struct span body, struct diag *diag);
/* Goes on for up to `wait_ms`, less as soon as something is done. `done` may begin the slot anew. */
enum err http_post_step(struct http_post *post, int wait_ms, struct diag *diag);

#endif
