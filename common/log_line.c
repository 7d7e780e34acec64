/* One event as one line. The sentence is written in full first and then copied byte by byte, since
 * its arguments may hold anything: a path, the words of a library, what a client sent. */
#include "common/log_line.h"

#include <string.h>

#include "common/text.h"

#define FACILITY_DAEMON (3 << 3)
#define CUT_MARK        " [cut]"

const char *
log_level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_NOTICE:
		return "notice";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "unknown";
}

/* RFC 3339, always UTC: lines of two machines, or of the night when the clocks change, sort. */
static void
add_timed_head(struct text *text, const struct log_origin *origin, enum log_level level)
{
	const struct tm *time = &origin->time;

	text_add(text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s ", time->tm_year + 1900,
		time->tm_mon + 1, time->tm_mday, time->tm_hour, time->tm_min, time->tm_sec,
		origin->millisecond, log_level_word(level));
}

/* The month by hand: strftime would ask the locale. */
static void
add_syslog_head(struct text *text, const struct log_origin *origin, enum log_level level)
{
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	const struct tm *time = &origin->time;

	text_add(text, "<%d>%s %2d %02d:%02d:%02d acceptd[%d]: ", FACILITY_DAEMON | (int)level,
		months[time->tm_mon % 12], time->tm_mday, time->tm_hour, time->tm_min, time->tm_sec,
		origin->pid);
}

static void
add_head(struct text *text, enum log_style style, const struct log_origin *origin,
	enum log_level level)
{
	switch (style) {
	case LOG_STYLE_SYSLOG:
		add_syslog_head(text, origin, level);
		text_add(text, "%s: ", origin->identity);
		return;
	case LOG_STYLE_JOURNAL:
		text_add(text, "<%d>", (int)level);
		break;
	case LOG_STYLE_TIMED:
		add_timed_head(text, origin, level);
		break;
	}
	text_add(text, "%s[%d]: ", origin->identity, origin->pid);
}

size_t
log_line_write(char line[LOG_LINE_MAX], enum log_style style, const struct log_origin *origin,
	enum log_level level, const char *format, va_list args)
{
	char sentence_buffer[LOG_LINE_MAX];
	struct text sentence;
	struct text text;
	size_t len;

	text_init(&sentence, sentence_buffer, sizeof(sentence_buffer));
	text_add_args(&sentence, format, args);
	/* Room stays for the mark; the line break takes the place of the terminating zero. */
	text_init(&text, line, LOG_LINE_MAX - strlen(CUT_MARK));
	add_head(&text, style, origin, level);
	text_add_printable(&text, sentence.at, sentence.len);
	len = text.len;
	if (text.is_cut || sentence.is_cut) {
		memcpy(line + len, CUT_MARK, strlen(CUT_MARK));
		len += strlen(CUT_MARK);
	}
	if (style != LOG_STYLE_SYSLOG) {
		line[len++] = '\n';
	}
	return len;
}
