/* core/config/book.h: the settings of a whole book folder: `book.yaml` beside its jobs.
 *
 *     book_load -> struct book, which then never changes -> book_close
 *
 * A folder without the file has all defaults: nothing is pushed, nobody is alarmed. Secrets are never here: only where they are
 * (env:NAME, file:PATH). Memory: the book's own arena.
 */
#ifndef TIEOUT_CORE_CONFIG_BOOK_H
#define TIEOUT_CORE_CONFIG_BOOK_H

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/model/words.h"
#include <stdint.h>

enum push_kind { PUSH_FILE, PUSH_WEBHOOK, PUSH_NSQ, PUSH_KAFKA };
enum hook_style { HOOK_PLAIN, HOOK_LARK, HOOK_DINGTALK, HOOK_SLACK };
enum alarm_grade { ALARM_NOTE, ALARM_WARNING, ALARM_CRITICAL, ALARM_GRADES };

enum {
    SINKS_MAX = 16,
    OK_WORDS_MAX = 8,
    RECHECKS_MAX = 8,
    STEPS_MAX = 4,
    PRIORITIES_MAX = 256,
    RECHECK_NEXT_RUN = -1
};

/* Where errors, or alarms, go. What is not of a kind stays NULL or 0. */
struct sink_spec {
    const char *name;
    enum push_kind kind;
    enum hook_style style;
    const char *address; /* file: a path; webhook: a URL, env:NAME or file:PATH; nsq: HOST:PORT or
                            a URL; kafka: HOST:PORT,HOST:PORT */
    const char *topic;
    int is_csv;
    const char *secret;                  /* what a webhook's messages are signed with */
    const char *user, *password, *token; /* user is plain text */
    const char *ca;                      /* certificates to trust instead of the system's */
    int tls;                             /* kafka */
    int trust_without_identity;          /* trust_server_without_checking_identity */
    const char *ok_path; /* webhook: which member of the answer's JSON; NULL: the status is enough */
    const char *ok_words[OK_WORDS_MAX]; /* and what it says when all is well */
    int ok_count;
    int parallel, timeout_s, rate;  /* rate: messages a second; 0: no limit */
    int batch;                      /* messages at once; 0: what is best for the kind */
    int tries;                      /* answered "not now" this often: a dead letter; 0: never */
    int retry_first_s, retry_max_s; /* between tries of one message */
    int breaker_after, breaker_s;   /* failures in a row that open it; how long the first time */
    enum alarm_grade grade;         /* alarms: the least that goes there */
    int line;
};

struct channel_points {
    const char *channel_code;
    int points;
};

struct push_settings {
    struct sink_spec sinks[SINKS_MAX];
    int sink_count;
    uint32_t classes; /* bit per enum class_id: which verdicts are errors */
    int recheck_s[RECHECKS_MAX];
    int recheck_count;
    int64_t
        severity_micro[STEPS_MAX]; /* a point more at each, of |delta| in the major unit of its currency */
    int severity_count;
    int age_days[STEPS_MAX]; /* and at each of these ages */
    int age_count;
    struct channel_points channels[PRIORITIES_MAX];
    int channel_count;
};

struct alarm_settings {
    struct sink_spec sinks[SINKS_MAX];
    int sink_count;
    int again_s; /* one that is still open is told again after this; 0: never */
    int storm;   /* more than this many new ones of a kind at once are told as one */
};

/* Of tasks of one bill date those with more points have their turn first, with all of the memory; a channel that is not named has 0. */
struct task_settings {
    struct channel_points priority[PRIORITIES_MAX];
    int priority_count;
};

struct book {
    struct arena arena;
    const char *directory; /* paths are relative to it */
    const char *path;      /* of book.yaml; NULL: there is none */
    struct push_settings push;
    struct alarm_settings alarms;
    struct task_settings tasks;
};

enum err book_load(struct book **out, const char *directory, struct diag *diag);
void book_close(struct book *book);
const char *alarm_grade_name(enum alarm_grade grade);

#endif
