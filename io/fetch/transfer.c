/* io/fetch/transfer.c: see transfer.h */
#include "io/fetch/transfer.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 4 << 20, CONNECT_SECONDS = 30 };

struct transfer {
    CURL *curl;
    const struct job *job;
    const struct fetch_spec *spec;
    const volatile int *interrupted;
    char password[SECRET_MAX], token[SECRET_MAX];
    char error[CURL_ERROR_SIZE];
    /* the try at hand */
    int fd, failed; /* failed: errno of a write */
    uint64_t at;
    struct transfer_mark *mark;
    int chunked, http2, looked;
    char *names;
    size_t names_size, names_room;
    int told;
};

static void path_of(const struct job *job, const char *path, char out[4096])
{
    snprintf(out, 4096, "%s%s%s", path[0] == '/' ? "" : job->directory, path[0] == '/' ? "" : "/", path);
}

/* libcurl asks it some times a second. */
static int is_to_stop(void *context, curl_off_t all_down, curl_off_t down, curl_off_t all_up, curl_off_t up)
{
    const struct transfer *t = context;
    (void)all_down, (void)down, (void)all_up, (void)up;
    return t->interrupted && *t->interrupted;
}

enum err transfer_open(struct transfer **out, const struct job *job, const struct fetch_spec *spec,
                       const volatile int *interrupted, struct diag *diag)
{
    *out = NULL;
    struct transfer *t = mem_take_zero(1, sizeof *t);
    if (!t)
        return mem_fail(diag, sizeof *t, "a transfer");
    t->job = job;
    t->spec = spec;
    t->interrupted = interrupted;
    enum err err = secret_read(t->password, spec->password, job->directory, diag);
    if (err == OK)
        err = secret_read(t->token, spec->token, job->directory, diag);
    if (err == OK && spec->key) {
        char path[4096];
        path_of(job, spec->key, path);
        err = secret_check_file(path, diag);
    }
    if (err == OK && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        err = diag_set(diag, ERR_MACHINE, "curl", NULL, "libcurl cannot start");
    if (err == OK && !(t->curl = curl_easy_init()))
        err = mem_fail(diag, 0, "a transfer");
    if (err != OK) {
        transfer_close(t);
        return err;
    }
    *out = t;
    return OK;
}

void transfer_close(struct transfer *t)
{
    if (!t)
        return;
    if (t->curl)
        curl_easy_cleanup(t->curl);
    secret_wipe(t->password);
    secret_wipe(t->token);
    mem_give(t->names);
    mem_give(t);
}

static size_t put(char *bytes, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    size_t size = one * count;
    int error = sys_pwrite_full(t->fd, bytes, size, t->at);
    if (error) {
        t->failed = -error;
        return 0;
    }
    t->at += size;
    return size;
}

/* The first byte is there, so all that the server says was said: no more is wanted. */
static size_t put_nothing(char *bytes, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    (void)bytes;
    t->looked = one * count != 0;
    return t->looked ? 0 : one * count;
}

static size_t put_names(char *bytes, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    size_t size = one * count;
    if (t->names_size + size + 1 > t->names_room) {
        size_t room = (t->names_size + size + 1) * 2;
        char *grown = room > LIST_MAX ? NULL : mem_grow(t->names, room);
        if (!grown) {
            t->failed = room > LIST_MAX ? EFBIG : ENOMEM;
            return 0;
        }
        t->names = grown;
        t->names_room = room;
    }
    memcpy(t->names + t->names_size, bytes, size);
    t->names_size += size;
    t->names[t->names_size] = 0;
    return size;
}

static size_t note_header(char *line, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    size_t size = one * count;
    if (size > 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* of each answer, redirects included */
        t->chunked = 0;
        t->http2 = line[5] >= '2';
        if (t->mark)
            t->mark->etag[0] = 0;
    } else if (size > 18 && strncasecmp(line, "transfer-encoding:", 18) == 0) {
        t->chunked = 1;
    } else if (t->mark && size > 5 && strncasecmp(line, "etag:", 5) == 0) {
        const char *from = line + 5, *end = line + size;
        while (from < end && *from == ' ')
            from++;
        while (end > from && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
            end--;
        size_t n = (size_t)(end - from);
        if (n < sizeof t->mark->etag && n > 2 && *from == '"') { /* weak ones say nothing of bytes */
            memcpy(t->mark->etag, from, n);
            t->mark->etag[n] = 0;
        }
    }
    return size;
}

static int begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Everything that does not depend on the file, and who the server must be. */
static enum err prepare(struct transfer *t, const char *url, int64_t seconds_left, struct diag *diag)
{
    const struct fetch_spec *spec = t->spec;
    CURL *curl = t->curl;
    char path[4096];
    curl_easy_reset(curl);
    int sftp = begins(url, "sftp://"), plain = begins(url, "http://") || begins(url, "ftp://");
    int ftp_tls = begins(url, "ftpes://"); /* TLS on the ordinary port; libcurl has no scheme for it */
    if (sftp && !spec->host_key && !spec->known_hosts && !spec->trust_without_identity)
        return diag_set(diag, ERR_USAGE, "fetch.identity",
                        "ask its owner for the host key's fingerprint, and write host_key: SHA256:... or "
                        "known_hosts: FILE",
                        "%s: nothing says who this server must be, so no password goes there", url);
    if (plain && !spec->trust_without_identity)
        return diag_set(
            diag, ERR_USAGE, "fetch.identity",
            "use https, ftps or sftp; or write trust_server_without_checking_identity: true, and mean it",
            "%s: a connection without encryption: anybody on the way may read the password and change the "
            "bill",
            url);
    if (spec->trust_without_identity && !t->told) {
        fprintf(
            stderr,
            "warning: %s: the server's identity is not checked (trust_server_without_checking_identity)\n",
            url);
        t->told = 1;
    }
    char ftp_url[4096];
    snprintf(ftp_url, sizeof ftp_url, "ftp://%s", ftp_tls ? url + strlen("ftpes://") : "");
    curl_easy_setopt(curl, CURLOPT_URL, ftp_tls ? ftp_url : url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
    t->error[0] = 0;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_to_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "sftp,ftp,ftps,http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, begins(url, "http://") ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT,
                     (long)(seconds_left < CONNECT_SECONDS ? seconds_left : CONNECT_SECONDS));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)(seconds_left > 0 ? seconds_left : 1));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)spec->stall_s);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tieout/" TIEOUT_VERSION);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, spec->trust_without_identity ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, spec->trust_without_identity ? 0L : 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (spec->ca) {
        path_of(t->job, spec->ca, path);
        curl_easy_setopt(curl, CURLOPT_CAINFO, path);
    }
    if (begins(url, "ftp")) {
        curl_easy_setopt(curl, CURLOPT_USE_SSL,
                         (long)(begins(url, "ftp://") ? CURLUSESSL_NONE : CURLUSESSL_ALL));
        curl_easy_setopt(curl, CURLOPT_FTP_FILEMETHOD, (long)CURLFTPMETHOD_SINGLECWD);
    }
    if (sftp) {
        if (spec->host_key)
            curl_easy_setopt(curl, CURLOPT_SSH_HOST_PUBLIC_KEY_SHA256, spec->host_key + strlen("SHA256:"));
        if (spec->known_hosts) { /* libcurl then refuses a key that is not in it, or another one */
            path_of(t->job, spec->known_hosts, path);
            curl_easy_setopt(curl, CURLOPT_SSH_KNOWNHOSTS, path);
        }
        curl_easy_setopt(
            curl, CURLOPT_SSH_AUTH_TYPES,
            (long)(spec->key ? CURLSSH_AUTH_PUBLICKEY : CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD));
        if (spec->key) {
            path_of(t->job, spec->key, path);
            curl_easy_setopt(curl, CURLOPT_SSH_PRIVATE_KEYFILE, path);
            curl_easy_setopt(curl, CURLOPT_KEYPASSWD, t->password);
        }
    }
    if (spec->user)
        curl_easy_setopt(curl, CURLOPT_USERNAME, spec->user);
    if (t->password[0] && !spec->key)
        curl_easy_setopt(curl, CURLOPT_PASSWORD, t->password);
    if (t->token[0] && !sftp) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, t->token);
    }
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, note_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    return OK;
}

/* What libcurl's answer means for the next try. */
static enum transfer_end judge(struct transfer *t, CURLcode code, const char *url, struct diag *diag)
{
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    const char *why = t->error[0] ? t->error : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        return TRANSFER_WHOLE;
    case CURLE_WRITE_ERROR:
        if (t->failed)
            diag_set_errno(diag, t->failed, "fetch.write", "%s: cannot keep what comes", url);
        else
            diag_set(diag, ERR_MACHINE, "fetch.write", NULL, "%s: %s", url, why);
        return TRANSFER_FAILED;
    case CURLE_OUT_OF_MEMORY:
        mem_fail(diag, 0, "a transfer");
        return TRANSFER_FAILED;
    case CURLE_RANGE_ERROR:
    case CURLE_BAD_DOWNLOAD_RESUME:
        diag_set(diag, ERR_PEER, "fetch.changed", NULL, "%s: it cannot be gone on with: %s", url, why);
        return TRANSFER_CHANGED;
    case CURLE_HTTP_RETURNED_ERROR:
        diag_set(diag, ERR_PEER, status == 404 || status == 410 ? "fetch.missing" : "fetch.http",
                 status == 401 || status == 403 ? "is the user, password or token the right one?"
                 : status == 404 ? "is the bill ready at this time? not_before: says when to begin"
                                 : NULL,
                 "%s: the server answers %ld", url, status);
        return status == 416                                                      ? TRANSFER_CHANGED
               : status == 404 || status == 410                                   ? TRANSFER_MISSING
               : status >= 500 || status == 408 || status == 425 || status == 429 ? TRANSFER_AGAIN
                                                                                  : TRANSFER_REFUSED;
    case CURLE_REMOTE_FILE_NOT_FOUND:
    case CURLE_FTP_COULDNT_RETR_FILE:
    case CURLE_REMOTE_ACCESS_DENIED: /* FTP says this of a folder that is not there */
        diag_set(diag, ERR_PEER, "fetch.missing",
                 "is the bill ready at this time? not_before: says when to begin",
                 "%s: there is no such file (%s)", url, why);
        return TRANSFER_MISSING;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_USE_SSL_FAILED:
        diag_set(diag, ERR_PEER, "fetch.identity",
                 "is this the right server? Ask its owner before you change what the job trusts",
                 "%s: the server is not who it should be, and nothing was told to it: %s", url, why);
        return TRANSFER_REFUSED;
    case CURLE_LOGIN_DENIED:
    case CURLE_AUTH_ERROR:
        diag_set(diag, ERR_PEER, "fetch.login", "is the user, password, key or token the right one?",
                 "%s: the server does not let us in: %s", url, why);
        return TRANSFER_REFUSED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_NOT_BUILT_IN:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_TOO_MANY_REDIRECTS:
        diag_set(diag, ERR_USAGE, "fetch.url", NULL, "%s: %s", url, why);
        return TRANSFER_REFUSED;
    default:
        diag_set(diag, ERR_PEER, "fetch.transfer", NULL, "%s: %s", url, why);
        return TRANSFER_AGAIN;
    }
}

enum transfer_end transfer_get(struct transfer *t, const char *url, int fd, uint64_t *done,
                               struct transfer_mark *mark, int64_t seconds_left, struct diag *diag)
{
    const struct transfer_mark before = *mark;
    const uint64_t from = *done;
    if (prepare(t, url, seconds_left, diag) != OK)
        return TRANSFER_REFUSED;
    CURL *curl = t->curl;
    t->fd = fd;
    t->failed = 0;
    t->at = from;
    t->mark = mark;
    *mark = (struct transfer_mark){.size = -1, .time = -1};
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, put);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_FILETIME, 1L);
    struct curl_slist *headers = NULL;
    if (from) {
        curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)from);
        /* A file that changed comes whole, which libcurl takes for a range that was not given. */
        char line[200];
        snprintf(line, sizeof line, "If-Range: %s", before.etag);
        if (before.etag[0])
            headers = curl_slist_append(NULL, line);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    curl_off_t length = -1, file_time = -1;
    curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(curl, CURLINFO_FILETIME_T, &file_time);
    t->mark = NULL;
    *done = t->at;
    mark->size = length < 0 ? -1 : (int64_t)length + (int64_t)from;
    mark->time = file_time;
    enum transfer_end end = judge(t, code, url, diag);
    if (from && (end == TRANSFER_WHOLE || (end == TRANSFER_AGAIN && t->at > from)) &&
        transfer_marks_differ(&before, mark)) {
        diag_set(diag, ERR_PEER, "fetch.changed", NULL, "%s: it changed between two tries", url);
        return TRANSFER_CHANGED;
    }
    if (end == TRANSFER_AGAIN && mark->size < 0 &&
        from) /* said nothing this time: what was said before holds */
        *mark = before;
    if (end == TRANSFER_WHOLE && mark->size >= 0 && (uint64_t)mark->size != *done) {
        diag_set(diag, ERR_PEER, "fetch.cut", NULL, "%s: %llu of %lld bytes came", url,
                 (unsigned long long)*done, (long long)mark->size);
        return TRANSFER_AGAIN;
    }
    if (end == TRANSFER_WHOLE && mark->size < 0 && begins(url, "http") && !t->chunked && !t->http2 &&
        !t->spec->checksum) {
        diag_set(diag, ERR_INPUT, "fetch.length",
                 "give a checksum: with the file beside it, e.g. checksum: .sha256",
                 "%s: the server does not say how long the file is, so nobody can tell whether it is whole",
                 url);
        return TRANSFER_REFUSED;
    }
    return end;
}

int transfer_marks_differ(const struct transfer_mark *a, const struct transfer_mark *b)
{
    return (a->size >= 0 && b->size >= 0 && a->size != b->size) ||
           (a->time >= 0 && b->time >= 0 && a->time != b->time) ||
           (a->etag[0] && b->etag[0] && strcmp(a->etag, b->etag) != 0);
}

enum transfer_end transfer_look(struct transfer *t, const char *url, struct transfer_mark *mark,
                                int64_t seconds_left, struct diag *diag)
{
    if (prepare(t, url, seconds_left, diag) != OK)
        return TRANSFER_REFUSED;
    t->failed = 0;
    t->looked = 0;
    t->mark = mark;
    *mark = (struct transfer_mark){.size = -1, .time = -1};
    if (!begins(url, "sftp://")) /* of SFTP libcurl knows no such thing; the first byte ends it */
        curl_easy_setopt(t->curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, put_nothing);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_FILETIME, 1L);
    CURLcode code = curl_easy_perform(t->curl);
    curl_off_t length = -1, file_time = -1;
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(t->curl, CURLINFO_FILETIME_T, &file_time);
    t->mark = NULL;
    mark->size = length;
    mark->time = file_time;
    return t->looked ? TRANSFER_WHOLE : judge(t, code, url, diag);
}

enum transfer_end transfer_list(struct transfer *t, const char *url, char **names, int64_t seconds_left,
                                struct diag *diag)
{
    *names = NULL;
    if (prepare(t, url, seconds_left, diag) != OK)
        return TRANSFER_REFUSED;
    t->failed = 0;
    t->names_size = 0;
    t->mark = NULL;
    curl_easy_setopt(t->curl, CURLOPT_DIRLISTONLY, 1L);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, put_names);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    CURLcode code = curl_easy_perform(t->curl);
    if (code == CURLE_OK && !t->names) { /* an empty folder */
        t->names = mem_copy_text("", 0);
        if (!t->names) {
            mem_fail(diag, 1, "a folder's names");
            return TRANSFER_FAILED;
        }
        t->names_room = 1;
    }
    enum transfer_end end = judge(t, code, url, diag);
    if (end == TRANSFER_WHOLE) {
        *names = t->names;
        t->names = NULL;
        t->names_room = 0;
    }
    return end;
}
