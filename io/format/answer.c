/* io/format/answer.c: see answer.h */
#include "io/format/answer.h"
#include "core/base/mem.h"
#include <expat.h>
#include <jansson.h>
#include <string.h>

enum { VALUE_MAX = 256, MEMBER_DEPTH = 2 };

struct xml_answer {
    const char *wanted;
    char value[VALUE_MAX + 1]; /* of the member at hand */
    size_t size;               /* more than VALUE_MAX: too long to be any text */
    int depth, is_said;
};

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct xml_answer *a = context;
    (void)name, (void)attributes;
    a->depth++;
    a->size = a->depth == MEMBER_DEPTH ? 0 : VALUE_MAX + 1; /* what holds elements has no value */
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size)
{
    struct xml_answer *a = context;
    const size_t n = (size_t)size;
    if (a->depth == MEMBER_DEPTH && a->size <= VALUE_MAX && n <= VALUE_MAX - a->size)
        memcpy(a->value + a->size, text, n);
    a->size += a->size <= VALUE_MAX ? n : 0;
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    struct xml_answer *a = context;
    (void)name;
    if (a->depth == MEMBER_DEPTH && a->size == strlen(a->wanted) && memcmp(a->value, a->wanted, a->size) == 0)
        a->is_said = 1;
    a->depth--;
    a->size = VALUE_MAX + 1;
}

static int xml_says(const char *bytes, size_t size, const char *text)
{
    static const XML_Memory_Handling_Suite memory = {mem_take, mem_grow, mem_give};
    struct xml_answer answer = {.wanted = text};
    XML_Parser parser = strlen(text) <= VALUE_MAX ? XML_ParserCreate_MM(NULL, &memory, NULL) : NULL;
    if (!parser)
        return 0; /* then it is no bill either, and refused as that */
    XML_SetUserData(parser, &answer);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    const int is_whole = XML_Parse(parser, bytes, (int)size, 1) == XML_STATUS_OK;
    XML_ParserFree(parser);
    return is_whole && answer.is_said;
}

static int json_says(const char *bytes, size_t size, const char *text)
{
    json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *name;
    int is_said = 0;
    json_object_foreach(root, name, value) is_said |=
        json_is_string(value) && strcmp(json_string_value(value), text) == 0;
    json_decref(root);
    return is_said;
}

int answer_says(const uint8_t *bytes, size_t size, const char *text)
{
    static const char BLANKS[] = " \t\r\n";
    const char *p = (const char *)bytes;
    if (size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        size -= 3;
    }
    while (size && strchr(BLANKS, *p) && *p)
        p++, size--;
    if (size && *p == '<')
        return xml_says(p, size, text);
    if (size && *p == '{')
        return json_says(p, size, text);
    while (size) {
        const char *newline = memchr(p, '\n', size);
        size_t line = newline ? (size_t)(newline - p) : size, next = newline ? line + 1 : size;
        while (line && strchr(BLANKS, p[line - 1]) && p[line - 1])
            line--;
        if (line == strlen(text) && memcmp(p, text, line) == 0)
            return 1;
        p += next;
        size -= next;
    }
    return 0;
}
