/* io/filter/inflate.h: raw deflate data (RFC 1951), unpacked a piece at a time.
 *
 *     inflate_open -> inflate_step until INFLATE_END -> (inflate_reset, for another stream) -> inflate_close
 *
 * One of two libraries stands behind it: ISA-L (inflate_isal.c), three times as fast, where it is found, else
 * zlib (inflate_zlib.c). Threads: one owner.
 */
#ifndef TIEOUT_IO_FILTER_INFLATE_H
#define TIEOUT_IO_FILTER_INFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the stream that must still stand before `in` when a step begins: what was read ahead is given back
 * at the end of the stream. */
enum { INFLATE_BACK = 16 };

enum inflate_result { INFLATE_MORE, INFLATE_END, INFLATE_BAD };

struct inflate;

struct inflate *inflate_open(void); /* NULL: no memory */
void inflate_close(struct inflate *inflate);
void inflate_reset(struct inflate *inflate);
/* Goes on until the input is used up, the room is full, or the stream ends; moves `in` and `out` on. */
enum inflate_result inflate_step(struct inflate *inflate, const uint8_t **in, size_t *in_size, uint8_t **out,
                                 size_t *room);

#endif
