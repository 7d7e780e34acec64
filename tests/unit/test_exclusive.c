#include "worker/exclusive.h"

#include <ev.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

#include "common/loop.h"

/* A listener in a loop, as an acceptor holds it. */
struct door {
	struct ev_loop *loop;
	int fd;
	ev_io watcher;
	struct exclusive exclusive;
	unsigned events;
};

static void
door_on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct door *door = container_of(watcher, struct door, watcher);

	(void)loop;
	(void)events;
	door->events++;
}

static void
door_open(struct door *door, struct address *address)
{
	memset(door, 0, sizeof(*door));
	door->fd = help_listen_explicit(16, address);
	door->loop = loop_new();
	ck_assert_ptr_nonnull(door->loop);
	ck_assert_int_eq(exclusive_mark(&door->exclusive, door->fd), 0);
	ev_io_init(&door->watcher, door_on_event, door->fd, EV_READ);
	ev_io_start(door->loop, &door->watcher);
	ev_run(door->loop, EVRUN_NOWAIT);
}

static void
door_close(struct door *door)
{
	ev_io_stop(door->loop, &door->watcher);
	exclusive_unmark(&door->exclusive);
	close(door->fd);
	ev_loop_destroy(door->loop);
}

START_TEST(a_marked_listener_is_registered_exclusively)
{
	struct address address;
	struct door door;

	door_open(&door, &address);
	ck_assert(door.exclusive.is_registered);
	ck_assert(door.exclusive.is_exclusive);
	ck_assert(exclusive_is_proven(&door.exclusive));
	door_close(&door);
	ck_assert(!door.exclusive.is_registered);
	ck_assert(!exclusive_is_proven(&door.exclusive));
}
END_TEST

START_TEST(other_descriptors_are_left_alone)
{
	struct exclusive not_marked = {.fd = -1};
	struct address address;
	struct door door;
	int fds[2];
	ev_io other;

	door_open(&door, &address);
	ck_assert_int_eq(pipe(fds), 0);
	ev_io_init(&other, door_on_event, fds[0], EV_READ);
	ev_io_start(door.loop, &other);
	ev_run(door.loop, EVRUN_NOWAIT);
	not_marked = (struct exclusive){
		.fd = fds[0], .epoll_fd = door.exclusive.epoll_fd, .is_registered = true};
	ck_assert(!exclusive_is_proven(&not_marked));
	ev_io_stop(door.loop, &other);
	close(fds[0]);
	close(fds[1]);
	door_close(&door);
}
END_TEST

START_TEST(rotating_keeps_the_registration_and_its_events)
{
	struct address address;
	struct door door;
	int client;

	door_open(&door, &address);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(exclusive_rotate(&door.exclusive), 0);
		ck_assert(exclusive_is_proven(&door.exclusive));
	}
	client = help_connect(&address);
	ck_assert(help_waits(door.fd, POLLIN, HELP_WAIT_MS));
	ev_run(door.loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(door.events, 1);
	close(client);
	door_close(&door);
}
END_TEST

START_TEST(after_leaving_nothing_is_reported_until_it_is_set_anew)
{
	struct address address;
	struct door door;
	int client;

	door_open(&door, &address);
	ev_io_stop(door.loop, &door.watcher);
	exclusive_leave(&door.exclusive);
	exclusive_leave(&door.exclusive);
	ck_assert_int_eq(exclusive_rotate(&door.exclusive), 0);
	ck_assert(!door.exclusive.is_registered);
	client = help_connect(&address);
	ck_assert(help_waits(door.fd, POLLIN, HELP_WAIT_MS));
	ev_run(door.loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(door.events, 0);

	/* Within one iteration libev sees no change; ev_io_set is what makes it register. */
	ev_io_start(door.loop, &door.watcher);
	ev_run(door.loop, EVRUN_NOWAIT);
	ev_io_stop(door.loop, &door.watcher);
	exclusive_leave(&door.exclusive);
	ev_io_set(&door.watcher, door.fd, EV_READ);
	ev_io_start(door.loop, &door.watcher);
	door.events = 0;
	ev_run(door.loop, EVRUN_NOWAIT);
	ck_assert(door.exclusive.is_registered);
	ck_assert_uint_eq(door.events, 1);
	close(client);
	door_close(&door);
}
END_TEST

/* Without care libev would try to modify the registration, fail, and rebuild its epoll set in every
 * turn, without ever telling the watcher. */
START_TEST(a_listener_that_was_shut_down_is_told_and_does_not_spin)
{
	struct address address;
	struct door door;
	unsigned told;

	door_open(&door, &address);
	ck_assert_int_eq(shutdown(door.fd, SHUT_RDWR), 0);
	ev_run(door.loop, EVRUN_NOWAIT);
	told = door.events;
	ck_assert_uint_ge(told, 1);
	ck_assert(!door.exclusive.is_registered);
	for (int i = 0; i < 5; i++) {
		ev_run(door.loop, EVRUN_NOWAIT);
	}
	ck_assert_uint_eq(door.events, told);
	door_close(&door);
}
END_TEST

#define SLEEPERS 4
#define ROUNDS   5

/* A process that takes one client per wake-up and says so by its number. */
static NORETURN void
sleeper_run(struct door *door, int number, int report)
{
	for (;;) {
		unsigned events = door->events;
		union peer peer;
		char name = (char)number;

		ev_run(door->loop, EVRUN_ONCE);
		if (door->events > events) {
			int fd = net_accept(door->fd, &peer);

			ck_assert_int_eq(exclusive_rotate(&door->exclusive), 0);
			name = fd >= 0 ? name : (char)(name + 100); /* woken for nothing */
			if (write(report, &name, 1) != 1) {
				_exit(1);
			}
		}
	}
}

static void
wait_until_asleep(pid_t pid)
{
	char path[64], state = 'R';

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (state != 'S') {
		FILE *stat = fopen(path, "re");

		ck_assert_ptr_nonnull(stat);
		ck_assert_int_eq(fscanf(stat, "%*d %*s %c", &state), 1);
		(void)fclose(stat);
	}
}

START_TEST(each_client_wakes_one_process_and_each_process_in_turn)
{
	struct address address;
	struct door door;
	pid_t pids[SLEEPERS];
	int report[2], counts[SLEEPERS] = {0};

	door_open(&door, &address);
	ev_io_stop(door.loop, &door.watcher);
	exclusive_unmark(&door.exclusive);
	ck_assert_int_eq(pipe(report), 0);
	for (int i = 0; i < SLEEPERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			door.loop = loop_new();
			ck_assert_int_eq(exclusive_mark(&door.exclusive, door.fd), 0);
			ev_io_set(&door.watcher, door.fd, EV_READ);
			ev_io_start(door.loop, &door.watcher);
			ev_run(door.loop, EVRUN_NOWAIT);
			door.events = 0;
			sleeper_run(&door, i, report[1]);
		}
		wait_until_asleep(pids[i]);
	}
	for (int i = 0; i < SLEEPERS * ROUNDS; i++) {
		int client = help_connect(&address);
		char name;

		ck_assert_int_eq(read(report[0], &name, 1), 1);
		ck_assert_int_lt(name, SLEEPERS);
		counts[(int)name]++;
		wait_until_asleep(pids[(int)name]);
		close(client);
	}
	ck_assert(!help_waits(report[0], POLLIN, 0));
	for (int i = 0; i < SLEEPERS; i++) {
		ck_assert_int_eq(counts[i], ROUNDS);
		ck_assert_int_eq(kill(pids[i], SIGKILL), 0);
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	}
	close(report[0]);
	close(report[1]);
	close(door.fd);
	ev_loop_destroy(door.loop);
}
END_TEST

UNIT_TESTS("exclusive", tcase_add_test(tests, a_marked_listener_is_registered_exclusively);
	   tcase_add_test(tests, other_descriptors_are_left_alone);
	   tcase_add_test(tests, rotating_keeps_the_registration_and_its_events);
	   tcase_add_test(tests, after_leaving_nothing_is_reported_until_it_is_set_anew);
	   tcase_add_test(tests, a_listener_that_was_shut_down_is_told_and_does_not_spin);
	   tcase_add_test(tests, each_client_wakes_one_process_and_each_process_in_turn);)
