/* The link of a trial on an emulated Cortex-M4F: calls that the emulator takes (ARM semihosting), and the start of the core. */
#include "bench.h"

enum { OPEN = 1, CLOSE = 2, SAY = 4, WRITE = 5, READ = 6, SEEK = 10, EXIT = 24 };

static int call(int what, const void *with) {
    register int r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = with;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int link_open(const char *name, int writes) {
    uint32_t n = 0;
    while (name[n]) { n++; }
    uint32_t with[] = {(uint32_t)name, writes ? 5 : 1, n};
    return call(OPEN, with);
}
void link_read(int file, void *to, uint32_t n) { call(READ, (uint32_t[]){(uint32_t)file, (uint32_t)to, n}); }
void link_write(int file, const void *from, uint32_t n) { call(WRITE, (uint32_t[]){(uint32_t)file, (uint32_t)from, n}); }
void link_seek(int file, uint64_t place) { call(SEEK, (uint32_t[]){(uint32_t)file, (uint32_t)place}); }
void link_close(int file) { call(CLOSE, (uint32_t[]){(uint32_t)file}); }
void link_say(const char *text, uint32_t number) {
    char digits[12], *at = digits + sizeof digits - 1;
    call(SAY, text);
    if (text[0] == '\n') return;
    *at = 0;
    do { *--at = (char)('0' + number % 10), number /= 10; } while (number);
    call(SAY, at);
}

extern uint32_t stack_bottom[], stack_top[];
__attribute__((noreturn)) void start(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* let the floating-point unit work */
    __asm__ volatile("dsb\n isb");
    uint32_t *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (uint32_t *at = stack_bottom; at < here - 32; at++) { *(volatile uint32_t *)at = 0xA5A5A5A5; }
    bench();
    uint32_t *at = stack_bottom;
    while (at < stack_top && *at == 0xA5A5A5A5) { at++; }
    link_say("stack used, bytes: ", (uint32_t)((char *)stack_top - (char *)at)), link_say("\n", 0);
    call(EXIT, (const void *)0x20026);
    for (;;) {}
}
static void fault(void) {
    call(SAY, "fault\n");
    call(EXIT, (const void *)0x20023);
    for (;;) {}
}
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack_top, (void *)start, (void *)fault, (void *)fault, (void *)fault,
                                                                              (void *)fault, (void *)fault};
