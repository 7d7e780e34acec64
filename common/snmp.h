/* The form of /proc/net/snmp and /proc/net/netstat: pairs of lines, names and then values, each
 * pair beginning with its group: "TcpExt: SyncookiesSent …" / "TcpExt: 0 …" (proc(5)). Pure. */
#pragma once

#include <stdint.h>

#include "common/defs.h"

/** Call `found` for every counter of the text, in its order. Negative values (Tcp MaxConn is -1)
 * are left out. @return 0, or -EINVAL when a line of names has no line of values of its group, or a
 * word is no counter's name or value */
int snmp_parse(const char *text,
	void (*found)(const char *group, const char *name, uint64_t value, void *context),
	void *context) MUST_CHECK;
