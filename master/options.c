/* The command line. */
#include "master/options.h"
#include "build.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "common/fault.h"

#define OPTIONS_DOCTOR_WORD  1000
#define OPTIONS_DEFAULT_PATH SYSCONFDIR "/acceptd/acceptd.conf"

static int
options_set_action(
	struct options *options, enum options_action action, int letter, struct fault *why)
{
	if (options->action != OPTIONS_SERVE && options->action != action) {
		return fault_say(why, EINVAL,
			"-%c cannot be combined with another of -t, -T, -V, -h", letter);
	}
	options->action = action;
	return 0;
}

static int
options_take(struct options *options, int letter, struct fault *why)
{
	switch (letter) {
	case 'f':
		options->path = optarg;
		return optarg[0] != '\0' ? 0
					 : fault_say(why, EINVAL, "-f needs the name of a file");
	case 'd':
		options->is_daemon = true;
		return 0;
	case 't':
		return options_set_action(options, OPTIONS_TEST, letter, why);
	case 'T':
		return options_set_action(options, OPTIONS_DUMP, letter, why);
	case 'V':
		return options_set_action(options, OPTIONS_VERSION, letter, why);
	case 'h':
		return options_set_action(options, OPTIONS_HELP, letter, why);
	case ':':
		return fault_say(why, EINVAL, "-%c needs the name of a file", optopt);
	default:
		return fault_say(
			why, EINVAL, "unknown option '-%c'; acceptd -h lists them", optopt);
	}
}

int
options_parse(int argc, char *const *argv, struct options *options, struct fault *why)
{
	struct options read = {.action = OPTIONS_SERVE, .path = OPTIONS_DEFAULT_PATH};
	static const struct option words[] = {{"doctor", no_argument, NULL, OPTIONS_DOCTOR_WORD},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}};
	bool wants_doctor = false;
	int letter;

	optind = 0; /* glibc: begin anew, also when called again */
	/* '+': stop at the first other word; ':': tell a missing value from an unknown letter. */
	while ((letter = getopt_long(argc, argv, "+:f:dtTVh", words, NULL)) != -1) {
		int status = 0;

		if (letter == OPTIONS_DOCTOR_WORD) {
			wants_doctor = true;
		} else if (letter == '?' && optopt == 0) {
			return fault_say(why, EINVAL, "unknown option '%s'; acceptd -h lists them",
				argv[optind - 1]);
		} else {
			status = options_take(&read, letter, why);
		}
		if (status != 0) {
			return status;
		}
	}
	if (wants_doctor && read.action != OPTIONS_TEST) {
		return fault_say(why, EINVAL, "--doctor goes with -t");
	}
	read.action = wants_doctor ? OPTIONS_DOCTOR : read.action;
	if (optind < argc) {
		return fault_say(why, EINVAL,
			"unexpected word '%s'; the configuration file is given with -f",
			argv[optind]);
	}
	if (read.is_daemon && read.action != OPTIONS_SERVE) {
		return fault_say(why, EINVAL, "-d has no meaning together with -t, -T, -V or -h");
	}
	*options = read;
	return 0;
}

void
options_print_help(FILE *stream)
{
	(void)fprintf(stream,
		"usage: acceptd [-f FILE] [-d | -t [--doctor] | -T | -V | -h]\n"
		"\n"
		"  -f FILE  configuration, instead of %s\n"
		"  -d       run in the background; return when the workers serve\n"
		"  -t       check the configuration and this machine, and exit:\n"
		"           0 all is fine, 2 the file is wrong, 3 this machine does not allow it\n"
		"  -t --doctor  will this machine carry the configuration: what the kernel "
		"allows,\n"
		"           what is needed, what to do; 0 fit, 1 warnings, 2 it will not hold\n"
		"  -T       print the whole configuration in force, with the origin of each value\n"
		"  -V, --version  print version and built-in features\n"
		"  -h, --help     print this\n"
		"\n"
		"signals: HUP reload, TERM finish and stop, INT or QUIT stop at once,\n"
		"         USR1 open the logs again, USR2 upgrade to the program that is installed "
		"now,\n"
		"         TTIN and TTOU one worker more or less\n",
		OPTIONS_DEFAULT_PATH);
}

void
options_print_version(FILE *stream)
{
	(void)fprintf(stream, "acceptd %s\nbuilt with: %s\n", PACKAGE_VERSION, BUILT_WITH);
}
