/* cli/cmd_gen.h: `tieout gen`: makes a day and its right answer (fixtures/gen.h). */
#ifndef TIEOUT_CLI_CMD_GEN_H
#define TIEOUT_CLI_CMD_GEN_H

#include "core/config/options.h"

/* Makes the files, says on stderr what they are, on a terminal also how far it is. */
enum err cmd_gen(const struct options *options, struct diag *diag);

#endif
