/* The command line of the load client. */
#include "tests/bench/load_plan.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/*
 * The kernel seeks ports of one parity first: past half of the default port range each connect()
 * from the same address to the same port takes a millisecond, so stay below.
 */
#define PORTS_PER_SOURCE    14000
#define PROCESSES_MAX       64
#define SPARE_FD_COUNT      16
#define PACE_MS_MAX         60000
#define US_PER_MS           1000
#define ROUND_BYTES_MAX     (UINT64_C(1) << 40)
#define SESSIONS_MAX        UINT64_C(100000000)
#define DEFAULT_SOURCE_IPV4 "127.0.1.1"
#define ALL                 UINT64_MAX

struct mode {
	const char *name;
	const char *arguments; /* C = sessions, M = milliseconds from one connect to the next */
	struct load_plan defaults;
};

static const struct mode modes[] = {
	{"hold", "C",
		{.open_max = ALL,
			.connecting_max = 4096,
			.rounds = 1,
			.round_bytes = 64,
			.holds = true,
			.resets = true}},
	{"burst", "C", {.open_max = ALL, .connecting_max = ALL, .rounds = 1, .round_bytes = 64}},
	{"pingpong", "",
		{.session_count = 64,
			.open_max = ALL,
			.connecting_max = 4096,
			.rounds = 1000,
			.round_bytes = 64}},
	{"short", "C", {.open_max = 64, .connecting_max = ALL, .rounds = 1, .round_bytes = 64}},
	{"bulk", "",
		{.session_count = 4,
			.open_max = ALL,
			.connecting_max = 4096,
			.rounds = 1,
			.round_bytes = 64 << 20}},
	{"trickle", "CM",
		{.open_max = ALL,
			.connecting_max = ALL,
			.rounds = 1,
			.round_bytes = 64,
			.holds = true,
			.resets = true}},
};

static void
fail_usage(const char *what, const char *value)
{
	fprintf(stderr,
		"load: %s: %s\n"
		"usage: load [options] MODE\n"
		"  hold N        open N sessions, print \"holding N\", wait for a line on "
		"standard\n"
		"                input, check an echo on each\n"
		"  burst N       N connects at once, one echo on each\n"
		"  pingpong      --connections sessions with --rounds round trips each\n"
		"  short N       N sessions, --connections at a time\n"
		"  bulk          --connections sessions that stream --bytes each\n"
		"  trickle N MS  one connect each MS milliseconds, all held as in hold\n"
		"  -t, --target ADDRESS:PORT  the echo server (127.0.0.1:7000)\n"
		"  -p, --processes N          client processes (1)\n"
		"  -c, --connections N        sessions at the same time\n"
		"  -r, --rounds N             round trips of a session\n"
		"  -s, --bytes N              bytes of a round trip (64; bulk 64 MiB)\n"
		"      --connecting N         connects under way at the same time\n"
		"      --pace MS              one connect each so many milliseconds\n"
		"      --source ADDRESS       first source address (127.0.1.1; IPv6: the kernel\n"
		"                             chooses; others want `ip -6 route add local`)\n"
		"      --wait                 hold the sessions before their round trips\n"
		"      --half-close           end with shutdown, check that nothing follows\n"
		"      --rst, --fin           how to close (hold, trickle: --rst; others: --fin)\n"
		"      --timeout SECONDS      bound of the whole run (60)\n",
		what, value);
	exit(2);
}

static uint64_t
read_count(const char *what, const char *text, uint64_t max)
{
	char *end = NULL;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (text[0] == '-' || end == text || *end != '\0' || errno != 0 || value < 1 ||
		value > max) {
		fail_usage(what, text);
	}
	return value;
}

static int64_t
read_pace_us(const char *text)
{
	return US_PER_MS * (int64_t)read_count("milliseconds", text, PACE_MS_MAX);
}

uint64_t
load_plan_share(uint64_t total, unsigned process_count, unsigned index)
{
	return total / process_count + (index < total % process_count ? 1 : 0);
}

/* A closed session keeps its port in TIME_WAIT, unless it was reset. */
static uint64_t
ports_of_process(const struct load_plan *plan)
{
	uint64_t ports = plan->resets ? plan->open_max : plan->session_count;

	return load_plan_share(ports, plan->process_count, 0);
}

uint32_t
load_plan_sources_per_process(const struct load_plan *plan)
{
	return (uint32_t)((ports_of_process(plan) + PORTS_PER_SOURCE - 1) / PORTS_PER_SOURCE);
}

static const struct mode *
find_mode(const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, name) == 0) {
			return &modes[i];
		}
	}
	return NULL;
}

static void
read_mode_arguments(struct load_plan *plan, const struct mode *mode, char **arguments)
{
	for (const char *letter = mode->arguments; *letter != '\0'; letter++, arguments++) {
		if (*arguments == NULL) {
			fail_usage("argument of the mode is missing", mode->name);
		}
		if (*letter == 'C') {
			plan->session_count = read_count("sessions", *arguments, SESSIONS_MAX);
		} else {
			plan->pace_us =
				1000 * (int64_t)read_count("milliseconds", *arguments, 60000);
		}
	}
	if (*arguments != NULL) {
		fail_usage("unexpected argument", *arguments);
	}
}

enum option_code {
	OPTION_CONNECTING = 256,
	OPTION_PACE,
	OPTION_SOURCE,
	OPTION_WAIT,
	OPTION_HALF_CLOSE,
	OPTION_RST,
	OPTION_FIN,
	OPTION_TIMEOUT,
};

static const struct option options[] = {
	{"target", required_argument, NULL, 't'},
	{"processes", required_argument, NULL, 'p'},
	{"connections", required_argument, NULL, 'c'},
	{"rounds", required_argument, NULL, 'r'},
	{"bytes", required_argument, NULL, 's'},
	{"connecting", required_argument, NULL, OPTION_CONNECTING},
	{"pace", required_argument, NULL, OPTION_PACE},
	{"source", required_argument, NULL, OPTION_SOURCE},
	{"wait", no_argument, NULL, OPTION_WAIT},
	{"half-close", no_argument, NULL, OPTION_HALF_CLOSE},
	{"rst", no_argument, NULL, OPTION_RST},
	{"fin", no_argument, NULL, OPTION_FIN},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{NULL, 0, NULL, 0},
};

static void
apply_option(struct load_plan *plan, const struct mode *mode, int code)
{
	switch (code) {
	case 't':
		plan->target_text = optarg;
		break;
	case 'p':
		plan->process_count = (unsigned)read_count("--processes", optarg, PROCESSES_MAX);
		break;
	case 'c':
		/* Where the mode names the number of sessions, this is how many at a time. */
		*(mode->arguments[0] == 'C' ? &plan->open_max : &plan->session_count) =
			read_count("--connections", optarg, SESSIONS_MAX);
		break;
	case 'r':
		plan->rounds = read_count("--rounds", optarg, SESSIONS_MAX);
		break;
	case 's':
		plan->round_bytes = read_count("--bytes", optarg, ROUND_BYTES_MAX);
		break;
	case OPTION_CONNECTING:
		plan->connecting_max = read_count("--connecting", optarg, SESSIONS_MAX);
		break;
	case OPTION_PACE:
		plan->pace_us = read_pace_us(optarg);
		break;
	case OPTION_SOURCE:
		if (bench_address_parse_host(optarg, &plan->source) < 0) {
			fail_usage("--source", optarg);
		}
		break;
	case OPTION_WAIT:
		plan->holds = true;
		break;
	case OPTION_HALF_CLOSE:
		plan->half_closes = true;
		break;
	case OPTION_RST:
		plan->resets = true;
		break;
	case OPTION_FIN:
		plan->resets = false;
		break;
	case OPTION_TIMEOUT:
		plan->timeout_ms = 1000 * (int64_t)read_count("--timeout", optarg, 86400);
		break;
	default:
		fail_usage("unknown option", "see above");
	}
}

static void
check_source(struct load_plan *plan)
{
	int family = bench_address_family(&plan->target);

	if (plan->source.len == 0 && family == AF_INET) {
		bench_address_parse_host(DEFAULT_SOURCE_IPV4, &plan->source);
	}
	if (plan->source.len > 0 && bench_address_family(&plan->source) != family) {
		fail_usage("--source", "is of another family than --target");
	}
}

static void
check_descriptors(const struct load_plan *plan)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return;
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (load_plan_share(plan->open_max, plan->process_count, 0) + SPARE_FD_COUNT >
		limit.rlim_max) {
		fail_usage("not enough descriptors", "take more --processes");
	}
}

/* Ends with a plan whose limits suit each other: shares of processes must not be zero. */
static void
complete(struct load_plan *plan)
{
	if (plan->open_max > plan->session_count) {
		plan->open_max = plan->session_count;
	}
	if (plan->process_count > plan->open_max) {
		plan->process_count = (unsigned)plan->open_max;
	}
	if (plan->connecting_max > plan->open_max) {
		plan->connecting_max = plan->open_max;
	}
	if (plan->connecting_max < plan->process_count) {
		plan->connecting_max = plan->process_count;
	}
	if (plan->holds && plan->open_max < plan->session_count) {
		fail_usage("--connections", "held sessions are all open at the same time");
	}
	if (bench_address_parse(plan->target_text, &plan->target) < 0) {
		fail_usage("--target is not ADDRESS:PORT", plan->target_text);
	}
	check_source(plan);
	check_descriptors(plan);
}

struct load_plan
load_plan_read(int argc, char **argv)
{
	static const char short_options[] = "t:p:c:r:s:";
	int code;

	/* The mode gives the defaults, so it is looked up before the options are applied. */
	opterr = 0;
	while ((code = getopt_long(argc, argv, short_options, options, NULL)) != -1) {
		if (code == '?') {
			fail_usage("unknown option or missing value", argv[optind - 1]);
		}
	}
	const struct mode *mode = optind < argc ? find_mode(argv[optind]) : NULL;
	if (mode == NULL) {
		fail_usage("no such mode", optind < argc ? argv[optind] : "(none)");
	}
	struct load_plan plan = mode->defaults;
	plan.mode = mode->name;
	plan.target_text = "127.0.0.1:7000";
	plan.process_count = 1;
	plan.timeout_ms = 60000;
	read_mode_arguments(&plan, mode, &argv[optind + 1]);
	optind = 1;
	while ((code = getopt_long(argc, argv, short_options, options, NULL)) != -1) {
		apply_option(&plan, mode, code);
	}
	complete(&plan);
	return plan;
}
