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

#endif
