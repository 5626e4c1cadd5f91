/* io/store/id_file.c: see id_file.h */
#include "io/store/id_file.h"
#include "core/base/mem.h"
#include "core/model/repeats.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/sink/out_file.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 4096,
    PAGE_ENTRIES = 255,
    BLOCK_PAGES = 64,
    SHORT_BYTES = 4,
    SHORT_ENTRIES = (PAGE - 8) / SHORT_BYTES, /* of a page of short prints, its checksum behind them */
    /* With fewer entries to look for than a chunk has pages by this, they are looked for one by one. */
    FEW = 8
};

struct stored {
    uint64_t print;
    uint32_t key, contents;
};
struct page {
    struct stored entries[PAGE_ENTRIES];
    uint64_t sum, count;
};
_Static_assert(sizeof(struct page) == PAGE, "a page");

/* A line of the directory. */
struct chunk {
    uint64_t offset, first, last; /* prints */
    uint32_t count;
    uint16_t day, side;
};
/* Of version 1, which has no short prints, the rest is the same. */
static const char magic[16] = "TIEOUT ids 2\n", magic_long[16] = "TIEOUT ids 1\n";

struct id_writer {
    const struct state *state;
    char name[200], path[STATE_PATH_MAX + 8];
    int fd;
    uint64_t seed;
    pthread_mutex_t lock;
    uint64_t size, records; /* under the lock, as are the chunks */
    struct chunk *chunks;
    uint32_t count, room;
};

struct id_reader {
    char path[STATE_PATH_MAX];
    int fd;
    uint64_t seed;
    struct chunk *chunks; /* by side, day, first */
    uint32_t count;
    int has_shorts;
};

struct id_asked {
    const struct id_entry *entries;
    uint32_t count;
    uint64_t
        *bits; /* by short print: most of what is not among them is known by one bit, in a core's own cache */
    uint32_t *slots; /* entry + 1, by short print; of entries with one print the first */
    uint32_t bit_mask, slot_mask;
};

static uint64_t page_sum(const void *entries, size_t size, uint64_t offset, uint64_t seed)
{
    return hash_bytes(entries, size, seed ^ offset);
}

static size_t chunk_bytes(uint32_t count)
{
    const uint32_t full = count / PAGE_ENTRIES, rest = count % PAGE_ENTRIES;
    return (size_t)full * PAGE + (rest ? rest * sizeof(struct stored) + 16 : 0);
}

static size_t shorts_bytes(uint32_t count)
{
    const uint32_t full = count / SHORT_ENTRIES, rest = count % SHORT_ENTRIES;
    return (size_t)full * PAGE + (rest ? rest * SHORT_BYTES + 8 : 0);
}

/* A quarter of what an entry takes. The bits above chose the chunk. */
static uint32_t short_of(uint64_t print)
{
    return (uint32_t)(print >> (32 - ID_SIDE_BITS));
}

/* ---- writing ---- */

enum err id_file_create(struct id_writer **out, const struct state *state, const char *name,
                        struct diag *diag)
{
    *out = NULL;
    struct id_writer *w = mem_take_zero(1, sizeof *w);
    if (!w)
        return mem_fail(diag, sizeof *w, "ids of records");
    w->state = state;
    w->seed = state_seed(state);
    w->size = sizeof magic;
    pthread_mutex_init(&w->lock, NULL);
    snprintf(w->name, sizeof w->name, "%s", name);
    w->fd = -1;
    enum err err = state_path(state, w->path, name, diag);
    if (err == OK) {
        strcat(w->path, ".new");
        w->fd = sys_open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        const int error = w->fd < 0 ? w->fd : sys_pwrite_full(w->fd, magic, sizeof magic, 0);
        if (error)
            err = out_write_failed(diag, -error, "state.write", w->path, sizeof magic);
    }
    if (err != OK) {
        id_file_drop(w);
        return err;
    }
    *out = w;
    return OK;
}

/* The chunk's line, and with it where its bytes go. 0: memory is out. */
static int new_chunk(struct id_writer *w, const struct chunk *chunk, uint64_t *offset)
{
    pthread_mutex_lock(&w->lock);
    const int taken = mem_list_more(&w->chunks, w->count, &w->room, 64, "ids", NULL) == OK;
    if (taken) {
        *offset = w->size;
        w->chunks[w->count] = *chunk;
        w->chunks[w->count++].offset = w->size;
        w->size += chunk_bytes(chunk->count) + shorts_bytes(chunk->count);
        w->records += chunk->count;
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

/* 0; -errno. */
static int put_shorts(struct id_writer *w, char *block, const struct id_entry *entries, uint32_t count,
                      uint64_t offset)
{
    int error = 0;
    for (uint32_t done = 0; !error && done < count;) {
        size_t used = 0;
        for (int p = 0; p < BLOCK_PAGES && done < count; p++) {
            char *const page = block + used;
            const uint32_t n = count - done < SHORT_ENTRIES ? count - done : SHORT_ENTRIES;
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t print = short_of(entries[done + i].print);
                memcpy(page + i * SHORT_BYTES, &print, SHORT_BYTES);
            }
            const uint64_t sum = page_sum(page, n * SHORT_BYTES, offset + used, w->seed);
            memcpy(page + n * SHORT_BYTES, &sum, sizeof sum);
            used += n * SHORT_BYTES + sizeof sum;
            done += n;
        }
        error = sys_pwrite_full(w->fd, block, used, offset);
        offset += used;
    }
    return error;
}

enum err id_file_put(struct id_writer *w, struct id_chunk_place place, const struct id_entry *entries,
                     uint32_t count, struct diag *diag)
{
    const struct chunk chunk = {.first = entries[0].print,
                                .last = entries[count - 1].print,
                                .count = count,
                                .day = place.day,
                                .side = (uint16_t)place.side};
    uint64_t offset = 0;
    struct page *pages = mem_take(BLOCK_PAGES * sizeof *pages);
    if (!pages || !new_chunk(w, &chunk, &offset)) {
        mem_give(pages);
        return mem_fail(diag, BLOCK_PAGES * sizeof *pages, "ids of records");
    }
    int error = 0;
    for (uint32_t done = 0; !error && done < count;) {
        size_t used = 0;
        for (int p = 0; p < BLOCK_PAGES && done < count; p++) {
            struct stored *to = (struct stored *)((char *)pages + used);
            const uint32_t n = count - done < PAGE_ENTRIES ? count - done : PAGE_ENTRIES;
            for (uint32_t i = 0; i < n; i++)
                to[i] = (struct stored){entries[done + i].print, entries[done + i].key,
                                        entries[done + i].contents};
            const uint64_t tail[2] = {page_sum(to, n * sizeof *to, offset + used, w->seed), n};
            memcpy(to + n, tail, sizeof tail);
            used += n * sizeof *to + sizeof tail;
            done += n;
        }
        error = sys_pwrite_full(w->fd, pages, used, offset);
        offset += used;
    }
    if (!error)
        error = put_shorts(w, (char *)pages, entries, count, offset);
    mem_give(pages);
    return error ? out_write_failed(diag, -error, "state.write", w->path,
                                    chunk_bytes(count) + shorts_bytes(count))
                 : OK;
}

static int by_place(const void *a, const void *b)
{
    const struct chunk *x = a, *y = b;
    if (x->side != y->side)
        return x->side < y->side ? -1 : 1;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static enum err directory_sha(char sha[VERDICT_SHA_TEXT], const struct chunk *chunks, uint32_t count,
                              struct diag *diag)
{
    char text[DIGEST_TEXT];
    struct digest *digest = digest_open();
    if (!digest)
        return mem_fail(diag, 0, "ids of records");
    digest_begin(digest);
    digest_put(digest, chunks, count * sizeof *chunks);
    digest_end(digest, text);
    digest_close(digest);
    snprintf(sha, VERDICT_SHA_TEXT, "%s", text + strlen("sha256:"));
    return OK;
}

enum err id_file_end(struct id_writer *w, struct id_file_seal *seal, struct diag *diag)
{
    qsort(w->chunks, w->count, sizeof *w->chunks, by_place);
    const size_t size = w->count * sizeof *w->chunks;
    const int error = sys_pwrite_full(w->fd, w->chunks, size, w->size);
    if (error)
        return out_write_failed(diag, -error, "state.write", w->path, size);
    snprintf(seal->file, sizeof seal->file, "%s", w->name);
    seal->records = w->records;
    seal->bytes = w->size + size;
    seal->chunks = w->count;
    sys_start_write(w->fd, 0, 0);
    return directory_sha(seal->sha, w->chunks, w->count, diag);
}

void id_file_drop(struct id_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        sys_close(w->fd);
    mem_give(w->chunks);
    pthread_mutex_destroy(&w->lock);
    mem_give(w);
}

/* ---- looking ---- */

static enum err damaged(const char *path, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_STATE, "state.ids", "bring the state folder back from a backup", "%s: %s", path,
                    what);
}

enum err id_file_open(struct id_reader **out, const struct state *state, const struct id_file_seal *seal,
                      uint64_t seed, struct diag *diag)
{
    *out = NULL;
    struct id_reader *r = mem_take_zero(1, sizeof *r);
    if (!r)
        return mem_fail(diag, sizeof *r, "ids of records");
    struct stat st;
    char sha[VERDICT_SHA_TEXT];
    const size_t size = seal->chunks * sizeof *r->chunks;
    r->seed = seed;
    r->count = (uint32_t)seal->chunks;
    r->fd = -1;
    r->chunks = mem_take(size + 1);
    enum err err =
        r->chunks ? state_path(state, r->path, seal->file, diag) : mem_fail(diag, size, "ids of records");
    if (err == OK) {
        r->fd = sys_open(r->path, O_RDONLY, 0);
        const int error = r->fd < 0 ? r->fd : sys_fstat(r->fd, &st);
        if (error == -ENOENT)
            err = damaged(r->path, "ids of records are missing: the file was removed", diag);
        else if (error)
            err = diag_set_errno(diag, -error, "state.read", "%s: cannot read it", r->path);
        else if ((uint64_t)st.st_size != seal->bytes || seal->bytes < size)
            err = damaged(r->path, "is damaged: it has another size than it was written with", diag);
    }
    char first[sizeof magic];
    if (err == OK) {
        const ssize_t n = sys_pread_full(r->fd, first, sizeof first, 0);
        if (n < 0)
            err = diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", r->path);
        else if ((size_t)n != sizeof first ||
                 (memcmp(first, magic, sizeof first) != 0 && memcmp(first, magic_long, sizeof first) != 0))
            err = damaged(r->path, "is damaged: it does not begin as such a file does", diag);
        else
            r->has_shorts = memcmp(first, magic, sizeof first) == 0;
    }
    if (err == OK) {
        const ssize_t n = sys_pread_full(r->fd, r->chunks, size, seal->bytes - size);
        if (n < 0)
            err = diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", r->path);
        else
            err = directory_sha(sha, r->chunks, r->count, diag);
        if (err == OK && ((size_t)n != size || strcmp(sha, seal->sha) != 0))
            err = damaged(r->path, "is damaged: its hash is not that of the bytes that were written", diag);
    }
    if (err != OK) {
        id_file_close(r);
        return err;
    }
    *out = r;
    return OK;
}

void id_file_close(struct id_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        sys_close(r->fd);
    mem_give(r->chunks);
    mem_give(r);
}

static uint32_t pages_of(const struct chunk *c)
{
    return (c->count + PAGE_ENTRIES - 1) / PAGE_ENTRIES;
}

static uint32_t entries_of(const struct chunk *c, uint32_t page)
{
    const uint32_t left = c->count - page * PAGE_ENTRIES;
    return left < PAGE_ENTRIES ? left : PAGE_ENTRIES;
}

/* Pages [first, first + count) of a chunk, each held against its checksum. */
static enum err read_pages(const struct id_reader *r, const struct chunk *c, uint32_t first, uint32_t count,
                           struct page *pages, struct diag *diag)
{
    const uint64_t offset = c->offset + (uint64_t)first * PAGE;
    const size_t last = entries_of(c, first + count - 1) * sizeof(struct stored) + 16,
                 size = (size_t)(count - 1) * PAGE + last;
    const ssize_t n = sys_pread_full(r->fd, pages, size, offset);
    if (n < 0)
        return diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", r->path);
    if ((size_t)n != size)
        return damaged(r->path, "is damaged: it is shorter than it was written", diag);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t entries = entries_of(c, first + i);
        uint64_t tail[2];
        memcpy(tail, &pages[i].entries[0] + entries, sizeof tail);
        if (tail[1] != entries || tail[0] != page_sum(&pages[i], entries * sizeof(struct stored),
                                                      offset + (uint64_t)i * PAGE, r->seed))
            return damaged(r->path, "is damaged: a page of it is not what was written", diag);
    }
    return OK;
}

static void hold(const struct stored *s, const struct id_entry *e, uint8_t *found)
{
    if (s->print != e->print || s->key != e->key)
        return;
    if (s->contents == e->contents)
        *found = REPEAT_EQUAL;
    else if (*found == REPEAT_NONE)
        *found = REPEAT_OTHER;
}

/* Many: the chunk goes by, and the entries beside it. */
static enum err look_through(const struct id_reader *r, const struct chunk *c, const struct id_entry *e,
                             uint32_t count, uint8_t *found, struct page *pages, struct diag *diag)
{
    const uint32_t all = pages_of(c);
    uint32_t at = 0;
    for (uint32_t p = 0; p < all && at < count; p += BLOCK_PAGES) {
        const uint32_t n = all - p < BLOCK_PAGES ? all - p : BLOCK_PAGES;
        enum err err = read_pages(r, c, p, n, pages, diag);
        if (err != OK)
            return err;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < entries_of(c, p + i) && at < count; k++) {
                const struct stored *s = &pages[i].entries[k];
                while (at < count && e[at].print < s->print)
                    at++;
                for (uint32_t same = at; same < count && e[same].print == s->print; same++)
                    hold(s, &e[same], &found[same]);
            }
    }
    return OK;
}

/* ---- many ---- */

static uint32_t power_of_two(uint64_t least, uint32_t most)
{
    uint32_t n = 64;
    while (n < least && n < most)
        n *= 2;
    return n;
}

static uint32_t slot_of(uint32_t print)
{
    return print * 0x9E3779B1u >> 7; /* the bits below are those of `bits` */
}

enum err id_asked_open(struct id_asked **out, const struct id_entry *entries, uint32_t count,
                       struct diag *diag)
{
    *out = NULL;
    const uint32_t bits = power_of_two(32ull * count, 1u << 30), slots = power_of_two(2ull * count, 1u << 31);
    struct id_asked *a = mem_take_zero(1, sizeof *a);
    if (a) {
        *a = (struct id_asked){
            .entries = entries, .count = count, .bit_mask = bits - 1, .slot_mask = slots - 1};
        a->bits = mem_take_zero(bits / 64, sizeof *a->bits);
        a->slots = mem_take_zero(slots, sizeof *a->slots);
    }
    if (!a || !a->bits || !a->slots) {
        id_asked_close(a);
        return mem_fail(diag, slots * sizeof *a->slots + bits / 8, "ids of records");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i && entries[i].print == entries[i - 1].print)
            continue;
        const uint32_t print = short_of(entries[i].print);
        a->bits[(print & a->bit_mask) / 64] |= 1ull << (print & 63);
        uint32_t slot = slot_of(print) & a->slot_mask;
        while (a->slots[slot])
            slot = (slot + 1) & a->slot_mask;
        a->slots[slot] = i + 1;
    }
    *out = a;
    return OK;
}

void id_asked_close(struct id_asked *a)
{
    if (!a)
        return;
    mem_give(a->bits);
    mem_give(a->slots);
    mem_give(a);
}

static int is_asked_for(const struct id_asked *a, uint32_t print)
{
    for (uint32_t slot = slot_of(print) & a->slot_mask; a->slots[slot]; slot = (slot + 1) & a->slot_mask)
        if (short_of(a->entries[a->slots[slot] - 1].print) == print)
            return 1;
    return 0;
}

static void hold_all(const struct id_asked *a, const struct stored *s, uint8_t *found)
{
    for (uint32_t slot = slot_of(short_of(s->print)) & a->slot_mask; a->slots[slot];
         slot = (slot + 1) & a->slot_mask)
        for (uint32_t i = a->slots[slot] - 1; i < a->count && a->entries[i].print == s->print; i++)
            hold(s, &a->entries[i], &found[i]);
}

/* The entries whose numbers in the chunk are in `hits`, which rise. */
static enum err look_at(const struct id_reader *r, const struct chunk *c, const struct id_asked *a,
                        const uint32_t *hits, uint32_t count, uint8_t *found, struct page *page,
                        struct diag *diag)
{
    uint32_t held = UINT32_MAX;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const uint32_t number = hits[i] / PAGE_ENTRIES;
        if (number != held)
            err = read_pages(r, c, number, 1, page, diag);
        held = number;
        if (err == OK)
            hold_all(a, &page->entries[hits[i] % PAGE_ENTRIES], found);
    }
    return err;
}

/* The chunk's short prints go by, and only entries that have one of those that are asked for are read. Nothing is asked: they are held
 * against their checksums. */
static enum err look_short(const struct id_reader *r, const struct chunk *c, const struct id_asked *a,
                           uint8_t *found, struct page *pages, struct diag *diag)
{
    uint32_t hits[SHORT_ENTRIES];
    struct page *const page = pages + BLOCK_PAGES;
    uint64_t offset = c->offset + chunk_bytes(c->count);
    enum err err = OK;
    for (uint32_t done = 0; err == OK && done < c->count;) {
        const uint32_t left = c->count - done;
        const uint32_t block = left < BLOCK_PAGES * SHORT_ENTRIES ? left : BLOCK_PAGES * SHORT_ENTRIES;
        const size_t size = shorts_bytes(block);
        const ssize_t n = sys_pread_full(r->fd, pages, size, offset);
        if (n < 0)
            return diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", r->path);
        if ((size_t)n != size)
            return damaged(r->path, "is damaged: it is shorter than it was written", diag);
        for (size_t at = 0; err == OK && at < size; at += PAGE) {
            const char *prints = (const char *)pages + at;
            const uint32_t count = c->count - done < SHORT_ENTRIES ? c->count - done : SHORT_ENTRIES;
            uint32_t maybe = 0, sure = 0;
            uint64_t sum;
            memcpy(&sum, prints + count * SHORT_BYTES, sizeof sum);
            if (sum != page_sum(prints, count * SHORT_BYTES, offset + at, r->seed))
                return damaged(r->path, "is damaged: a page of it is not what was written", diag);
            if (!a) {
                done += count;
                continue;
            }
            for (uint32_t i = 0; i < count; i++) { /* no branch that depends on what is there */
                uint32_t print;
                memcpy(&print, prints + i * SHORT_BYTES, SHORT_BYTES);
                hits[maybe] = i;
                maybe += (uint32_t)(a->bits[(print & a->bit_mask) / 64] >> (print & 63)) & 1;
            }
            for (uint32_t i = 0; i < maybe; i++) {
                uint32_t print;
                memcpy(&print, prints + hits[i] * SHORT_BYTES, SHORT_BYTES);
                if (is_asked_for(a, print))
                    hits[sure++] = done + hits[i];
            }
            err = look_at(r, c, a, hits, sure, found, page, diag);
            done += count;
        }
        offset += size;
    }
    return err;
}

/* Few: the page that may hold an entry is found by halving where its print should be. */
static enum err look_for(const struct id_reader *r, const struct chunk *c, const struct id_entry *e,
                         uint8_t *found, struct page *page, uint32_t *held, struct diag *diag)
{
    uint32_t low = 0, high = pages_of(c); /* the first page whose last print is not below this one */
    uint64_t from = c->first, to = c->last;
    enum err err = OK;
    for (int guess = 1; err == OK && low < high; guess = !guess) {
        uint32_t mid = low + (high - low) / 2;
        if (guess && to > from && e->print >= from && e->print <= to) /* prints are spread evenly */
            mid = low + (uint32_t)((unsigned __int128)(e->print - from) * (high - low) / (to - from));
        if (mid >= high)
            mid = high - 1;
        if (mid != *held)
            err = read_pages(r, c, mid, 1, page, diag);
        *held = err == OK ? mid : UINT32_MAX;
        if (err != OK)
            break;
        const uint64_t last = page->entries[entries_of(c, mid) - 1].print;
        if (last < e->print) {
            low = mid + 1;
            from = last;
        } else {
            high = mid;
            to = page->entries[0].print > from ? page->entries[0].print : from;
            if (page->entries[0].print < e->print)
                low = mid; /* this one it is, or none */
            if (low == mid)
                break;
        }
    }
    for (uint32_t p = low; err == OK && p < pages_of(c); p++) {
        if (p != *held)
            err = read_pages(r, c, p, 1, page, diag);
        *held = err == OK ? p : UINT32_MAX;
        if (err != OK || page->entries[0].print > e->print)
            break;
        uint32_t a = 0, b = entries_of(c, p);
        while (a < b) {
            const uint32_t mid = (a + b) / 2;
            if (page->entries[mid].print < e->print)
                a = mid + 1;
            else
                b = mid;
        }
        for (; a < entries_of(c, p) && page->entries[a].print == e->print; a++)
            hold(&page->entries[a], e, found);
        if (a < entries_of(c, p))
            break;
    }
    return err;
}

/* The first entry whose print is not below this one. */
static uint32_t first_from(const struct id_entry *e, uint32_t count, uint64_t print)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (e[mid].print < print)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

enum err id_file_look(const struct id_reader *r, struct id_chunk_place place, const struct id_asked *asked,
                      uint8_t *found, struct diag *diag)
{
    const struct id_entry *const entries = asked->entries;
    const uint32_t count = asked->count;
    uint32_t low = 0, high = r->count;
    while (low < high) { /* the first chunk of the side and day */
        const uint32_t mid = (low + high) / 2;
        const struct chunk *c = &r->chunks[mid];
        if (c->side < place.side || (c->side == place.side && c->day < place.day))
            low = mid + 1;
        else
            high = mid;
    }
    struct page *pages = mem_take((BLOCK_PAGES + 1) * sizeof *pages);
    enum err err = pages ? OK : mem_fail(diag, (BLOCK_PAGES + 1) * sizeof *pages, "ids of records");
    for (uint32_t i = low;
         err == OK && i < r->count && r->chunks[i].side == place.side && r->chunks[i].day == place.day; i++) {
        const struct chunk *c = &r->chunks[i];
        const uint32_t from = first_from(entries, count, c->first),
                       to = c->last == UINT64_MAX ? count : first_from(entries, count, c->last + 1);
        if ((uint64_t)(to - from) * FEW >= pages_of(c)) {
            if (to > from)
                err = r->has_shorts
                          ? look_short(r, c, asked, found, pages, diag)
                          : look_through(r, c, entries + from, to - from, found + from, pages, diag);
            continue;
        }
        uint32_t held = UINT32_MAX;
        for (uint32_t k = from; err == OK && k < to; k++)
            err = look_for(r, c, &entries[k], &found[k], pages, &held, diag);
    }
    mem_give(pages);
    return err;
}

enum err id_file_check(const struct id_reader *r, struct diag *diag)
{
    struct page *pages = mem_take((BLOCK_PAGES + 1) * sizeof *pages);
    enum err err = pages ? OK : mem_fail(diag, (BLOCK_PAGES + 1) * sizeof *pages, "ids of records");
    for (uint32_t i = 0; err == OK && i < r->count; i++) {
        for (uint32_t p = 0, all = pages_of(&r->chunks[i]); err == OK && p < all; p += BLOCK_PAGES)
            err = read_pages(r, &r->chunks[i], p, all - p < BLOCK_PAGES ? all - p : BLOCK_PAGES, pages, diag);
        if (err == OK && r->has_shorts)
            err = look_short(r, &r->chunks[i], NULL, NULL, pages, diag);
    }
    mem_give(pages);
    return err;
}
