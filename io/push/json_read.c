/* io/push/json_read.c: see json_read.h */
#include "io/push/json_read.h"
#include "core/base/mem.h"
#include <jansson.h>
#include <stdio.h>

struct json_read {
    json_t *root;
    char number[64];
};

struct json_read *json_read_open(struct span json)
{
    json_error_t error;
    if (json.size > 1 << 20)
        return NULL;
    json_t *root = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    struct json_read *read = json_is_object(root) ? mem_take_zero(1, sizeof *read) : NULL;
    if (!read) {
        json_decref(root);
        return NULL;
    }
    read->root = root;
    return read;
}

void json_read_close(struct json_read *read)
{
    if (!read)
        return;
    json_decref(read->root);
    mem_give(read);
}

int json_read_member(struct json_read *read, const char *path, struct span *out)
{
    const json_t *at = read->root;
    char name[128];
    while (*path) {
        size_t size = strcspn(path, ".");
        if (size >= sizeof name || !json_is_object(at))
            return 0;
        memcpy(name, path, size);
        name[size] = 0;
        at = json_object_get(at, name);
        path += size + (path[size] == '.');
    }
    switch (at ? json_typeof(at) : JSON_OBJECT) {
    case JSON_STRING:
        *out = (struct span){json_string_value(at), json_string_length(at)};
        return 1;
    case JSON_INTEGER:
        snprintf(read->number, sizeof read->number, "%lld", (long long)json_integer_value(at));
        break;
    case JSON_REAL:
        snprintf(read->number, sizeof read->number, "%.15g", json_real_value(at));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        snprintf(read->number, sizeof read->number, "%s",
                 json_is_true(at)    ? "true"
                 : json_is_false(at) ? "false"
                                     : "null");
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
    default:
        return 0;
    }
    *out = span_of(read->number);
    return 1;
}
