/* The limits that the control groups put on this process. A limit can sit on any group between ours
 * and the root, so those that matter are read on the way up. */
#include "master/cgroup.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/descriptor.h"
#include "common/text.h"
#include "master/proc.h"

#define PROC_TEXT_MAX (1024 * 1024)
#define VMSTAT_MAX    16384

/* Is `word` one of the words of a comma-separated list? */
static bool
list_has(const char *list, size_t len, const char *word)
{
	size_t word_len = strlen(word);
	const char *end = list + len;

	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		const char *stop = comma != NULL ? comma : end;

		if ((size_t)(stop - list) == word_len && memcmp(list, word, word_len) == 0) {
			return true;
		}
		list = stop + 1;
	}
	return false;
}

static const char *
next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end != NULL ? end + 1 : line + strlen(line);
}

/* A line of /proc/self/cgroup is "id:controllers:path"; version 2 has no controllers.
 * @param path  filled with our group's path */
static bool
cgroup_own_path(const char *cgroups, const char *controller, char path[CGROUP_PATH_MAX])
{
	const char *line, *first, *second;
	size_t len;

	for (line = cgroups; *line != '\0'; line = next_line(line)) {
		first = strchr(line, ':');
		second = first != NULL ? strchr(first + 1, ':') : NULL;
		if (second == NULL) {
			return false;
		}
		len = (size_t)(second - first - 1);
		if (controller == NULL ? len == 0 : list_has(first + 1, len, controller)) {
			len = strcspn(second + 1, "\n");
			if (len >= CGROUP_PATH_MAX) {
				return false;
			}
			memcpy(path, second + 1, len);
			path[len] = '\0';
			return true;
		}
	}
	return false;
}

struct cgroup_mount {
	char root[CGROUP_PATH_MAX];
	char point[CGROUP_PATH_MAX];
};

/* A line of mountinfo: "31 23 0:28 ROOT POINT options [optional…] - TYPE source SUPER". */
static bool
cgroup_parse_mount(const char *line, const char *controller, struct cgroup_mount *mount)
{
	char type[16], super[256];
	const char *dash = strstr(line, " - ");

	if (dash == NULL || dash > next_line(line) ||
		sscanf(line, "%*s %*s %*s %511s %511s", mount->root, mount->point) != 2 ||
		sscanf(dash, " - %15s %*s %255s", type, super) != 2) {
		return false;
	}
	if (controller == NULL) {
		return strcmp(type, "cgroup2") == 0;
	}
	return strcmp(type, "cgroup") == 0 && list_has(super, strlen(super), controller);
}

static bool
cgroup_find_mount(const char *mounts, const char *controller, struct cgroup_mount *mount)
{
	const char *line;

	for (line = mounts; *line != '\0'; line = next_line(line)) {
		if (cgroup_parse_mount(line, controller, mount)) {
			return true;
		}
	}
	return false;
}

/* Join mount point and our path; in a container the mount shows only a part of the tree, whose root
 * is then left out of the path. */
static int
cgroup_join(struct cgroup_place *place, const struct cgroup_mount *mount, const char *path)
{
	size_t root_len = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
	int len;

	if (strncmp(path, mount->root, root_len) == 0 &&
		(path[root_len] == '/' || path[root_len] == '\0')) {
		path += root_len;
	}
	if (strcmp(path, "/") == 0) {
		path = "";
	}
	len = snprintf(place->directory, sizeof(place->directory), "%s%s", mount->point, path);
	if (len < 0 || (size_t)len >= sizeof(place->directory)) {
		place->directory[0] = '\0';
		return -ENAMETOOLONG;
	}
	place->mount_len = strlen(mount->point);
	return 0;
}

int
cgroup_locate(
	const char *cgroups, const char *mounts, const char *controller, struct cgroup_place *place)
{
	struct cgroup_mount mount;
	char path[CGROUP_PATH_MAX];

	memset(place, 0, sizeof(*place));
	if (cgroup_own_path(cgroups, controller, path)) {
		return cgroup_find_mount(mounts, controller, &mount)
			       ? cgroup_join(place, &mount, path)
			       : -ENOENT;
	}
	place->is_v2 = true;
	if (!cgroup_own_path(cgroups, NULL, path) || !cgroup_find_mount(mounts, NULL, &mount)) {
		return -ENOENT;
	}
	return cgroup_join(place, &mount, path);
}

void
cgroup_find(const char *controller, struct cgroup_place *place)
{
	char *cgroups = NULL, *mounts = NULL;
	size_t len;
	int result;

	memset(place, 0, sizeof(*place));
	result = descriptor_read_file("/proc/self/cgroup", PROC_TEXT_MAX, &cgroups, &len);
	if (result == 0) {
		result = descriptor_read_file("/proc/self/mountinfo", PROC_TEXT_MAX, &mounts, &len);
	}
	if (result != 0 || cgroup_locate(cgroups, mounts, controller, place) != 0) {
		place->directory[0] = '\0';
	}
	free(mounts);
	free(cgroups);
}

bool
cgroup_climb(struct cgroup_place *place)
{
	char *slash = strrchr(place->directory, '/');

	if (slash == NULL || (size_t)(slash - place->directory) < place->mount_len) {
		return false;
	}
	*slash = '\0';
	return true;
}

int64_t
cgroup_parse_quota(const char *cpu_max)
{
	long long quota, period;

	if (sscanf(cpu_max, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) {
		return 0; /* "max", or -1 in version 1 */
	}
	return quota > INT64_MAX / 1000 ? 0 : quota * 1000 / period;
}

int
cgroup_parse_key(const char *text, const char *key, uint64_t *value)
{
	size_t len = strlen(key);
	const char *line;

	for (line = text; *line != '\0'; line = next_line(line)) {
		if (strncmp(line, key, len) == 0 && line[len] == ' ') {
			*value = strtoull(line + len + 1, NULL, 10);
			return 0;
		}
	}
	return -ENOENT;
}

static bool
cgroup_read(const struct cgroup_place *place, const char *file, char *buffer, size_t size)
{
	char path[CGROUP_PATH_MAX + 64];

	if (place->directory[0] == '\0') {
		return false;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", place->directory, file);
	return proc_read_small(path, buffer, size) > 0;
}

static bool
cgroup_read_number(const struct cgroup_place *place, const char *file, uint64_t *value)
{
	char text[32];

	if (!cgroup_read(place, file, text, sizeof(text)) || !isdigit((unsigned char)text[0])) {
		return false; /* absent, or "max" */
	}
	*value = strtoull(text, NULL, 10);
	return true;
}

static int64_t
cgroup_quota_here(const struct cgroup_place *place)
{
	char quota[32], period[32], both[80];

	if (place->is_v2) {
		return cgroup_read(place, "cpu.max", both, sizeof(both)) ? cgroup_parse_quota(both)
									 : 0;
	}
	if (!cgroup_read(place, "cpu.cfs_quota_us", quota, sizeof(quota)) ||
		!cgroup_read(place, "cpu.cfs_period_us", period, sizeof(period))) {
		return 0;
	}
	(void)snprintf(both, sizeof(both), "%s %s", quota, period);
	return cgroup_parse_quota(both);
}

int64_t
cgroup_cpu_quota(const struct cgroup_place *cpu)
{
	struct cgroup_place place = *cpu;
	int64_t tightest = 0;

	do {
		int64_t quota = cgroup_quota_here(&place);

		if (quota > 0 && (tightest == 0 || quota < tightest)) {
			tightest = quota;
		}
	} while (cgroup_climb(&place));
	return tightest;
}

bool
cgroup_pids_full(const struct cgroup_place *pids, char *sentence, size_t size)
{
	struct cgroup_place place = *pids;
	uint64_t limit, used;

	do {
		if (cgroup_read_number(&place, "pids.max", &limit) &&
			cgroup_read_number(&place, "pids.current", &used) && used >= limit) {
			(void)snprintf(sentence, size,
				"pids.max of %s is %" PRIu64 " and %" PRIu64 " are in use",
				place.directory, limit, used);
			return true;
		}
	} while (cgroup_climb(&place));
	return false;
}

uint64_t
cgroup_oom_kills(const struct cgroup_place *memory)
{
	char text[VMSTAT_MAX];
	const char *file = memory->is_v2 ? "memory.events" : "memory.oom_control";
	uint64_t kills = 0;

	if (cgroup_read(memory, file, text, sizeof(text)) &&
		cgroup_parse_key(text, "oom_kill", &kills) == 0) {
		return kills;
	}
	/* A root group has no such file. */
	if (proc_read_small("/proc/vmstat", text, sizeof(text)) > 0 &&
		cgroup_parse_key(text, "oom_kill", &kills) == 0) {
		return kills;
	}
	return 0;
}

const char *
cgroup_memory_limit(const struct cgroup_place *memory, char *buffer, size_t size)
{
	struct cgroup_place place = *memory;
	const char *file = memory->is_v2 ? "memory.max" : "memory.limit_in_bytes";
	struct text text;
	uint64_t limit;

	text_init(&text, buffer, size);
	do {
		/* Version 1 writes "no limit" as the largest page-aligned number. */
		if (cgroup_read_number(&place, file, &limit) && limit < INT64_MAX / 2) {
			text_add(&text, "memory limit ");
			text_add_size(&text, (int64_t)limit);
			text_add(&text, " of cgroup %s", place.directory + place.mount_len);
			break;
		}
	} while (cgroup_climb(&place));
	return buffer;
}
