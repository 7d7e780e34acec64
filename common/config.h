/* One loaded, validated, immutable configuration. The rows are in config_schema.c. */
#pragma once

#include "build.h" /* WITH_FAULTS, for protocols.def */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/address.h"
#include "common/defs.h"
#include "common/endpoint.h"
#include "common/network.h"

struct fault;

#define CONFIG_WORKERS_AUTO   0
#define CONFIG_SOMAXCONN_AUTO (-1)
#define CONFIG_SOMAXCONN_KEEP (-2)
#define CONFIG_NONE           0 /* "none" for durations and connection limits */

#define CONFIG_LISTENERS_MAX 256
#define CONFIG_ADDRESSES_MAX 16  /* of one listener */
#define CONFIG_NETWORKS_MAX  256 /* of one option */
#define CONFIG_UPSTREAMS_MAX 64
#define CONFIG_SERVERS_MAX   64 /* of one upstream; a name counts with its places */
#define CONFIG_PLACES_MAX    32 /* addresses of one name */
#define CONFIG_WEIGHT_MAX    256

#define CONFIG_CONNECTIONS_MAX 100000000 /* of any limit of connections or clients */

/* Values are indices into the schema's choices. */
enum config_on_limit { ON_LIMIT_WAIT, ON_LIMIT_REFUSE };
enum config_log_level {
	CONFIG_LOG_ERROR,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_NOTICE,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG
};
enum config_balance {
	BALANCE_ROUND_ROBIN,
	BALANCE_LEAST_CONNECTIONS,
	BALANCE_CLIENT_HASH,
	BALANCE_RANDOM_TWO
};
enum config_send_proxy { SEND_PROXY_NONE, SEND_PROXY_V1, SEND_PROXY_V2 };
enum config_on_down { ON_DOWN_WAIT, ON_DOWN_REFUSE };
enum config_family { FAMILY_ANY, FAMILY_IPV4, FAMILY_IPV6 };
enum config_check_when { CHECK_DOWN, CHECK_ALWAYS };
enum config_protocol {
#define PROTOCOL(name, help) PROTOCOL_##name,
#include "common/protocols.def"
#undef PROTOCOL
	PROTOCOL_COUNT
};

/* Where a value came from, for messages, -T and reload. */
struct config_origin {
	const char *file; /* NULL: the default */
	int line;
};

struct address_list {
	struct address *items;
	size_t count;
};

struct listener_config {
	char *name; /* unique, [a-zA-Z_][a-zA-Z0-9_-]*, at most 31 */
	struct address_list addresses;
	int protocol; /* enum config_protocol */
	int64_t backlog;
	int64_t max_connections;            /* CONFIG_NONE: only the global one */
	int on_limit;                       /* enum config_on_limit */
	int64_t max_connections_per_source; /* CONFIG_NONE */
	int64_t connection_rate_per_source; /* a second; CONFIG_NONE */
	int64_t idle_timeout_ms;
	int64_t write_timeout_ms;  /* no progress of pending output for so long */
	int64_t lifetime_ms;       /* absolute; CONFIG_NONE */
	int64_t max_pending_bytes; /* output queued for one connection before reading stops */
	bool no_delay;
	int64_t user_timeout_ms; /* CONFIG_NONE */
	int64_t unix_mode;
	bool session_log; /* its connections are in the server's session log, if there is one */
	struct {
		int64_t idle_ms; /* CONFIG_NONE: no keepalive */
		int64_t interval_ms;
		int64_t probes;
	} keepalive;
	struct network_list allow; /* none: every client that is not in `deny` */
	struct network_list deny;
	bool accept_proxy;
	struct network_list trusted; /* of accept_proxy */
	int64_t proxy_timeout_ms;
	char *upstream;                /* name; "" unless the protocol is proxy */
	int64_t half_close_timeout_ms; /* CONFIG_NONE */
	struct config_origin origin;   /* where the listener's group stands */
};

/* One back end of an upstream. */
struct upstream_server_config {
	char *name; /* "" : its address is its name */
	struct endpoint where;
	int64_t addresses;       /* places for the addresses of a name; no effect without one */
	int64_t weight;          /* 0: no new connections */
	int64_t max_connections; /* over all workers; CONFIG_NONE */
	int64_t backlog;         /* of its accept queue; CONFIG_NONE: connects are not paced */
	bool backup;             /* only while no other server is up */
	struct config_origin origin;
};

struct upstream_config {
	char *name;  /* unique, as a listener's */
	int balance; /* enum config_balance */
	int64_t connect_timeout_ms;
	int64_t queue_timeout_ms;
	int64_t queue_max;           /* clients of all workers that wait for a place; CONFIG_NONE */
	int on_down;                 /* enum config_on_down */
	int send_proxy;              /* enum config_send_proxy */
	struct network_list sources; /* single addresses; none: the kernel chooses */
	int64_t settle_time_ms;      /* connected for so long counts as accepted */
	int64_t slow_start_ms;       /* CONFIG_NONE */
	struct {
		int when; /* enum config_check_when */
		int64_t interval_ms;
		int64_t timeout_ms;
		int64_t rise; /* good checks in a row until it is up */
		int64_t fall; /* failed checks or connects in a row until it is down */
		char *send;   /* "" : nothing */
		char *expect; /* what the answer begins with; "" : connecting is enough */
	} check;
	struct upstream_server_config *servers;
	size_t server_count;
	struct config_origin origin;
};

struct config {
	int64_t workers; /* CONFIG_WORKERS_AUTO or 1..1024 */
	bool cpu_pinning;
	char *user;
	char *group;    /* "" : the user's own */
	char *pid_file; /* "" : none */
	char *log;
	int log_level;     /* enum config_log_level */
	char *session_log; /* path; "" : none */
	int64_t drain_timeout_ms;
	int64_t hang_timeout_ms;
	int64_t upgrade_timeout_ms;
	int64_t upgrade_drain_timeout_ms; /* CONFIG_NONE */
	int64_t max_connections;
	int64_t source_table;                     /* sources that each worker can count */
	int64_t crash_penalty_ms;                 /* CONFIG_NONE */
	struct network_list crash_penalty_exempt; /* never penalised, besides loopback */
	bool strict; /* a limit of the machine that cuts the configuration is an error */
	struct {
		int64_t somaxconn; /* CONFIG_SOMAXCONN_*, or a number */
	} kernel;
	struct {
		char *socket; /* path; "" : none */
		char *web;    /* address; "" : none */
	} admin;
	struct {
		struct address_list servers; /* none: those of /etc/resolv.conf */
		int64_t timeout_ms;          /* of one lookup with all its retries */
		int64_t max_ttl_ms;
		int family; /* enum config_family */
	} dns;
	struct listener_config *listeners;
	size_t listener_count;
	struct upstream_config *upstreams;
	size_t upstream_count;
	struct upstream_server_config *servers; /* of all upstreams, each one's stand together */
	size_t server_count;

	char *path;                     /* of the main file, absolute */
	struct config_private *private; /* origins, file names */
};

/* What was found wrong: all of it in one run, at most 20, each a complete line
 * "file:line: error: path: what; allowed …; got …" with an optional hint. */
enum finding_kind { FINDING_FILE, FINDING_WORLD, FINDING_WARNING };
struct finding {
	enum finding_kind kind;
	size_t file_len; /* "file" is so much of the text; 0: it names no place */
	int line;
	char text[1024];
};
#define FINDINGS_MAX 20
struct findings {
	struct finding items[FINDINGS_MAX];
	size_t count;
	size_t not_shown; /* beyond FINDINGS_MAX */
	size_t errors;    /* of the file */
	size_t world_errors;
	size_t warnings;
};

/** Add one line. @param origin  may be NULL (no "file:line: ") */
void findings_add(struct findings *findings, enum finding_kind kind,
	const struct config_origin *origin, const char *format, ...) PRINTF_LIKE(4, 5);
/** Put what concerns the same file in the order of its lines, from item `first` on. */
void findings_sort(struct findings *findings, size_t first);
/** Print every line, then "and N more" if some were not kept. */
void findings_print(const struct findings *findings, FILE *stream);

/** Read a file with its includes and validate it against the rows and against itself
 * (contradictions, duplicates, overlaps). Pure of the world: nothing is bound, looked up or
 * changed. A file is refused, unread, when somebody other than root or the user we run as may
 * write it, own it or put another one in its place (common/config_trust.h).
 *
 * `@include` takes a pattern of glob(7); what matches is read in the order of the names, relative
 * to the file in which it stands. At the top level every included file is a configuration of its
 * own right: `listeners` and `upstreams` of all files are put together, any other setting is given
 * once in all of them. Inside brackets the file stands for its text.
 *  @param path     main file; messages name it as given here
 *  @param findings added to, sorted by line
 *  @return 0 and *config, to be freed with config_free, perhaps with warnings; -EINVAL when there
 *          are errors; -ENOMEM */
int config_load(const char *path, struct config **config, struct findings *findings) MUST_CHECK;
/** The same from text that config_dump wrote (a sealed memfd in a child); it includes nothing. */
int config_load_text(const char *text, const char *path, struct config **config,
	struct findings *findings) MUST_CHECK;
void config_free(struct config **config);

/** The whole effective configuration with the origin of each value as a comment; is itself a valid
 *  configuration, and dump, load, dump is identical but for the comments when `with_origins`. */
int config_dump(const struct config *config, FILE *stream, bool with_origins) MUST_CHECK;
/** The dump without origins as a new string that the caller frees. */
int config_dump_text(const struct config *config, char **text, size_t *len) MUST_CHECK;

/** Where an option of the server or of one listener (index, or -1) was set. */
struct config_origin config_origin_of(const struct config *config, int listener, const char *path);
/** Listener by name, or NULL. */
const struct listener_config *config_listener(const struct config *config, const char *name);
/** Upstream by name, or NULL. */
const struct upstream_config *config_upstream(const struct config *config, const char *name);
/** What messages call a server: its name, or what is written as its address. @return buffer */
const char *config_server_name(
	const struct upstream_server_config *server, char buffer[ENDPOINT_TEXT_MAX]);
/** How many rows a server has on the board: one, or for a name one for each of its places. */
size_t config_server_rows(const struct upstream_server_config *server);
/** The name of row `index`, from 0: the server's, or "NAME/1" and so on. @return buffer */
#define CONFIG_ROW_NAME_MAX (ENDPOINT_TEXT_MAX + 4)
const char *config_row_name(const struct upstream_server_config *server, size_t index,
	char buffer[CONFIG_ROW_NAME_MAX]);
/** The upstream to which a server (index of all servers) belongs; NULL while it is being read. */
const struct upstream_config *config_upstream_of(const struct config *config, size_t server);
/** Whether DNS has to be asked for any server. */
bool config_has_names(const struct config *config);
/** A proxy that reaches itself makes a connection out of each connection, until all descriptors are
 *  used. @param is_local  the address is one of this machine
 *  @return the listener that a connection to `address` would reach and that would send it there
 *          again; NULL: none */
const struct listener_config *config_find_loop(const struct config *config,
	const struct upstream_config *upstream, const struct address *address, bool is_local);
/** Descriptors that one connection takes at most: a proxied one has two. */
int64_t config_descriptors_each(const struct config *config);
/** Write the names of the changed options between two configurations whose effect is `effect`, as
 *  "cpu_pinning, hang_timeout", into buffer. @return how many there are */
size_t config_changed(
	const struct config *was, const struct config *is, int effect, char *buffer, size_t size);
