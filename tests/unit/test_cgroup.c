#include "master/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/defs.h"
#include "tests/unit/run.h"

#define MOUNTS_V2                                                                                  \
	"23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"                                  \
	"31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNTS_V1                                                                                  \
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                               \
	"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"              \
	"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                        \
	"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define MOUNTS_CONTAINER                                                                           \
	"35 31 0:32 /docker/4c /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"

static const struct {
	const char *cgroups, *mounts, *controller;
	int result;
	const char *directory;
	bool is_v2;
} places[] = {
	{"0::/system.slice/acceptd.service\n", MOUNTS_V2, "cpu", 0,
		"/sys/fs/cgroup/system.slice/acceptd.service", true},
	{"0::/\n", MOUNTS_V2, "memory", 0, "/sys/fs/cgroup", true},
	{"4:memory:/a/b\n2:cpu,cpuacct:/c\n0::/\n", MOUNTS_V1, "cpu", 0,
		"/sys/fs/cgroup/cpu,cpuacct/c", false},
	{"4:memory:/a/b\n2:cpu,cpuacct:/c\n0::/\n", MOUNTS_V1, "memory", 0,
		"/sys/fs/cgroup/memory/a/b", false},
	{"4:memory:/a/b\n0::/u\n", MOUNTS_V1, "pids", 0, "/sys/fs/cgroup/unified/u", true},
	/* a container sees its own part of the tree as the mount's root */
	{"4:memory:/docker/4c\n", MOUNTS_CONTAINER, "memory", 0, "/sys/fs/cgroup/memory", false},
	{"4:memory:/docker/4c/x\n", MOUNTS_CONTAINER, "memory", 0, "/sys/fs/cgroup/memory/x",
		false},
	{"4:memory:/docker/4cd\n", MOUNTS_CONTAINER, "memory", 0,
		"/sys/fs/cgroup/memory/docker/4cd", false},
	/* not a whole word of the list */
	{"2:cpuacct:/c\n", MOUNTS_V1, "cpu", -ENOENT, "", true},
	{"2:cpu:/c\n", "", "cpu", -ENOENT, "", false},
	{"", MOUNTS_V2, "cpu", -ENOENT, "", true},
	{"nonsense\n", "nonsense\n", "cpu", -ENOENT, "", true},
};

START_TEST(cgroup_finds_its_place_in_either_version)
{
	struct cgroup_place place;

	ck_assert_int_eq(
		cgroup_locate(places[_i].cgroups, places[_i].mounts, places[_i].controller, &place),
		places[_i].result);
	ck_assert_str_eq(place.directory, places[_i].directory);
	ck_assert(place.is_v2 == places[_i].is_v2);
}
END_TEST

START_TEST(cgroup_refuses_a_path_that_does_not_fit)
{
	char line[2 * CGROUP_PATH_MAX] = "0::/";
	struct cgroup_place place;

	memset(line + 4, 'x', CGROUP_PATH_MAX + 10);
	ck_assert_int_lt(cgroup_locate(line, MOUNTS_V2, "cpu", &place), 0);
	line[CGROUP_PATH_MAX - 5] = '\0';
	ck_assert_int_lt(cgroup_locate(line, MOUNTS_V2, "cpu", &place), 0);
	ck_assert_str_eq(place.directory, "");
}
END_TEST

START_TEST(cgroup_climbs_to_the_mount_and_no_further)
{
	struct cgroup_place place;

	ck_assert_int_eq(cgroup_locate("0::/a/b\n", MOUNTS_V2, "cpu", &place), 0);
	ck_assert(cgroup_climb(&place));
	ck_assert_str_eq(place.directory, "/sys/fs/cgroup/a");
	ck_assert(cgroup_climb(&place));
	ck_assert_str_eq(place.directory, "/sys/fs/cgroup");
	ck_assert(!cgroup_climb(&place));
	ck_assert_str_eq(place.directory, "/sys/fs/cgroup");
}
END_TEST

static const struct {
	const char *text;
	int64_t millicores;
} quotas[] = {
	{"max 100000", 0},
	{"150000 100000", 1500},
	{"5000 100000", 50},
	{"400000 100000\n", 4000},
	{"-1 100000", 0},
	{"100000", 0},
	{"100000 0", 0},
	{"", 0},
	{"junk", 0},
};

START_TEST(cgroup_reads_quotas)
{
	ck_assert_int_eq(cgroup_parse_quota(quotas[_i].text), quotas[_i].millicores);
}
END_TEST

START_TEST(cgroup_reads_a_line_by_its_whole_key)
{
	const char *text = "low 0\noom 5\noom_kill 3\noom_group_kill 9\n";
	uint64_t value = 0;

	ck_assert_int_eq(cgroup_parse_key(text, "oom_kill", &value), 0);
	ck_assert_uint_eq(value, 3);
	ck_assert_int_eq(cgroup_parse_key(text, "oom_k", &value), -ENOENT);
	ck_assert_int_eq(cgroup_parse_key("", "oom_kill", &value), -ENOENT);
}
END_TEST

/* A tree of groups of our own: top/low, where we are in low. */
static char top[] = "/tmp/acceptd-cgroup-XXXXXX";
static struct cgroup_place low;

static void
write_file(const char *name, const char *text)
{
	char path[CGROUP_PATH_MAX];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	(void)fputs(text, file);
	ck_assert_int_eq(fclose(file), 0);
}

static void
make_tree(bool is_v2)
{
	char path[CGROUP_PATH_MAX];

	ck_assert_ptr_nonnull(mkdtemp(top));
	(void)snprintf(path, sizeof(path), "%s/low", top);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	memset(&low, 0, sizeof(low));
	(void)snprintf(low.directory, sizeof(low.directory), "%s", path);
	low.mount_len = strlen(top);
	low.is_v2 = is_v2;
}

static void
remove_tree(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(cgroup_takes_the_tightest_quota_on_the_way_up)
{
	make_tree(true);
	write_file("cpu.max", "150000 100000\n");
	ck_assert_int_eq(cgroup_cpu_quota(&low), 1500);
	write_file("low/cpu.max", "max 100000\n");
	ck_assert_int_eq(cgroup_cpu_quota(&low), 1500);
	write_file("low/cpu.max", "300000 100000\n");
	ck_assert_int_eq(cgroup_cpu_quota(&low), 1500);
	write_file("low/cpu.max", "20000 100000\n");
	ck_assert_int_eq(cgroup_cpu_quota(&low), 200);
	remove_tree();
}
END_TEST

START_TEST(cgroup_reads_the_quota_of_version_1)
{
	make_tree(false);
	write_file("low/cpu.cfs_quota_us", "-1\n");
	write_file("low/cpu.cfs_period_us", "100000\n");
	ck_assert_int_eq(cgroup_cpu_quota(&low), 0);
	write_file("low/cpu.cfs_quota_us", "250000\n");
	ck_assert_int_eq(cgroup_cpu_quota(&low), 2500);
	remove_tree();
}
END_TEST

START_TEST(cgroup_names_the_group_that_has_no_room_for_a_process)
{
	char sentence[CGROUP_PATH_MAX], expected[CGROUP_PATH_MAX];

	make_tree(true);
	write_file("low/pids.max", "max\n");
	write_file("low/pids.current", "12\n");
	ck_assert(!cgroup_pids_full(&low, sentence, sizeof(sentence)));
	write_file("pids.max", "13\n");
	write_file("pids.current", "12\n");
	ck_assert(!cgroup_pids_full(&low, sentence, sizeof(sentence)));
	write_file("pids.max", "12\n");
	ck_assert(cgroup_pids_full(&low, sentence, sizeof(sentence)));
	(void)snprintf(expected, sizeof(expected), "pids.max of %s is 12 and 12 are in use", top);
	ck_assert_str_eq(sentence, expected);
	remove_tree();
}
END_TEST

START_TEST(cgroup_counts_the_killed_and_names_the_limit)
{
	char limit[CGROUP_PATH_MAX];

	make_tree(true);
	write_file("low/memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 2\n");
	ck_assert_uint_eq(cgroup_oom_kills(&low), 2);
	ck_assert_str_eq(cgroup_memory_limit(&low, limit, sizeof(limit)), "");
	write_file("low/memory.max", "268435456\n");
	ck_assert_str_eq(cgroup_memory_limit(&low, limit, sizeof(limit)),
		"memory limit 256M of cgroup /low");
	remove_tree();
}
END_TEST

START_TEST(cgroup_counts_the_killed_in_version_1_too)
{
	char limit[CGROUP_PATH_MAX];

	make_tree(false);
	write_file("low/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
	write_file("low/memory.limit_in_bytes", "9223372036854771712\n");
	ck_assert_uint_eq(cgroup_oom_kills(&low), 7);
	ck_assert_str_eq(cgroup_memory_limit(&low, limit, sizeof(limit)), "");
	write_file("low/memory.limit_in_bytes", "67108864\n");
	ck_assert_str_eq(
		cgroup_memory_limit(&low, limit, sizeof(limit)), "memory limit 64M of cgroup /low");
	remove_tree();
}
END_TEST

START_TEST(cgroup_without_a_place_has_no_limits)
{
	struct cgroup_place nowhere = {.is_v2 = true};
	char buffer[CGROUP_PATH_MAX];

	ck_assert_int_eq(cgroup_cpu_quota(&nowhere), 0);
	ck_assert(!cgroup_pids_full(&nowhere, buffer, sizeof(buffer)));
	ck_assert_str_eq(cgroup_memory_limit(&nowhere, buffer, sizeof(buffer)), "");
}
END_TEST

UNIT_TESTS("cgroup", tcase_add_loop_test(tests, cgroup_finds_its_place_in_either_version, 0,
			     (int)ARRAY_LEN(places));
	   tcase_add_test(tests, cgroup_refuses_a_path_that_does_not_fit);
	   tcase_add_test(tests, cgroup_climbs_to_the_mount_and_no_further);
	   tcase_add_loop_test(tests, cgroup_reads_quotas, 0, (int)ARRAY_LEN(quotas));
	   tcase_add_test(tests, cgroup_reads_a_line_by_its_whole_key);
	   tcase_add_test(tests, cgroup_takes_the_tightest_quota_on_the_way_up);
	   tcase_add_test(tests, cgroup_reads_the_quota_of_version_1);
	   tcase_add_test(tests, cgroup_names_the_group_that_has_no_room_for_a_process);
	   tcase_add_test(tests, cgroup_counts_the_killed_and_names_the_limit);
	   tcase_add_test(tests, cgroup_counts_the_killed_in_version_1_too);
	   tcase_add_test(tests, cgroup_without_a_place_has_no_limits);)
