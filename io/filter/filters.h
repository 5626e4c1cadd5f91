/* io/filter/filters.h: the filters there are.
 *
 * `fd` and `path` are borrowed and outlive the filter; `size` is the file's. Formats: RFC 1951, RFC 1952
 * (gzip), RFC 8878 (zstd), PKWARE's APPNOTE 6.3.9 (zip).
 */
#ifndef TIEOUT_IO_FILTER_FILTERS_H
#define TIEOUT_IO_FILTER_FILTERS_H

#include "core/ops/filter.h"

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD, PACKING_ZIP };

/* By the first bytes, never by the name. */
enum packing packing_of(const uint8_t *head, size_t size);
const char *packing_name(enum packing packing);

/* Any number of members; zero bytes may follow the last, nothing else. */
enum err gunzip_open(struct filter **out, int fd, uint64_t size, const char *path, struct diag *diag);
/* Any number of frames, skippable ones among them. */
enum err unzstd_open(struct filter **out, int fd, uint64_t size, const char *path, struct diag *diag);

/* What a zip archive holds, folders left out. */
struct zip_entry {
    char *name; /* in UTF-8; never used as a path */
    uint64_t index, size, packed_size;
};
struct zip_listing {
    struct zip_entry *entries;
    uint32_t count;
};
/* Lists an archive. Refused are: one that is cut, two entries of one name, names that could be taken for
 * something else, more than ZIP_ENTRIES_MAX entries, and a central directory that disagrees with what stands
 * before the entries. Bytes before the archive are passed over. */
enum { ZIP_ENTRIES_MAX = 10000 };
enum err zip_list(struct zip_listing *listing, int fd, uint64_t size, const char *path, struct diag *diag);
void zip_listing_fini(struct zip_listing *listing);
/* One entry, stored or deflated; its size and checksum must be what the archive says. */
enum err unzip_open(struct filter **out, int fd, uint64_t size, const char *path, uint64_t index,
                    struct diag *diag);

#endif
