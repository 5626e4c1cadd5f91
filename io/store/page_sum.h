/* io/store/page_sum.h: a sum on each page of a database, so that a byte that the disk changed is damage and never another amount.
 *
 *     page_sum_vfs       the name to open any database with
 *     sqlite_put_sums    gives one sums (sqlite.h)
 *
 * SQLite itself checks what its trees hang on, not what stands in a row. Here the last 8 bytes of a page, which SQLite leaves alone where a
 * database says so in its header, are a hash of the page's other bytes and its number. They are made when a page goes into the
 * file and held against it when one is read; the log beside the file has sums of SQLite's own. SQLite is given zeros in their place, so what
 * another program writes back of our log (whoever closes the file last does) has none, and is read without. What another program
 * changes in the file is damage here. A database without sums is read and written as it is.
 *
 * Threads: any, a connection each. Memory: a page a connection.
 */
#ifndef TIEOUT_IO_STORE_PAGE_SUM_H
#define TIEOUT_IO_STORE_PAGE_SUM_H

enum { PAGE_SUM_BYTES = 8 };
/* NULL: SQLite has no memory for it. */
const char *page_sum_vfs(void);

#endif
