/* io/push/sinks.h: the plugs for core/ops/push.h, one per kind of system.
 *
 * | kind | acked when | one message at most |
 * |---|---|---|
 * | file | fsync came back | - |
 * | webhook | 2xx (or 409: it has that id) and `ok_when` holds | 1 MiB |
 * | nsq | nsqd said OK to the PUB or MPUB that held it | 1 MiB |
 * | kafka | the delivery report says persisted, acks=all, idempotent | 1,000,000 bytes |
 */
#ifndef TIEOUT_IO_PUSH_SINKS_H
#define TIEOUT_IO_PUSH_SINKS_H

#include "core/config/book.h"
#include "core/ops/push.h"
#include "io/net/secret.h"

enum { PUSH_BYTES_MAX = 1 << 20 }; /* of one message, where a kind has no smaller limit */

/* Opens the plug for `spec`; reads its secrets. A peer that is not there is an answer of send, not an error here. `directory` is what
 * paths are relative to; `spec` and `directory` outlive the sink. */
enum err sink_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                   struct diag *diag);

enum err file_sink_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                        struct diag *diag);
enum err webhook_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                      struct diag *diag);
enum err nsq_tcp_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                      struct diag *diag);
enum err nsq_http_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                       struct diag *diag);
enum err kafka_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                    struct diag *diag);

/* A path relative to `directory`. ERR_USAGE when it is too long. */
enum err sink_path(char out[4096], const char *directory, const char *path, struct diag *diag);

#endif
