/* core/config/yaml.h: a small YAML file as a tree that is only read.
 *
 * Every node knows its line and column (from 1), and every scalar is the text as it was written: 0.50 stays
 * "0.50", and no, null and 2026-01-01 are words like any other. yaml.c is the one file that knows which
 * library reads YAML.
 *
 * What a job file has no use for is refused with its place: anchors and aliases, tags, a second document,
 * keys that are not plain words, a key that is given twice, tabs as indentation, more than YAML_BYTES_MAX
 * bytes, YAML_DEPTH_MAX levels or YAML_ENTRIES_MAX entries in one list or map.
 *
 * Memory: nodes and texts live in the caller's arena. Threads: one owner while reading, any afterwards.
 */
#ifndef TIEOUT_CORE_CONFIG_YAML_H
#define TIEOUT_CORE_CONFIG_YAML_H

#include "core/base/arena.h"
#include "core/base/diag.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 24, YAML_ENTRIES_MAX = 4096 };
enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    int line, column;
    const char *text; /* a scalar's, NUL-terminated, without a NUL inside; NULL for lists and maps */
    int quoted;       /* the scalar stood in quotes or in a block */
    const char *key;  /* of an entry of a map; NULL in lists */
    int key_line, key_column;
    struct yaml_node *first, *next; /* children, in the order of the file */
    int count;
};

/* Reads the file. ERR_USAGE with file:line:column in the diag when it cannot be read as described above. */
enum err yaml_read(struct yaml_node **root, struct arena *arena, const char *path, struct diag *diag);

/* The same of a text at hand; `path` is what messages call it. */
enum err yaml_read_text(struct yaml_node **root, struct arena *arena, const char *path, struct span text,
                        struct diag *diag);

/* The entry of a map with this key; NULL when there is none, or `map` is NULL or no map. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* "a list", "a map", "empty" or "a text", for messages. */
const char *yaml_kind_text(const struct yaml_node *node);

#endif
