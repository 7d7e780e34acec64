/* The monitor's sockets: really bound, in a directory of the test's own. */
#include "master/doors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/board.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/master.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static struct master master;
static struct doors doors;
static struct fault why;

static void
setup(void)
{
	scratch_make();
	log_set_level(LOG_LEVEL_ERROR);
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	master.identity = (struct privilege_identity){geteuid(), getegid()};
	doors_init(&doors);
	master.doors = &doors;
}

static void
teardown(void)
{
	doors_close(&doors);
	close(master.board_memory);
	board_detach(&master.board);
	scratch_remove();
}

/* As a file would say it. NULL: not a word of it. */
static struct config *
load(const char *socket, const char *web)
{
	static struct findings findings;
	struct config *config = NULL;
	char text[1024] = "listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; protocol = "
			  "\"echo\"; } ); admin = { ";
	size_t len = strlen(text);

	len += (size_t)(socket == NULL ? 0
				       : snprintf(text + len, sizeof(text) - len,
						 "socket = \"%s\"; ", socket));
	len += (size_t)(web == NULL
				? 0
				: snprintf(text + len, sizeof(text) - len, "web = \"%s\"; ", web));
	(void)snprintf(text + len, sizeof(text) - len, "}; ");
	memset(&findings, 0, sizeof(findings));
	ck_assert_msg(config_load_text(text, "t.conf", &config, &findings) == 0, "%s",
		findings.items[0].text);
	return config;
}

/* Prepare for a file that says this. @return as doors_prepare */
static int
prepare(const char *socket, const char *web, struct doors *next)
{
	struct config *config = load(socket, web);
	int status = doors_prepare(&master, config, next, &why);

	config_free(&config);
	return status;
}

static void
use(const char *socket, const char *web)
{
	struct doors next;

	ck_assert_msg(prepare(socket, web, &next) == 0, "%s", why.text);
	doors_commit(&doors, &next);
	ck_assert_int_eq(next.at[DOOR_ADMIN].fd, -1);
	ck_assert_int_eq(next.at[DOOR_WEB].fd, -1);
}

static ino_t
inode_of(const char *path)
{
	struct stat found;

	return lstat(path, &found) == 0 ? found.st_ino : 0;
}

static const char *
free_web(void)
{
	static char text[ADDRESS_TEXT_MAX];
	struct address address = help_free_address();

	(void)address_format(&address, text);
	return text;
}

static int
event_count(void)
{
	return (int)atomic_load(&master.board.master->last_event);
}

START_TEST(both_doors_are_open_and_described_in_order)
{
	const char *path = scratch_path("admin.sock");
	struct channel_doors payload;
	int fds[DOOR_COUNT];
	struct stat found;

	ck_assert(doors_are_closed(&doors));
	ck_assert_uint_eq(doors_describe(&doors, &payload, fds), 0);
	use(path, free_web());
	ck_assert(!doors_are_closed(&doors));
	ck_assert_int_eq(lstat(path, &found), 0);
	ck_assert(S_ISSOCK(found.st_mode));
	ck_assert_uint_eq(found.st_mode & 0777, 0660);
	ck_assert_uint_eq(doors_describe(&doors, &payload, fds), 2);
	ck_assert(payload.has_admin == 1 && payload.has_web == 1);
	ck_assert_int_eq(fds[0], doors.at[DOOR_ADMIN].fd);
	ck_assert_int_eq(fds[1], doors.at[DOOR_WEB].fd);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	doors_close(&doors);
	ck_assert_uint_eq(inode_of(path), 0);
	ck_assert(doors_are_closed(&doors));
}
END_TEST

START_TEST(only_the_web_door_is_the_first_descriptor)
{
	struct channel_doors payload;
	int fds[DOOR_COUNT];

	use("", free_web());
	ck_assert_uint_eq(doors_describe(&doors, &payload, fds), 1);
	ck_assert(payload.has_admin == 0 && payload.has_web == 1);
	ck_assert_int_eq(fds[0], doors.at[DOOR_WEB].fd);
}
END_TEST

/* Whoever is on the way in is not turned away. */
START_TEST(a_door_that_stays_the_same_stays_open)
{
	const char *path = scratch_path("admin.sock");
	int admin, web_before;
	ino_t inode;

	use(path, NULL);
	admin = doors.at[DOOR_ADMIN].fd;
	inode = inode_of(path);
	use(path, free_web());
	ck_assert_int_eq(doors.at[DOOR_ADMIN].fd, admin);
	ck_assert_uint_eq(inode_of(path), inode);
	web_before = doors.at[DOOR_WEB].fd;
	ck_assert_int_ge(web_before, 0);
	use(path, "");
	ck_assert_int_eq(doors.at[DOOR_WEB].fd, -1);
	ck_assert_int_eq(fcntl(web_before, F_GETFD), -1);
	ck_assert_int_eq(doors.at[DOOR_ADMIN].fd, admin);
}
END_TEST

START_TEST(another_path_is_opened_before_the_old_one_goes)
{
	const char *old = scratch_path("old.sock"), *new = scratch_path("new.sock");
	struct doors next;

	use(old, NULL);
	ck_assert_int_eq(prepare(new, NULL, &next), 0);
	ck_assert_uint_ne(inode_of(old), 0);
	ck_assert_uint_ne(inode_of(new), 0);
	doors_commit(&doors, &next);
	ck_assert_uint_eq(inode_of(old), 0);
	ck_assert_uint_ne(inode_of(new), 0);
}
END_TEST

START_TEST(a_rollback_leaves_what_was)
{
	const char *old = scratch_path("old.sock"), *new = scratch_path("new.sock");
	struct doors next;
	int admin;

	use(old, NULL);
	admin = doors.at[DOOR_ADMIN].fd;
	ck_assert_int_eq(prepare(new, free_web(), &next), 0);
	doors_rollback(&next);
	ck_assert_uint_eq(inode_of(new), 0);
	ck_assert_uint_ne(inode_of(old), 0);
	ck_assert_int_eq(doors.at[DOOR_ADMIN].fd, admin);
	ck_assert_int_eq(doors.at[DOOR_WEB].fd, -1);
}
END_TEST

/* What was opened before the one that fails is closed again, with its path. */
START_TEST(one_that_was_asked_for_and_cannot_be_had_is_an_error)
{
	const char *path = scratch_path("admin.sock");
	struct address taken = help_any_port("127.0.0.1"), bound;
	int other = help_listen(&taken, &help_options);
	char web[ADDRESS_TEXT_MAX];
	struct doors next;

	bound = help_bound(other, false);
	(void)address_format(&bound, web);
	ck_assert_int_eq(prepare(path, web, &next), -EADDRINUSE);
	ck_assert_msg(strncmp(why.text, "admin.web: ", 11) == 0, "%s", why.text);
	ck_assert_uint_eq(inode_of(path), 0);
	ck_assert(doors_are_closed(&next));
	close(other);
}
END_TEST

START_TEST(a_file_in_the_way_is_left_alone)
{
	const char *path = scratch_write("admin.sock", "precious");
	ino_t inode = inode_of(path);
	struct doors next;

	ck_assert_int_lt(prepare(path, NULL, &next), 0);
	ck_assert_msg(strncmp(why.text, "admin.socket: ", 14) == 0, "%s", why.text);
	ck_assert_uint_eq(inode_of(path), inode);
	ck_assert_int_eq(event_count(), 0);
}
END_TEST

/* The default path may be out of reach, for somebody who is not root: that stops nobody. */
START_TEST(one_that_nobody_asked_for_is_done_without)
{
	char path[PATH_MAX];
	struct config *config = load(NULL, NULL);
	struct doors next;

	(void)snprintf(path, sizeof(path), "%s/none", scratch_write("file", ""));
	free(config->admin.socket);
	config->admin.socket = strdup(path);
	ck_assert_int_eq(doors_prepare(&master, config, &next, &why), 0);
	ck_assert(doors_are_closed(&next));
	ck_assert_int_eq(event_count(), 1);
	doors_commit(&doors, &next);
	ck_assert(doors_are_closed(&doors));
	config_free(&config);
}
END_TEST

START_TEST(the_directory_is_made_when_only_that_is_missing)
{
	use(scratch_path("run/admin.sock"), NULL);
	ck_assert_uint_ne(inode_of(scratch_path("run/admin.sock")), 0);
}
END_TEST

/* A second server may have put its own socket at the path: closing ours must not remove it. */
START_TEST(only_our_own_path_is_removed)
{
	const char *path = scratch_path("admin.sock");
	struct address where;
	ino_t inode;
	char text[PATH_MAX];
	int other;

	use(path, NULL);
	ck_assert_int_eq(unlink(path), 0);
	(void)snprintf(text, sizeof(text), "unix:%s", path);
	where = help_address(text);
	other = help_listen(&where, &help_options);
	inode = inode_of(path);
	doors_close(&doors);
	ck_assert_uint_eq(inode_of(path), inode);
	close(other);
}
END_TEST

START_TEST(the_path_belongs_to_the_workers_group)
{
	const char *path = scratch_path("admin.sock");
	struct stat found;

	if (geteuid() != 0) {
		return; /* nobody else can give files away */
	}
	master.drops_privileges = true;
	master.identity.gid = 54321;
	use(path, NULL);
	ck_assert_int_eq(lstat(path, &found), 0);
	ck_assert_uint_eq(found.st_gid, 54321);
	ck_assert_uint_eq(found.st_uid, 0);
	ck_assert_uint_eq(found.st_mode & 0777, 0660);
}
END_TEST

UNIT_TESTS("doors", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, both_doors_are_open_and_described_in_order);
	   tcase_add_test(tests, only_the_web_door_is_the_first_descriptor);
	   tcase_add_test(tests, a_door_that_stays_the_same_stays_open);
	   tcase_add_test(tests, another_path_is_opened_before_the_old_one_goes);
	   tcase_add_test(tests, a_rollback_leaves_what_was);
	   tcase_add_test(tests, one_that_was_asked_for_and_cannot_be_had_is_an_error);
	   tcase_add_test(tests, a_file_in_the_way_is_left_alone);
	   tcase_add_test(tests, one_that_nobody_asked_for_is_done_without);
	   tcase_add_test(tests, the_directory_is_made_when_only_that_is_missing);
	   tcase_add_test(tests, only_our_own_path_is_removed);
	   tcase_add_test(tests, the_path_belongs_to_the_workers_group);)
