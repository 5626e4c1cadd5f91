/* io/net/lazy.c: libcurl and libmariadb, loaded when they are first called.
 *
 * Together they bring thirty libraries along, which makes every start 4 ms longer (7.3 against 3.1 ms); a run that
 * reads files needs none of them. The functions below have the libraries' names, so their callers need not know:
 * each loads its library once and goes on to the real one. Where a library is not installed, curl_global_init and
 * mysql_init fail, and with them all that needs it. Threads: any.
 *
 * What is not in the lists is not to be called: the program then does not link.
 */
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#if defined(TIEOUT_MYSQL)
#include <mysql.h>
#endif

struct call {
    const char *name;
    void **at;
};

/* 1 when all of them are there. A library stays loaded until the process ends. */
static int load(const char *soname, const struct call *calls, size_t count)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < count; i++)
        if (!(*calls[i].at = dlsym(library, calls[i].name)))
            return 0;
    return library != NULL;
}

#define POINTER(name) static __typeof__(name) *real_##name;
#define CALL(name) {#name, (void **)&real_##name},

/* What needs a handle that only the loaded library can have given. */
#define FORWARD(result, name, parameters, arguments)                                                         \
    result name parameters                                                                                   \
    {                                                                                                        \
        return real_##name arguments;                                                                        \
    }

/* Header macros of the same names, which count arguments. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CURL_CALLS(X)                                                                                        \
    X(curl_global_init)                                                                                      \
    X(curl_easy_init)                                                                                        \
    X(curl_easy_setopt)                                                                                      \
    X(curl_easy_perform)                                                                                     \
    X(curl_easy_getinfo)                                                                                     \
    X(curl_easy_reset)                                                                                       \
    X(curl_easy_cleanup)                                                                                     \
    X(curl_easy_strerror)                                                                                    \
    X(curl_slist_append)                                                                                     \
    X(curl_slist_free_all)                                                                                   \
    X(curl_free)                                                                                             \
    X(curl_url)                                                                                              \
    X(curl_url_set)                                                                                          \
    X(curl_url_get)                                                                                          \
    X(curl_url_cleanup)                                                                                      \
    X(curl_multi_init)                                                                                       \
    X(curl_multi_add_handle)                                                                                 \
    X(curl_multi_remove_handle)                                                                              \
    X(curl_multi_perform)                                                                                    \
    X(curl_multi_poll)                                                                                       \
    X(curl_multi_info_read)                                                                                  \
    X(curl_multi_strerror)                                                                                   \
    X(curl_multi_cleanup)
CURL_CALLS(POINTER)
static const struct call curl_calls[] = {CURL_CALLS(CALL)};
static int curl_loaded;
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void load_curl(void)
{
    curl_loaded = load("libcurl.so.4", curl_calls, sizeof curl_calls / sizeof *curl_calls);
}

static int curl(void)
{
    pthread_once(&curl_once, load_curl);
    return curl_loaded;
}

CURLcode curl_global_init(long flags)
{
    return curl() ? real_curl_global_init(flags) : CURLE_FAILED_INIT;
}
CURL *curl_easy_init(void)
{
    return curl() ? real_curl_easy_init() : NULL;
}
/* From here on there is a handle, and so the library. An option's value is a long, a pointer or a curl_off_t: eight
 * bytes each where tieout runs. */
_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *), "one kind of value");
CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...)
{
    va_list values;
    va_start(values, option);
    void *value = va_arg(values, void *);
    va_end(values);
    return real_curl_easy_setopt(handle, option, value);
}
CURLcode curl_easy_getinfo(CURL *handle, CURLINFO info, ...)
{
    va_list values;
    va_start(values, info);
    void *value = va_arg(values, void *);
    va_end(values);
    return real_curl_easy_getinfo(handle, info, value);
}
FORWARD(CURLcode, curl_easy_perform, (CURL * handle), (handle))
FORWARD(CURLMcode, curl_multi_add_handle, (CURLM * multi, CURL *handle), (multi, handle))
FORWARD(CURLMcode, curl_multi_remove_handle, (CURLM * multi, CURL *handle), (multi, handle))
FORWARD(CURLMcode, curl_multi_perform, (CURLM * multi, int *running), (multi, running))
FORWARD(CURLMcode, curl_multi_poll,
        (CURLM * multi, struct curl_waitfd *extra, unsigned int count, int timeout_ms, int *ready),
        (multi, extra, count, timeout_ms, ready))
FORWARD(CURLMsg *, curl_multi_info_read, (CURLM * multi, int *left), (multi, left))
FORWARD(CURLUcode, curl_url_set, (CURLU * url, CURLUPart part, const char *text, unsigned int flags),
        (url, part, text, flags))
FORWARD(CURLUcode, curl_url_get, (CURLU * url, CURLUPart part, char **text, unsigned int flags),
        (url, part, text, flags))
CURLM *curl_multi_init(void)
{
    return curl() ? real_curl_multi_init() : NULL;
}
const char *curl_multi_strerror(CURLMcode code)
{
    return curl() ? real_curl_multi_strerror(code) : "libcurl is not installed";
}
CURLMcode curl_multi_cleanup(CURLM *multi)
{
    return multi ? real_curl_multi_cleanup(multi) : CURLM_BAD_HANDLE;
}
CURLU *curl_url(void)
{
    return curl() ? real_curl_url() : NULL;
}
void curl_url_cleanup(CURLU *url)
{
    if (url)
        real_curl_url_cleanup(url);
}
void curl_free(void *memory)
{
    if (memory)
        real_curl_free(memory);
}
void curl_easy_reset(CURL *handle)
{
    real_curl_easy_reset(handle);
}
void curl_easy_cleanup(CURL *handle)
{
    if (handle)
        real_curl_easy_cleanup(handle);
}
const char *curl_easy_strerror(CURLcode code)
{
    return curl() ? real_curl_easy_strerror(code) : "libcurl is not installed";
}
struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    return curl() ? real_curl_slist_append(list, text) : NULL;
}
void curl_slist_free_all(struct curl_slist *list)
{
    if (list)
        real_curl_slist_free_all(list);
}

#if defined(TIEOUT_MYSQL)

#define MYSQL_CALLS(X)                                                                                       \
    X(mysql_init)                                                                                            \
    X(mysql_options)                                                                                         \
    X(mysql_real_connect)                                                                                    \
    X(mysql_close)                                                                                           \
    X(mysql_errno)                                                                                           \
    X(mysql_error)                                                                                           \
    X(mysql_real_query)                                                                                      \
    X(mysql_store_result)                                                                                    \
    X(mysql_use_result)                                                                                      \
    X(mysql_free_result)                                                                                     \
    X(mysql_fetch_row)                                                                                       \
    X(mysql_fetch_lengths)                                                                                   \
    X(mysql_fetch_field_direct)                                                                              \
    X(mysql_field_count)                                                                                     \
    X(mysql_num_fields)                                                                                      \
    X(mysql_get_server_info)                                                                                 \
    X(mysql_get_socket)                                                                                      \
    X(mysql_real_escape_string)                                                                              \
    X(mysql_net_read_packet)                                                                                 \
    X(mariadb_cancel)
MYSQL_CALLS(POINTER)
static const struct call mysql_calls[] = {MYSQL_CALLS(CALL)};
static int mysql_loaded;
static pthread_once_t mysql_once = PTHREAD_ONCE_INIT;

static void load_mysql(void)
{
    mysql_loaded = load("libmariadb.so.3", mysql_calls, sizeof mysql_calls / sizeof *mysql_calls);
}

MYSQL *mysql_init(MYSQL *mysql)
{
    pthread_once(&mysql_once, load_mysql);
    return mysql_loaded ? real_mysql_init(mysql) : NULL;
}
/* From here on there is a connection, and so the library. */
FORWARD(int, mysql_options, (MYSQL * mysql, enum mysql_option option, const void *value),
        (mysql, option, value))
FORWARD(MYSQL *, mysql_real_connect,
        (MYSQL * mysql, const char *host, const char *user, const char *password, const char *database,
         unsigned int port, const char *socket, unsigned long flags),
        (mysql, host, user, password, database, port, socket, flags))
FORWARD(unsigned int, mysql_errno, (MYSQL * mysql), (mysql))
FORWARD(const char *, mysql_error, (MYSQL * mysql), (mysql))
FORWARD(int, mysql_real_query, (MYSQL * mysql, const char *text, unsigned long size), (mysql, text, size))
FORWARD(MYSQL_RES *, mysql_store_result, (MYSQL * mysql), (mysql))
FORWARD(MYSQL_RES *, mysql_use_result, (MYSQL * mysql), (mysql))
FORWARD(MYSQL_ROW, mysql_fetch_row, (MYSQL_RES * result), (result))
FORWARD(unsigned long *, mysql_fetch_lengths, (MYSQL_RES * result), (result))
FORWARD(MYSQL_FIELD *, mysql_fetch_field_direct, (MYSQL_RES * result, unsigned int number), (result, number))
FORWARD(unsigned int, mysql_field_count, (MYSQL * mysql), (mysql))
FORWARD(unsigned int, mysql_num_fields, (MYSQL_RES * result), (result))
FORWARD(char *, mysql_get_server_info, (MYSQL * mysql), (mysql))
FORWARD(my_socket, mysql_get_socket, (MYSQL * mysql), (mysql))
FORWARD(unsigned long, mysql_real_escape_string,
        (MYSQL * mysql, char *to, const char *from, unsigned long size), (mysql, to, from, size))
FORWARD(unsigned long, mysql_net_read_packet, (MYSQL * mysql), (mysql))
FORWARD(int, mariadb_cancel, (MYSQL * mysql), (mysql))
void mysql_close(MYSQL *mysql)
{
    real_mysql_close(mysql);
}
void mysql_free_result(MYSQL_RES *result)
{
    if (result)
        real_mysql_free_result(result);
}

#endif
