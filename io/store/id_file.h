/* io/store/id_file.h: by what a task's records are known again: written once, looked into on later days.
 *
 *     id_file_create -> id_file_put (any worker) ... -> id_file_end     the file is there under its name, durable
 *     id_file_open -> id_file_look (any worker) ... -> id_file_close
 *
 *     +--------+------------------------+--------------------+-----------+-----+-----------+
 *     | magic  | chunk: pages of 4 KiB  | its short prints   | chunk ... | ... | directory |
 *     +--------+------------------------+--------------------+-----------+-----+-----------+
 *     page    up to 255 entries of 16 bytes (print, key, contents), then their checksum; a chunk's last page is as long as it must be
 *     chunk   of one side and bill date, and of one group of prints; chunks lie as they came
 *     short prints   32 bits of each print of the chunk, in the same order, in pages of up to 1022, each with its checksum: where many entries
 *             are looked for these go by, a quarter of the bytes, and one in some thousand millions is read for nothing. A file of
 *             version 1 has none; a program that knows no others reads past them
 *     directory   a line for each chunk; its SHA-256 is in state.db
 *
 * A page is held against its checksum whenever it is read: damage is ERR_STATE, never a record that is not known. Memory: a page, or a
 * block while many of a chunk's are looked for. Threads: put and look by any, the rest by the control thread.
 */
#ifndef TIEOUT_IO_STORE_ID_FILE_H
#define TIEOUT_IO_STORE_ID_FILE_H

#include "core/model/id_print.h"
#include "io/store/state.h"
#include "io/store/verdict_log.h"

struct id_file_seal { /* what state.db says of a file */
    char file[200];   /* relative to the state folder; empty: the task had no ids */
    char sha[VERDICT_SHA_TEXT];
    uint64_t records, bytes, chunks;
};

struct id_writer;
enum err id_file_create(struct id_writer **out, const struct state *state, const char *name,
                        struct diag *diag);
/* Entries of one side and day, in order. */
struct id_chunk_place {
    enum side side;
    uint16_t day;
};
enum err id_file_put(struct id_writer *writer, struct id_chunk_place place, const struct id_entry *entries,
                     uint32_t count, struct diag *diag);
/* The file is whole, under its name with `.new`: state_files_publish makes it durable and gives it its name. */
enum err id_file_end(struct id_writer *writer, struct id_file_seal *seal, struct diag *diag);
void id_file_drop(struct id_writer *writer);

struct id_reader;
enum err id_file_open(struct id_reader **out, const struct state *state, const struct id_file_seal *seal,
                      uint64_t seed, struct diag *diag);
/* Entries to look for, in order, in any number of files and days; borrowed until close. 12 to 24 bytes of tables for each. */
struct id_asked;
enum err id_asked_open(struct id_asked **out, const struct id_entry *entries, uint32_t count,
                       struct diag *diag);
void id_asked_close(struct id_asked *asked);
/* Looks for them among those of one side and day; found[i] becomes what is known of entry i, if that is more than it was: EQUAL before
 * OTHER before NONE. */
enum err id_file_look(const struct id_reader *reader, struct id_chunk_place place,
                      const struct id_asked *asked, uint8_t *found, struct diag *diag);
/* Reads all of it. */
enum err id_file_check(const struct id_reader *reader, struct diag *diag);
void id_file_close(struct id_reader *reader);

#endif
