/* What the kernel and the machine allow at this moment: sysctls, limits, memory, cgroup, and the
 * settings that files under /etc/sysctl* ask for. Reads, never changes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

struct config;
struct fault;

/* SYSCTL(identifier, "name as sysctl(8) writes it", has its own value in each network namespace) */
#define MACHINE_SYSCTLS(SYSCTL)                                                                    \
	SYSCTL(SOMAXCONN, "net.core.somaxconn", true)                                              \
	SYSCTL(MAX_SYN_BACKLOG, "net.ipv4.tcp_max_syn_backlog", true)                              \
	SYSCTL(SYNCOOKIES, "net.ipv4.tcp_syncookies", true)                                        \
	SYSCTL(ABORT_ON_OVERFLOW, "net.ipv4.tcp_abort_on_overflow", true)                          \
	SYSCTL(SYNACK_RETRIES, "net.ipv4.tcp_synack_retries", true)                                \
	SYSCTL(PORT_RANGE, "net.ipv4.ip_local_port_range", true)                                   \
	SYSCTL(TW_REUSE, "net.ipv4.tcp_tw_reuse", true)                                            \
	SYSCTL(TIMESTAMPS, "net.ipv4.tcp_timestamps", true)                                        \
	SYSCTL(MAX_TW_BUCKETS, "net.ipv4.tcp_max_tw_buckets", true)                                \
	SYSCTL(FIN_TIMEOUT, "net.ipv4.tcp_fin_timeout", true)                                      \
	SYSCTL(KEEPALIVE_TIME, "net.ipv4.tcp_keepalive_time", true)                                \
	SYSCTL(KEEPALIVE_INTVL, "net.ipv4.tcp_keepalive_intvl", true)                              \
	SYSCTL(KEEPALIVE_PROBES, "net.ipv4.tcp_keepalive_probes", true)                            \
	SYSCTL(ORPHAN_RETRIES, "net.ipv4.tcp_orphan_retries", true)                                \
	SYSCTL(MAX_ORPHANS, "net.ipv4.tcp_max_orphans", false)                                     \
	SYSCTL(TCP_MEM, "net.ipv4.tcp_mem", false)                                                 \
	SYSCTL(TCP_RMEM, "net.ipv4.tcp_rmem", true)                                                \
	SYSCTL(TCP_WMEM, "net.ipv4.tcp_wmem", true)                                                \
	SYSCTL(NETDEV_MAX_BACKLOG, "net.core.netdev_max_backlog", false)                           \
	SYSCTL(FILE_MAX, "fs.file-max", false)                                                     \
	SYSCTL(FILE_NR, "fs.file-nr", false)                                                       \
	SYSCTL(NR_OPEN, "fs.nr_open", false)                                                       \
	SYSCTL(EPOLL_WATCHES, "fs.epoll.max_user_watches", false)                                  \
	SYSCTL(CONNTRACK_MAX, "net.netfilter.nf_conntrack_max", false)                             \
	SYSCTL(CONNTRACK_COUNT, "net.netfilter.nf_conntrack_count", true)                          \
	SYSCTL(OVERCOMMIT, "vm.overcommit_memory", false)

enum machine_sysctl {
#define SYSCTL(id, name, is_namespaced) SYSCTL_##id,
	MACHINE_SYSCTLS(SYSCTL)
#undef SYSCTL
		SYSCTL_COUNT
};

#define MACHINE_VALUES_MAX 3 /* tcp_mem and its kin have three */
#define MACHINE_ADVICE_MAX 32

struct machine_value {
	size_t count; /* 0: not on this kernel, not readable, or not loaded */
	int64_t values[MACHINE_VALUES_MAX];
};

/* A line of /etc/sysctl.conf or /etc/sysctl.d. */
struct machine_advice {
	char file[128];
	int line;
	char name[64];
	char value[64];
};

/* Servers of the upstreams that declare a backlog and whose accept queue the kernel shows, because
 * they run on this host: how many, and the one whose queue is farthest below that. */
struct machine_backlogs {
	int64_t known;
	char worst[160]; /* "java/10.0.0.7:8080" */
	int64_t declared, limit;
};

struct machine {
	struct machine_value sysctls[SYSCTL_COUNT];
	bool can_write_sysctls; /* this process, /proc/sys/net/core/somaxconn */
	bool is_container;
	int64_t descriptors_hard; /* RLIMIT_NOFILE of this process; INT64_MAX: unlimited */
	int64_t memory_available_bytes;
	int64_t memory_total_bytes;
	int64_t cgroup_memory_max_bytes; /* INT64_MAX: none */
	int64_t cgroup_memory_used_bytes;
	int64_t cgroup_pids_max; /* INT64_MAX: none */
	struct machine_advice advice[MACHINE_ADVICE_MAX];
	size_t advice_count;
	struct machine_backlogs backlogs;
};

/** The name as sysctl(8) writes it, and whether each network namespace has its own value. */
const char *machine_sysctl_name(enum machine_sysctl sysctl);
bool machine_sysctl_is_namespaced(enum machine_sysctl sysctl);

/** Read everything below `root` ("" for the real machine, a directory in tests). What cannot be
 * read is left unknown; that is never an error. About 1 ms. */
void machine_read(const char *root, struct machine *machine);

/** Ask the kernel about the accept queues of the back ends that run now; after machine_read. */
void machine_read_backlogs(const struct config *config, struct machine *machine);

/** Parse the lines of a sysctl.conf(5) file and append them to machine->advice. Pure. */
void machine_parse_advice(struct machine *machine, const char *file, const char *text);
/** Parse "4096 131072 6291456". Pure. */
struct machine_value machine_parse_value(const char *text);
