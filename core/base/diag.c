/* core/base/diag.c: see diag.h */
#include "core/base/diag.h"
#include "core/base/text.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum err diag_set(struct diag *diag, enum err err, const char *code, const char *hint, const char *format,
                  ...)
{
    if (diag->err != OK)
        return diag->err;
    va_list ap;
    va_start(ap, format);
    vsnprintf(diag->what, sizeof diag->what, format, ap);
    va_end(ap);
    text_make_plain(diag->what);
    snprintf(diag->code, sizeof diag->code, "%s", code);
    snprintf(diag->hint, sizeof diag->hint, "%s", hint ? hint : "");
    text_make_plain(diag->hint);
    diag->did[0] = 0;
    diag->err = err;
    return err;
}

enum err diag_set_errno(struct diag *diag, int errnum, const char *code, const char *format, ...)
{
    if (diag->err != OK)
        return diag->err;
    char text[1000];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    const char *hint = NULL;
    if (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG)
        hint = "make room there, then run the same command again";
    else if (errnum == EACCES || errnum == EPERM || errnum == EROFS)
        hint = "check who may read and write there";
    else if (errnum == EMFILE || errnum == ENFILE)
        hint = "raise the limit on open files (ulimit -n)";
    else if (errnum == ENOMEM)
        hint = "give the program more memory, or lower --memory";
    char reason[120];
    return diag_set(diag, ERR_MACHINE, code, hint, "%s: %s", text, strerror_r(errnum, reason, sizeof reason));
}

void diag_did(struct diag *diag, const char *text)
{
    snprintf(diag->did, sizeof diag->did, "%s", text);
    text_make_plain(diag->did);
}

void diag_print(const struct diag *diag, FILE *out)
{
    /* Hints may quote headers and names too. */
    struct diag shown = *diag;
    text_make_plain(shown.what);
    text_make_plain(shown.did);
    text_make_plain(shown.hint);
    fprintf(out, "error %s: %s\n", shown.code, shown.what);
    if (shown.did[0])
        fprintf(out, "  did: %s\n", shown.did);
    if (shown.hint[0])
        fprintf(out, " hint: %s\n", shown.hint);
}
