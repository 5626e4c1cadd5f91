/* cli/signals.c: see signals.h */
#include "cli/signals.h"
#include <signal.h>
#include <stddef.h>

static volatile int interrupted;
const volatile int *const signals_interrupted = &interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
}
