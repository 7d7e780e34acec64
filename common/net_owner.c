/* Who holds an address: from the address to the socket's inode by /proc/net, from there to a
 * process by /proc/PID/fd. Both are read only as far as listeners are to be expected. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/net.h"
#include "common/text.h"

enum {
	FDS_LOOKED_AT = 2048, /* of one process: a server opens its listeners first */
	STATE_LISTEN = 0x0a,
	UNIX_ACCEPTS = 0x10000, /* __SO_ACCEPTCON */
	COMM_MAX = 64,
};

/* One line of /proc/net/tcp or tcp6, as Linux, net/ipv4/tcp_ipv4.c, get_tcp4_sock() prints it:
 * addresses are printed as words of the machine, ports as numbers. */
static bool
parse_tcp_line(const char *line, struct address *address, unsigned *state, unsigned long *inode)
{
	uint32_t word[4];
	unsigned port;

	memset(address, 0, sizeof(*address));
	if (sscanf(line,
		    "%*d: %8x%8x%8x%8x:%4x %*[0-9A-F]:%*4x %2x %*x:%*x %*x:%*x %*x %*u %*u %lu",
		    &word[0], &word[1], &word[2], &word[3], &port, state, inode) == 7) {
		address->in6.sin6_family = AF_INET6;
		memcpy(&address->in6.sin6_addr, word, sizeof(word));
		address->in6.sin6_port = htons((uint16_t)port);
		address->len = sizeof(address->in6);
		/* Whether it takes IPv4 as well is not printed. */
		address->is_dual = IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
		return true;
	}
	if (sscanf(line, "%*d: %8x:%4x %*[0-9A-F]:%*4x %2x %*x:%*x %*x:%*x %*x %*u %*u %lu",
		    &word[0], &port, state, inode) == 4) {
		address->in4.sin_family = AF_INET;
		address->in4.sin_addr.s_addr = word[0];
		address->in4.sin_port = htons((uint16_t)port);
		address->len = sizeof(address->in4);
		return true;
	}
	return false;
}

/* @return inode, 0: not found */
static unsigned long
find_tcp_inode(const char *path, const struct address *wanted)
{
	FILE *file = fopen(path, "re");
	unsigned long inode, found = 0;
	struct address address;
	unsigned state;
	char line[512];

	if (file == NULL) {
		return 0;
	}
	(void)fgets(line, sizeof(line), file); /* titles */
	while (found == 0 && fgets(line, sizeof(line), file) != NULL) {
		/* Listeners come first; after them the list may be a million lines long. */
		if (!parse_tcp_line(line, &address, &state, &inode) || state != STATE_LISTEN) {
			break;
		}
		if (address_overlaps(&address, wanted)) {
			found = inode;
		}
	}
	(void)fclose(file);
	return found;
}

static unsigned long
find_unix_inode(const char *path)
{
	FILE *file = fopen("/proc/net/unix", "re");
	unsigned long inode, found = 0;
	char line[512];
	unsigned flags;
	int at;

	if (file == NULL) {
		return 0;
	}
	while (found == 0 && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*x: %*x %*x %x %*x %*x %lu %n", &flags, &inode, &at) == 2 &&
			(flags & UNIX_ACCEPTS) != 0 && strcmp(line + at, path) == 0) {
			found = inode;
		}
	}
	(void)fclose(file);
	return found;
}

static bool
holds_socket(const char *pid, unsigned long inode)
{
	char path[300], target[64], wanted[64];
	struct dirent *entry;
	DIR *directory;
	bool found = false;

	(void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	(void)snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	directory = opendir(path);
	if (directory == NULL) {
		return false;
	}
	for (int seen = 0; !found && seen < FDS_LOOKED_AT; seen++) {
		ssize_t len;

		entry = readdir(directory);
		if (entry == NULL) {
			break;
		}
		len = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		found = strcmp(target, wanted) == 0;
	}
	(void)closedir(directory);
	return found;
}

static void
write_process(const char *pid, char *buffer, size_t size)
{
	struct text text;
	char path[300];
	char *name = NULL;
	size_t len = 0;

	text_init(&text, buffer, size);
	text_add(&text, "pid %s", pid);
	(void)snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	if (descriptor_read_file(path, COMM_MAX, &name, &len) == 0 && len > 0) {
		/* Anybody can give a process any name. */
		text_add(&text, " (");
		text_add_escaped(&text, name, len - 1);
		text_add(&text, ")");
	}
	free(name);
}

const char *
net_port_owner(const struct address *address, char *buffer, size_t size)
{
	unsigned long inode;
	struct dirent *entry;
	DIR *processes;
	bool found = false;

	(void)snprintf(buffer, size, "another process");
	if (address->any.sa_family == AF_UNIX) {
		inode = find_unix_inode(address->un.sun_path);
	} else {
		inode = find_tcp_inode("/proc/net/tcp", address);
		inode = inode != 0 ? inode : find_tcp_inode("/proc/net/tcp6", address);
	}
	processes = inode == 0 ? NULL : opendir("/proc");
	while (!found && processes != NULL && (entry = readdir(processes)) != NULL) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
			holds_socket(entry->d_name, inode)) {
			write_process(entry->d_name, buffer, size);
			found = true;
		}
	}
	if (processes != NULL) {
		(void)closedir(processes);
	}
	return buffer;
}
