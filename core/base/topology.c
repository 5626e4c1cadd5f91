/* core/base/topology.c: see topology.h */
#include "core/base/topology.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_text(const char *path, char *out, size_t room)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t n = fread(out, 1, room - 1, file);
    fclose(file);
    out[n] = 0;
    return n > 0;
}

/* The process's cgroup directory below a controller's mount, from /proc/self/cgroup. */
static int cgroup_path(const char *controller, char *out, size_t room)
{
    char text[4096];
    if (!read_text("/proc/self/cgroup", text, sizeof text))
        return 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        names++;
        int fits = controller[0] ? strstr(names, controller) != NULL : *names == 0;
        if (fits) {
            snprintf(out, room, "/sys/fs/cgroup/%s%s%s", controller, controller[0] ? "" : "", path);
            return 1;
        }
    }
    return 0;
}

uint32_t topology_core_count(void)
{
    cpu_set_t set;
    uint32_t count = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        count = (uint32_t)CPU_COUNT(&set);
    char path[4400], text[128];
    if (cgroup_path("", path, sizeof path - 16)) {
        strcat(path, "/cpu.max");
        long long quota, period;
        if (read_text(path, text, sizeof text) && sscanf(text, "%lld %lld", &quota, &period) == 2 &&
            period > 0) {
            uint32_t allowed = (uint32_t)((quota + period - 1) / period);
            if (allowed >= 1 && allowed < count)
                count = allowed;
        }
    }
    return count;
}

int topology_pin(uint32_t nth)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0 ? cpu : -1;
    }
    return -1;
}

static uint64_t limit_in(const char *path)
{
    char text[128];
    if (!read_text(path, text, sizeof text) || strncmp(text, "max", 3) == 0)
        return UINT64_MAX;
    unsigned long long value = strtoull(text, NULL, 10);
    return value == 0 || value >= 1ull << 60 ? UINT64_MAX : value;
}

static uint64_t machine_memory(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

int topology_memory_is_limited(uint64_t memory)
{
    return memory < machine_memory();
}

uint64_t topology_memory_spare(uint64_t *all)
{
    char text[4096];
    unsigned long long kib = 0;
    *all = machine_memory();
    const char *at = read_text("/proc/meminfo", text, sizeof text) ? strstr(text, "MemAvailable:") : NULL;
    return at && sscanf(at, "MemAvailable: %llu kB", &kib) == 1 ? kib << 10 : 0;
}

uint64_t topology_memory(void)
{
    uint64_t bytes = machine_memory();
    char path[4400];
    const struct {
        const char *controller, *file;
    } places[] = {{"", "/memory.max"}, {"memory", "/memory.limit_in_bytes"}};
    for (int i = 0; i < 2; i++) {
        if (!cgroup_path(places[i].controller, path, sizeof path - 64))
            continue;
        /* A limit may stand on any level above. */
        for (;;) {
            size_t n = strlen(path);
            strcat(path, places[i].file);
            uint64_t limit = limit_in(path);
            if (limit < bytes)
                bytes = limit;
            path[n] = 0;
            char *slash = strrchr(path, '/');
            if (!slash || slash <= path + strlen("/sys/fs/cgroup"))
                break;
            *slash = 0;
        }
    }
    return bytes;
}
