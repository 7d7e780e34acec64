#include "common/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/run.h"

static bool
is_close_on_exec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static char directory[64];

static void
make_directory(void)
{
	strcpy(directory, "/tmp/test_descriptor.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

/* A path in the test's own directory; two calls share the buffer. */
static const char *
path_of(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void
remove_directory(void)
{
	(void)unlink(path_of("file"));
	ck_assert_int_eq(rmdir(directory), 0);
}

START_TEST(closing_twice_is_harmless_and_leaves_minus_one)
{
	int fd = dup(0);
	int other;

	descriptor_close(&fd);
	ck_assert_int_eq(fd, -1);
	other = dup(0); /* gets the number that was freed */
	descriptor_close(&fd);
	ck_assert_int_ge(fcntl(other, F_GETFD), 0);
	descriptor_close(&other);
}
END_TEST

START_TEST(sealed_bytes_can_be_read_again_and_again_but_never_changed)
{
	const char said[] = "workers = 4;\0with a zero inside";
	int fd = descriptor_seal_bytes("config", said, sizeof(said));

	ck_assert_int_ge(fd, 0);
	ck_assert(is_close_on_exec(fd));
	for (int turn = 0; turn < 2; turn++) {
		char *bytes = NULL;
		size_t len = 0;

		ck_assert_int_eq(descriptor_read_all(fd, 1000, &bytes, &len), 0);
		ck_assert_uint_eq(len, sizeof(said));
		ck_assert_mem_eq(bytes, said, sizeof(said));
		free(bytes);
	}
	ck_assert_int_eq(write(fd, "x", 1), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(ftruncate(fd, 100000), -1);
	ck_assert_ptr_eq(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	descriptor_close(&fd);
}
END_TEST

START_TEST(no_bytes_at_all_can_be_sealed_and_read)
{
	int fd = descriptor_seal_bytes("empty", NULL, 0);
	char *bytes;
	size_t len;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(descriptor_read_all(fd, 0, &bytes, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_str_eq(bytes, "");
	free(bytes);
	descriptor_close(&fd);
}
END_TEST

START_TEST(fixed_memory_is_zeroed_writable_and_keeps_its_size)
{
	const size_t size = 64 * 4096;
	int fd = descriptor_fixed_memory("board", size);
	struct stat info;
	char *map;

	ck_assert_int_ge(fd, 0);
	ck_assert(is_close_on_exec(fd));
	ck_assert_int_eq(fstat(fd, &info), 0);
	ck_assert_int_eq(info.st_size, (off_t)size);
	ck_assert_int_eq(info.st_blocks, 0); /* sparse: costs nothing until it is touched */
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(map[size - 1], 0);
	map[0] = 1;
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(fd, (off_t)size + 1), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	ck_assert_int_eq(munmap(map, size), 0);
	descriptor_close(&fd);
}
END_TEST

/* Sizes around those at which the buffer grows, with a limit below, at and above. */
static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 8191, 8192, 8193, 100000};

START_TEST(a_file_is_read_whole_or_refused_as_too_big)
{
	size_t size = sizes[_i];
	char *content = malloc(size + 1);
	char *bytes = NULL;
	size_t len = 0;
	int fd;

	for (size_t at = 0; at < size; at++) {
		content[at] = (char)(at * 7);
	}
	fd = descriptor_seal_bytes("content", content, size);
	ck_assert_int_ge(fd, 0);
	for (int more = 0; more < 2; more++) {
		ck_assert_int_eq(descriptor_read_all(fd, size + (size_t)more, &bytes, &len), 0);
		ck_assert_uint_eq(len, size);
		ck_assert_mem_eq(bytes, content, size);
		ck_assert_int_eq(bytes[size], '\0');
		free(bytes);
	}
	bytes = content;
	len = 77;
	if (size > 0) {
		ck_assert_int_eq(descriptor_read_all(fd, size - 1, &bytes, &len), -EFBIG);
		ck_assert_ptr_eq(bytes, content); /* untouched on failure */
		ck_assert_uint_eq(len, 77);
	}
	free(content);
	descriptor_close(&fd);
}
END_TEST

START_TEST(a_pipe_is_read_to_its_end)
{
	int ends[2];
	char *bytes;
	size_t len;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(write(ends[1], "hello", 5), 5);
	descriptor_close(&ends[1]);
	ck_assert_int_eq(descriptor_read_all(ends[0], 100, &bytes, &len), 0);
	ck_assert_str_eq(bytes, "hello");
	ck_assert_uint_eq(len, 5);
	free(bytes);
	descriptor_close(&ends[0]);
}
END_TEST

START_TEST(reading_what_is_no_file_is_an_ordinary_error)
{
	char *bytes;
	size_t len;
	int64_t before = descriptor_count_open();

	ck_assert_int_eq(descriptor_read_file("/proc", 100, &bytes, &len), -EISDIR);
	ck_assert_int_eq(descriptor_read_file("/nowhere/at/all", 100, &bytes, &len), -ENOENT);
	ck_assert_int_eq(descriptor_read_all(-1, 100, &bytes, &len), -EBADF);
	ck_assert_int_eq(descriptor_count_open(), before);
}
END_TEST

START_TEST(a_file_of_proc_is_read_though_it_says_that_it_is_empty)
{
	char *bytes;
	size_t len;

	ck_assert_int_eq(
		descriptor_read_file("/proc/sys/net/core/somaxconn", 100, &bytes, &len), 0);
	ck_assert_uint_ge(len, 2);
	ck_assert_int_eq(bytes[len - 1], '\n');
	free(bytes);
}
END_TEST

START_TEST(a_value_is_written_to_an_existing_file_only)
{
	char *bytes;
	size_t len;
	int fd;

	make_directory();
	ck_assert_int_eq(descriptor_write_file(path_of("file"), "4096"), -ENOENT);
	fd = open(path_of("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	descriptor_close(&fd);
	ck_assert_int_eq(descriptor_write_file(path_of("file"), "4096"), 0);
	ck_assert_int_eq(descriptor_read_file(path_of("file"), 100, &bytes, &len), 0);
	ck_assert_str_eq(bytes, "4096");
	free(bytes);
	ck_assert_int_eq(descriptor_write_file(directory, "4096"), -EISDIR);
	ck_assert_int_eq(descriptor_write_file("/dev/full", "4096"), -ENOSPC);
	remove_directory();
}
END_TEST

START_TEST(close_from_leaves_the_lower_ones_open)
{
	int first = dup(0), second = dup(0), high = fcntl(0, F_DUPFD_CLOEXEC, 900);

	ck_assert_int_gt(second, first);
	ck_assert_int_ge(high, 900);
	descriptor_close_from(second);
	ck_assert_int_ge(fcntl(first, F_GETFD), 0);
	ck_assert_int_eq(fcntl(second, F_GETFD), -1);
	ck_assert_int_eq(fcntl(high, F_GETFD), -1);
	descriptor_close(&first);
}
END_TEST

START_TEST(the_limit_of_descriptors_is_raised_to_the_hard_one)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max / 2;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(descriptor_raise_limit(), (int64_t)limit.rlim_max);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
}
END_TEST

START_TEST(open_descriptors_are_counted)
{
	int64_t before = descriptor_count_open();
	int fd = dup(0);

	ck_assert_int_ge(before, 0);
	ck_assert_int_eq(descriptor_count_open(), before + 1);
	descriptor_close(&fd);
	ck_assert_int_eq(descriptor_count_open(), before);
}
END_TEST

UNIT_TESTS("descriptor", tcase_add_test(tests, closing_twice_is_harmless_and_leaves_minus_one);
	   tcase_add_test(tests, sealed_bytes_can_be_read_again_and_again_but_never_changed);
	   tcase_add_test(tests, no_bytes_at_all_can_be_sealed_and_read);
	   tcase_add_test(tests, fixed_memory_is_zeroed_writable_and_keeps_its_size);
	   tcase_add_loop_test(
		   tests, a_file_is_read_whole_or_refused_as_too_big, 0, (int)ARRAY_LEN(sizes));
	   tcase_add_test(tests, a_pipe_is_read_to_its_end);
	   tcase_add_test(tests, reading_what_is_no_file_is_an_ordinary_error);
	   tcase_add_test(tests, a_file_of_proc_is_read_though_it_says_that_it_is_empty);
	   tcase_add_test(tests, a_value_is_written_to_an_existing_file_only);
	   tcase_add_test(tests, close_from_leaves_the_lower_ones_open);
	   tcase_add_test(tests, the_limit_of_descriptors_is_raised_to_the_hard_one);
	   tcase_add_test(tests, open_descriptors_are_counted);)
