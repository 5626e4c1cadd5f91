/* core/config/yaml.c: see yaml.h */
#include "core/config/yaml.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (const struct yaml_node *child = map->first; child; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

const char *yaml_kind_text(const struct yaml_node *node)
{
    if (node->kind == YAML_LIST)
        return "a list";
    if (node->kind == YAML_MAP)
        return "a map";
    return node->text[0] ? "a text" : "nothing";
}

/* Reads the whole file, at most YAML_BYTES_MAX bytes; a NUL is put behind them. */
static enum err read_bytes(const char *path, char **bytes, size_t *size, struct diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int errnum = errno;
        if (errnum == ENOENT || errnum == ENOTDIR || errnum == EACCES || errnum == ELOOP ||
            errnum == ENAMETOOLONG)
            return diag_set(diag, ERR_USAGE, "job.read",
                            "give the path of a job file, e.g. tieout check job.yaml",
                            "%s: the job file cannot be opened: %s", path, strerror(errnum));
        return diag_set_errno(diag, errnum, "job.read", "%s: cannot open the job file", path);
    }
    struct stat st;
    enum err err = OK;
    if (fstat(fd, &st) != 0)
        err = diag_set_errno(diag, errno, "job.read", "%s", path);
    else if (!S_ISREG(st.st_mode))
        err = diag_set(diag, ERR_USAGE, "job.read", "give the path of a job file",
                       "%s: is not a regular file", path);
    char *room = err == OK ? mem_take(YAML_BYTES_MAX + 2) : NULL;
    if (err == OK && !room)
        err = mem_fail(diag, YAML_BYTES_MAX + 2, "a job file");
    size_t held = 0;
    while (err == OK && held <= YAML_BYTES_MAX) {
        ssize_t n = read(fd, room + held, YAML_BYTES_MAX + 1 - held);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            err = diag_set_errno(diag, errno, "job.read", "%s", path);
        else if (n > 0)
            held += (size_t)n;
    }
    close(fd);
    if (err == OK && held > YAML_BYTES_MAX)
        err = diag_set(diag, ERR_USAGE, "job.size", "is this a job file, or a bill?",
                       "%s: larger than %d bytes, the limit for a job file", path, YAML_BYTES_MAX);
    if (err != OK) {
        mem_give(room);
        return err;
    }
    room[held] = 0;
    *bytes = room;
    *size = held;
    return OK;
}

/* What can be said better before the YAML library sees the bytes. It also takes invalid UTF-8 for the end of
 * the input, without a word, so that has to be found here. */
static enum err check_bytes(const char *path, const char *bytes, size_t size, struct diag *diag)
{
    if (size >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0))
        return diag_set(diag, ERR_USAGE, "job.charset", "save it as UTF-8",
                        "%s:1:1: the job file is UTF-16; expected UTF-8", path);
    int line = 1, column = 1, in_indent = 1, is_comment = 0, tab_column = 0, has_text = 0;
    for (size_t i = 0; i < size; i++) {
        char c = bytes[i];
        int character = text_utf8(bytes + i, size - i);
        if (character == 0)
            return diag_set(diag, ERR_USAGE, "job.charset", "save it as UTF-8",
                            "%s:%d:%d: byte 0x%02x is not UTF-8", path, line, column, (unsigned char)c);
        if (((unsigned char)c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return diag_set(diag, ERR_USAGE, "job.charset", "save it as UTF-8 text",
                            "%s:%d:%d: control character 0x%02x in the job file", path, line, column,
                            (unsigned char)c);
        if (c == '\n') {
            line++;
            column = 1;
            in_indent = 1;
            is_comment = 0;
            tab_column = 0;
            continue;
        }
        if (in_indent && c == '\t' && !tab_column)
            tab_column = column;
        if (c != ' ' && c != '\t' && c != '\r') {
            if (in_indent && tab_column && c != '#')
                return diag_set(diag, ERR_USAGE, "job.yaml", "indent with spaces",
                                "%s:%d:%d: a tab in the indentation; YAML allows spaces only", path, line,
                                tab_column);
            is_comment |= in_indent && c == '#';
            has_text |= !is_comment;
            in_indent = 0;
        }
        column++;
        i += (size_t)character - 1;
    }
    if (!has_text)
        return diag_set(diag, ERR_USAGE, "job.empty", "a job file begins with `version: 1`",
                        "%s:1:1: the job file is empty", path);
    return OK;
}

struct reader {
    struct arena *arena;
    const char *path;
    struct diag *diag;
    struct yaml_node *root;
    struct yaml_node *open[YAML_DEPTH_MAX]; /* lists and maps that are not closed yet, outermost first */
    struct yaml_node *last[YAML_DEPTH_MAX]; /* the last child of each */
    int depth;
    const char *key; /* of the value that comes next; NULL when a key comes next */
    int key_line, key_column;
    int line, column; /* where the newest token began */
};

static enum err refuse(struct reader *r, const char *hint, const char *text)
{
    return diag_set(r->diag, ERR_USAGE, "job.yaml", hint, "%s:%d:%d: %s", r->path, r->line, r->column, text);
}

/* `before` is how many characters the token's own mark (a quote, & or *) takes before what the library points
 * at. */
static void note_place(struct reader *r, struct fy_token *token, int before)
{
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark) {
        r->line = mark->line + 1;
        r->column = mark->column + 1 - (mark->column >= before ? before : 0);
    }
}

static int quote_size(struct fy_token *token)
{
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
    return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

static enum err copy_text(struct reader *r, struct fy_token *token, const char **out)
{
    size_t size = 0;
    const char *text = token ? fy_token_get_text(token, &size) : "";
    if (!text)
        return mem_fail(r->diag, 0, "a job file");
    if (memchr(text, 0, size))
        return refuse(r, "take it out", "the text holds a NUL byte");
    struct span copy = arena_copy(r->arena, (struct span){text, size});
    if (!copy.data)
        return mem_fail(r->diag, size, "a job file");
    *out = copy.data;
    return OK;
}

static int expects_key(const struct reader *r)
{
    return r->depth > 0 && r->open[r->depth - 1]->kind == YAML_MAP && !r->key;
}

static enum err take_key(struct reader *r, struct fy_token *token)
{
    struct yaml_node *map = r->open[r->depth - 1];
    enum err err = copy_text(r, token, &r->key);
    if (err != OK)
        return err;
    r->key_line = r->line;
    r->key_column = r->column;
    for (const struct yaml_node *child = map->first; child; child = child->next)
        if (strcmp(child->key, r->key) == 0)
            return diag_set(r->diag, ERR_USAGE, "job.doubled", "keep one of the two",
                            "%s:%d:%d: \"%s\" is given twice; first on line %d", r->path, r->line, r->column,
                            r->key, child->key_line);
    return OK;
}

static enum err add_node(struct reader *r, enum yaml_kind kind, struct yaml_node **out)
{
    struct yaml_node *node = arena_take(r->arena, sizeof *node);
    if (!node)
        return mem_fail(r->diag, sizeof *node, "a job file");
    *node = (struct yaml_node){.kind = kind, .line = r->line, .column = r->column};
    *out = node;
    if (r->depth == 0) {
        r->root = node;
        return OK;
    }
    struct yaml_node *parent = r->open[r->depth - 1];
    if (parent->count == YAML_ENTRIES_MAX)
        return refuse(r, "is this a job file?", "more than 4096 entries in one list or map");
    if (parent->kind == YAML_MAP) {
        node->key = r->key;
        node->key_line = r->key_line;
        node->key_column = r->key_column;
        r->key = NULL;
    }
    if (parent->first)
        r->last[r->depth - 1]->next = node;
    else
        parent->first = node;
    r->last[r->depth - 1] = node;
    parent->count++;
    return OK;
}

static enum err open_node(struct reader *r, enum yaml_kind kind)
{
    if (expects_key(r))
        return refuse(r, "write `name: value`", "a list or a map cannot be the name of a setting");
    if (r->depth == YAML_DEPTH_MAX)
        return refuse(r, "is this a job file?", "nested deeper than 24 levels");
    struct yaml_node *node;
    enum err err = add_node(r, kind, &node);
    if (err != OK)
        return err;
    r->open[r->depth] = node;
    r->last[r->depth] = NULL;
    r->depth++;
    return OK;
}

static enum err take_scalar(struct reader *r, const struct fy_event_scalar_data *scalar)
{
    if (expects_key(r))
        return take_key(r, scalar->value);
    const char *text;
    enum err err = copy_text(r, scalar->value, &text);
    if (err != OK)
        return err;
    struct yaml_node *node;
    if (!text[0] && r->key && fy_token_scalar_style(scalar->value) == FYSS_PLAIN) {
        /* Nothing was written: the place to show is that of the name. */
        r->line = r->key_line;
        r->column = r->key_column;
    }
    err = add_node(r, YAML_SCALAR, &node);
    if (err != OK)
        return err;
    node->text = text;
    node->quoted = scalar->value && fy_token_scalar_style(scalar->value) != FYSS_PLAIN;
    return OK;
}

static enum err take_event(struct reader *r, struct fy_event *event, int *documents)
{
    struct fy_token *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case FYET_DOCUMENT_START:
        note_place(r, event->document_start.document_start, 0);
        if (++*documents > 1)
            return refuse(r, "one job, one file", "a second document begins here");
        return OK;
    case FYET_ALIAS:
        note_place(r, event->alias.anchor, 1);
        return refuse(r, "write the value out", "aliases (*name) are not used in job files");
    case FYET_SCALAR:
        anchor = event->scalar.anchor, tag = event->scalar.tag;
        note_place(r, event->scalar.value, quote_size(event->scalar.value));
        break;
    case FYET_SEQUENCE_START:
        anchor = event->sequence_start.anchor, tag = event->sequence_start.tag;
        note_place(r, event->sequence_start.sequence_start, 0);
        break;
    case FYET_MAPPING_START:
        anchor = event->mapping_start.anchor, tag = event->mapping_start.tag;
        note_place(r, event->mapping_start.mapping_start, 0);
        break;
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        r->depth--;
        return OK;
    default:
        return OK;
    }
    if (anchor) {
        note_place(r, anchor, 1);
        return refuse(r, "write the value out", "anchors (&name) are not used in job files");
    }
    if (tag) {
        note_place(r, tag, 0);
        return refuse(r, "take the tag out; put the value in quotes if it begins with !",
                      "tags (!name) are not used in job files");
    }
    if (event->type == FYET_SCALAR)
        return take_scalar(r, &event->scalar);
    return open_node(r, event->type == FYET_SEQUENCE_START ? YAML_LIST : YAML_MAP);
}

static enum err yaml_error(struct reader *r, struct fy_diag *fydiag)
{
    void *at = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(fydiag, &at);
    int line = error && error->line > 0 ? error->line : r->line;
    int column = error && error->line > 0 ? error->column : r->column;
    char text[300];
    snprintf(text, sizeof text, "%s", error && error->msg ? error->msg : "cannot be read");
    text[strcspn(text, "\n")] = 0;
    return diag_set(r->diag, ERR_USAGE, "job.yaml",
                    "look at the indentation, the colons and the quotes there, and just above",
                    "%s:%d:%d: not valid YAML: %s", r->path, line, column, text);
}

static enum err parse(struct reader *r, const char *bytes, size_t size)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.colorize = false;
    struct fy_diag *fydiag = fy_diag_create(&diag_cfg);
    if (!fydiag)
        return mem_fail(r->diag, 0, "a job file");
    fy_diag_set_collect_errors(fydiag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE,
                               .diag = fydiag};
    struct fy_parser *parser = fy_parser_create(&cfg);
    enum err err = OK;
    if (!parser || fy_parser_set_string(parser, bytes, size) != 0)
        err = mem_fail(r->diag, 0, "a job file");
    int documents = 0, ended = 0;
    while (err == OK && !ended) {
        struct fy_event *event = fy_parser_parse(parser);
        if (!event) {
            err = yaml_error(r, fydiag);
            break;
        }
        ended = event->type == FYET_STREAM_END;
        err = take_event(r, event, &documents);
        fy_parser_event_free(parser, event);
    }
    if (err == OK && fy_parser_get_stream_error(parser))
        err = yaml_error(r, fydiag);
    if (parser)
        fy_parser_destroy(parser);
    fy_diag_destroy(fydiag);
    return err;
}

enum err yaml_read_text(struct yaml_node **root, struct arena *arena, const char *path, struct span text,
                        struct diag *diag)
{
    *root = NULL;
    const char *bytes = text.data;
    size_t size = text.size;
    struct reader r = {.arena = arena, .path = path, .diag = diag, .line = 1, .column = 1};
    size_t bom = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    enum err err = check_bytes(path, bytes + bom, size - bom, diag);
    if (err == OK)
        err = parse(&r, bytes + bom, size - bom);
    if (err == OK && !r.root)
        err = diag_set(diag, ERR_USAGE, "job.empty", "a job file begins with `version: 1`",
                       "%s:1:1: the job file is empty", path);
    if (err == OK)
        *root = r.root;
    return err;
}

enum err yaml_read(struct yaml_node **root, struct arena *arena, const char *path, struct diag *diag)
{
    *root = NULL;
    char *bytes = NULL;
    size_t size = 0;
    enum err err = read_bytes(path, &bytes, &size, diag);
    if (err == OK)
        err = yaml_read_text(root, arena, path, (struct span){bytes, size}, diag);
    mem_give(bytes);
    return err;
}
