/* The log against the real things it writes to. */
#include "common/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "tests/unit/log_fixture.h"
#include "tests/unit/run.h"

#define NOBODY 65534

START_TEST(a_full_pipe_costs_lines_but_never_time)
{
	check_losses(pipe_at_stderr(), "(Resource temporarily unavailable)\n");
	/* The description that we share with the shell of the user is as it was. */
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(a_pipe_without_reader_is_an_error_like_others)
{
	int fd = pipe_at_stderr();

	log_notice("first");
	close(fd);
	log_notice("second");
	ck_assert_uint_eq(log_dropped_lines(), 1);
}
END_TEST

/* The user of a worker may not open the master's pipe again. */
static int
pipe_of_another_user(void)
{
	int fd;

	if (geteuid() != 0) {
		printf("skipped: only root can become another user\n");
		return -1;
	}
	fd = pipe_at_stderr();
	ck_assert_int_eq(chown(directory, NOBODY, NOBODY), 0); /* for tear_down */
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(open("/proc/self/fd/2", O_WRONLY | O_CLOEXEC), -1);
	ck_assert_int_eq(errno, EACCES);
	return fd;
}

START_TEST(a_full_pipe_of_another_user_costs_lines_but_never_time)
{
	int fd = pipe_of_another_user();

	if (fd < 0) {
		return;
	}
	check_losses(fd, "(Resource temporarily unavailable)\n");
	close(fd);
	log_notice("nobody reads");
	ck_assert_uint_eq(log_dropped_lines(), 4);
}
END_TEST

START_TEST(a_child_can_use_the_description_of_its_master)
{
	int fd = pipe_at_stderr();
	enum log_sink sink;
	int own = log_descriptor(&sink), child;

	ck_assert_int_eq(sink, LOG_STDERR);
	ck_assert_int_gt(own, STDERR_FILENO);
	ck_assert_int_ne(fcntl(own, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(own, F_GETFD) & FD_CLOEXEC, 0);
	child = dup(own);
	log_use_descriptor(LOG_STDERR, child);
	ck_assert_int_eq(fcntl(own, F_GETFD), -1); /* the one before is closed */
	ck_assert_int_eq(log_descriptor(&sink), child);
	log_notice("through the descriptor");
	(void)read_all(fd);
	ck_assert_str_eq(only_sentence(read_buffer), "through the descriptor");
	log_use_descriptor(LOG_STDERR, -1);
	log_notice("through number 2");
	(void)read_all(fd);
	ck_assert_str_eq(only_sentence(read_buffer), "through number 2");
}
END_TEST

START_TEST(a_full_socket_costs_lines_but_never_time)
{
	enum log_sink sink;

	check_losses(socket_at_stderr(SOCK_STREAM), "(Resource temporarily unavailable)\n");
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(log_descriptor(&sink), -1);
}
END_TEST

START_TEST(a_stopped_terminal_costs_lines_but_never_time)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int terminal;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal, 0);
	become_stderr(terminal);
	log_notice("moves");
	ck_assert_ptr_nonnull(strstr(read_all(master), ": moves\r\n"));
	ck_assert_int_eq(tcflow(STDERR_FILENO, TCOOFF), 0); /* Ctrl-S */
	log_notice("first");
	log_notice("second");
	log_notice("third");
	ck_assert_uint_eq(log_dropped_lines(), 3);
	ck_assert_int_eq(tcflow(STDERR_FILENO, TCOON), 0);
	log_notice("alive");
	(void)read_all(master);
	ck_assert_ptr_nonnull(strstr(read_buffer, "log: 3 lines dropped in "));
	ck_assert_ptr_nonnull(strstr(read_buffer, ": alive\r\n"));
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(a_closed_standard_error_is_never_written_to_again)
{
	char stranger[64] = "";
	int fd = memfd_create("stranger", MFD_CLOEXEC);

	close(STDERR_FILENO);
	log_notice("lost");
	ck_assert_uint_eq(log_dropped_lines(), 1);
	become_stderr(fd); /* as a client's socket would */
	log_notice("lost too");
	ck_assert_uint_eq(log_dropped_lines(), 2);
	ck_assert_int_eq(pread(STDERR_FILENO, stranger, sizeof(stranger), 0), 0);
}
END_TEST

/* Offsets from the true device and inode, text after it, and whether the journal is meant. */
static const struct {
	unsigned device, inode;
	const char *more;
	bool is_journal;
} streams[] = {{0, 0, "", true}, {0, 1, "", false}, {1, 0, "", false}, {0, 0, "x", false}};

START_TEST(the_journal_gets_priorities_instead_of_times)
{
	int fd = socket_at_stderr(SOCK_STREAM);
	struct stat status;
	char stream[64], want[64];

	ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju%s", (uintmax_t)status.st_dev + streams[_i].device,
		(uintmax_t)status.st_ino + streams[_i].inode, streams[_i].more);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_identity("master");
	log_warning("x");
	snprintf(want, sizeof(want), "<4>master[%d]: x\n", getpid());
	(void)read_all(fd);
	if (streams[_i].is_journal) {
		ck_assert_str_eq(read_buffer, want);
	} else {
		ck_assert_ptr_nonnull(strstr(read_buffer, "Z warning master["));
	}
}
END_TEST

START_TEST(a_file_is_made_with_its_mode_and_only_appended_to)
{
	const char *path = path_of("log");
	struct stat status;
	enum log_sink sink;
	int fd;

	(void)umask(0);
	ck_assert_int_eq(log_open(path, NULL), 0);
	log_notice("one");
	ck_assert_int_eq(log_open(path, NULL), 0);
	log_notice("two");
	(void)read_path(path);
	ck_assert_uint_eq(count_of(read_buffer, "\n"), 2);
	ck_assert_ptr_nonnull(strstr(read_buffer, ": one\n2"));
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0640);
	fd = log_descriptor(&sink);
	ck_assert_int_eq(sink, LOG_FILE);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_APPEND, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

static void
make_symlink(const char *path)
{
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
}

static void
make_dangling_symlink(const char *path)
{
	ck_assert_int_eq(symlink(path_of("log.1"), path), 0);
}

static void
make_fifo(const char *path)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void
make_directory(const char *path)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void
make_hard_link(const char *path)
{
	int fd = open(path_of("log.1"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	close(fd);
	ck_assert_int_eq(link(path_of("log.1"), path), 0);
}

static void
make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static const struct {
	void (*make)(const char *path);
	int error;
	const char *word;
} no_files[] = {
	{make_symlink, -ELOOP, " is a symbolic link;"},
	{make_dangling_symlink, -ELOOP, " is a symbolic link;"},
	{make_fifo, -ENOTSUP, " is a FIFO;"},
	{make_directory, -ENOTSUP, " is a directory;"},
	{make_hard_link, -EMLINK, " has 2 names (hard links);"},
	{make_socket, -ENOTSUP, " is a socket;"},
};

START_TEST(what_is_no_plain_file_is_refused_and_the_old_log_stays)
{
	const char *old = path_of("log"), *path = path_of("link");
	struct fault why;

	ck_assert_int_eq(log_open(old, NULL), 0);
	no_files[_i].make(path);
	ck_assert_int_eq(log_open(path, &why), no_files[_i].error);
	ck_assert_ptr_nonnull(strstr(why.text, path));
	ck_assert_ptr_nonnull(strstr(why.text, no_files[_i].word));
	log_notice("still here");
	(void)read_path(old);
	ck_assert_str_eq(only_sentence(read_buffer), "still here");
	ck_assert_int_eq(log_reopen(NULL), 0); /* the old one, too */
}
END_TEST

START_TEST(a_device_is_refused)
{
	struct fault why;

	ck_assert_int_eq(log_open("/dev/null", &why), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(why.text, "/dev/null is a device;"));
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_says_why)
{
	struct fault why;

	ck_assert_int_eq(log_open(path_of("sub/log"), &why), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why.text, "/sub/log: No such file or directory"));
	ck_assert_int_eq(log_open("nonsense", &why), -EINVAL);
}
END_TEST

START_TEST(a_renamed_file_is_left_by_reopen)
{
	const char *path = path_of("log"), *rotated = path_of("log.1");

	ck_assert_int_eq(log_open(path, NULL), 0);
	log_notice("one");
	ck_assert_int_eq(rename(path, rotated), 0);
	log_notice("two");
	ck_assert_int_eq(log_reopen(NULL), 0);
	log_notice("three");
	(void)read_path(rotated);
	ck_assert_uint_eq(count_of(read_buffer, "\n"), 2);
	ck_assert_ptr_nonnull(strstr(read_buffer, ": two\n"));
	(void)read_path(path);
	ck_assert_str_eq(only_sentence(read_buffer), "three");
}
END_TEST

START_TEST(a_removed_file_is_noticed_and_made_again)
{
	const char *path = path_of("log");

	ck_assert_int_eq(log_open(path, NULL), 0);
	ck_assert(!log_tend());
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(log_tend());
	ck_assert(!log_tend());
	log_notice("alive");
	ck_assert_ptr_nonnull(strstr(read_path(path), " was moved or removed; opened it anew\n"));
	ck_assert_ptr_nonnull(strstr(read_buffer, ": alive\n"));
}
END_TEST

START_TEST(a_removed_directory_is_complained_about_once)
{
	const char *path = path_of("sub/log");
	enum log_sink sink;
	char descriptor[64];

	ck_assert_int_eq(mkdir(path_of("sub"), 0700), 0);
	ck_assert_int_eq(log_open(path, NULL), 0);
	snprintf(descriptor, sizeof(descriptor), "/proc/self/fd/%d", log_descriptor(&sink));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(path_of("sub")), 0);
	ck_assert(!log_tend());
	ck_assert(!log_tend());
	(void)read_path(descriptor);
	ck_assert_uint_eq(count_of(read_buffer, "\n"), 1);
	ck_assert_ptr_nonnull(strstr(read_buffer, " error "));
	ck_assert_ptr_nonnull(strstr(read_buffer, "No such file or directory"));
	ck_assert_int_eq(mkdir(path_of("sub"), 0700), 0);
	ck_assert(log_tend());
	ck_assert_uint_eq(count_of(read_path(path), "\n"), 1);
}
END_TEST

START_TEST(only_who_opened_the_file_tends_it)
{
	const char *path = path_of("log");
	struct fault why;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	log_use_descriptor(LOG_FILE, fd);
	log_notice("x");
	ck_assert_uint_eq(count_of(read_path(path), ": x\n"), 1);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(!log_tend());
	ck_assert_int_eq(log_reopen(&why), -ENOTSUP);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* After an upgrade: the descriptor is the one of the program before, the rest is as if we had
 * opened it. */
START_TEST(a_successor_goes_on_in_the_file_and_tends_it)
{
	const char *path = path_of("log");
	struct fault why;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(log_adopt(path, fd, &why), 0);
	log_notice("x");
	ck_assert_uint_eq(count_of(read_path(path), ": x\n"), 1);
	ck_assert(!log_tend());
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(log_tend());
	ck_assert_uint_eq(count_of(read_path(path), "opened it anew"), 1);
	ck_assert_int_eq(log_adopt("nonsense", fd, &why), -EINVAL);
}
END_TEST

/* The limit of a file stands for a full disk: it too takes the beginning of a line. */
START_TEST(a_torn_line_does_not_swallow_the_next)
{
	const char *path = path_of("log");
	struct rlimit unlimited, limit;
	const char *torn;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	limit = (struct rlimit){.rlim_cur = 10, .rlim_max = unlimited.rlim_max};
	ck_assert_int_eq(log_open(path, NULL), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	log_notice("torn");
	log_notice("lost");
	ck_assert_uint_eq(log_dropped_lines(), 2);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	log_notice("alive");
	torn = read_path(path);
	ck_assert_int_eq(torn[10], '\n');
	ck_assert_uint_eq(count_of(torn, "\n"), 3);
	ck_assert_ptr_nonnull(strstr(torn, "log: 2 lines dropped in "));
	ck_assert_ptr_nonnull(strstr(torn, "(File too large)\n"));
	ck_assert_ptr_nonnull(strstr(torn, ": alive\n"));
}
END_TEST

START_TEST(a_full_disk_costs_lines_that_are_counted)
{
	const char *path = path_of("log");
	uint64_t taken;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("test_log", directory, "tmpfs", 0, "size=64k") != 0) {
		printf("skipped: a small disk cannot be mounted: %s\n",
			geteuid() == 0 ? strerror(errno) : "not root");
		return;
	}
	ck_assert_int_eq(log_open(path, NULL), 0);
	taken = fill();
	ck_assert_uint_gt(taken, 10);
	log_wide_line();
	ck_assert_uint_eq(log_dropped_lines(), 2);
	ck_assert_int_eq(truncate(path, 0), 0);
	log_notice("alive");
	(void)read_path(path);
	ck_assert_ptr_nonnull(strstr(read_buffer, "log: 2 lines dropped in "));
	ck_assert_ptr_nonnull(strstr(read_buffer, "(No space left on device)\n"));
	ck_assert_ptr_nonnull(strstr(read_buffer, ": alive\n"));
	ck_assert_int_eq(log_open("stderr", NULL), 0);
	ck_assert_int_eq(umount(directory), 0);
}
END_TEST

/* A syslog daemon: its socket. */
static int
daemon_start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("socket"));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void
daemon_stop(int fd)
{
	close(fd);
	ck_assert_int_eq(unlink(path_of("socket")), 0);
}

static int
open_syslog(struct fault *why)
{
	char target[128];

	snprintf(target, sizeof(target), "syslog:%s", path_of("socket"));
	return log_open(target, why);
}

static const char *
receive(int fd)
{
	ssize_t len = recv(fd, read_buffer, READ_MAX - 1, 0);

	read_buffer[len < 0 ? 0 : len] = '\0';
	return read_buffer;
}

START_TEST(syslog_gets_datagrams_as_glibc_writes_them)
{
	int fd = daemon_start();
	time_t before, after;
	char stamp_before[32], stamp_after[32], want[2][128];

	setenv("TZ", "XYZ-7", 1); /* syslog's time is local */
	ck_assert_int_eq(open_syslog(NULL), 0);
	log_set_identity("master");
	before = time(NULL);
	log_warning("a\nb");
	after = time(NULL) + 1;
	strftime(stamp_before, sizeof(stamp_before), "%b %e %T", localtime(&before));
	strftime(stamp_after, sizeof(stamp_after), "%b %e %T", localtime(&after));
	snprintf(want[0], sizeof(want[0]), "<28>%s acceptd[%d]: master: a\\x0ab", stamp_before,
		getpid());
	snprintf(want[1], sizeof(want[1]), "<28>%s acceptd[%d]: master: a\\x0ab", stamp_after,
		getpid());
	(void)receive(fd);
	ck_assert_msg(strcmp(read_buffer, want[0]) == 0 || strcmp(read_buffer, want[1]) == 0,
		"'%s' is neither '%s' nor '%s'", read_buffer, want[0], want[1]);
}
END_TEST

START_TEST(a_syslog_daemon_that_does_not_read_costs_lines_but_never_time)
{
	int fd = daemon_start();

	ck_assert_int_eq(open_syslog(NULL), 0);
	(void)fill();
	log_wide_line();
	while (receive(fd)[0] != '\0') {
		/* until nothing is left */
	}
	log_notice("alive");
	ck_assert_ptr_nonnull(strstr(receive(fd), "log: 2 lines dropped in "));
	ck_assert_ptr_nonnull(strstr(receive(fd), ": alive"));
}
END_TEST

START_TEST(a_missing_syslog_daemon_is_found_when_it_comes)
{
	int fd;

	ck_assert_int_eq(open_syslog(NULL), 0);
	log_notice("lost");
	ck_assert_uint_eq(log_dropped_lines(), 1);
	fd = daemon_start();
	log_notice("alive");
	ck_assert_ptr_nonnull(strstr(receive(fd), "log: 1 line dropped in "));
	ck_assert_ptr_nonnull(strstr(receive(fd), ": alive"));
}
END_TEST

START_TEST(a_restarted_syslog_daemon_loses_nothing)
{
	int fd = daemon_start();

	ck_assert_int_eq(open_syslog(NULL), 0);
	log_notice("one");
	daemon_stop(fd);
	fd = daemon_start();
	log_notice("two");
	ck_assert_ptr_nonnull(strstr(receive(fd), ": two"));
	daemon_stop(fd);
	fd = daemon_start();
	ck_assert_int_eq(log_reopen(NULL), 0);
	log_notice("three");
	ck_assert_ptr_nonnull(strstr(receive(fd), ": three"));
	ck_assert_uint_eq(log_dropped_lines(), 0);
}
END_TEST

/* A child has the socket but not the path: its master heals the socket for both. */
START_TEST(the_master_connects_the_socket_of_its_children_too)
{
	int old = daemon_start(), fd, own;
	enum log_sink sink;
	pid_t child;
	int status;

	ck_assert_int_eq(open_syslog(NULL), 0);
	own = log_descriptor(&sink);
	ck_assert_int_eq(sink, LOG_SYSLOG);
	daemon_stop(old);
	fd = daemon_start();
	child = fork();
	if (child == 0) {
		log_use_descriptor(LOG_SYSLOG, dup(own));
		log_notice("lost");
		_exit(log_dropped_lines() == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(!log_tend());
	child = fork();
	if (child == 0) {
		log_use_descriptor(LOG_SYSLOG, dup(own));
		log_notice("from the child");
		_exit(log_dropped_lines() == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_ptr_nonnull(strstr(receive(fd), ": from the child"));
}
END_TEST

START_TEST(a_successor_finds_a_restarted_syslog_daemon)
{
	char target[256];
	int old = daemon_start(), fd;
	enum log_sink sink;
	struct fault why;

	snprintf(target, sizeof(target), "syslog:%s", path_of("socket"));
	ck_assert_int_eq(log_open(target, &why), 0);
	fd = dup(log_descriptor(&sink));
	ck_assert_int_eq(log_adopt(target, fd, &why), 0);
	log_notice("one");
	ck_assert_ptr_nonnull(strstr(receive(old), ": one"));
	daemon_stop(old);
	fd = daemon_start();
	log_notice("two");
	ck_assert_ptr_nonnull(strstr(receive(fd), ": two"));
}
END_TEST

START_TEST(a_stream_socket_is_no_syslog)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fault why;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("socket"));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(open_syslog(&why), -EPROTOTYPE);
	ck_assert_ptr_nonnull(strstr(why.text, " is not a datagram socket"));
}
END_TEST

UNIT_TESTS("log_output", tcase_add_checked_fixture(tests, set_up, tear_down);
	   tcase_add_test(tests, a_full_pipe_costs_lines_but_never_time);
	   tcase_add_test(tests, a_pipe_without_reader_is_an_error_like_others);
	   tcase_add_test(tests, a_full_pipe_of_another_user_costs_lines_but_never_time);
	   tcase_add_test(tests, a_child_can_use_the_description_of_its_master);
	   tcase_add_test(tests, a_full_socket_costs_lines_but_never_time);
	   tcase_add_test(tests, a_stopped_terminal_costs_lines_but_never_time);
	   tcase_add_test(tests, a_closed_standard_error_is_never_written_to_again);
	   tcase_add_loop_test(
		   tests, the_journal_gets_priorities_instead_of_times, 0, ARRAY_LEN(streams));
	   tcase_add_test(tests, a_file_is_made_with_its_mode_and_only_appended_to);
	   tcase_add_loop_test(tests, what_is_no_plain_file_is_refused_and_the_old_log_stays, 0,
		   ARRAY_LEN(no_files));
	   tcase_add_test(tests, a_device_is_refused);
	   tcase_add_test(tests, a_file_that_cannot_be_opened_says_why);
	   tcase_add_test(tests, a_renamed_file_is_left_by_reopen);
	   tcase_add_test(tests, a_removed_file_is_noticed_and_made_again);
	   tcase_add_test(tests, a_removed_directory_is_complained_about_once);
	   tcase_add_test(tests, only_who_opened_the_file_tends_it);
	   tcase_add_test(tests, a_successor_goes_on_in_the_file_and_tends_it);
	   tcase_add_test(tests, a_successor_finds_a_restarted_syslog_daemon);
	   tcase_add_test(tests, a_torn_line_does_not_swallow_the_next);
	   tcase_add_test(tests, a_full_disk_costs_lines_that_are_counted);
	   tcase_add_test(tests, syslog_gets_datagrams_as_glibc_writes_them);
	   tcase_add_test(tests, a_syslog_daemon_that_does_not_read_costs_lines_but_never_time);
	   tcase_add_test(tests, a_missing_syslog_daemon_is_found_when_it_comes);
	   tcase_add_test(tests, a_restarted_syslog_daemon_loses_nothing);
	   tcase_add_test(tests, the_master_connects_the_socket_of_its_children_too);
	   tcase_add_test(tests, a_stream_socket_is_no_syslog);)
