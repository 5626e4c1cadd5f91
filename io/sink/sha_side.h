/* io/sink/sha_side.h: SHA-256 of messages that lie side by side.
 *
 * A round of SHA-256 waits for the one before it, and a processor's own instructions for it could do twice as many in that time. So
 * several messages go through them at once. Where there are none, libcrypto takes one after the other.
 *
 * Threads: any.
 */
#ifndef TIEOUT_IO_SINK_SHA_SIDE_H
#define TIEOUT_IO_SINK_SHA_SIDE_H

#include <stddef.h>
#include <stdint.h>

enum { SHA_SIZE = 32, SHA_BLOCK = 64 };

/* `count` messages of `size` bytes, whole blocks, one behind the other. */
void sha_side(const void *bytes, size_t size, size_t count, uint8_t (*sums)[SHA_SIZE]);

#endif
