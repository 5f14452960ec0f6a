/* What a trial needs beside the program of the core: files of samples, and a place for what comes out. No part of the program. */
#include "core.h"

#ifndef DATA
#define DATA "data/"
#endif
#ifndef STATES
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define STATES "states_" TEXT(CORE) ".bin"
#endif
#ifndef LIMIT
#define LIMIT 0 /* samples after which a trial ends; 0: none */
#endif

int link_open(const char *name, int writes);
void link_read(int file, void *to, uint32_t n);
void link_write(int file, const void *from, uint32_t n);
void link_seek(int file, uint64_t place);
void link_close(int file);
void link_say(const char *text, uint32_t number); /* the text, and the number unless the text is the end of a line */

void bench(void);
