/* core/base/fault.h: makes the nth allocation or I/O call fail, in builds with TIEOUT_FAULTS.
 *
 * TIEOUT_FAIL_MEM=n, TIEOUT_FAIL_IO=n in the environment: the nth call (from 1) of that kind fails; with
 * TIEOUT_FAIL_FOREVER=1 all later ones too. TIEOUT_FAIL_ERRNO=28 chooses the errno of I/O calls (default
 * EIO). TIEOUT_FAIL_KILL=1: the call kills the process instead; TIEOUT_FAIL_STOP=1: it stops it, and goes well once it is continued. TIEOUT_COUNT_CALLS=1 prints how many calls of each kind were made at exit, so that a loop knows where
 * to end.
 */
#ifndef TIEOUT_CORE_BASE_FAULT_H
#define TIEOUT_CORE_BASE_FAULT_H

enum fault_kind { FAULT_MEM, FAULT_IO, FAULT_KINDS };

#ifdef TIEOUT_FAULTS
/* 0, or the errno that this call shall fail with. */
int fault_now(enum fault_kind kind);
#else
static inline int fault_now(enum fault_kind kind)
{
    (void)kind;
    return 0;
}
#endif

#endif
