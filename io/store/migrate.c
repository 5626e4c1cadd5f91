/* io/store/migrate.c: see migrate.h */
#include "io/store/migrate.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/ring/sys.h"
#include "io/store/error_order.h"
#include "io/store/log_book.h"
#include "io/store/state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Statements of one step; NULL ends them. */
struct step_up {
    const char *sql[4];
};
static const struct step_up steps[] = {
    /* 2 to 3: pairs made by hand can be taken back, what a log tells is kept. Ids of errors say since then whether their record was
     * carried: those that are there do not, and stay what people and sinks know them by. */
    {{"ALTER TABLE force_pair ADD COLUMN undone_by TEXT NOT NULL DEFAULT ''", log_book_schema,
      error_ids_schema, "INSERT INTO error_ids SELECT name, revision FROM task WHERE revision > 0"}},
    /* 3 to 4: the table of the former, empty; and what later programs know of a log. */
    {{error_ids_schema, log_book_schema, NULL}},
};
_Static_assert(MIGRATE_OLDEST + sizeof steps / sizeof *steps == STATE_VERSION, "a step for each version");

static enum err copy_failed(struct diag *diag, int error, const char *path)
{
    return diag_set_errno(diag, -error, "state.backup", "%s: cannot put a copy of the state there", path);
}

/* As it is, committed and whole. A copy that is there already is of an earlier try, or of a state that was put back: this one is newer. */
static enum err copy(struct sqlite *db, const char *path, int64_t version, char kept[STATE_PATH_MAX + 64],
                     struct diag *diag)
{
    char fresh[STATE_PATH_MAX + 80], folder[STATE_PATH_MAX + 64];
    struct text sql = {0};
    snprintf(kept, STATE_PATH_MAX + 64, "%s.version-%lld", path, (long long)version);
    snprintf(fresh, sizeof fresh, "%s.new", kept);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    sys_unlink(fresh);
    text_words(&sql, "VACUUM INTO '");
    for (const char *p = fresh; *p; p++)
        text_put(&sql, *p == '\'' ? "''" : p, *p == '\'' ? 2 : 1);
    text_words(&sql, "'");
    /* Made by us, and empty, so that nobody but its owner may ever read it. */
    int fd = sys_open(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0) {
        text_fini(&sql);
        return copy_failed(diag, fd, fresh);
    }
    enum err err =
        sql.failed ? mem_fail(diag, sql.size, "the name of a copy") : sqlite_exec(db, sql.data, diag);
    text_fini(&sql);
    int error = err == OK ? sys_fsync(fd) : 0;
    sys_close(fd);
    if (err == OK && !error)
        error = sys_rename(fresh, kept);
    if (err == OK && !error)
        error = sys_fsync_folder(folder);
    if (err == OK && error)
        err = copy_failed(diag, error, kept);
    if (err != OK)
        sys_unlink(fresh);
    return err;
}

static enum err step_up(struct sqlite *db, int64_t from, struct diag *diag)
{
    const struct step_up *step = &steps[from - MIGRATE_OLDEST];
    char version[60];
    enum err err = sqlite_begin(db, diag);
    for (size_t i = 0; err == OK && i < sizeof step->sql / sizeof *step->sql && step->sql[i]; i++)
        err = sqlite_exec(db, step->sql[i], diag);
    snprintf(version, sizeof version, "PRAGMA user_version = %lld", (long long)from + 1);
    if (err == OK)
        err = sqlite_exec(db, version, diag);
    if (err == OK)
        err = sqlite_commit(db, diag);
    if (err != OK)
        sqlite_rollback(db);
    return err;
}

enum err migrate_state(struct sqlite *db, const char *path, int64_t from, struct diag *diag)
{
    char kept[STATE_PATH_MAX + 64];
    enum err err = copy(db, path, from, kept, diag);
    for (int64_t version = from; err == OK && version < STATE_VERSION; version++)
        err = step_up(db, version, diag);
    if (err == OK) /* as a new one has; a kill before it leaves a state that is whole, without them */
        err = sqlite_put_sums(db, diag);
    if (err == OK)
        fprintf(stderr,
                "note: %s was of version %lld and is brought to version %d; as it was it stands in %s. Older "
                "programs refuse it from now on\n",
                path, (long long)from, STATE_VERSION, kept);
    if (err == OK && from < 3)
        fprintf(stderr,
                "note: rows without any key of days that an older tieout did are not known again when "
                "they come once more\n");
    return err;
}
