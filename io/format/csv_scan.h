/* io/format/csv_scan.h: where cells and rows end, found 64 bytes at a time.
 *
 * csv_scan goes over a chunk once and writes the offset of every separator (delimiter or newline) and, for
 * each row, where its separators end. Cells are the bytes between separators; nothing is copied. Each byte is
 * touched once. There are kernels for AVX-512 (VBMI2), AVX2 and plain C, chosen once at start; all give the
 * same answer (tests/fuzz/fuzz_csv.c holds them against each other).
 *
 * Quotes: without one in the chunk the scan is right as it stands. With quotes, csv_scan_quoted masks the
 * separators inside quoted cells and says whether the quoting is regular; an irregular chunk goes through the
 * row reader in csv.c, byte by byte. Threads: any; all state is the caller's.
 */
#ifndef TIEOUT_IO_FORMAT_CSV_SCAN_H
#define TIEOUT_IO_FORMAT_CSV_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* Newlines are counted per block of this size, for line numbers: a row that broke is read again from its block's
     * first byte on. */
    CSV_MARK_BYTES = 2048,
    CSV_SCAN_SLACK = 128 /* readable bytes wanted behind the chunk; and entries behind seps */
};

enum csv_scan_flags {
    CSV_SAW_QUOTE = 1,    /* csv_scan only: the result is worthless, use csv_scan_quoted */
    CSV_SAW_STRAY_CR = 2, /* a carriage return that ends no line outside quotes */
    CSV_IRREGULAR = 4,    /* csv_scan_quoted: a quote where none may stand */
    CSV_UNFINISHED = 8,   /* no row end at or after `end` - 1: more bytes are needed, or the file ends here */
    CSV_ENDS_QUOTED = 16, /* csv_scan_quoted: the newline that ends the chunk's last line is inside quotes */
    CSV_CUT_QUOTED = 32,  /* csv_scan_quoted, with UNFINISHED: the bytes end inside quotes */
    CSV_SAW_CR = 64       /* csv_scan only: a carriage return anywhere */
};

struct csv_scan_job {
    const uint8_t *bytes; /* the chunk, from a multiple of CSV_MARK_BYTES in the file on */
    uint32_t size;        /* bytes there are; CSV_SCAN_SLACK more can be read */
    uint32_t start;       /* where to begin; a line's start */
    uint32_t end;         /* rows that begin before this one are wanted */
    uint32_t mark_end;    /* newlines before this one are counted in marks */
    uint8_t delimiter, quote;
    uint8_t in_quote; /* csv_scan_quoted: `start` lies inside a quoted cell of an earlier row */
    uint32_t *seps;   /* out: offsets; room for size + CSV_SCAN_SLACK */
    uint32_t *rows; /* out: rows[i] = number of seps up to and with the newline of row i; room for size + 1 */
    uint16_t *marks; /* out: newlines in each CSV_MARK_BYTES block of [0, end); NULL: not wanted */
};

struct csv_scan_result {
    uint32_t sep_count, row_count;
    uint32_t stop; /* first byte behind the last row */
    uint32_t
        line_end; /* first byte behind the first newline at or after end - 1 (quoted or not); size if none */
    uint32_t flags;     /* enum csv_scan_flags */
    uint32_t first_row; /* csv_scan_quoted with in_quote: where the first row of this chunk begins */
};

struct csv_scan_result csv_scan(const struct csv_scan_job *job);
struct csv_scan_result csv_scan_quoted(const struct csv_scan_job *job);

/* Newlines in bytes[0..size); CSV_SCAN_SLACK more can be read. */
uint64_t csv_count_newlines(const uint8_t *bytes, size_t size);

enum csv_kernel { CSV_KERNEL_SCALAR, CSV_KERNEL_AVX2, CSV_KERNEL_AVX512, CSV_KERNELS };
/* For tests and benches: the kernel to use; 0 when this machine does not have it. The best one is chosen by
 * itself. */
int csv_scan_choose(enum csv_kernel kernel);
enum csv_kernel csv_scan_kernel(void);
const char *csv_scan_kernel_name(void);

#endif
