/* core/config/profile.h: the bill layouts that are built in.
 *
 * Each is a file of core/config/profiles/, embedded when the program is built. A job's side names one with
 * `profile: NAME`, or a file of its own with `profile: PATH.yaml`.
 */
#ifndef TIEOUT_CORE_CONFIG_PROFILE_H
#define TIEOUT_CORE_CONFIG_PROFILE_H

#include "core/base/span.h"

struct profile_text {
    const char *name; /* "wechat-tradebill" */
    const unsigned char *bytes;
    size_t size;
};

/* Sorted by name; one with a NULL name at the end. */
extern const struct profile_text profile_texts[];

/* NULL when there is none of this name. */
const struct profile_text *profile_find(const char *name);

#endif
