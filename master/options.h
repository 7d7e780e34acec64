/* The command line. Pure but for getopt(3). */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "common/defs.h"

struct fault;

enum options_action {
	OPTIONS_SERVE,
	OPTIONS_TEST,    /* -t */
	OPTIONS_DOCTOR,  /* -t --doctor */
	OPTIONS_DUMP,    /* -T */
	OPTIONS_VERSION, /* -V */
	OPTIONS_HELP,    /* -h */
};

struct options {
	enum options_action action;
	const char *path; /* of the configuration; borrowed from argv or static */
	bool is_daemon;   /* -d */
};

/** Read argv. @return 0; -EINVAL with a sentence that says what to write instead */
int options_parse(
	int argc, char *const *argv, struct options *options, struct fault *why) MUST_CHECK;
void options_print_help(FILE *stream);
void options_print_version(FILE *stream);
