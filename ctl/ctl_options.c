/* Options may stand anywhere, as people type them. */
#include "ctl/ctl_options.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "common/text.h"

/* Options of commands, which the server understands: passed on with their value. */
static const char *const passed_on[] = {"--listener", "--older", "--state"};

static bool
is_passed_on(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
		if (strcmp(word, passed_on[i]) == 0) {
			return true;
		}
	}
	return false;
}

static int
add_word(struct ctl_options *options, const char *word, struct fault *why)
{
	if (options->word_count == CTL_WORDS_MAX) {
		return fault_say(why, EINVAL, "too many words; acceptctl -h shows how");
	}
	options->words[options->word_count++] = word;
	return 0;
}

/* @return whether it is one of those without a value; it is noted then */
static bool
take_flag(struct ctl_options *options, const char *word)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{"--json", &options->as_json},
		{"--no-colour", &options->no_colour},
		{"--no-color", &options->no_colour},
		{"--once", &options->once},
		{"-f", &options->follows}, /* after `events` */
		{"--follow", &options->follows},
		{"-h", &options->wants_help},
		{"--help", &options->wants_help},
		{"-V", &options->wants_version},
		{"--version", &options->wants_version},
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (strcmp(word, flags[i].name) == 0) {
			*flags[i].flag = true;
			return true;
		}
	}
	return false;
}

/* @return the place of the value, or NULL */
static const char **
value_of(struct ctl_options *options, const char *word)
{
	bool is_command_known = options->word_count > 0;

	if (strcmp(word, "-s") == 0 || strcmp(word, "--socket") == 0) {
		return &options->socket;
	}
	/* Before the command -f names the configuration, after it means to follow. */
	if ((strcmp(word, "-f") == 0 && !is_command_known) || strcmp(word, "--config") == 0) {
		return &options->config;
	}
	return strcmp(word, "--write") == 0 ? &options->write : NULL;
}

static int
check(const struct ctl_options *options, struct fault *why)
{
	const char *command = options->word_count > 0 ? options->words[0] : "";

	if (options->wants_help || options->wants_version) {
		return 0;
	}
	if (options->word_count == 0) {
		return fault_say(why, EINVAL, "which command? acceptctl -h lists them");
	}
	if (options->follows && strcmp(command, "events") != 0) {
		return fault_say(why, EINVAL, "-f after a command belongs to events");
	}
	if (options->write != NULL && strcmp(command, "doctor") != 0) {
		return fault_say(why, EINVAL, "--write belongs to doctor");
	}
	if (options->once && strcmp(command, "queue") != 0) {
		return fault_say(why, EINVAL, "--once belongs to queue");
	}
	return 0;
}

int
ctl_options_parse(int argc, char *const *argv, struct ctl_options *options, struct fault *why)
{
	const char *late[2 * CTL_WORDS_MAX]; /* options of the command, which it stands before */
	int late_count = 0;
	int status = 0;

	memset(options, 0, sizeof(*options));
	for (int i = 1; i < argc && status == 0; i++) {
		const char *word = argv[i];
		const char **value = value_of(options, word);

		if (late_count + 1 >= (int)ARRAY_LEN(late)) {
			return fault_say(why, EINVAL, "too many words; acceptctl -h shows how");
		}
		if (value != NULL || is_passed_on(word)) {
			if (++i == argc || argv[i][0] == '\0') {
				return fault_say(why, EINVAL, "%s needs a value", word);
			}
		}
		if (value != NULL) {
			*value = argv[i];
		} else if (is_passed_on(word)) {
			late[late_count++] = word;
			late[late_count++] = argv[i];
		} else if (!take_flag(options, word)) {
			status = word[0] == '-' ? fault_say(why, EINVAL,
							  "unknown option '%s'; acceptctl -h "
							  "lists them",
							  word)
						: add_word(options, word, why);
		}
	}
	status = status == 0 ? check(options, why) : status;
	for (int i = 0; i < late_count && status == 0; i++) {
		status = add_word(options, late[i], why);
	}
	return status;
}

/* A blank or a line break would make another request of it. */
static bool
is_one_word(const char *word)
{
	for (const char *at = word; *at != '\0'; at++) {
		if ((unsigned char)*at <= ' ' || *at == 0x7f) {
			return false;
		}
	}
	return word[0] != '\0';
}

int
ctl_options_write_request(const struct ctl_options *options, bool with_colour, int width,
	char *line, size_t size, struct fault *why)
{
	struct text text;

	text_init(&text, line, size);
	for (int i = 0; i < options->word_count; i++) {
		if (!is_one_word(options->words[i])) {
			return fault_say(why, EINVAL,
				"'%s' is empty or has a blank in it; no name here has",
				options->words[i]);
		}
		text_add(&text, "%s%s", i > 0 ? " " : "", options->words[i]);
	}
	if (options->follows) {
		text_add(&text, " --after %s", options->mark[0] != '\0' ? options->mark : "0-0");
	}
	if (options->write != NULL) {
		text_add(&text, " --sysctl");
	}
	if (options->as_json) {
		text_add(&text, " --json");
	}
	if (with_colour) {
		text_add(&text, " --colour");
	}
	if (width > 0) {
		text_add(&text, " --width=%d", width);
	}
	text_add(&text, "\n");
	return text.is_cut ? fault_say(why, EINVAL, "the command is too long") : 0;
}

void
ctl_options_print_help(FILE *stream)
{
	(void)fputs(
		"usage: acceptctl [-s SOCKET] [-f CONFIG] COMMAND [--json] [--no-colour]\n"
		"\n"
		"  status                  is it well, and if not, what to do\n"
		"  listeners               accept queues, connections and bytes of each listener\n"
		"  upstreams               the back ends: up or down, places, who waits\n"
		"  workers                 what each worker has and does\n"
		"  queue [--once]          the accept queues as bars, drawn again each second\n"
		"  sources [LISTENER]      who has most connections, who is penalised\n"
		"  states [LISTENER]       TCP sockets by state, with the oldest CLOSE_WAIT\n"
		"  kernel                  the kernel's counters since acceptd began\n"
		"  events [-f]             what happened lately; -f: and what happens from now on\n"
		"  stats [PATTERN]         every statistic: name, value, rate\n"
		"  connections [--listener L] [--older D] [--state S]\n"
		"  connection ID           one of them\n"
		"  kill ID                 reset it\n"
		"  drain L, resume L       keep new clients out of a listener, let them in again\n"
		"  server NAME drain|ready|weight N|max N\n"
		"                          what a back end is given from now on\n"
		"  reload                  read the configuration again; says what came of it\n"
		"  upgrade                 go on with the program that is installed now\n"
		"  stop [now]              finish the connections and end; now: cut them\n"
		"  doctor [--write FILE]   will this machine carry this configuration;\n"
		"                          FILE: what to put into /etc/sysctl.d\n"
		"  version, help           of the server\n"
		"\n"
		"  -s SOCKET     the server's admin socket\n"
		"  -f CONFIG     the configuration that names it (before the command)\n"
		"  --json        for programs\n"
		"  --no-colour   plain text on a terminal, too\n"
		"  -h, -V        this; the version of acceptctl\n"
		"\n"
		"exit status: 0 good; 1 bad news, or it failed; 2 wrong usage (doctor: it will "
		"not\n"
		"             hold); 3 the server cannot be reached or is busy; 4 not allowed\n",
		stream);
}
