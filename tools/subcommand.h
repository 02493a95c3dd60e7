/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * subcommand.h - what hugectl does besides running a program.
 *
 * Each gets its own arguments, argv[0] being its name, and returns hugectl's
 * exit status.
 */
#ifndef HS_SUBCOMMAND_H
#define HS_SUBCOMMAND_H

int advise_main(int argc, char **argv);
int map_main(int argc, char **argv);
int run_main(int argc, char **argv);
int setup_main(int argc, char **argv);
int stat_main(int argc, char **argv);
int status_main(int argc, char **argv);
int top_main(int argc, char **argv);

#endif
