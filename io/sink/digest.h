/* io/sink/digest.h: SHA-256, behind which libcrypto stands.
 *
 *     digest_open -> (digest_begin -> digest_put ... -> digest_end) any number of times -> digest_close
 *
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_SINK_DIGEST_H
#define TIEOUT_IO_SINK_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_TEXT = 72 }; /* "sha256:" and 64 hex digits, and the NUL */

struct digest;
struct digest *digest_open(void); /* NULL when memory is out */
void digest_begin(struct digest *digest);
void digest_put(struct digest *digest, const void *bytes, size_t size);
void digest_end(struct digest *digest, char out[DIGEST_TEXT]);
void digest_close(struct digest *digest);
/* Of one text, as bytes. */
void digest_sum(const void *bytes, size_t size, uint8_t out[32]);

/* Of a file's first `size` bytes, by "SHA256", "SHA1" or "MD5" (what servers give): "sha256:" and hex digits. 0; 1 when
 * the file is shorter; -errno. */
enum { DIGEST_FILE_TEXT = DIGEST_TEXT };
int digest_file(int fd, uint64_t size, const char *algorithm, char out[DIGEST_FILE_TEXT]);

#endif
