#include "worker/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"
#include "worker/pipes.h"

#define CEILING 65536
#define MIB     (1 << 20)

/* A stream from `source` to `target`; the test holds the other ends. */
static struct {
	struct stream stream;
	struct output *unsent;
	int writer, source, target, reader;
	size_t written, read;
} line;

/* Unix sockets: what one side sends is there for the other, without a timer of TCP between. */
static void
open_pair(int *ours, int *theirs, int buffer_bytes)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*ours = pair[0];
	*theirs = pair[1];
	if (buffer_bytes > 0) {
		ck_assert_int_eq(setsockopt(*ours, SOL_SOCKET, SO_SNDBUF, &buffer_bytes,
					 sizeof(buffer_bytes)),
			0);
	}
}

static void
line_open(int target_buffer_bytes)
{
	room_open();
	memset(&line, 0, sizeof(line));
	line.stream.unsent = &line.unsent;
	open_pair(&line.source, &line.writer, 0);
	open_pair(&line.target, &line.reader, target_buffer_bytes);
}

static void
line_close(void)
{
	stream_close(&line.stream, &room.service);
	output_free(&line.unsent);
	close(line.writer);
	close(line.source);
	close(line.target);
	close(line.reader);
	pipes_fini(&room.service);
	room_close();
}

static unsigned char
byte_at(size_t place)
{
	return (unsigned char)(place * 31 + place / 251);
}

/* As much as the source takes, `len` at most. */
static void
line_write(size_t len)
{
	static unsigned char bytes[MIB];
	ssize_t taken;

	for (size_t i = 0; i < len; i++) {
		bytes[i] = byte_at(line.written + i);
	}
	taken = send(line.writer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	line.written += taken > 0 ? (size_t)taken : 0;
}

/* What is there, checked. */
static void
line_read(size_t len)
{
	static unsigned char bytes[MIB];
	ssize_t got = recv(line.reader, bytes, len, MSG_DONTWAIT);

	size_t wrong = 0;

	for (ssize_t i = 0; i < got; i++) {
		wrong += bytes[i] != byte_at(line.read + (size_t)i);
	}
	ck_assert_uint_eq(wrong, 0);
	line.read += got > 0 ? (size_t)got : 0;
}

static struct stream_step
line_move(void)
{
	return stream_move(&line.stream, &room.service, line.source, line.target, CEILING);
}

/* One turn as a session takes it. */
static struct stream_step
line_turn(void)
{
	struct stream_step step = {.progress = STREAM_DRY};

	if (stream_kept(&line.stream) > 0) {
		(void)stream_flush(&line.stream, &room.service, line.target);
	}
	if (!stream_is_full(&line.stream, CEILING, true)) {
		step = line_move();
	}
	ck_assert_uint_le(output_pending(line.unsent), CEILING);
	return step;
}

static void
line_pass_all(void)
{
	for (int i = 0; line.read < line.written; i++) {
		ck_assert_int_lt(i, 100000);
		(void)line_turn();
		line_read(MIB);
	}
}

START_TEST(bytes_pass_however_they_are_cut)
{
	line_open(0);
	for (size_t len = 1; len <= 300; len++) {
		line_write(len);
		ck_assert(help_waits(line.source, POLLIN, HELP_WAIT_MS));
		ck_assert_uint_eq(line_turn().sent_bytes, len);
		ck_assert(help_waits(line.reader, POLLIN, HELP_WAIT_MS));
		line_read(MIB);
		ck_assert_uint_eq(line.read, line.written);
		ck_assert_ptr_null(line.unsent);
	}
	line_close();
}
END_TEST

START_TEST(nothing_there_is_dry_and_the_end_is_told)
{
	line_open(0);
	ck_assert_int_eq(line_move().progress, STREAM_DRY);
	ck_assert_int_eq(shutdown(line.writer, SHUT_WR), 0);
	ck_assert(help_waits(line.source, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(line_move().progress, STREAM_ENDED);
	ck_assert(line.stream.has_ended);
	line_close();
}
END_TEST

START_TEST(without_a_target_everything_is_kept_up_to_the_ceiling)
{
	size_t kept = 0;

	line_open(0);
	for (int i = 0; i < 40 && !stream_is_full(&line.stream, CEILING, true); i++) {
		line_write(4000);
		ck_assert(help_waits(line.source, POLLIN, HELP_WAIT_MS));
		kept += stream_move(&line.stream, &room.service, line.source, -1, CEILING)
				.read_bytes;
		ck_assert_uint_eq(stream_kept(&line.stream), kept);
	}
	ck_assert_uint_eq(kept, CEILING);
	ck_assert(stream_is_full(&line.stream, CEILING, false));
	/* Reading on would be no end of file. */
	ck_assert_int_eq(line_move().progress, STREAM_DRY);
	line_pass_all();
	ck_assert_uint_eq(line.read, line.written);
	line_close();
}
END_TEST

START_TEST(bulk_goes_through_a_pipe_and_messages_do_not)
{
	bool was_bulk = false;

	line_open(0);
	while (line.written < 8 * MIB) {
		line_write(MIB);
		(void)line_turn();
		was_bulk = was_bulk || room.service.pipe_count > 0;
		line_read(MIB);
	}
	ck_assert(was_bulk);
	line_pass_all();
	for (int i = 0; i < 20; i++) {
		line_write(100);
		line_pass_all();
	}
	ck_assert_ptr_null(line.stream.pipe);
	ck_assert_uint_eq(line.stream.bulk_score, 0);
	ck_assert_uint_eq(room.service.pipe_count, 1); /* given back, for the next */
	line_close();
}
END_TEST

/* To a target that takes less than what comes at once. */
static void
line_fill_pipe(void)
{
	for (int i = 0; line.stream.pipe == NULL; i++) {
		ck_assert_int_lt(i, 1000);
		line_write(MIB);
		if (stream_kept(&line.stream) == 0) {
			(void)line_move();
		} else {
			line_read(MIB);
			(void)stream_flush(&line.stream, &room.service, line.target);
		}
	}
}

START_TEST(a_pipe_is_the_streams_only_while_something_is_in_it)
{
	line_open(20000);
	line_fill_pipe();
	ck_assert_uint_gt(line.stream.in_pipe, 0);
	ck_assert_uint_eq(room.service.pipe_count, 0);
	line_pass_all();
	ck_assert_ptr_null(line.stream.pipe);
	ck_assert_uint_eq(room.service.pipe_count, 1);
	line_close();
}
END_TEST

START_TEST(a_pipe_with_something_in_it_goes_with_its_stream)
{
	int64_t before;

	line_open(20000);
	before = room.service.descriptors_used;
	line_fill_pipe();
	stream_close(&line.stream, &room.service);
	ck_assert_ptr_null(line.stream.pipe);
	ck_assert_uint_eq(line.stream.in_pipe, 0);
	ck_assert_uint_eq(room.service.pipe_count, 0);
	ck_assert_int_eq(room.service.descriptors_used, before);
	line_close();
}
END_TEST

/* So much at a time, each time all of it. */
static bool
takes_a_pipe(size_t len)
{
	bool was_taken = false;

	line_open(0);
	for (int i = 0; i < 32; i++) {
		line_write(len);
		ck_assert(help_waits(line.source, POLLIN, HELP_WAIT_MS));
		line_pass_all();
		was_taken = was_taken || room.service.pipe_count > 0;
	}
	line_close();
	return was_taken;
}

START_TEST(what_fills_the_buffer_is_bulk_however_little_is_left)
{
	ck_assert(takes_a_pipe(SERVICE_SCRATCH_BYTES + 16384));
	ck_assert(takes_a_pipe(40000));
	ck_assert(!takes_a_pipe(24576));
}
END_TEST

static const int buffers[] = {0, 4096, 20000, 200000};

/* Messages and bulk by turns to a reader of any pace, which gets every byte once and in order. */
START_TEST(no_byte_overtakes_another)
{
	unsigned seed = (unsigned)_i;

	line_open(buffers[(size_t)_i % ARRAY_LEN(buffers)]);
	while (line.written < 4 * MIB) {
		line_write((size_t)rand_r(&seed) % (rand_r(&seed) % 4 == 0 ? MIB : 2000) + 1);
		for (int turns = rand_r(&seed) % 4; turns > 0; turns--) {
			(void)line_turn();
		}
		line_read((size_t)rand_r(&seed) % 300000 + 1);
	}
	line_pass_all();
	ck_assert_uint_eq(stream_kept(&line.stream), 0);
	line_close();
}
END_TEST

START_TEST(a_full_target_stops_the_reading)
{
	size_t moved;

	line_open(20000);
	for (int i = 0; i < 100; i++) {
		line_write(MIB);
		(void)line_turn();
	}
	ck_assert(stream_is_full(&line.stream, CEILING, true));
	ck_assert_uint_le(stream_kept(&line.stream), PIPES_BYTES);
	moved = line.written;
	line_write(MIB);
	(void)line_turn();
	ck_assert_uint_le(line.written, moved + MIB);
	line_pass_all();
	line_close();
}
END_TEST

START_TEST(the_side_that_failed_is_named)
{
	struct stream_step step;

	line_open(0);
	ck_assert_int_eq(send(line.source, "unread", 6, 0), 6);
	close(line.writer); /* with unread bytes: a reset */
	line.writer = dup(line.reader);
	step = line_move();
	ck_assert_int_eq(step.progress, STREAM_SOURCE_FAILED);
	ck_assert_int_eq(step.error, ECONNRESET);
	line_close();

	line_open(0);
	close(line.reader);
	line.reader = dup(line.writer);
	line_write(10);
	step = line_move();
	ck_assert_int_eq(step.progress, STREAM_TARGET_FAILED);
	ck_assert_int_eq(step.error, EPIPE);
	ck_assert_uint_eq(step.read_bytes, 10); /* the statistics count what came */
	line_close();
}
END_TEST

START_TEST(what_is_put_first_arrives_first)
{
	char got[16] = "";

	line_open(0);
	ck_assert_int_eq(send(line.writer, "hello", 5, 0), 5);
	ck_assert(help_waits(line.source, POLLIN, HELP_WAIT_MS));
	ck_assert_uint_eq(
		stream_move(&line.stream, &room.service, line.source, -1, CEILING).read_bytes, 5);
	ck_assert_int_eq(stream_prepend(&line.stream, &room.service, "HEAD ", 5), 0);
	ck_assert_uint_eq(stream_flush(&line.stream, &room.service, line.target).sent_bytes, 10);
	ck_assert(help_waits(line.reader, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(recv(line.reader, got, sizeof(got), 0), 10);
	ck_assert_str_eq(got, "HEAD hello");
	line_close();
}
END_TEST

START_TEST(without_descriptors_for_a_pipe_bulk_is_copied)
{
	line_open(0);
	room.service.descriptor_limit = room.service.descriptors_used;
	for (int i = 0; i < 100; i++) {
		line_write(MIB);
		(void)line_turn();
		ck_assert_ptr_null(line.stream.pipe);
		line_read(MIB);
	}
	line_pass_all();
	line_close();
}
END_TEST

UNIT_TESTS("stream", tcase_add_test(tests, bytes_pass_however_they_are_cut);
	   tcase_add_test(tests, nothing_there_is_dry_and_the_end_is_told);
	   tcase_add_test(tests, without_a_target_everything_is_kept_up_to_the_ceiling);
	   tcase_add_test(tests, bulk_goes_through_a_pipe_and_messages_do_not);
	   tcase_add_test(tests, a_pipe_is_the_streams_only_while_something_is_in_it);
	   tcase_add_test(tests, a_pipe_with_something_in_it_goes_with_its_stream);
	   tcase_add_test(tests, what_fills_the_buffer_is_bulk_however_little_is_left);
	   tcase_add_loop_test(tests, no_byte_overtakes_another, 0, 24);
	   tcase_add_test(tests, a_full_target_stops_the_reading);
	   tcase_add_test(tests, the_side_that_failed_is_named);
	   tcase_add_test(tests, what_is_put_first_arrives_first);
	   tcase_add_test(tests, without_descriptors_for_a_pipe_bulk_is_copied);)
