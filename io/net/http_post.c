/* io/net/http_post.c: see http_post.h */
#include "io/net/http_post.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <curl/curl.h>
#include <string.h>

enum { CONNECT_SECONDS = 10, REDIRECTS_MAX = 3, URL_MAX = 8192 };

struct request {
    struct http_post *post;
    CURL *easy;
    struct curl_slist *headers;
    struct span body;
    char *answer;
    size_t answer_size;
    int cut, busy, redirects;
    char error[CURL_ERROR_SIZE];
};

struct http_post {
    struct http_post_config config;
    CURLM *multi;
    struct request requests[HTTP_SLOTS_MAX];
    int told;
};

static size_t take_answer(char *bytes, size_t one, size_t count, void *context)
{
    struct request *r = context;
    size_t size = one * count, room = HTTP_ANSWER_MAX - r->answer_size, keep = size < room ? size : room;
    memcpy(r->answer + r->answer_size, bytes, keep);
    r->answer_size += keep;
    r->answer[r->answer_size] = 0;
    r->cut |= keep < size;
    return size;
}

enum err http_post_open(struct http_post **out, const struct http_post_config *config, struct diag *diag)
{
    *out = NULL;
    CHECK2(config->slots > 0 && config->slots <= HTTP_SLOTS_MAX, config->slots, 0);
    struct http_post *post = mem_take_zero(1, sizeof *post);
    if (!post)
        return mem_fail(diag, sizeof *post, "requests");
    post->config = *config;
    enum err err = OK;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        err = diag_set(diag, ERR_MACHINE, "curl", NULL, "libcurl cannot start");
    else if (!(post->multi = curl_multi_init()))
        err = mem_fail(diag, 0, "requests");
    for (unsigned i = 0; err == OK && i < config->slots; i++) {
        struct request *r = &post->requests[i];
        r->post = post;
        r->easy = curl_easy_init();
        r->answer = mem_take(HTTP_ANSWER_MAX + 1);
        if (!r->easy || !r->answer)
            err = mem_fail(diag, HTTP_ANSWER_MAX, "requests");
    }
    if (err != OK) {
        http_post_close(post);
        return err;
    }
    *out = post;
    return OK;
}

void http_post_close(struct http_post *post)
{
    if (!post)
        return;
    for (unsigned i = 0; i < HTTP_SLOTS_MAX; i++) {
        struct request *r = &post->requests[i];
        if (r->busy)
            curl_multi_remove_handle(post->multi, r->easy);
        if (r->easy)
            curl_easy_cleanup(r->easy);
        curl_slist_free_all(r->headers);
        mem_give(r->answer);
    }
    if (post->multi)
        curl_multi_cleanup(post->multi);
    mem_give(post);
}

int http_post_is_busy(const struct http_post *post, unsigned slot)
{
    return post->requests[slot].busy;
}

/* What identifies a server: scheme, host and port. 0 when `url` is none. */
static int origin_of(const char *url, char out[512], int *is_plain, int *is_here)
{
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    int good = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               snprintf(out, 512, "%s://%s:%s", scheme, host, port) < 512;
    if (good) {
        *is_plain = strcmp(scheme, "https") != 0;
        *is_here =
            strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0 || strcmp(host, "localhost") == 0;
        good = !*is_plain || strcmp(scheme, "http") == 0;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return good;
}

static void finish(struct request *r, enum http_end end, const char *why)
{
    struct http_post *post = r->post;
    struct http_answer answer = {.end = end, .body = {r->answer, r->answer_size}, .cut = r->cut};
    snprintf(answer.why, sizeof answer.why, "%.159s", why);
    if (end == HTTP_ANSWERED) {
        long status = 0;
        curl_off_t after = 0;
        curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after);
        answer.status = (int)status;
        answer.retry_after_s = after < 0 ? 0 : after > UINT32_MAX ? UINT32_MAX : (uint32_t)after;
        answer.elsewhere = status >= 300 && status < 400;
    }
    r->busy = 0;
    curl_slist_free_all(r->headers);
    r->headers = NULL;
    post->config.done(post->config.context, (unsigned)(r - post->requests), &answer);
}

static void begin_transfer(struct request *r, const char *url)
{
    const struct http_post_config *config = &r->post->config;
    CURL *easy = r->easy;
    curl_easy_reset(easy); /* keeps connections */
    r->error[0] = 0;
    r->answer_size = 0;
    r->answer[0] = 0;
    r->cut = 0;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* here, where the host is compared */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT,
                     (long)(config->timeout_s < CONNECT_SECONDS ? config->timeout_s : CONNECT_SECONDS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)config->timeout_s);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "tieout/" TIEOUT_VERSION);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, config->trust_without_identity ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, config->trust_without_identity ? 0L : 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (config->ca)
        curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca);
    if (config->user && config->user[0]) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, config->password ? config->password : "");
    }
    if (config->token && config->token[0]) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, config->token);
    }
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body.data);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.size);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
}

enum err http_post_begin(struct http_post *post, unsigned slot, const char *url, const char *const *headers,
                         struct span body, struct diag *diag)
{
    struct request *r = &post->requests[slot];
    CHECK2(slot < post->config.slots && !r->busy, slot, r->busy);
    char origin[512];
    int is_plain = 0, is_here = 0;
    r->body = body;
    r->redirects = 0;
    r->answer_size = 0;
    r->cut = 0;
    if (!origin_of(url, origin, &is_plain, &is_here)) {
        finish(r, HTTP_SETTING, "the address is no http or https URL");
        return OK;
    }
    if (is_plain && !is_here && !post->config.trust_without_identity) {
        finish(r, HTTP_NOT_TRUSTED,
               "a connection without encryption to another machine; use https, or "
               "trust_server_without_checking_identity: true");
        return OK;
    }
    if (post->config.trust_without_identity && !is_here && !post->told) {
        fprintf(
            stderr,
            "warning: %s: the server's identity is not checked (trust_server_without_checking_identity)\n",
            origin);
        post->told = 1;
    }
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no wait for a 100 before the body */
    for (int i = 0; list && headers && headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(list, headers[i]);
        if (!longer)
            curl_slist_free_all(list);
        list = longer;
    }
    if (!list)
        return mem_fail(diag, 0, "a request");
    r->headers = list;
    begin_transfer(r, url);
    if (curl_multi_add_handle(post->multi, r->easy) != CURLM_OK)
        return mem_fail(diag, 0, "a request");
    r->busy = 1;
    return OK;
}

/* 1 when the answer is a redirect to where it came from, and the request is under way again. */
static int follow(struct request *r)
{
    long status = 0;
    char *to = NULL, *from = NULL, here[512], there[512], url[URL_MAX];
    int plain, local;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &to);
    curl_easy_getinfo(r->easy, CURLINFO_EFFECTIVE_URL, &from);
    if ((status != 301 && status != 302 && status != 307 && status != 308) || !to || !from ||
        r->redirects >= REDIRECTS_MAX || !origin_of(from, here, &plain, &local) ||
        !origin_of(to, there, &plain, &local) || strcmp(here, there) != 0 ||
        snprintf(url, sizeof url, "%s", to) >= (int)sizeof url)
        return 0;
    r->redirects++;
    begin_transfer(r, url);
    return curl_multi_add_handle(r->post->multi, r->easy) == CURLM_OK;
}

static void ended(struct request *r, CURLcode code)
{
    const char *why = r->error[0] ? r->error : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        if (!follow(r))
            finish(r, HTTP_ANSWERED, "");
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        finish(r, HTTP_NOT_REACHED, why);
        break;
    case CURLE_OPERATION_TIMEDOUT: {
        curl_off_t sent = 0;
        curl_easy_getinfo(r->easy, CURLINFO_PRETRANSFER_TIME_T, &sent); /* 0: not even the head went out */
        finish(r, sent ? HTTP_LOST : HTTP_NOT_REACHED, why);
        break;
    }
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
        finish(r, code == CURLE_SSL_CONNECT_ERROR ? HTTP_NOT_REACHED : HTTP_NOT_TRUSTED, why);
        break;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        finish(r, HTTP_SETTING, why);
        break;
    default:
        finish(r, HTTP_LOST, why);
    }
}

enum err http_post_step(struct http_post *post, int wait_ms, struct diag *diag)
{
    int running = 0, left = 0;
    CURLMcode code = curl_multi_perform(post->multi, &running);
    if (code == CURLM_OK && running && wait_ms > 0) {
        code = curl_multi_poll(post->multi, NULL, 0, wait_ms, NULL);
        if (code == CURLM_OK)
            code = curl_multi_perform(post->multi, &running);
    }
    if (code == CURLM_OUT_OF_MEMORY)
        return mem_fail(diag, 0, "a request");
    if (code != CURLM_OK)
        return diag_set(diag, ERR_MACHINE, "curl", NULL, "libcurl: %s", curl_multi_strerror(code));
    CURLMsg *message;
    while ((message = curl_multi_info_read(post->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            struct request *r = NULL;
            CURLcode result = message->data.result;
            CURL *easy = message->easy_handle;
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
            curl_multi_remove_handle(post->multi, easy);
            if (result == CURLE_OUT_OF_MEMORY) {
                r->busy = 0;
                return mem_fail(diag, 0, "a request");
            }
            ended(r, result);
        }
    return OK;
}
