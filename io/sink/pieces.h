/* io/sink/pieces.h: the digest of a long text that several workers make: the SHA-256 over the SHA-256s (32 bytes each) of its pieces
 * of 64 KiB. The last one may be shorter. So each worker hashes what it made, whenever it likes.
 *
 *     pieces_open
 *       pieces_claim   in the order of the text, one at a time: which pieces are whole now
 *       pieces_sum     any worker: hashes those it claimed, while others do the same
 *       pieces_put     in the order of the text, one at a time
 *     pieces_end       once, behind the last
 *     pieces_close
 *
 * What a claim leaves of its last piece is kept, and goes in front of the next.
 *
 * Memory   a piece, and a sum for each piece of a claim. Threads: claims and puts are of whoever has the turn, which the caller gives.
 */
#ifndef TIEOUT_IO_SINK_PIECES_H
#define TIEOUT_IO_SINK_PIECES_H

#include "core/base/diag.h"
#include "core/base/span.h"
#include "io/sink/digest.h"
#include "io/sink/sha_side.h"

enum { PIECE = 64 << 10 };

struct pieces;

/* Of one worker, for one claim after the other; zeroed before the first. */
struct pieces_part {
    const char *begin; /* in what was claimed, or in the room in front of it */
    size_t count;      /* whole pieces */
    uint8_t (*sums)[SHA_SIZE];
    size_t room; /* of them */
};

/* The text begins with `head`, which is less than a piece. */
enum err pieces_open(struct pieces **out, struct span head, struct diag *diag);
/* The next `size` bytes are those behind the first PIECE ones of `room`, into which what goes in front of them is put. They must
 * live until pieces_sum took them. */
void pieces_claim(struct pieces *pieces, struct pieces_part *part, char *room, size_t size);
enum err pieces_sum(struct pieces_part *part, struct diag *diag);
void pieces_put(struct pieces *pieces, const struct pieces_part *part);
void pieces_end(struct pieces *pieces, char out[DIGEST_TEXT]);
void pieces_close(struct pieces *pieces);
void pieces_part_fini(struct pieces_part *part);

#endif
