/* io/source/binlog_claim.c: a log's bytes are read and walked over, in order, and given out as tickets; see binlog_inner.h */
#include "io/source/binlog_inner.h"
#include "io/source/log_name.h"
#include "io/source/log_tail.h"
#include <stdio.h>

/* Takes one group into `ended`, which stays in order of offsets. A transaction that the log holds twice
 * counts once; one that a ROLLBACK TO cut into parts is told of part by part, side by side, under one GTID.
 */
static enum err collect_group(struct binlog_source *s, struct ended *ended, const struct binlog_group *told,
                              struct diag *diag)
{
    int part = told->is_part && s->last_end == told->begin && s->last_file == told->file_index &&
               s->last_gtid.kind == told->gtid.kind &&
               memcmp(&s->last_gtid, &told->gtid, sizeof told->gtid) == 0;
    if (!part) {
        int seen = gtid_set_add(&s->seen, &told->gtid);
        if (seen < 0)
            return mem_fail(diag, 0, "the list of GTIDs");
        s->last_seen = seen;
        s->transactions_told++;
        if (s->begun_at == 0)
            s->begun_at = told->timestamp;
        s->replayed_groups += (uint64_t)seen + log_order_repeats(&s->order, told->file_index, told->end);
        if (s->sample && told->committed && told->touches_watched)
            log_sample_add(s->sample, told, &s->set);
    }
    s->last_gtid = told->gtid;
    s->last_file = told->file_index;
    s->last_end = told->end;
    if (mem_list_more(&ended->groups, ended->count, &ended->room, 64, "transactions", diag) != OK)
        return ERR_MACHINE;
    size_t at = ended->count++;
    for (; at > 0 && ended->groups[at - 1].file_index == told->file_index &&
           ended->groups[at - 1].begin > told->begin;
         at--)
        ended->groups[at] = ended->groups[at - 1];
    struct binlog_group *const group = &ended->groups[at];
    *group = *told;
    if (s->last_seen)
        group->committed = 0;
    s->groups_told += group->committed;
    return OK;
}

/* All groups that the last step told of: those inside its bytes, and those that began before. */
static enum err collect(struct binlog_source *s, struct ended *ended, struct diag *diag)
{
    size_t count, behind_count;
    const struct binlog_group *groups = binlog_walk_groups(s->walk, &count),
                              *behind = binlog_walk_behind(s->walk, &behind_count);
    enum err err = OK;
    for (size_t i = 0; err == OK && i < behind_count; i++)
        err = collect_group(s, ended, &behind[i], diag);
    for (size_t i = 0; err == OK && i < count; i++)
        err = collect_group(s, ended, &groups[i], diag);
    const struct binlog_alter *alters = binlog_walk_alters(s->walk, &count);
    for (size_t i = 0; err == OK && i < count; i++) {
        pthread_mutex_lock(&s->lock);
        err = log_schema_alter(&s->schema, &alters[i], diag);
        pthread_mutex_unlock(&s->lock);
    }
    return err;
}

static struct piece *make_piece(const struct binlog_format *format, const struct binlog_group *groups,
                                size_t count)
{
    struct piece *piece = mem_take(sizeof *piece + count * sizeof *groups);
    if (piece) {
        piece->format = *format;
        piece->walked_from = piece->walked_to = 0;
        piece->group_count = count;
        if (count)
            memcpy(piece->groups, groups, count * sizeof *groups);
    }
    return piece;
}

/* Notes a piece that is read again when it is decoded. */
static enum err put_late(struct binlog_source *s, uint32_t file, uint64_t begin, uint64_t end,
                         const struct binlog_group *groups, size_t count, struct diag *diag)
{
    if (s->late_first == s->late_count)
        s->late_first = s->late_count = 0;
    if (mem_list_more(&s->late, s->late_count, &s->late_room, 8, "late transactions", diag) != OK)
        return ERR_MACHINE;
    struct piece *piece = make_piece(&s->formats[file], groups, count);
    if (!piece)
        return mem_fail(diag, count * sizeof *groups, "late transactions");
    s->late[s->late_count++] = (struct late_piece){file, begin, end, piece};
    return OK;
}

/* The log's own word for what follows must be what was given next. */
static enum err check_order(struct binlog_source *s, struct diag *diag)
{
    if (s->file == 0)
        return OK;
    uint64_t expected = log_number(s->expected_next),
             given = log_number(log_base_name(s->set.files[s->file].path));
    if (expected != UINT64_MAX && given != UINT64_MAX && given > expected)
        return diag_set(diag, ERR_INPUT, "binlog.gap",
                        "bring the missing files; rows in them would be lost without a word",
                        "%s is followed by %s, and the next file given is %s", s->set.files[s->file - 1].path,
                        s->expected_next, s->set.files[s->file].path);
    return log_order_check(&s->order, &s->set,
                           &(struct log_place){.file = s->file,
                                               .expected = s->expected_next,
                                               .seen = &s->seen,
                                               .all_told = binlog_walk_prepared(s->walk) == 0},
                           diag);
}

static int is_newest(const struct binlog_source *s)
{
    return s->file + 1 == s->set.count;
}

/* The log's newest file, which its server has open: it may be in the middle of an event, and writes on. A capture's segments end with
 * whole transactions. */
static int is_open_end(const struct binlog_source *s)
{
    return is_newest(s) && s->spec->kind == SOURCE_BINLOG && s->set.files[s->file].may_grow;
}

/* `*end`: up to where the file is decoded. An unfinished transaction at the end of a log is verified, and counts for nothing; of one that is
 * still written to, what is behind the last whole transaction belongs to a later run. */
static enum err end_file(struct binlog_source *s, uint64_t *end, struct diag *diag)
{
    const int newest = is_newest(s), is_open = is_open_end(s);
    struct input_file *input = &s->set.files[s->file];
    uint64_t tail = input->size - s->walked;
    enum err err = OK;
    if (is_open && tail && s->walked) {
        err = log_tail_check(input, s->walked, binlog_walk_format(s->walk), diag);
        s->is_cut = binlog_walk_pending_begin(s->walk) == s->walked;
        tail = 0;
    }
    snprintf(s->expected_next, sizeof s->expected_next, "%s", binlog_walk_next_name(s->walk));
    if (newest)
        s->whole_end = *end;
    if (err == OK)
        err = binlog_walk_end(s->walk, newest, (size_t)tail, diag);
    if (!is_open)
        *end = input->size;
    s->file_begun = 0;
    return err;
}

static enum step failed(enum err err)
{
    return err == OK ? STEP_MORE : STEP_FAILED;
}

/* Takes groups of another place than [begin, end) of this file out of `ended`: they are decoded apart. */
static enum err split_off(struct binlog_source *s, struct ended *ended, uint64_t begin, struct diag *diag)
{
    size_t kept = 0;
    int apart = 0;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < ended->count; i++) {
        const struct binlog_group *group = &ended->groups[i];
        const int here = group->file_index == s->file && group->begin >= begin;
        apart |= group->committed && (!here || group->xa);
        if (here && (!group->xa || s->in_order))
            ended->groups[kept++] = *group;
        else if (group->committed)
            err = put_late(s, group->file_index, group->begin, group->end, group, 1, diag);
    }
    ended->count = kept;
    if (!s->in_order || !apart)
        return err;
    /* A prepared transaction holds its rows until it is decided, so in the order in which transactions begin each row's images are in
     * theirs, too: first what began before, then all of these. */
    for (size_t i = 0; err == OK && i < kept; i++)
        if (ended->groups[i].committed)
            err = put_late(s, s->file, ended->groups[i].begin, ended->groups[i].end, &ended->groups[i], 1,
                           diag);
    ended->count = 0;
    return err;
}

/* The end of the log, if no row was told in part; else once more over it, when all that was given out is decoded. */
static enum step claim_fold(struct binlog_source *s, struct ticket *ticket)
{
    if (!s->folds || s->fold_given)
        return STEP_DONE;
    /* acquire: pairs with the release in binlog_process */
    if (atomic_load_explicit(&s->tickets_open, memory_order_acquire) != 0)
        return STEP_IDLE;
    s->fold_given = 1;
    if (!atomic_load_explicit(&s->has_parts, memory_order_relaxed))
        return STEP_DONE;
    ticket->file = 0;
    ticket->begin = ticket->end = 0;
    ticket->extra = NULL;
    ticket->state = TICKET_FOLD;
    ticket->bytes_read = 0;
    return STEP_MORE;
}

/* Over the whole events of `bytes` from `from` on; `*walked`: so many bytes more. */
static enum step walk_on(struct binlog_source *s, const uint8_t *bytes, size_t from, size_t size,
                         size_t *walked, struct diag *diag)
{
    size_t taken = 0;
    enum step step = binlog_walk_step(s->walk, bytes + from, size - from, s->walked, SIZE_MAX, &taken, diag);
    s->walked += taken;
    *walked += taken;
    return step;
}

/* Of what is read the end is read once more when a transaction goes on behind it. So as many bytes are read as were given out before,
 * and a few more; all that fits if that leaves a larger rest. */
enum { GUESS_SLACK = 4096, GUESS_TAIL = 4 * GUESS_SLACK };

enum step binlog_claim_next(struct source *source, struct worker_io *io, struct ticket *ticket,
                            struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct ended *const ended = &s->ended;
    enum err err = OK;
    ended->count = 0;
    ticket->side = s->config.side;
    for (;;) {
        if (s->late_first < s->late_count) {
            struct late_piece late = s->late[s->late_first++];
            ticket->file = late.file;
            ticket->begin = late.begin;
            ticket->end = late.end;
            ticket->extra = late.piece;
            ticket->state = TICKET_PIECES;
            ticket->bytes_read = 0;
            return STEP_MORE;
        }
        if (s->file == s->set.count)
            return claim_fold(s, ticket);
        struct input_file *input = &s->set.files[s->file];
        if (!s->file_begun) {
            if ((err = check_order(s, diag)) != OK)
                return STEP_FAILED;
            binlog_walk_file(s->walk, input->path, s->file, is_open_end(s) ? UINT64_MAX : input->size);
            s->decoded = s->walked = s->given = 0;
            s->file_begun = 1;
        }
        /* Bytes from what is not given out yet; of them the walk has gone over some. */
        uint8_t *bytes = worker_io_buffer(io, ticket->buffer);
        uint64_t left = input->size - s->decoded;
        const size_t room = left < io->chunk + (uint64_t)IO_OVERLAP ? (size_t)left : io->chunk + IO_OVERLAP;
        size_t size = s->given && s->given + GUESS_SLACK < room ? s->given + GUESS_SLACK : room;
        if (input_pread_all(input, bytes, size, s->decoded, diag) != OK)
            return STEP_FAILED;
        size_t skip = (size_t)(s->walked - s->decoded), walked_here = 0;
        enum step step = STEP_IDLE;
        if (skip <= size) {
            step = walk_on(s, bytes, skip, size, &walked_here, diag);
            err = step == STEP_FAILED ? diag->err : collect(s, ended, diag);
        }
        /* Another size than before: all that fits. */
        const uint64_t pending = binlog_walk_pending_begin(s->walk);
        if (err == OK && size < room && (pending <= s->decoded || s->decoded + size - pending > GUESS_TAIL)) {
            if (input_pread_all(input, bytes + size, room - size, s->decoded + size, diag) != OK)
                return STEP_FAILED;
            size = room;
            if (skip <= size) {
                step = walk_on(s, bytes, skip + walked_here, size, &walked_here, diag);
                err = step == STEP_FAILED ? diag->err : collect(s, ended, diag);
            }
        }
        /* Not even one group ended in what fits: walk on with bytes that are only looked at. */
        while (err == OK && step == STEP_IDLE && binlog_walk_pending_begin(s->walk) == s->decoded &&
               s->walked < input->size) {
            size_t want = binlog_walk_need(s->walk);
            if (want < io->chunk)
                want = io->chunk;
            if (want > input->size - s->walked) {
                if (binlog_walk_need(s->walk) > input->size - s->walked)
                    break; /* the file ends inside an event: end_file says so */
                want = (size_t)(input->size - s->walked);
            }
            if (want > s->far_room) {
                mem_give(s->far);
                s->far_room = 0;
                s->far = mem_take(want);
                if (!s->far) {
                    err = mem_fail(diag, want, "a long transaction");
                    break;
                }
                s->far_room = want;
            }
            ssize_t n = input_pread(input, s->far, want, s->walked);
            if (n < 0 || (size_t)n != want) {
                err = diag_set_errno(diag, n < 0 ? (int)-n : 5, "read", "%s: cannot read at byte %llu",
                                     input->path, (unsigned long long)s->walked);
                break;
            }
            size_t taken = 0;
            step = binlog_walk_step(s->walk, s->far, want, s->walked, 1, &taken, diag);
            s->walked += taken;
            err = step == STEP_FAILED ? diag->err : collect(s, ended, diag);
        }
        uint64_t begin = s->decoded, end = binlog_walk_pending_begin(s->walk);
        if (s->walked > 0)
            s->formats[s->file] = *binlog_walk_format(s->walk);
        int at_end = step == STEP_DONE || s->walked == input->size || (step == STEP_IDLE && end == begin);
        if (err == OK && at_end)
            err = end_file(s, &end, diag);
        if (err == OK)
            err = split_off(s, ended, begin, diag);
        struct piece *piece =
            err == OK ? make_piece(&s->formats[s->file], ended->groups, ended->count) : NULL;
        if (err == OK && !piece)
            err = mem_fail(diag, ended->count * sizeof *ended->groups, "transactions");
        ended->count = 0;
        if (err != OK)
            return STEP_FAILED;
        piece->walked_from = skip;
        piece->walked_to = skip + walked_here;
        ticket->file = s->file;
        ticket->begin = begin;
        ticket->end = end;
        ticket->extra = piece;
        ticket->state = end - begin <= size ? TICKET_WHOLE : TICKET_PIECES;
        ticket->bytes_read = (int64_t)(end - begin);
        s->given = (size_t)(end - begin);
        s->decoded = end;
        if (at_end)
            s->file++;
        if (end == begin) {
            mem_give(piece);
            ticket->extra = NULL;
            continue;
        }
        return failed(err);
    }
}
