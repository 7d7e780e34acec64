#include "common/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"
#include "tests/unit/run.h"

enum { NOBODY = 65534 };

static const struct privilege_identity nobody = {NOBODY, NOBODY};
static struct fault why;

/* What a test that has to be root does without: says so and is over. */
static bool
is_skipped(void)
{
	if (geteuid() != 0) {
		printf("skipped: needs root to have something to give up\n");
		return true;
	}
	return false;
}

/* Do it in a process of its own, whose failed assertions are failures here. */
static void
in_child(void (*act)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		act();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* The value of one line of a /proc/PID/status, blanks as single spaces. */
static const char *
field_of(const char *status, const char *name)
{
	static char value[256];
	const char *at = strstr(status, name);
	size_t used = 0;

	ck_assert_msg(at != NULL, "no line %s", name);
	for (at += strlen(name); *at != '\n' && used < sizeof(value) - 1; at++) {
		bool is_blank = *at == ' ' || *at == '\t';

		if (!is_blank || (used > 0 && value[used - 1] != ' ')) {
			value[used++] = is_blank ? ' ' : *at;
		}
	}
	while (used > 0 && value[used - 1] == ' ') {
		used--;
	}
	value[used] = '\0';
	return value;
}

static const char *
field(const char *name)
{
	static char *status;
	size_t len;

	free(status);
	ck_assert_int_eq(descriptor_read_file("/proc/self/status", 100000, &status, &len), 0);
	return field_of(status, name);
}

static void
assert_no_capabilities(void)
{
	ck_assert_str_eq(field("\nCapInh:"), "0000000000000000");
	ck_assert_str_eq(field("\nCapPrm:"), "0000000000000000");
	ck_assert_str_eq(field("\nCapEff:"), "0000000000000000");
	ck_assert_str_eq(field("\nCapAmb:"), "0000000000000000");
}

static const struct {
	const char *user, *group;
	int status;
	uid_t uid;
	gid_t gid;
	const char *sentence;
} lookups[] = {
	{"root", "", 0, 0, 0, NULL},
	{"0", "", 0, 0, 0, NULL},
	{"root", "0", 0, 0, 0, NULL},
	{"root", "root", 0, 0, 0, NULL},
	{"1987654321", "1987654322", 0, 1987654321, 1987654322, NULL},
	{"root", "4294967294", 0, 0, 4294967294, NULL},
	{"no_such_user", "", -ENOENT, 0, 0, "no user 'no_such_user' on this machine"},
	{"", "", -ENOENT, 0, 0, "no user '' on this machine"},
	{"-1", "", -ENOENT, 0, 0, "no user '-1' on this machine"},
	{"4294967295", "0", -ENOENT, 0, 0, "no user '4294967295' on this machine"},
	{"99999999999", "0", -ENOENT, 0, 0, "no user '99999999999' on this machine"},
	{"0x0", "", -ENOENT, 0, 0, "no user '0x0' on this machine"},
	{"root", "no_such_group", -ENOENT, 0, 0, "no group 'no_such_group' on this machine"},
	{"root", "4294967295", -ENOENT, 0, 0, "no group '4294967295' on this machine"},
	{"1987654321", "", -ENOENT, 0, 0,
		"user 1987654321 is not in the user database, so its group is unknown: name a "
		"group"},
};

START_TEST(users_and_groups_are_found_by_name_or_number)
{
	struct privilege_identity identity = {7, 8};

	ck_assert_int_eq(privilege_find(lookups[_i].user, lookups[_i].group, &identity, &why),
		lookups[_i].status);
	if (lookups[_i].status == 0) {
		ck_assert_uint_eq(identity.uid, lookups[_i].uid);
		ck_assert_uint_eq(identity.gid, lookups[_i].gid);
	} else {
		ck_assert_uint_eq(identity.uid, 7); /* untouched */
		ck_assert_uint_eq(identity.gid, 8);
		ck_assert_str_eq(why.text, lookups[_i].sentence);
	}
}
END_TEST

static void
drop_to_nobody(void)
{
	const gid_t groups[] = {1, 2, 3};

	ck_assert_int_eq(setgroups(ARRAY_LEN(groups), groups), 0);
	ck_assert_int_eq(privilege_drop(&nobody), 0);
	ck_assert_str_eq(field("\nUid:"), "65534 65534 65534 65534");
	ck_assert_str_eq(field("\nGid:"), "65534 65534 65534 65534");
	ck_assert_str_eq(field("\nGroups:"), "");
	assert_no_capabilities();
	ck_assert_str_eq(field("\nCapBnd:"), "0000000000000000");
	ck_assert_int_eq(setuid(0), -1);
	ck_assert_int_eq(seteuid(0), -1);
	ck_assert_int_eq(setgid(0), -1);
	ck_assert_int_eq(setgroups(ARRAY_LEN(groups), groups), -1);
}

START_TEST(root_becomes_somebody_for_ever)
{
	if (!is_skipped()) {
		in_child(drop_to_nobody);
	}
}
END_TEST

static void
drop_twice(void)
{
	const struct privilege_identity other = {NOBODY - 1, NOBODY};
	const struct privilege_identity other_group = {NOBODY, NOBODY - 1};
	const struct privilege_identity root = {0, 0};

	ck_assert_int_eq(privilege_drop(&nobody), 0);
	ck_assert_int_eq(privilege_drop(&nobody), 0);
	ck_assert_int_eq(privilege_drop(&other), -EPERM);
	ck_assert_int_eq(privilege_drop(&other_group), -EPERM);
	ck_assert_int_eq(privilege_drop(&root), -EPERM);
}

START_TEST(who_is_not_root_can_only_stay_who_he_is)
{
	if (!is_skipped()) {
		in_child(drop_twice);
	}
}
END_TEST

static void
drop_to_ourselves(void)
{
	const struct privilege_identity ourselves = {getuid(), getgid()};

	ck_assert_int_eq(privilege_drop(&ourselves), 0);
	assert_no_capabilities();
}

START_TEST(anybody_can_become_who_he_is)
{
	in_child(drop_to_ourselves);
}
END_TEST

/* Effective user changed, saved user still root: that is not "already there". */
static void
drop_after_half_a_drop(void)
{
	ck_assert_int_eq(setegid(NOBODY), 0);
	ck_assert_int_eq(seteuid(NOBODY), 0);
	ck_assert_int_eq(privilege_drop(&nobody), -EPERM);
}

START_TEST(half_a_change_of_user_is_not_taken_for_a_whole_one)
{
	if (!is_skipped()) {
		in_child(drop_after_half_a_drop);
	}
}
END_TEST

static void
set_ambient(unsigned capability)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};

	data[0].effective = data[0].permitted = data[0].inheritable = 1U << capability;
	ck_assert_int_eq(prctl(PR_SET_KEEPCAPS, 1), 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
	ck_assert_int_eq(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), 0);
}

static void
drop_what_a_service_manager_gave(void)
{
	set_ambient(CAP_NET_BIND_SERVICE);
	ck_assert_str_ne(field("\nCapAmb:"), "0000000000000000");
	ck_assert_int_eq(privilege_drop(&nobody), 0);
	assert_no_capabilities();
}

START_TEST(capabilities_without_root_are_given_up_too)
{
	if (!is_skipped()) {
		in_child(drop_what_a_service_manager_gave);
	}
}
END_TEST

static void
come_back_by_capability(void)
{
	/* May change groups and, later, user: more than nobody should be able to. */
	set_ambient(CAP_SETGID);
	ck_assert_int_eq(privilege_drop(&nobody), 0);
	ck_assert_int_eq(setgid(0), -1);
}

START_TEST(the_capability_to_change_groups_is_given_up)
{
	if (!is_skipped()) {
		in_child(come_back_by_capability);
	}
}
END_TEST

/* The status of a program that was executed after `identity` was taken on. */
static char *
status_after_exec(const struct privilege_identity *identity)
{
	char *status = NULL;
	size_t len;
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (privilege_drop(identity) == 0 &&
			privilege_bind_to_parent(getppid(), false) == 0 && dup2(ends[1], 1) == 1) {
			execl("/bin/cat", "cat", "/proc/self/status", (char *)NULL);
		}
		_exit(1);
	}
	descriptor_close(&ends[1]);
	ck_assert_int_eq(descriptor_read_all(ends[0], 100000, &status, &len), 0);
	descriptor_close(&ends[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return status;
}

START_TEST(root_by_name_gets_no_capability_back_by_a_new_program)
{
	const struct privilege_identity root = {0, 0};
	char *status;

	if (is_skipped()) {
		return;
	}
	status = status_after_exec(&root);
	ck_assert_str_eq(field_of(status, "\nUid:"), "0 0 0 0");
	ck_assert_str_eq(field_of(status, "\nCapPrm:"), "0000000000000000");
	ck_assert_str_eq(field_of(status, "\nCapEff:"), "0000000000000000");
	ck_assert_str_eq(field_of(status, "\nCapBnd:"), "0000000000000000");
	ck_assert_str_eq(field_of(status, "\nNoNewPrivs:"), "1");
	free(status);
	status = status_after_exec(&nobody);
	ck_assert_str_eq(field_of(status, "\nUid:"), "65534 65534 65534 65534");
	ck_assert_str_eq(field_of(status, "\nCapPrm:"), "0000000000000000");
	free(status);
}
END_TEST

static bool
enter_namespace_of_one(void)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWUSER) != 0 ||
		descriptor_write_file("/proc/self/setgroups", "deny") != 0) {
		return false;
	}
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	if (descriptor_write_file("/proc/self/uid_map", map) != 0) {
		return false;
	}
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	return descriptor_write_file("/proc/self/gid_map", map) == 0;
}

static void
drop_in_a_namespace_of_one(void)
{
	const struct privilege_identity root = {0, 0};

	if (!enter_namespace_of_one()) {
		printf("skipped: no user namespaces here\n");
		return;
	}
	ck_assert_str_ne(field("\nCapEff:"), "0000000000000000");
	ck_assert_int_eq(privilege_drop(&root), 0);
	assert_no_capabilities();
	ck_assert_str_eq(field("\nCapBnd:"), "0000000000000000");
}

START_TEST(in_a_user_namespace_of_one_root_can_be_told_to_stay)
{
	in_child(drop_in_a_namespace_of_one);
}
END_TEST

static void
bind_and_look(void)
{
	ck_assert_int_eq(privilege_bind_to_parent(getppid(), false), 0);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
	ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	ck_assert_int_eq(privilege_bind_to_parent(getppid(), true), 0);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 1);
	ck_assert_int_eq(privilege_bind_to_parent(getpid(), true), -ESRCH);
	ck_assert_int_eq(privilege_bind_to_parent(1987654321, true), -ESRCH);
}

START_TEST(a_child_is_bound_to_the_parent_it_was_told)
{
	in_child(bind_and_look);
}
END_TEST

static int report;

static void
on_term(int number)
{
	(void)number;
	_exit(write(report, "T", 1) == 1 ? 0 : 1);
}

/* A child of a parent that lives until `until` is closed. @return end of a pipe which tells 'R'
 * once the child is bound, 'T' when it was told that the parent is dead, and its end when it is
 * gone */
static int
start_orphan(int *until, bool drops, bool execs)
{
	int said[2], life[2];
	char byte;
	pid_t parent;

	ck_assert_int_eq(pipe2(said, 0), 0);
	ck_assert_int_eq(pipe2(life, O_CLOEXEC), 0);
	parent = fork();
	ck_assert_int_ge(parent, 0);
	if (parent == 0) {
		close(life[1]);
		if (fork() == 0) {
			report = said[1];
			(void)signal(SIGTERM, execs ? SIG_DFL : on_term);
			if ((drops && privilege_drop(&nobody) != 0) ||
				privilege_bind_to_parent(getppid(), false) != 0 ||
				write(said[1], "R", 1) != 1) {
				_exit(1);
			}
			if (execs) {
				execl("/bin/sleep", "sleep", "30", (char *)NULL);
			}
			pause();
			_exit(1);
		}
		close(said[1]);
		_exit((int)read(life[0], &byte, 1));
	}
	close(life[0]);
	close(said[1]);
	*until = life[1];
	return said[0];
}

static const struct {
	bool drops, execs;
} orphans[] = {{false, false}, {false, true}, {true, false}, {true, true}};

START_TEST(a_child_learns_of_its_parents_death)
{
	int until, said;
	char byte = 0;

	if (orphans[_i].drops && is_skipped()) {
		return;
	}
	said = start_orphan(&until, orphans[_i].drops, orphans[_i].execs);
	ck_assert_int_eq(read(said, &byte, 1), 1);
	ck_assert_int_eq(byte, 'R');
	close(until);
	if (!orphans[_i].execs) {
		ck_assert_int_eq(read(said, &byte, 1), 1);
		ck_assert_int_eq(byte, 'T');
	}
	ck_assert_int_eq(read(said, &byte, 1), 0); /* gone: nobody holds the pipe any more */
	close(said);
	ck_assert_int_ge(wait(NULL), 0);
}
END_TEST

UNIT_TESTS("privilege", tcase_add_loop_test(tests, users_and_groups_are_found_by_name_or_number, 0,
				(int)ARRAY_LEN(lookups));
	   tcase_add_test(tests, root_becomes_somebody_for_ever);
	   tcase_add_test(tests, who_is_not_root_can_only_stay_who_he_is);
	   tcase_add_test(tests, anybody_can_become_who_he_is);
	   tcase_add_test(tests, half_a_change_of_user_is_not_taken_for_a_whole_one);
	   tcase_add_test(tests, capabilities_without_root_are_given_up_too);
	   tcase_add_test(tests, the_capability_to_change_groups_is_given_up);
	   tcase_add_test(tests, root_by_name_gets_no_capability_back_by_a_new_program);
	   tcase_add_test(tests, in_a_user_namespace_of_one_root_can_be_told_to_stay);
	   tcase_add_test(tests, a_child_is_bound_to_the_parent_it_was_told); tcase_add_loop_test(
		   tests, a_child_learns_of_its_parents_death, 0, (int)ARRAY_LEN(orphans));)
