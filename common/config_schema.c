/* The rows. Adding an option: a field in common/config.h, a row here; loading, checking, -T, the
 * manual page and the example file follow. */
#include "common/config_schema.h"

#include <assert.h>
#include <stdint.h>

#include "common/config.h"
#include "common/defs.h"
#include "common/sources.h"

#define SECOND INT64_C(1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)
#define KIB    INT64_C(1024)
#define MIB    (1024 * KIB)

static_assert(CONFIG_ADDRESSES_MAX == 16 && CONFIG_NETWORKS_MAX == 256, "as .allowed says");

static const char *const on_limit_choices[] = {"wait", "refuse", NULL};
static const char *const log_level_choices[] = {
	"error", "warning", "notice", "info", "debug", NULL};
static const char *const balance_choices[] = {
	"round_robin", "least_connections", "client_hash", "random_two", NULL};
static const char *const send_proxy_choices[] = {"none", "v1", "v2", NULL};
static const char *const on_down_choices[] = {"wait", "refuse", NULL};
static const char *const family_choices[] = {"any", "ipv4", "ipv6", NULL};
static const char *const check_when_choices[] = {"down", "always", NULL};
static const char *const protocol_choices[] = {
#define PROTOCOL(name, help) #name,
#include "common/protocols.def"
#undef PROTOCOL
	NULL};

#define SERVER(field)   .scope = OPTION_SERVER, .offset = offsetof(struct config, field)
#define LISTENER(field) .scope = OPTION_LISTENER, .offset = offsetof(struct listener_config, field)
#define UPSTREAM(field) .scope = OPTION_UPSTREAM, .offset = offsetof(struct upstream_config, field)
#define UPSTREAM_SERVER(field)                                                                     \
	.scope = OPTION_UPSTREAM_SERVER, .offset = offsetof(struct upstream_server_config, field)
#define NONE                                                                                       \
	{                                                                                          \
		{                                                                                  \
			"none", CONFIG_NONE                                                        \
		}                                                                                  \
	}

/* clang-format off */
const struct option config_schema[] = {
	{SERVER(workers), .path = "workers", .type = OPTION_COUNT, .fallback = "auto",
	 .min = 1, .max = 1024, .words = {{"auto", CONFIG_WORKERS_AUTO}}, .effect = EFFECT_AT_ONCE,
	 .help = "Number of worker processes; \"auto\" is one per usable core, and more when "
		 "max_connections does not fit the descriptor limit of one process."},
	{SERVER(cpu_pinning), .path = "cpu_pinning", .type = OPTION_BOOL, .fallback = "false",
	 .effect = EFFECT_NEW_WORKERS,
	 .help = "Bind each worker to one core."},
	{SERVER(user), .path = "user", .type = OPTION_TEXT, .fallback = "acceptd",
	 .min = 1, .max = 255, .effect = EFFECT_RESTART,
	 .help = "User, by name or number, that the workers become; ignored when acceptd is not "
		 "started by root."},
	{SERVER(group), .path = "group", .type = OPTION_TEXT, .fallback = "",
	 .max = 255, .effect = EFFECT_RESTART,
	 .help = "Group that the workers become; empty: the user's own."},
	{SERVER(pid_file), .path = "pid_file", .type = OPTION_TEXT,
	 .fallback = RUNSTATEDIR "/acceptd/acceptd.pid", .max = 4095, .effect = EFFECT_RESTART,
	 .help = "File that holds the master's process id and the lock against a second instance; "
		 "empty: none."},
	{SERVER(log), .path = "log", .type = OPTION_TEXT, .fallback = "stderr",
	 .min = 1, .max = 4095, .effect = EFFECT_AT_ONCE,
	 .help = "Where log lines go: \"stderr\", \"syslog\", \"syslog:/path/of/socket\", or the "
		 "absolute path of a file."},
	{SERVER(log_level), .path = "log_level", .type = OPTION_CHOICE, .fallback = "notice",
	 .choices = log_level_choices, .effect = EFFECT_AT_ONCE,
	 .help = "The least important lines that are still written."},
	{SERVER(session_log), .path = "session_log", .type = OPTION_TEXT, .fallback = "",
	 .max = 4095, .effect = EFFECT_AT_ONCE,
	 .help = "File that gets one line for each connection that ended: who, how long, how much, "
		 "why; an absolute path; empty: none."},
	{SERVER(drain_timeout_ms), .path = "drain_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "30s", .min = 0, .max = DAY, .effect = EFFECT_AT_ONCE,
	 .help = "How long connections may go on after the server was asked to stop, or after the "
		 "master was lost; what is open then is closed and counted."},
	{SERVER(hang_timeout_ms), .path = "hang_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "5s", .min = SECOND, .max = HOUR, .effect = EFFECT_AT_ONCE,
	 .help = "A worker that makes no progress for so long, although it had CPU time, is "
		 "replaced and its stack logged."},
	{SERVER(upgrade_timeout_ms), .path = "upgrade_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "60s", .min = 100, .max = HOUR, .effect = EFFECT_AT_ONCE,
	 .help = "How long the program of an upgrade may take to show that it can take over; the upgrade is refused "
		 "then, and nothing has changed."},
	{SERVER(upgrade_drain_timeout_ms), .path = "upgrade_drain_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "none", .min = SECOND, .max = 365 * DAY, .words = NONE, .effect = EFFECT_AT_ONCE,
	 .help = "How long connections may go on in the workers of the program before, after an upgrade; "
		 "\"none\": until they end by themselves. What is open then is closed and counted."},
	{SERVER(max_connections), .path = "max_connections", .type = OPTION_COUNT,
	 .fallback = "100000", .min = 1, .max = CONFIG_CONNECTIONS_MAX, .effect = EFFECT_AT_ONCE,
	 .help = "Connections open at the same time in all workers and listeners together; each "
		 "needs a descriptor."},
	{SERVER(source_table), .path = "source_table", .type = OPTION_COUNT,
	 .fallback = "65536", .min = SOURCES_WAYS, .max = SOURCES_ENTRIES_MAX,
	 .effect = EFFECT_RESTART,
	 .help = "Sources that each worker can count for the limits by source, 40 bytes each as soon "
		 "as they are used, in sets of 8: what 8 does not divide is rounded up. Clients of "
		 "sources for which there is no room are let in and counted as sources_untracked."},
	{SERVER(crash_penalty_ms), .path = "crash_penalty", .type = OPTION_DURATION_MS,
	 .fallback = "90s", .min = SECOND, .max = DAY, .words = NONE, .effect = EFFECT_AT_ONCE,
	 .help = "A worker that crashes while it serves a client gets all clients of the same source "
		 "(an IPv4 address, or the /64 of an IPv6 one) refused for so long on that listener, "
		 "so that a message that kills cannot be repeated. Loopback is never penalised: what "
		 "connects from this machine is mostly a balancer or a tunnel that speaks for many."},
	{SERVER(crash_penalty_exempt), .path = "crash_penalty_exempt", .type = OPTION_NETWORKS, .fallback = "",
	 .effect = EFFECT_AT_ONCE,
	 .help = "Networks that crash_penalty leaves alone: balancers that do not speak the PROXY "
		 "protocol, whose address stands for all their clients, so that one crash would shut "
		 "out everybody; the price is that who kills workers through them is not stopped."},
	{SERVER(strict), .path = "strict", .type = OPTION_BOOL, .fallback = "false",
	 .effect = EFFECT_AT_ONCE,
	 .help = "Refuse to start or reload when a limit of the machine cuts what is configured, "
		 "instead of warning."},
	{SERVER(kernel.somaxconn), .path = "kernel.somaxconn", .type = OPTION_COUNT,
	 .fallback = "auto", .min = 1, .max = INT32_MAX,
	 .words = {{"auto", CONFIG_SOMAXCONN_AUTO}, {"keep", CONFIG_SOMAXCONN_KEEP}},
	 .effect = EFFECT_AT_ONCE,
	 .help = "The kernel's net.core.somaxconn, which caps every backlog: \"auto\" raises it when "
		 "a backlog needs it and never lowers it, \"keep\" never touches it, a number sets "
		 "it."},
	{SERVER(admin.socket), .path = "admin.socket", .type = OPTION_TEXT,
	 .fallback = RUNSTATEDIR "/acceptd/admin.sock", .max = 107, .effect = EFFECT_AT_ONCE,
	 .help = "Path of the unix socket for acceptctl, which the members of the workers' group may "
		 "use; empty: none."},
	{SERVER(admin.web), .path = "admin.web", .type = OPTION_TEXT, .fallback = "",
	 .max = 127, .effect = EFFECT_AT_ONCE,
	 .help = "Address of the page and of the metrics for Prometheus, as \"127.0.0.1:7080\"; "
		 "whoever reaches it can read; empty: none."},

	{SERVER(dns.servers), .path = "dns.servers", .type = OPTION_ADDRESSES, .fallback = "",
	 .effect = EFFECT_AT_ONCE,
	 .allowed = "\"\" or 1 to 16 addresses as \"10.0.0.2:53\", \"[::1]:53\"",
	 .help = "DNS servers, as \"10.0.0.2:53\", that are asked for the names of back ends; empty: "
		 "those of /etc/resolv.conf, which is read again for each lookup."},
	{SERVER(dns.timeout_ms), .path = "dns.timeout", .type = OPTION_DURATION_MS,
	 .fallback = "5s", .min = 100, .max = 60 * SECOND, .effect = EFFECT_AT_ONCE,
	 .help = "A lookup that takes longer, with all its retries, has failed: the last answer "
		 "holds, and the name is asked for again, soon at first and then every 30s."},
	{SERVER(dns.max_ttl_ms), .path = "dns.max_ttl", .type = OPTION_DURATION_MS,
	 .fallback = "5m", .min = SECOND, .max = DAY, .effect = EFFECT_AT_ONCE,
	 .help = "Names are asked for again when the TTL of the answer has passed, but at least so "
		 "often, and at most once a second."},
	{SERVER(dns.family), .path = "dns.family", .type = OPTION_CHOICE, .fallback = "any",
	 .choices = family_choices, .effect = EFFECT_AT_ONCE,
	 .help = "Which addresses are asked for: IPv4 and IPv6 (\"any\"), or one of them."},

	{LISTENER(name), .path = "name", .type = OPTION_TEXT, .min = 1, .max = 31,
	 .effect = EFFECT_AT_ONCE,
	 .help = "Name of the listener in logs and statistics: a letter or underscore, then letters, "
		 "digits, underscores and hyphens."},
	{LISTENER(addresses), .path = "address", .type = OPTION_ADDRESSES,
	 .effect = EFFECT_AT_ONCE,
	 .help = "Where to listen, one string or an array of them: \"127.0.0.1:80\", \"[::1]:80\", "
		 "\"*:80\" (every address, IPv4 and IPv6), \"unix:/path\"."},
	{LISTENER(protocol), .path = "protocol", .type = OPTION_CHOICE,
	 .choices = protocol_choices, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "What is spoken on its connections."},
	{LISTENER(backlog), .path = "backlog", .type = OPTION_COUNT, .fallback = "4096",
	 .min = 1, .max = INT32_MAX, .effect = EFFECT_AT_ONCE,
	 .help = "Length of the accept queue of each address; the kernel applies the smaller of this "
		 "and net.core.somaxconn."},
	{LISTENER(max_connections), .path = "max_connections", .type = OPTION_COUNT,
	 .fallback = "none", .min = 1, .max = CONFIG_CONNECTIONS_MAX, .words = NONE,
	 .effect = EFFECT_AT_ONCE,
	 .help = "Connections of this listener open at the same time; \"none\": only the server's "
		 "max_connections counts."},
	{LISTENER(on_limit), .path = "on_limit", .type = OPTION_CHOICE, .fallback = "wait",
	 .choices = on_limit_choices, .effect = EFFECT_AT_ONCE,
	 .help = "At a limit of connections a client waits in the kernel's queue (\"wait\") or is "
		 "refused at once (\"refuse\")."},
	{LISTENER(max_connections_per_source), .path = "max_connections_per_source",
	 .type = OPTION_COUNT, .fallback = "none", .min = 1, .max = CONFIG_CONNECTIONS_MAX,
	 .words = NONE, .effect = EFFECT_AT_ONCE,
	 .help = "Connections of this listener that one source may have open at the same time, exact "
		 "over all workers; a source is an IPv4 address or the /64 of an IPv6 one. Further "
		 "ones are reset before a byte is read. Clients of a unix socket have no source."},
	{LISTENER(connection_rate_per_source), .path = "connection_rate_per_source",
	 .type = OPTION_COUNT, .fallback = "none", .min = 1, .max = SOURCES_RATE_MAX,
	 .words = NONE, .effect = EFFECT_AT_ONCE,
	 .help = "New connections of one source a second that are let in, measured over the last "
		 "1000 ms: those of the current second of the clock, and of the second before it the "
		 "part that is not yet 1000 ms past, as if they had come evenly. All of them may come "
		 "at once. Further ones are reset before a byte is read and do not count."},
	{LISTENER(idle_timeout_ms), .path = "idle_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "10m", .min = 1, .max = 365 * DAY, .words = NONE,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Close a connection on which nothing was received for so long."},
	{LISTENER(write_timeout_ms), .path = "write_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "60s", .min = 1, .max = 365 * DAY, .words = NONE,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Close a connection whose client took nothing of the pending output for so long."},
	{LISTENER(lifetime_ms), .path = "lifetime", .type = OPTION_DURATION_MS,
	 .fallback = "none", .min = 1, .max = 365 * DAY, .words = NONE,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Close a connection at this age, whatever it does."},
	{LISTENER(max_pending_bytes), .path = "max_pending", .type = OPTION_SIZE,
	 .fallback = "64K", .min = 1, .max = 1024 * MIB, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Output kept for one connection; beyond it nothing more is read from that client "
		 "until it has taken some."},
	{LISTENER(no_delay), .path = "no_delay", .type = OPTION_BOOL, .fallback = "true",
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Send small segments at once (TCP_NODELAY)."},
	{LISTENER(user_timeout_ms), .path = "user_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "none", .min = 1, .max = 20 * DAY, .words = NONE,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Give up a connection whose client acknowledged nothing that was sent for so long "
		 "(TCP_USER_TIMEOUT); also ends a live client that does not read."},
	{LISTENER(unix_mode), .path = "unix_mode", .type = OPTION_MODE, .fallback = "0660",
	 .min = 0, .max = 0777, .effect = EFFECT_AT_ONCE,
	 .help = "Permissions of the path of a unix socket."},
	{LISTENER(session_log), .path = "session_log", .type = OPTION_BOOL, .fallback = "true",
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Whether its connections are in the server's session_log."},
	{LISTENER(keepalive.idle_ms), .path = "keepalive.idle", .type = OPTION_DURATION_MS,
	 .fallback = "60s", .min = SECOND, .max = 32767 * SECOND, .words = NONE,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Probe a connection that was silent for so long (TCP_KEEPIDLE, whole seconds); "
		 "\"none\": no probes."},
	{LISTENER(keepalive.interval_ms), .path = "keepalive.interval", .type = OPTION_DURATION_MS,
	 .fallback = "10s", .min = SECOND, .max = 32767 * SECOND,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Time between two probes (TCP_KEEPINTVL, whole seconds)."},
	{LISTENER(keepalive.probes), .path = "keepalive.probes", .type = OPTION_COUNT,
	 .fallback = "6", .min = 1, .max = 127, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Unanswered probes after which the connection is given up (TCP_KEEPCNT)."},
	{LISTENER(allow), .path = "allow", .type = OPTION_NETWORKS, .fallback = "",
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Networks whose clients are served; all others are reset before a byte of theirs "
		 "is read. Empty: every client. A client of a unix socket has no address and is "
		 "served: unix_mode says who may connect."},
	{LISTENER(deny), .path = "deny", .type = OPTION_NETWORKS, .fallback = "",
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Networks whose clients are reset before a byte of theirs is read, also those "
		 "that are in allow."},
	{LISTENER(accept_proxy), .path = "accept_proxy", .type = OPTION_BOOL, .fallback = "false",
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Every connection begins with a PROXY header, version 1 or 2, in which a load "
		 "balancer says who the client is; that address is the one that lists, limits, "
		 "hashes, logs and send_proxy then use. A connection without one is reset."},
	{LISTENER(trusted), .path = "trusted", .type = OPTION_NETWORKS, .fallback = "",
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "For accept_proxy, which demands it: networks of the load balancers; whoever else "
		 "connects is reset. Over a unix socket everybody is trusted whom unix_mode lets "
		 "connect."},
	{LISTENER(proxy_timeout_ms), .path = "proxy_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "3s", .min = 1, .max = HOUR, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "For accept_proxy: how long the whole PROXY header may take, from the accept on."},
	{LISTENER(upstream), .path = "upstream", .type = OPTION_TEXT, .fallback = "", .max = 31,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "For protocol proxy: name of the upstream whose servers take the clients."},
	{LISTENER(half_close_timeout_ms), .path = "half_close_timeout",
	 .type = OPTION_DURATION_MS, .fallback = "60s", .min = 1, .max = 365 * DAY, .words = NONE,
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "For protocol proxy: how long the other side may go on, without a byte, after one "
		 "side has ended."},

	{UPSTREAM(name), .path = "name", .type = OPTION_TEXT, .min = 1, .max = 31,
	 .effect = EFFECT_AT_ONCE,
	 .help = "Name of the upstream, to which listeners refer: a letter or underscore, then "
		 "letters, digits, underscores and hyphens."},
	{UPSTREAM(balance), .path = "balance", .type = OPTION_CHOICE, .fallback = "round_robin",
	 .choices = balance_choices, .effect = EFFECT_AT_ONCE,
	 .help = "How a server is chosen: in turn, the one with the fewest connections for its "
		 "weight, the same one for each client address (on every machine), or the better "
		 "of two drawn at random."},
	{UPSTREAM(connect_timeout_ms), .path = "connect_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "3s", .min = 1, .max = HOUR, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "How long a server may take to accept a connect before another one is tried; "
		 "beyond 1s the SYN was dropped once."},
	{UPSTREAM(queue_timeout_ms), .path = "queue_timeout", .type = OPTION_DURATION_MS,
	 .fallback = "30s", .min = 1, .max = DAY, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "How long a client may wait for a place at a server, failed connects included."},
	{UPSTREAM(queue_max), .path = "queue_max", .type = OPTION_COUNT, .fallback = "none",
	 .min = 1, .max = CONFIG_CONNECTIONS_MAX, .words = NONE, .effect = EFFECT_AT_ONCE,
	 .help = "Clients that may wait for a place at the same time, in all workers together; "
		 "\"none\": only max_connections counts."},
	{UPSTREAM(on_down), .path = "on_down", .type = OPTION_CHOICE, .fallback = "wait",
	 .choices = on_down_choices, .effect = EFFECT_AT_ONCE,
	 .help = "When every server is down, or has just failed its connect, a client waits for "
		 "queue_timeout, while connects to servers that are not yet down are tried again "
		 "each 100ms (\"wait\"), or is refused at once (\"refuse\")."},
	{UPSTREAM(send_proxy), .path = "send_proxy", .type = OPTION_CHOICE, .fallback = "none",
	 .choices = send_proxy_choices, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "Tell the servers the client's address by the PROXY protocol of this version; they "
		 "must expect it."},
	{UPSTREAM(sources), .path = "sources", .type = OPTION_NETWORKS, .fallback = "",
	 .effect = EFFECT_NEW_CONNECTIONS,
	 .allowed = "\"\" or up to 256 addresses as \"10.0.0.7\", \"2001:db8::7\"",
	 .help = "Own addresses, without port, to connect from, in turn; each adds some 28000 "
		 "connections to one server. Empty: the kernel chooses."},
	{UPSTREAM(settle_time_ms), .path = "settle_time", .type = OPTION_DURATION_MS,
	 .fallback = "1s", .min = 1, .max = HOUR, .effect = EFFECT_NEW_CONNECTIONS,
	 .help = "A connection to a server with a declared backlog counts as still in its accept "
		 "queue until the first byte comes from it, or for so long. Where the kernel shows how "
		 "deep that queue is (a server on this host, in this network namespace), one that "
		 "is silent for longer counts for as long as the queue, sampled each second, is deep "
		 "enough for it: a server that pauses is not overrun. Of any other server it is not "
		 "known: let this be longer than its longest pause."},
	{UPSTREAM(slow_start_ms), .path = "slow_start", .type = OPTION_DURATION_MS,
	 .fallback = "none", .min = 1, .max = HOUR, .words = NONE, .effect = EFFECT_AT_ONCE,
	 .help = "A server that comes up again gets its full weight after so long."},
	{UPSTREAM(check.when), .path = "check.when", .type = OPTION_CHOICE, .fallback = "down",
	 .choices = check_when_choices, .effect = EFFECT_AT_ONCE,
	 .help = "Which servers one worker of this machine connects to, to see how they are: those "
		 "that are down, until they are up again (\"down\"), or all of them (\"always\")."},
	{UPSTREAM(check.interval_ms), .path = "check.interval", .type = OPTION_DURATION_MS,
	 .fallback = "2s", .min = 100, .max = HOUR, .effect = EFFECT_AT_ONCE,
	 .help = "Time from one check of a server to the next."},
	{UPSTREAM(check.timeout_ms), .path = "check.timeout", .type = OPTION_DURATION_MS,
	 .fallback = "2s", .min = 10, .max = HOUR, .effect = EFFECT_AT_ONCE,
	 .help = "A check that takes longer has failed."},
	{UPSTREAM(check.rise), .path = "check.rise", .type = OPTION_COUNT, .fallback = "1",
	 .min = 1, .max = 1000, .effect = EFFECT_AT_ONCE,
	 .help = "Good checks in a row after which a server is up."},
	{UPSTREAM(check.fall), .path = "check.fall", .type = OPTION_COUNT, .fallback = "3",
	 .min = 1, .max = 1000, .effect = EFFECT_AT_ONCE,
	 .help = "Failed connects in a row after which a server is down: of the clients of all "
		 "workers together, or of checks. A client's connect that succeeds begins the "
		 "clients' count again, a good check that of checks."},
	{UPSTREAM(check.send), .path = "check.send", .type = OPTION_TEXT, .fallback = "",
	 .max = 1024, .effect = EFFECT_AT_ONCE,
	 .help = "What a check says once it is connected; empty: nothing."},
	{UPSTREAM(check.expect), .path = "check.expect", .type = OPTION_TEXT, .fallback = "",
	 .max = 1024, .effect = EFFECT_AT_ONCE,
	 .help = "What the answer to a check must begin with; empty: to be connected is enough."},

	{UPSTREAM_SERVER(name), .path = "name", .type = OPTION_TEXT, .fallback = "", .max = 31,
	 .effect = EFFECT_AT_ONCE,
	 .help = "Name of the server in logs, statistics and commands; empty: its address."},
	{UPSTREAM_SERVER(where), .path = "address", .type = OPTION_ENDPOINT,
	 .effect = EFFECT_AT_ONCE,
	 .help = "Where it listens: \"10.0.0.7:8080\", \"[2001:db8::7]:8080\", \"unix:/path\"; or a "
		 "name, which stands for all its addresses: \"java.internal:8080\", or "
		 "\"srv:_http._tcp.internal\" for SRV records, which say ports and weights."},
	{UPSTREAM_SERVER(addresses), .path = "addresses", .type = OPTION_COUNT, .fallback = "8",
	 .min = 1, .max = CONFIG_PLACES_MAX, .effect = EFFECT_AT_ONCE,
	 .help = "For a name: how many of its addresses are used at the same time. Each is a server "
		 "of its own, NAME/1 and so on, to which the options here apply."},
	{UPSTREAM_SERVER(weight), .path = "weight", .type = OPTION_COUNT, .fallback = "1",
	 .min = 0, .max = CONFIG_WEIGHT_MAX, .effect = EFFECT_AT_ONCE,
	 .help = "Its share beside the other servers; 0: no new connections."},
	{UPSTREAM_SERVER(max_connections), .path = "max_connections", .type = OPTION_COUNT,
	 .fallback = "none", .min = 1, .max = CONFIG_CONNECTIONS_MAX, .words = NONE,
	 .effect = EFFECT_AT_ONCE,
	 .help = "Connections to it at the same time, exact over all workers; further clients wait, "
		 "first come, first served."},
	{UPSTREAM_SERVER(backlog), .path = "backlog", .type = OPTION_COUNT, .fallback = "none",
	 .min = 1, .max = INT32_MAX, .words = NONE, .effect = EFFECT_AT_ONCE,
	 .help = "Length of its accept queue: connects are paced so that the queue is never "
		 "overrun; \"none\": they are not."},
	{UPSTREAM_SERVER(backup), .path = "backup", .type = OPTION_BOOL, .fallback = "false",
	 .effect = EFFECT_AT_ONCE,
	 .help = "Take it only while no other server of the upstream is up."},
};
/* clang-format on */
const size_t config_schema_count = ARRAY_LEN(config_schema);
