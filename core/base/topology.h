/* core/base/topology.h: which cores this process may use, and pinning to them. */
#ifndef TIEOUT_CORE_BASE_TOPOLOGY_H
#define TIEOUT_CORE_BASE_TOPOLOGY_H

#include <stdint.h>

/* Cores in this process's affinity mask, never more than the cgroup's CPU quota rounded up; at least 1. */
uint32_t topology_core_count(void);
/* Pins the calling thread to the nth allowed core. The core's number, or -1 when there is no nth core or it
 * cannot be had (the thread then runs where the kernel puts it). */
int topology_pin(uint32_t nth);
/* Bytes of memory this process may use: the machine's, or the cgroup's limit (v1 or v2) where that is less.
 */
uint64_t topology_memory(void);
/* 1: `memory`, as topology_memory gave it, is less than the machine has: a cgroup holds this process to it; what its files have in the page
 * cache counts there. */
int topology_memory_is_limited(uint64_t memory);
/* Bytes that the machine could still give away without anybody missing them, and how many it has; 0 where it does not say. Any thread;
 * the others are the control thread's. */
uint64_t topology_memory_spare(uint64_t *all);

#endif
