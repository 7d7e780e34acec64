/* Another program at acceptd's path. How it behaves stands in the file "behaviour" beside it. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
behaviour(void)
{
	static char word[64];
	char path[PATH_MAX + 16];
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);
	FILE *file;

	path[len > 0 ? len : 0] = '\0';
	(void)strcpy(strrchr(path, '/') + 1, "behaviour");
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%63s", word) != 1) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	(void)fclose(file);
	return word;
}

int
main(void)
{
	const char *word = behaviour();

	if (strcmp(word, "hang") == 0) {
		for (;;) {
			(void)pause();
		}
	}
	if (strcmp(word, "crash") == 0) {
		(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
		(void)raise(SIGSEGV);
	}
	if (strcmp(word, "complain") == 0) {
		(void)fprintf(stderr, "the moon is in the wrong place\n");
		return EXIT_FAILURE;
	}
	if (strcmp(word, "boast") == 0) {
		/* Much, and the right word, but not as the last. */
		for (int i = 0; i < 3000; i++) {
			(void)printf("acceptd: this program can take over\nalmost\n");
		}
	}
	return EXIT_SUCCESS;
}
