/* acceptctl sends a command to the monitor and prints the answer. It knows no command but for the
 * three that are more than that: queue and events -f ask again each second, doctor --write keeps
 * the answer in a file, and stop waits until the server's process is gone. */
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/config.h"
#include "common/fault.h"
#include "ctl/conversation.h"
#include "ctl/ctl_options.h"

#define DEFAULT_CONFIG SYSCONFDIR "/acceptd/acceptd.conf"
#define DEFAULT_SOCKET RUNSTATEDIR "/acceptd/admin.sock"
#define REQUEST_MAX    4096
#define AGAIN_MS       1000
/* After the result of `stop` the process itself has little left to do. */
#define END_MS      5000
#define HOME_CURSOR "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_BELOW "\033[J"

struct ctl {
	struct ctl_options options;
	char path[4096]; /* of the socket */
	char request[REQUEST_MAX];
	struct conversation conversation;
	bool is_terminal;
};

static int
ctl_fail(const char *sentence, int status)
{
	(void)fprintf(stderr, "acceptctl: %s\n", sentence);
	return status;
}

/* --- which socket --- */

static int
ctl_read_config(struct ctl *ctl, const char *path, struct fault *why)
{
	struct findings findings = {0};
	struct config *config = NULL;
	int status = 0;

	if (config_load(path, &config, &findings) != 0) {
		return fault_say(why, EINVAL,
			"cannot learn the admin socket from %s (acceptd -t tells why); name it "
			"with -s",
			path);
	}
	if (config->admin.socket[0] == '\0') {
		status = fault_say(why, ENOENT, "%s has no admin.socket", path);
	} else {
		(void)snprintf(ctl->path, sizeof(ctl->path), "%s", config->admin.socket);
	}
	config_free(&config);
	return status;
}

static int
ctl_find_socket(struct ctl *ctl, struct fault *why)
{
	struct fault unused;

	(void)snprintf(ctl->path, sizeof(ctl->path), "%s", DEFAULT_SOCKET);
	if (ctl->options.socket != NULL) {
		(void)snprintf(ctl->path, sizeof(ctl->path), "%s", ctl->options.socket);
		return 0;
	}
	if (ctl->options.config != NULL) {
		return ctl_read_config(ctl, ctl->options.config, why);
	}
	/* The usual file may be unreadable for this user, or not be there: then the usual socket.
	 */
	if (access(DEFAULT_CONFIG, R_OK) == 0 &&
		ctl_read_config(ctl, DEFAULT_CONFIG, &unused) != 0) {
		return 0;
	}
	return 0;
}

/* --- one question --- */

static int
ctl_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 &&
			       size.ws_col <= 1000
		       ? size.ws_col
		       : 0;
}

static int
ctl_write_request(struct ctl *ctl, struct fault *why)
{
	return ctl_options_write_request(&ctl->options,
		ctl->is_terminal && !ctl->options.no_colour && getenv("NO_COLOR") == NULL,
		ctl->is_terminal ? ctl_width() : 0, ctl->request, sizeof(ctl->request), why);
}

static int
ctl_exit_status(const struct conversation_answer *answer)
{
	static const struct {
		const char *code;
		enum ctl_exit status;
	} rows[] = {
		{"usage", CTL_USAGE},
		{"refused", CTL_REFUSED},
		{"busy", CTL_UNREACHABLE},
		{"failed", CTL_NEGATIVE},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(answer->code, rows[i].code) == 0) {
			return (int)rows[i].status;
		}
	}
	return answer->status;
}

/* @return exit status, with *answer to be freed when that is not CTL_UNREACHABLE by the road */
static int
ctl_ask(struct ctl *ctl, struct conversation_answer *answer)
{
	struct fault why;

	memset(answer, 0, sizeof(*answer));
	if (ctl->conversation.fd < 0 &&
		conversation_open(&ctl->conversation, ctl->path, &why) != 0) {
		return ctl_fail(why.text, why.code == -EACCES ? CTL_REFUSED : CTL_UNREACHABLE);
	}
	if (conversation_ask(&ctl->conversation, ctl->request, answer, &why) != 0) {
		conversation_close(&ctl->conversation);
		return ctl_fail(why.text, CTL_UNREACHABLE);
	}
	if (strcmp(answer->code, "ok") != 0) {
		(void)fprintf(stderr, "acceptctl: %s", answer->body);
	}
	return ctl_exit_status(answer);
}

static bool
is_good(const struct conversation_answer *answer)
{
	return strcmp(answer->code, "ok") == 0;
}

/* @return false when nobody reads our output */
static bool
ctl_print(const struct conversation_answer *answer)
{
	return !is_good(answer) ||
	       (fwrite(answer->body, 1, answer->len, stdout) == answer->len && fflush(stdout) == 0);
}

static int
ctl_once(struct ctl *ctl)
{
	struct conversation_answer answer;
	int status = ctl_ask(ctl, &answer);

	if (!ctl_print(&answer)) {
		status = ctl_fail("cannot write the answer", CTL_NEGATIVE);
	}
	conversation_answer_free(&answer);
	return status;
}

/* --- again and again --- */

static void
ctl_pause(void)
{
	const struct timespec wait = {AGAIN_MS / 1000, AGAIN_MS % 1000 * 1000000L};

	(void)nanosleep(&wait, NULL);
}

/* Each line is cleared behind its text, so nothing flickers. */
static bool
ctl_draw(const struct conversation_answer *answer)
{
	(void)fputs(HOME_CURSOR, stdout);
	for (const char *at = answer->body; *at != '\0'; at++) {
		if (*at == '\n') {
			(void)fputs(CLEAR_LINE, stdout);
		}
		(void)fputc(*at, stdout);
	}
	(void)fputs(CLEAR_BELOW, stdout);
	return fflush(stdout) == 0;
}

static int
ctl_repeat(struct ctl *ctl)
{
	int status;
	bool goes_on;

	(void)fputs(HOME_CURSOR CLEAR_BELOW, stdout);
	for (;;) {
		struct conversation_answer answer;

		status = ctl_ask(ctl, &answer);
		goes_on = !is_good(&answer) || ctl_draw(&answer);
		conversation_answer_free(&answer);
		if (!goes_on || status == CTL_USAGE || status == CTL_REFUSED) {
			return goes_on ? status : CTL_NEGATIVE;
		}
		ctl_pause();
	}
}

/* The first line is the mark: what to ask for next. */
static bool
ctl_take_mark(struct ctl *ctl, struct conversation_answer *answer)
{
	char *end = is_good(answer) ? strchr(answer->body, '\n') : NULL;
	size_t len = end == NULL ? 0 : (size_t)(end - answer->body);

	if (end == NULL || len >= sizeof(ctl->options.mark)) {
		return false;
	}
	memcpy(ctl->options.mark, answer->body, len);
	ctl->options.mark[len] = '\0';
	answer->len -= len + 1;
	memmove(answer->body, end + 1, answer->len + 1);
	return true;
}

/* First what is known, then what is new. A monitor that is replaced is there again in a moment, and
 * no event is missed or shown twice meanwhile: the next one is asked for what came after the mark.
 */
static int
ctl_follow(struct ctl *ctl)
{
	bool goes_on = true;
	bool has_begun = false;
	struct fault why;
	int status;

	for (;;) {
		struct conversation_answer answer;

		status = ctl_ask(ctl, &answer);
		if (ctl_take_mark(ctl, &answer)) {
			goes_on = ctl_print(&answer);
			has_begun = true;
		}
		conversation_answer_free(&answer);
		if (!has_begun || status == CTL_USAGE || status == CTL_REFUSED) {
			return status;
		}
		if (!goes_on) {
			return CTL_NEGATIVE;
		}
		if (ctl_write_request(ctl, &why) != 0) {
			return ctl_fail(why.text, CTL_USAGE);
		}
		ctl_pause();
	}
}

/* --- doctor --write, stop --- */

static int
ctl_write(const char *path, const struct conversation_answer *answer)
{
	FILE *file = fopen(path, "we");
	bool is_written = file != NULL && fwrite(answer->body, 1, answer->len, file) == answer->len;
	char sentence[512];

	if (file != NULL && fclose(file) != 0) {
		is_written = false;
	}
	if (!is_written) {
		(void)snprintf(
			sentence, sizeof(sentence), "cannot write %s: %s", path, strerror(errno));
		return ctl_fail(sentence, CTL_NEGATIVE);
	}
	(void)printf("written to %s; sysctl -p %s puts it in force\n", path, path);
	return CTL_OK;
}

static int
ctl_doctor(struct ctl *ctl)
{
	struct conversation_answer answer;
	int status = ctl_ask(ctl, &answer);

	if (is_good(&answer) && ctl_write(ctl->options.write, &answer) != CTL_OK) {
		status = CTL_NEGATIVE;
	}
	conversation_answer_free(&answer);
	return status;
}

static int
ctl_stop(struct ctl *ctl)
{
	struct fault why;
	struct pollfd server = {.fd = -1, .events = POLLIN};
	int status;

	if (conversation_open(&ctl->conversation, ctl->path, &why) != 0) {
		return ctl_fail(why.text, why.code == -EACCES ? CTL_REFUSED : CTL_UNREACHABLE);
	}
	if (ctl->conversation.server_pid > 0) {
		server.fd = (int)syscall(SYS_pidfd_open, ctl->conversation.server_pid, 0);
	}
	status = ctl_once(ctl);
	if (status == CTL_OK && server.fd >= 0 && poll(&server, 1, END_MS) != 1) {
		status = ctl_fail(
			"the server has finished, but its process does not end", CTL_NEGATIVE);
	}
	if (server.fd >= 0) {
		close(server.fd);
	}
	return status;
}

/* --- all --- */

static int
ctl_run(struct ctl *ctl)
{
	const struct ctl_options *options = &ctl->options;

	if (strcmp(options->words[0], "stop") == 0) {
		return ctl_stop(ctl);
	}
	if (options->write != NULL) {
		return ctl_doctor(ctl);
	}
	if (options->follows) {
		return ctl_follow(ctl);
	}
	if (strcmp(options->words[0], "queue") == 0 && ctl->is_terminal && !options->once &&
		!options->as_json) {
		return ctl_repeat(ctl);
	}
	return ctl_once(ctl);
}

int
main(int argc, char **argv)
{
	static struct ctl ctl = {.conversation = {.fd = -1}};
	struct fault why;
	int status;

	if (ctl_options_parse(argc, argv, &ctl.options, &why) != 0) {
		return ctl_fail(why.text, CTL_USAGE);
	}
	if (ctl.options.wants_help) {
		ctl_options_print_help(stdout);
		return CTL_OK;
	}
	if (ctl.options.wants_version) {
		(void)printf("acceptctl %s\n", PACKAGE_VERSION);
		return CTL_OK;
	}
	ctl.is_terminal = isatty(STDOUT_FILENO) == 1;
	if (ctl_write_request(&ctl, &why) != 0) {
		return ctl_fail(why.text, CTL_USAGE);
	}
	if (ctl_find_socket(&ctl, &why) != 0) {
		return ctl_fail(why.text, CTL_UNREACHABLE);
	}
	status = ctl_run(&ctl);
	conversation_close(&ctl.conversation);
	return status;
}
