/* io/filter/inflate_isal.c: see inflate.h; by ISA-L */
#include "core/base/mem.h"
#include "io/filter/inflate.h"
#include <isa-l/igzip_lib.h>

struct inflate {
    struct inflate_state state;
};

struct inflate *inflate_open(void)
{
    struct inflate *inflate = mem_take(sizeof *inflate);
    if (inflate)
        isal_inflate_init(&inflate->state);
    return inflate;
}

void inflate_close(struct inflate *inflate)
{
    mem_give(inflate);
}

void inflate_reset(struct inflate *inflate)
{
    isal_inflate_reset(&inflate->state);
}

enum inflate_result inflate_step(struct inflate *inflate, const uint8_t **in, size_t *in_size, uint8_t **out,
                                 size_t *room)
{
    struct inflate_state *state = &inflate->state;
    enum { PIECE = 1 << 30 }; /* its counters have 32 bits */
    uint32_t given = *in_size > PIECE ? PIECE : (uint32_t)*in_size;
    uint32_t space = *room > PIECE ? PIECE : (uint32_t)*room;
    state->next_in = (uint8_t *)(uintptr_t)*in;
    state->avail_in = given;
    state->next_out = *out;
    state->avail_out = space;
    int error = isal_inflate(state);
    *out += space - state->avail_out;
    *room -= space - state->avail_out;
    *in += given - state->avail_in;
    *in_size -= given - state->avail_in;
    if (error < 0)
        return INFLATE_BAD;
    if (state->block_state != ISAL_BLOCK_FINISH)
        return INFLATE_MORE;
    /* It reads up to eight bytes ahead; those that it did not need belong to what follows. */
    size_t ahead = (size_t)(state->read_in_length > 0 ? state->read_in_length : 0) / 8;
    *in -= ahead;
    *in_size += ahead;
    return INFLATE_END;
}
