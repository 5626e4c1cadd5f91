/* io/net/evp.c: see evp.h */
#include "io/net/evp.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

static struct evp evp;
static int loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define CALL(name) {#name, (void **)&evp.name},

static void load(void)
{
    const struct {
        const char *name;
        void **at;
    } calls[] = {EVP_CALLS(CALL)};
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < sizeof calls / sizeof *calls; i++)
        if (!(*calls[i].at = dlsym(library, calls[i].name)))
            return;
    loaded = library != NULL;
}

const struct evp *evp_get(void)
{
    pthread_once(&once, load);
    return loaded ? &evp : NULL;
}
