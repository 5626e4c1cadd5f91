/* io/format/crc32.h: the CRC-32 of zlib, gzip and binlogs (polynomial 0xedb88320), as fast as the machine
 * allows.
 *
 * Carry-less multiplication where the processor has it (chosen once, before main), else zlib's. Threads: any.
 */
#ifndef TIEOUT_IO_FORMAT_CRC32_H
#define TIEOUT_IO_FORMAT_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `size` bytes that follow bytes whose CRC is `crc` (0 at first). */
uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t size);

/* Bytes whose CRC is known, to which others are put in front again and again. Plain data: copy it. */
struct crc32_tail {
    uint64_t shift; /* what as many bytes do to a CRC before them; 0: nothing is known */
    uint32_t crc;
};
/* Takes a while: eight steps a byte. */
struct crc32_tail crc32_tail_make(const uint8_t *bytes, size_t size);
/* The CRC of `size` bytes and the tail behind them. `tail->shift` is not 0. */
uint32_t crc32_before(const struct crc32_tail *tail, const uint8_t *bytes, size_t size);

#endif
