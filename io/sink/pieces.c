/* io/sink/pieces.c: see pieces.h */
#include "io/sink/pieces.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <string.h>

struct pieces {
    struct digest *list; /* of the sums */
    size_t left;
    char text[PIECE]; /* behind the last whole piece that was claimed */
};

enum err pieces_open(struct pieces **out, struct span head, struct diag *diag)
{
    CHECK2(head.size < PIECE, head.size, PIECE);
    *out = NULL;
    struct pieces *p = mem_take(sizeof *p);
    if (!p)
        return mem_fail(diag, sizeof *p, "writing results");
    p->list = digest_open();
    if (!p->list) {
        mem_give(p);
        return mem_fail(diag, 0, "writing results");
    }
    digest_begin(p->list);
    p->left = head.size;
    if (head.size)
        memcpy(p->text, head.data, head.size);
    *out = p;
    return OK;
}

void pieces_close(struct pieces *p)
{
    if (!p)
        return;
    digest_close(p->list);
    mem_give(p);
}

void pieces_claim(struct pieces *p, struct pieces_part *part, char *room, size_t size)
{
    const size_t all = p->left + size;
    part->count = all / PIECE;
    if (part->count) {
        char *const begin = room + PIECE - p->left;
        memcpy(begin, p->text, p->left);
        part->begin = begin;
        p->left = all % PIECE;
        memcpy(p->text, begin + part->count * PIECE, p->left);
    } else if (size) {
        memcpy(p->text + p->left, room + PIECE, size);
        p->left = all;
    }
}

enum err pieces_sum(struct pieces_part *part, struct diag *diag)
{
    if (part->count > part->room) {
        const size_t room = part->count + part->count / 4;
        mem_give(part->sums);
        part->sums = mem_take(room * sizeof *part->sums);
        part->room = part->sums ? room : 0;
        if (!part->sums)
            return mem_fail(diag, room * sizeof *part->sums, "writing results");
    }
    if (part->count)
        sha_side(part->begin, PIECE, part->count, part->sums);
    return OK;
}

void pieces_put(struct pieces *p, const struct pieces_part *part)
{
    if (part->count)
        digest_put(p->list, part->sums, part->count * sizeof *part->sums);
}

void pieces_end(struct pieces *p, char out[DIGEST_TEXT])
{
    uint8_t last[SHA_SIZE];
    if (p->left) {
        digest_sum(p->text, p->left, last);
        digest_put(p->list, last, sizeof last);
    }
    digest_end(p->list, out);
}

void pieces_part_fini(struct pieces_part *part)
{
    mem_give(part->sums);
}
