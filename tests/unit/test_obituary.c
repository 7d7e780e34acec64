#include "master/obituary.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/defs.h"
#include "common/text.h"
#include "tests/unit/run.h"

#define DUMPED 0x80 /* WCOREFLAG */

static const struct {
	int status;
	const char *words;
} causes[] = {
	{W_EXITCODE(0, 0), "exited with status 0"},
	{W_EXITCODE(78, 0), "exited with status 78"},
	{W_EXITCODE(0, SIGKILL), "killed by SIGKILL"},
	{W_EXITCODE(0, SIGSEGV) | DUMPED, "killed by SIGSEGV (core dumped)"},
	{W_EXITCODE(0, SIGSYS), "killed by SIGSYS"},
	{W_EXITCODE(0, 62), "killed by signal 62"},
};

START_TEST(obituary_names_the_cause)
{
	char buffer[128];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	obituary_add_cause(&text, causes[_i].status);
	ck_assert_str_eq(buffer, causes[_i].words);
}
END_TEST

static const struct {
	struct obituary obituary;
	const char *line;
} lines[] = {
	{{.slot = 2,
		 .pid = 812,
		 .status = W_EXITCODE(0, SIGKILL),
		 .age_ms = 412000,
		 .lost_connections = 17,
		 .was_ready = true,
		 .failures = 1},
		"worker 2 (pid 812) killed by SIGKILL after 412 s; 17 connections lost; restarting "
		"now"},
	{{.slot = 0,
		 .pid = 9,
		 .status = W_EXITCODE(0, SIGSEGV),
		 .age_ms = 1500,
		 .lost_connections = 1,
		 .was_ready = true,
		 .has_fault_address = true,
		 .fault_address = 0x10,
		 .listener = "echo",
		 .protocol = "echo",
		 .peer = "192.0.2.1:4242",
		 .failures = 4,
		 .untold = 2,
		 .restart_in_ms = 400},
		"worker 0 (pid 9) killed by SIGSEGV at address 0x10 after 1.5 s; 1 connection "
		"lost; "
		"was serving 192.0.2.1:4242 on listener echo (protocol echo); restarting in 400 "
		"ms; "
		"failure 4 in a row; 2 before it not logged"},
	{{.slot = 0,
		 .pid = 9,
		 .status = W_EXITCODE(0, SIGSEGV),
		 .age_ms = 1500,
		 .was_ready = true,
		 .has_fault_address = true,
		 .fault_address = 0x400,
		 .sender = 1024,
		 .failures = 1},
		"worker 0 (pid 9) killed by SIGSEGV sent by pid 1024 after 1.5 s; 0 connections "
		"lost; restarting now"},
	{{.slot = 1,
		 .pid = 9,
		 .status = W_EXITCODE(0, SIGKILL),
		 .age_ms = 60000,
		 .was_ready = true,
		 .died_of_memory = true,
		 .memory = "memory limit 256M of cgroup /acceptd",
		 .failures = 1},
		"worker 1 (pid 9) killed by SIGKILL after 60 s; likely by the OOM killer (memory "
		"limit 256M of cgroup /acceptd); 0 connections lost; restarting now"},
	{{.slot = 1,
		 .pid = 9,
		 .status = W_EXITCODE(1, 0),
		 .age_ms = 3,
		 .complaint = "cannot\x1b[2J open",
		 .failures = 1},
		"worker 1 (pid 9) exited with status 1 after 3 ms, before it served; it said: "
		"cannot\\x1b[2J open; restarting now"},
	{{.slot = 3,
		 .pid = 9,
		 .status = W_EXITCODE(0, SIGKILL),
		 .age_ms = 32000,
		 .was_ready = true,
		 .lost_connections = 12,
		 .doing = "drain timeout",
		 .restart_in_ms = -1},
		"worker 3 (pid 9) killed by SIGKILL after 32 s (drain timeout); 12 connections "
		"lost"},
};

START_TEST(obituary_is_one_line_for_an_operator)
{
	char buffer[1024];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	obituary_write(&text, &lines[_i].obituary);
	ck_assert_str_eq(buffer, lines[_i].line);
}
END_TEST

UNIT_TESTS(
	"obituary", tcase_add_loop_test(tests, obituary_names_the_cause, 0, (int)ARRAY_LEN(causes));
	tcase_add_loop_test(tests, obituary_is_one_line_for_an_operator, 0, (int)ARRAY_LEN(lines));)
