/* io/source/csv_source.c: CSV files and bills, decoded in parallel (csv_inner.h says how): opened, claimed, counted, closed. */
#include "core/rules/plain.h"
#include "io/source/csv_inner.h"
#include "io/source/direct.h"

static void csv_close(struct source *source)
{
    struct csv_source *s = csv_source_of(source);
    for (uint32_t i = 0; s->files && i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        normalizer_close(file->normalizer);
        for (int t = 0; file->bill && t < ROW_TYPES_MAX; t++) {
            normalizer_close(file->bill->kinds[t].normalizer);
            mem_give(file->bill->kinds[t].lacks);
        }
        if (file->bill) {
            bill_close(file->bill->bill);
            mem_give(file->bill->odd);
            mem_give(file->bill);
        }
        for (uint32_t k = 0; file->names && k < file->column_count; k++)
            mem_give(file->names[k]);
        mem_give(file->names);
        for (uint64_t k = 0; file->segments && k < file->segment_count; k++) {
            mem_give((void *)file->segments[k].states);
            mem_give(file->segments[k].marks);
        }
        mem_give(file->segments);
        mem_give(file->mark_sums);
    }
    mem_give(s->files);
    file_set_close(&s->set);
    reject_list_fini(&s->rejects);
    pthread_mutex_destroy(&s->lock);
    mem_give(s);
}

static const struct source_ops csv_ops;

enum err csv_source_open(struct source **out, const struct source_config *config, struct diag *diag)
{
    *out = NULL;
    struct csv_source *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a source");
    s->base.ops = &csv_ops;
    s->config = *config;
    s->job = config->shared->job;
    s->spec = &s->job->sources[config->side];
    s->dialect = (struct csv_dialect){(uint8_t)s->spec->layout.delimiter, (uint8_t)s->spec->layout.quote};
    s->chunk = config->chunk;
    pthread_mutex_init(&s->lock, NULL);
    reject_list_init(&s->rejects);
    enum err err = file_set_open(&s->set, s->job, config->side, config->date, NULL, diag);
    file_set_shift(&s->set, config->place_base);
    if (err == OK) {
        direct_choose(&s->set, (enum direct_mode)config->direct);
        size_t size = s->set.count * sizeof *s->files;
        s->files = mem_take_zero(1, size);
        if (!s->files)
            err = mem_fail(diag, size, "the list of files");
    }
    for (uint32_t i = 0; err == OK && i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        err = s->spec->bill ? csv_read_bill_head(s, i, diag) : csv_read_header(s, i, diag);
        if (err != OK)
            break;
        if (file->bill)
            s->dialect = bill_dialect(file->bill->bill);
        struct input_file *input = &s->set.files[i];
        uint8_t one; /* whether anything follows the header must be known now */
        if (input_read(input, &one, 1, file->data_begin, diag) < 0) {
            err = diag->err;
            break;
        }
        uint64_t size = input_size(input);
        file->first_chunk = file->data_begin / s->chunk;
        if (file->data_begin == size && file->first_chunk)
            file->first_chunk = (file->data_begin - 1) / s->chunk;
        file->next_chunk = file->first_chunk;
        atomic_init(&file->chain.resolved, file->first_chunk << 1);
        file->segment_count = (size / s->chunk) / CSV_SEGMENT_CHUNKS + 1;
        file->segments = mem_take_zero(file->segment_count, sizeof *file->segments);
        if (!file->segments) {
            err = mem_fail(diag, file->segment_count * sizeof *file->segments, "the list of chunks");
            break;
        }
        file->other_bytes = file->data_begin;
        err = csv_mark_header(s, i, diag);
        if (input->unpack)
            unpack_forget_head(input->unpack);
    }
    if (err != OK) {
        csv_close(&s->base);
        return err;
    }
    *out = &s->base;
    return OK;
}

static uint64_t csv_size(const struct source *source)
{
    return file_set_guess(&csv_source_of(source)->set);
}

static enum err csv_begin(struct source *source, const char *folder, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
    reject_list_bound(&s->rejects, s->config.reject_bytes, folder);
    return file_set_begin(&s->set, folder, s->config.workers, diag);
}

/* The next chunk of the first file that has one ready; files that are being unpacked are taken side by side. */
static enum step csv_claim(struct source *source, struct worker_io *io, struct ticket *ticket,
                           struct diag *diag)
{
    (void)io;
    struct csv_source *s = csv_source_of(source);
    int waiting = 0;
    for (uint32_t i = s->claim_file; i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        struct input_file *input = &s->set.files[i];
        uint64_t begin = file->next_chunk * s->chunk, end = begin + s->chunk;
        int ready = input_ready(input, end + IO_OVERLAP, diag);
        if (ready < 0)
            return STEP_FAILED;
        if (!ready) {
            waiting = 1;
            continue;
        }
        uint64_t size = input_size(input);
        if (begin >= size) {
            if (i == s->claim_file)
                s->claim_file++;
            continue;
        }
        if (csv_make_segment(s, i, file->next_chunk, diag) != OK)
            return STEP_FAILED;
        ticket->side = s->config.side;
        ticket->file = i;
        ticket->number = file->next_chunk++;
        ticket->begin = begin;
        ticket->end = end < size ? end : size;
        ticket->state = TICKET_NEW;
        ticket->unpacking = input->unpack != NULL;
        return STEP_MORE;
    }
    ticket->unpacking = waiting;
    return waiting ? STEP_IDLE : STEP_DONE;
}

static enum err csv_start(struct source *source, struct worker_io *io, struct ticket *ticket,
                          struct diag *diag)
{
    struct input_file *input = &csv_source_of(source)->set.files[ticket->file];
    size_t size = ticket->end - ticket->begin + IO_OVERLAP;
    uint64_t left = input_size(input) - ticket->begin;
    if (size > left)
        size = left;
    const int fd = input_take(input);
    if (fd < 0)
        return input_open_failed(input, fd, diag);
    const struct worker_read read = {
        .fd = fd, .direct_fd = direct_fd(input), .offset = ticket->begin, .size = size, .path = input->path};
    enum err err = worker_io_read(io, ticket, &read, diag);
    if (err != OK)
        input_give(input);
    return err;
}

static void csv_counts(const struct source *source, struct source_counts *counts)
{
    struct csv_source *s = csv_source_of(source);
    memset(counts, 0, sizeof *counts);
    counts->files = s->set.count;
    counts->bytes = s->set.size;
    for (uint32_t i = 0; i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        counts->rows += file->rows;
        counts->records += file->records;
        counts->blank_rows += file->blank_rows;
        counts->header_bytes += file->data_begin;
        counts->record_bytes += file->record_bytes;
        counts->reject_bytes += file->reject_bytes;
        counts->other_bytes += file->other_bytes - file->data_begin;
    }
    counts->rejects = s->rejects.total;
    if (s->config.quiet) { /* a scan: the list holds only what the trailer left over */
        counts->rejects = 0;
        for (uint32_t i = 0; i < s->set.count; i++)
            counts->rejects += s->files[i].reject_count;
    }
}

static enum err csv_rejects(struct source *source, reject_take_fn *take, void *taker, struct diag *diag)
{
    return reject_list_each(&csv_source_of(source)->rejects, take, taker, diag);
}

static int csv_file(const struct source *source, uint32_t index, struct source_file *file)
{
    struct csv_source *s = csv_source_of(source);
    if (index >= s->set.count)
        return 0;
    const struct input_file *input = &s->set.files[index];
    *file = (struct source_file){.name = input->shown,
                                 .path = input->file,
                                 .fd = input->own_fd,
                                 .fd_of = input->stat.st_ino ^ (uint64_t)input->stat.st_dev << 48,
                                 .is_direct = input->is_direct,
                                 .is_warm = input->is_warm,
                                 .file_size = (uint64_t)input->stat.st_size,
                                 .rows = s->files[index].rows};
    return 1;
}

static struct record_layout csv_layout(const struct source *source)
{
    struct csv_source *s = csv_source_of(source);
    return normalizer_layout_of(s->job, s->config.side);
}

static enum err csv_look_again(struct source *source, struct diag *diag)
{
    return file_set_look_again(&csv_source_of(source)->set, diag);
}

static const struct source_ops csv_ops = {
    .size = csv_size,
    .begin = csv_begin,
    .claim = csv_claim,
    .start = csv_start,
    .arrive = csv_arrive,
    .process = csv_process,
    .finish = csv_finish,
    .look_again = csv_look_again,
    .limit_rejects = csv_limit_rejects,
    .counts = csv_counts,
    .fetch = csv_fetch,
    .fetch_some = csv_fetch_some,
    .outlines = csv_outlines,
    .leans = csv_leans,
    .tap_files = csv_tap_files,
    .tap_sample = csv_tap_sample,
    .tap_lines = csv_tap_lines,
    .place_file = csv_place_file,
    .place_text = csv_place_text,
    .rejects = csv_rejects,
    .reject_text = csv_reject_text,
    .file = csv_file,
    .layout = csv_layout,
    .scan = csv_scan_all,
    .close = csv_close,
};
