#include "cli/cmd.h"
int cmd_verify(const struct options *o)
{
    (void)o;
    return 2;
}
