/* Command line and start-up order, nothing else. */
#include <stdio.h>

int
main(void)
{
	puts("acceptd");
	return 0;
}
