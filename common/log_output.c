/* Where lines go. A pipe or terminal that is our standard error is shared with whoever started us:
 * O_NONBLOCK set on it would hit the user's shell too, since it belongs to the open file
 * description (open(2)). So it is opened once more, through /proc, as a description of our own. A
 * socket cannot be opened that way (ENXIO) and has MSG_DONTWAIT instead. */
#include "common/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/fault.h"

#define FILE_MODE      0640
#define WRITE_ATTEMPTS 8 /* of one line: signals and short writes */

/* systemd.exec(5): device and inode of the stream that leads to the journal. */
static bool
is_journal(const struct stat *stderr_status)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	char more;

	return stream != NULL &&
	       sscanf(stream, "%" SCNuMAX ":%" SCNuMAX "%c", &device, &inode, &more) == 2 &&
	       device == stderr_status->st_dev && inode == stderr_status->st_ino;
}

static enum log_style
stderr_style(void)
{
	struct stat status;

	return fstat(STDERR_FILENO, &status) == 0 && is_journal(&status) ? LOG_STYLE_JOURNAL
									 : LOG_STYLE_TIMED;
}

/* A pipe or terminal: a description of our own, or asking before each write where another user
 * owns it. */
static void
open_anew(struct log_output *output)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int flags;

	if (fd >= 0) {
		output->fd = fd;
		output->is_own = true;
		output->way = LOG_WAY_WRITE;
		return;
	}
	flags = fcntl(STDERR_FILENO, F_GETFL);
	output->way = flags >= 0 && (flags & O_NONBLOCK) != 0 ? LOG_WAY_WRITE : LOG_WAY_POLL;
}

void
log_output_open_stderr(struct log_output *output)
{
	struct stat status;

	*output = (struct log_output){.fd = STDERR_FILENO, .way = LOG_WAY_WRITE};
	if (fstat(STDERR_FILENO, &status) != 0) {
		/* Never look again: number 2 may become a client's socket. */
		output->fd = -1;
		output->way = LOG_WAY_NONE;
		return;
	}
	output->style = stderr_style();
	if (S_ISSOCK(status.st_mode)) {
		output->way = LOG_WAY_SEND;
	} else if (S_ISFIFO(status.st_mode) || isatty(STDERR_FILENO)) {
		open_anew(output);
	}
}

static const char *
kind_of_file(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return "a symbolic link";
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "no regular file";
	}
}

static int
check_file(const char *path, const struct stat *status, struct fault *why)
{
	if (S_ISLNK(status->st_mode)) {
		return fault_say(why, ELOOP,
			"log file %s is a symbolic link; refused, since whoever can change it "
			"decides where we write; hint: name the file itself",
			path);
	}
	if (!S_ISREG(status->st_mode)) {
		return fault_say(why, ENOTSUP,
			"log file %s is %s; refused; allowed: a regular file, 'stderr', 'syslog'",
			path, kind_of_file(status->st_mode));
	}
	if (status->st_nlink > 1) {
		return fault_say(why, EMLINK,
			"log file %s has %ju names (hard links); refused, since it is another "
			"file too; hint: remove it, a new one is made",
			path, (uintmax_t)status->st_nlink);
	}
	return 0;
}

/* Looked at before it is opened, because opening a device may act on it; and after, because the
 * name may lead elsewhere by then. */
int
log_output_open_file(const char *path, struct log_output *output, struct fault *why)
{
	struct stat status;
	int error = 0;
	int fd;

	if (lstat(path, &status) == 0) {
		error = check_file(path, &status, why);
		if (error != 0) {
			return error;
		}
	}
	/* O_NONBLOCK: not to wait for the reader of a FIFO that just took the name. */
	fd = open(path,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		FILE_MODE);
	if (fd < 0) {
		return fault_set(why, errno, "cannot open log file %s", path);
	}
	if (fstat(fd, &status) != 0) {
		error = fault_set(why, errno, "cannot examine log file %s", path);
	} else {
		error = check_file(path, &status, why);
	}
	if (error != 0) {
		(void)close(fd);
		return error;
	}
	*output = (struct log_output){.fd = fd, .is_own = true, .way = LOG_WAY_WRITE};
	return 0;
}

int
log_output_connect(struct log_output *output)
{
	if (output->syslog.sun_family != AF_UNIX) {
		return 0;
	}
	if (connect(output->fd, (const struct sockaddr *)&output->syslog, sizeof(output->syslog)) !=
		0) {
		return -errno;
	}
	return 0;
}

int
log_output_open_syslog(const char *path, struct log_output *output, struct fault *why)
{
	struct log_output opened = {
		.is_own = true,
		.way = LOG_WAY_SEND,
		.style = LOG_STYLE_SYSLOG,
		.syslog = {.sun_family = AF_UNIX},
	};
	int error;

	if (strlen(path) >= sizeof(opened.syslog.sun_path)) {
		return fault_set(why, ENAMETOOLONG, "syslog socket %s", path);
	}
	strcpy(opened.syslog.sun_path, path);
	opened.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (opened.fd < 0) {
		return fault_set(why, errno, "cannot make a socket for syslog %s", path);
	}
	error = log_output_connect(&opened);
	if (error != 0 && error != -ENOENT && error != -ECONNREFUSED) {
		(void)close(opened.fd);
		if (error == -EPROTOTYPE) {
			return fault_say(why, EPROTOTYPE,
				"%s is not a datagram socket, as that of a syslog daemon is", path);
		}
		return fault_set(why, -error, "cannot connect to syslog %s", path);
	}
	*output = opened;
	return 0;
}

void
log_output_adopt(enum log_sink sink, int fd, struct log_output *output)
{
	struct stat status;

	if (fd < 0 && sink == LOG_STDERR) {
		log_output_open_stderr(output);
		return;
	}
	*output = (struct log_output){.fd = fd, .is_own = true, .way = LOG_WAY_WRITE};
	if (fd < 0 || fstat(fd, &status) != 0) {
		output->way = LOG_WAY_NONE;
	} else if (S_ISSOCK(status.st_mode)) {
		output->way = LOG_WAY_SEND;
	}
	if (sink == LOG_SYSLOG) {
		output->style = LOG_STYLE_SYSLOG;
	} else if (sink == LOG_STDERR) {
		output->style = stderr_style();
	}
}

void
log_output_close(struct log_output *output)
{
	if (output->is_own && output->fd >= 0) {
		(void)close(output->fd);
	}
	*output = (struct log_output){.fd = -1};
}

bool
log_output_has_moved(const struct log_output *output, const char *path)
{
	struct stat named, open_file;

	if (fstat(output->fd, &open_file) != 0) {
		return true;
	}
	if (lstat(path, &named) != 0) {
		/* Not being allowed to look says nothing. */
		return errno == ENOENT || errno == ENOTDIR;
	}
	return named.st_dev != open_file.st_dev || named.st_ino != open_file.st_ino;
}

/* A pipe has room for a whole line when poll says so, unless another writer is faster. Errors are
 * not worth a try: the write of a pipe without reader is a SIGPIPE. */
static bool
would_wait(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	return poll(&poll_fd, 1, 0) != 1 || poll_fd.revents != POLLOUT;
}

static ssize_t
output_attempt(const struct log_output *output, const struct iovec *parts, size_t count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};

	switch (output->way) {
	case LOG_WAY_SEND:
		return sendmsg(output->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	case LOG_WAY_POLL:
		if (would_wait(output->fd)) {
			errno = EAGAIN;
			return -1;
		}
		return writev(output->fd, parts, (int)count);
	case LOG_WAY_WRITE:
		return writev(output->fd, parts, (int)count);
	case LOG_WAY_NONE:
		break;
	}
	errno = EBADF;
	return -1;
}

/* After a short write (a disk that is full, a terminal) the rest is tried too: it succeeds, or says
 * the reason.
 * @return how much was written; less than all only with a reason in *error */
static size_t
output_push(const struct log_output *output, const char *prefix, const char *bytes, size_t len,
	int *error)
{
	size_t prefix_len = strlen(prefix);
	size_t done = 0;
	int attempt;

	*error = 0;
	for (attempt = 0; attempt < WRITE_ATTEMPTS && done < prefix_len + len; attempt++) {
		size_t prefix_done = done < prefix_len ? done : prefix_len;
		size_t body_done = done - prefix_done;
		struct iovec parts[2] = {
			{(char *)prefix + prefix_done, prefix_len - prefix_done},
			{(char *)bytes + body_done, len - body_done},
		};
		ssize_t count = output_attempt(output, parts, ARRAY_LEN(parts));

		if (count >= 0) {
			done += (size_t)count;
		} else if (errno != EINTR) {
			*error = -errno;
			return done;
		}
	}
	if (done < prefix_len + len) {
		*error = -EAGAIN;
	}
	return done;
}

static bool
is_disconnected(int error)
{
	return error == -ECONNREFUSED || error == -ENOTCONN || error == -ECONNRESET ||
	       error == -EPIPE;
}

int
log_output_write_lines(struct log_output *output, const char *lines, size_t len, size_t *done)
{
	const char *prefix = output->is_torn ? "\n" : "";
	size_t pushed;
	int error;

	pushed = output_push(output, prefix, lines, len, &error);
	if (pushed == 0 && output->syslog.sun_family == AF_UNIX && is_disconnected(error) &&
		log_output_connect(output) == 0) {
		pushed = output_push(output, prefix, lines, len, &error);
	}
	*done = pushed > strlen(prefix) ? pushed - strlen(prefix) : 0;
	if (error == 0) {
		output->is_torn = false;
	} else if (pushed > 0) {
		/* The line break alone may have been all: then nothing is torn. */
		output->is_torn = *done > 0 && lines[*done - 1] != '\n';
	}
	return error;
}

int
log_output_write(struct log_output *output, const char *line, size_t len)
{
	size_t done;

	return log_output_write_lines(output, line, len, &done);
}
