/* Starts a trial with several cores: a process for each, a socket between each two. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "network.h"

int main(void) {
    static int ends[N_CORES][N_CORES];
    for (int a = 0; a < N_CORES; a++) {
        for (int b = a + 1; b < N_CORES; b++) {
            int pair[2];
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) { return perror("socketpair"), 1; }
            ends[a][b] = pair[0], ends[b][a] = pair[1];
        }
    }
    for (int core = 0; core < N_CORES; core++) {
        if (fork() == 0) {
            char name[32];
            for (int other = 0; other < N_CORES; other++) {
                if (other != core) { dup2(ends[core][other], FIRST_SOCKET + other); }
            }
            for (int a = 0; a < N_CORES; a++) {
                for (int b = 0; b < N_CORES; b++) {
                    if (a != b) { close(ends[a][b]); }
                }
            }
            snprintf(name, sizeof name, "./host_%d", core);
            execl(name, name, (char *)0);
            perror(name);
            _exit(1);
        }
    }
    for (int a = 0; a < N_CORES; a++) {
        for (int b = 0; b < N_CORES; b++) {
            if (a != b) { close(ends[a][b]); }
        }
    }
    int failed = 0;
    for (int core = 0, status; core < N_CORES; core++) {
        wait(&status);
        failed |= status != 0;
    }
    return failed;
}
