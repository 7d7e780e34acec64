#include "common/inherit.h"
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "tests/unit/run.h"

#define VARIABLE "ACCEPTD_INHERIT"

START_TEST(without_the_variable_we_are_the_master)
{
	struct inherit inherit;

	unsetenv(VARIABLE);
	ck_assert_int_eq(inherit_read(&inherit), 0);
	ck_assert_int_eq(inherit.role, ROLE_MASTER);
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
	struct inherit written = {ROLE_WORKER, 1023, dup(0)}, read_back;
	struct inherit_space space;
	char name[16] = "";

	inherit_write(&written, &space);
	ck_assert_str_eq(space.argv[0], "acceptd: worker 1023");
	ck_assert_ptr_null(space.argv[1]);
	ck_assert_int_eq(putenv(space.environment[0]), 0);
	ck_assert_int_eq(fcntl(written.channel, F_GETFD), 0);
	ck_assert_int_eq(inherit_read(&read_back), 0);
	ck_assert_int_eq(read_back.role, ROLE_WORKER);
	ck_assert_int_eq(read_back.slot, 1023);
	ck_assert_int_eq(read_back.channel, written.channel);
	ck_assert_int_eq(fcntl(written.channel, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(prctl(PR_GET_NAME, name), 0);
	ck_assert_str_eq(name, "acceptd");
	unsetenv(VARIABLE);
	descriptor_close(&written.channel);
}
END_TEST

START_TEST(the_monitor_reads_back_its_role)
{
	struct inherit written = {ROLE_MONITOR, 0, dup(0)}, read_back;
	struct inherit_space space;

	inherit_write(&written, &space);
	ck_assert_str_eq(space.argv[0], "acceptd: monitor");
	ck_assert_int_eq(putenv(space.environment[0]), 0);
	ck_assert_int_eq(inherit_read(&read_back), 0);
	ck_assert_int_eq(read_back.role, ROLE_MONITOR);
	ck_assert_int_eq(read_back.slot, 0);
	ck_assert_int_eq(read_back.channel, written.channel);
	unsetenv(VARIABLE);
	descriptor_close(&written.channel);
}
END_TEST

static const char *const damaged[] = {
	"",
	"worker",
	"worker 1",
	"worker 1 ",
	"worker 1 900 ",
	"worker 1 900 4",
	" worker 1 900",
	"worker  1 900",
	"worker +1 900",
	"worker 01 900",
	"worker -1 900",
	"worker 1024 900",
	"worker 1 2",
	"worker 1 -1",
	"worker 1 99999999999",
	"worker 99999999999 900",
	"master 1 900",
	"worker one 900",
	"monitor 1 900",
	"monitor -1 900",
	"monitor",
	"monitor 0 2",
	"monitors 0 900",
	"worker 1 901", /* not open */
	"heir 2 900",
	"heir",
	"heir 0 901",
	"candidate 1 900",
	"candidate 0",
};

START_TEST(a_damaged_variable_is_refused)
{
	struct inherit inherit = {.slot = 77};

	ck_assert_int_eq(dup2(0, 900), 900);
	ck_assert_int_eq(setenv(VARIABLE, damaged[_i], 1), 0);
	ck_assert_int_eq(inherit_read(&inherit), -EINVAL);
	ck_assert_int_eq(inherit.slot, 77);
	unsetenv(VARIABLE);
	close(900);
}
END_TEST

static bool
has_entry(const struct inherit_space *space, const char *entry)
{
	for (size_t i = 0; space->environment[i] != NULL; i++) {
		if (strcmp(space->environment[i], entry) == 0) {
			return true;
		}
	}
	return false;
}

#ifdef WITH_FAULTS
#define IS_FOR_TESTS 1
#else
#define IS_FOR_TESTS 0
#endif

START_TEST(only_the_listed_variables_pass_to_a_child)
{
	struct inherit inherit = {ROLE_WORKER, 3, 3};
	struct inherit_space space;
	size_t count = 0;

	clearenv();
	setenv("TZX", "no", 1);
	setenv("TZ", "Europe/Berlin", 1);
	setenv("JOURNAL_STREAM", "8:4711", 1);
	setenv("LD_PRELOAD", "", 1);
	setenv("LIBEV_FLAGS", "2", 1);
	setenv("ASAN_OPTIONS", "a=1", 1);
	setenv("UBSAN_OPTIONS", "b=1", 1);
	setenv("LSAN_OPTIONS", "c=1", 1);
	setenv("LLVM_PROFILE_FILE", "/tmp/x", 1);
	inherit_write(&inherit, &space);
	while (space.environment[count] != NULL) {
		count++;
	}
	/* Nothing is preloaded into the workers of a server, but of one that is built for tests. */
	ck_assert_int_eq(has_entry(&space, "LD_PRELOAD="), IS_FOR_TESTS);
	ck_assert_uint_eq(count, 7 + IS_FOR_TESTS);
	ck_assert(has_entry(&space, "ACCEPTD_INHERIT=worker 3 3"));
	ck_assert(has_entry(&space, "TZ=Europe/Berlin"));
	ck_assert(has_entry(&space, "JOURNAL_STREAM=8:4711"));
	ck_assert(has_entry(&space, "ASAN_OPTIONS=a=1"));
	ck_assert(has_entry(&space, "UBSAN_OPTIONS=b=1"));
	ck_assert(has_entry(&space, "LSAN_OPTIONS=c=1"));
	ck_assert(has_entry(&space, "LLVM_PROFILE_FILE=/tmp/x"));
}
END_TEST

START_TEST(a_child_needs_no_environment_of_ours)
{
	struct inherit inherit = {ROLE_WORKER, 0, 5};
	struct inherit_space space;

	clearenv();
	inherit_write(&inherit, &space);
	ck_assert_str_eq(space.environment[0], "ACCEPTD_INHERIT=worker 0 5");
	ck_assert_ptr_null(space.environment[1]);
}
END_TEST

static const struct inherit successors[] = {
	{ROLE_HEIR, 0, 900}, {ROLE_HEIR, 1, 900}, {ROLE_CANDIDATE, 0, 900}};

START_TEST(a_successor_gets_the_whole_environment_with_its_role)
{
	struct inherit read_back;
	char **entries;

	clearenv();
	setenv("PATH", "/bin", 1);
	setenv(VARIABLE, "an older one", 1);
	ck_assert_int_eq(dup2(0, 900), 900);
	entries = inherit_environment(&successors[_i]);
	ck_assert_ptr_nonnull(entries);
	ck_assert_str_eq(entries[0], "PATH=/bin");
	ck_assert_ptr_nonnull(entries[1]);
	ck_assert_ptr_null(entries[2]);
	ck_assert_int_eq(putenv(entries[1]), 0);
	ck_assert_int_eq(inherit_read(&read_back), 0);
	ck_assert_int_eq(read_back.role, successors[_i].role);
	ck_assert_int_eq(read_back.slot, successors[_i].slot);
	ck_assert_int_eq(read_back.channel, 900);
	unsetenv(VARIABLE);
	free(entries);
	close(900);
}
END_TEST

UNIT_TESTS("inherit", tcase_add_test(tests, without_the_variable_we_are_the_master);
	   tcase_add_test(tests, what_is_written_is_read_back);
	   tcase_add_test(tests, the_monitor_reads_back_its_role);
	   tcase_add_loop_test(tests, a_damaged_variable_is_refused, 0, (int)ARRAY_LEN(damaged));
	   tcase_add_test(tests, only_the_listed_variables_pass_to_a_child);
	   tcase_add_test(tests, a_child_needs_no_environment_of_ours);
	   tcase_add_loop_test(tests, a_successor_gets_the_whole_environment_with_its_role, 0,
		   (int)ARRAY_LEN(successors));)
