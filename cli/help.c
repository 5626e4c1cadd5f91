/* cli/help.c: the help texts, written by hand. tests/unit/cli/help_test.c sees that no option of options.def
 * is left out. */
#include "cli/cmd.h"

static const char program_help[] =
    "tieout ties out two sets of payment records: your own (local) and the payment channel's (channel).\n"
    "Every record ends in exactly one class, and the money adds up to the cent, or the run stops.\n"
    "\n"
    "  tieout diff LOCAL.csv CHANNEL.csv --key=COLUMNS --amount=COLUMN    two files, no job file needed\n"
    "  tieout run JOB.yaml --date=YYYY-MM-DD                              a job's bill date\n"
    "  tieout plan JOB.yaml --date=YYYY-MM-DD                             says what run would do, and why\n"
    "  tieout fetch JOB.yaml --date=YYYY-MM-DD                            brings a job's bills\n"
    "  tieout check JOB.yaml                                              what is wrong with a job file\n"
    "  tieout capture JOB.yaml                                            a server's log, kept as it comes\n"
    "  tieout schema JOB.yaml                                             a table's columns, for logs "
    "without names\n"
    "  tieout inspect FILE                                                a file's rows as records\n"
    "  tieout push                                                        tells systems what is to be "
    "mended\n"
    "  tieout errors list                                                 errors, and handling them by hand\n"
    "  tieout profiles [show NAME]                                        the bill layouts that are built "
    "in\n"
    "  tieout profile new SAMPLE.csv                                      drafts one from a sample\n"
    "  tieout task init|run|list|show|retry|cancel|rerun                  a book's days, one after the "
    "other\n"
    "  tieout status                                                      how a book stands\n"
    "  tieout trace ORDER_NO                                              one order's whole life\n"
    "  tieout verify                                                      a book's results against its "
    "verdict log\n"
    "  tieout daemon                                                      makes and does tasks when they are "
    "due\n"
    "  tieout gen --out=DIR                                               two sample files with planted "
    "faults\n"
    "\n"
    "  tieout COMMAND --help    its options\n"
    "  tieout --version\n"
    "\n"
    "Try it:\n"
    "  tieout gen --rows=10000 --out=day\n"
    "  tieout diff day/local.csv day/channel.csv \\\n"
    "      --key=channel_code,biz_order_no --amount=amount --compare=status --out=result\n"
    "\n"
    "Exit codes:\n"
    "  0   everything ties out\n"
    "  1   it does not: mismatch, missing, extra or ambiguous records, or rejected rows\n"
    "  2   usage or configuration\n"
    "  3   an input was refused; nothing was published\n"
    "  4   the machine failed: disk, memory, I/O\n"
    "  5   a peer was not there: database, queue, server\n"
    "  6   state conflict or damaged state\n"
    "  70  an invariant broke: a bug in tieout\n"
    "  130 interrupted\n";

static const char diff_help[] =
    "tieout diff LOCAL.csv CHANNEL.csv --key=COLUMNS --amount=COLUMN [--compare=COLUMNS] [options]\n"
    "\n"
    "Matches two CSV files with a header. Where the two call a column by different names, write\n"
    "LOCALNAME:CHANNELNAME. Other columns with canonical names (channel_code, biz_type, channel_order_no,\n"
    "merchant_no, bill_date, trade_time, direction, currency, fee, status) are taken where they are there.\n"
    "A channel_order_no in the channel's file tells its rows apart: the same number twice is a duplicate.\n"
    "Dates do not keep records apart here, however far they lie from each other: a job has a window for "
    "that.\n"
    "\n"
    "  --key=A,B            columns that identify an order, both together; required\n"
    "  --amount=A           column of the amount, in the major unit (1.10); required. Negative is OUT.\n"
    "  --compare=A,B        columns that must be equal too, besides amount, currency and direction\n"
    "  --out=DIR            where mismatch.csv, missing.csv, extra.csv, summary.json, ... go (out)\n"
    "  --write-match        write match.csv too\n"
    "  --currency=CODE      of rows without a currency column (CNY)\n"
    "  --timezone=ZONE      of times without one (Asia/Shanghai)\n"
    "  --max-rejects=N|N%   rows of a file that may be unreadable before it is refused (0)\n"
    "  --memory=SIZE        e.g. 2GiB, without it half of the machine's; what does not fit goes to disk and "
    "comes back\n"
    "  --plan               say what the run would do, and why, and stop\n"
    "  --stats              say afterwards where time and memory went, and what would make it faster\n"
    "  --threads=N          workers (as many as there are cores)\n"
    "  --io=auto|uring|posix  how files are read (auto)\n"
    "  --format=text|json   how the result is told on stdout (text)\n"
    "\n"
    "Example:\n"
    "  tieout gen --rows=10000 --out=day\n"
    "  tieout diff day/local.csv day/channel.csv --key=channel_code,biz_order_no --amount=amount "
    "--compare=status\n"
    "  tieout diff local.csv channel.csv --key=order_no:biz_order_no --amount=amount:trade_amount\n"
    "\n"
    "Exit code 0: everything ties out; 1: it does not; more in tieout --help.\n";

static const char push_help[] =
    "tieout push [--jobs=DIR] [options]\n"
    "\n"
    "Sends the errors of a book to the sinks that its book.yaml names (file, webhook, nsq, kafka), and its "
    "alarms\n"
    "to those who must know. Each error goes at least once to each sink, always under the same id, and "
    "those\n"
    "of one record in order. What a sink refuses for good is kept in STATE/dead/SINK.jsonl.\n"
    "\n"
    "  --jobs=DIR           the folder of the book: its jobs and book.yaml (.)\n"
    "  --state=DIR          where the book's state is, if not in JOBS/state\n"
    "  --sink=NAME          this sink of book.yaml alone\n"
    "  --dead               send dead letters again\n"
    "  --deadline=SECONDS   when to give up on sinks that take nothing; 0: one pass of what is due (30)\n"
    "  --format=text|json   how the result is told on stdout (text)\n"
    "\n"
    "Example:\n"
    "  tieout push --jobs=/srv/recon --deadline=120\n"
    "\n"
    "Exit code 0: every sink has everything; 1: there are dead letters; 5: something waits for a sink that "
    "is down.\n";

static const char errors_help[] =
    "tieout errors ACTION [ID ...] [--jobs=DIR] [options]\n"
    "\n"
    "  list                 errors that are open, or with --all all of them\n"
    "  show ID ...          one with all that is known: what it says, who was told, who did what\n"
    "  claim ID ...         it is mine\n"
    "  resolve ID ...       it was mended\n"
    "  void ID ...          it never was an error\n"
    "  reopen ID ...        it is open again; of a force-match both are: at once, or where a task has made "
    "its "
    "match\n"
    "                       already, when the next task of their queue has taken that back\n"
    "  note ID ...          a remark\n"
    "  force-match ID ID    a missing and an extra one are the same payment: both errors are closed, and the "
    "next\n"
    "                       task of their queue writes a match (manual) and takes both verdicts back. "
    "Amounts "
    "that\n"
    "                       differ need --accept-difference, which the day's bridge shows\n"
    "  import SHEET.csv     does what stands in the columns `action` and `reason` of a sheet made by list "
    "--format=csv;\n"
    "                       a row that somebody else moved on meanwhile is told and left. A sheet with rows "
    "whose id\n"
    "                       is another order's than the cells beside it say was torn apart: nothing of it is "
    "done\n"
    "\n"
    "An id may be cut to 8 digits or more. Without ids an action is done on all open ones that the filters "
    "let through.\n"
    "Each action goes to the audit log, with who, when, why, before and after.\n"
    "\n"
    "  --jobs=DIR --state=DIR                    the folder of the book (.), its state (JOBS/state)\n"
    "  --date= --class= --task= --channel=       filters: bill date, class, task, channel,\n"
    "  --order=NUMBER --node-status= --assignee= biz_order_no or channel_order_no, where it stands, whose it "
    "is,\n"
    "  --severity=low|medium|high|critical       and at least so severe\n"
    "  --all                list: closed ones too; an action: on all open ones, if no other filter says "
    "which\n"
    "  --limit=N            list at most N\n"
    "  --actor=NAME         who does it; without it, the user who is logged in\n"
    "  --reason=TEXT        why; needed by all but claim and reopen\n"
    "  --accept-difference=AMOUNT   of force-match: channel less local, e.g. 10.00 or -0.05\n"
    "  --format=text|json|csv   of list and show; csv is a sheet to fill in and import (text)\n"
    "\n"
    "Example:\n"
    "  tieout errors list --jobs=/srv/recon --class=missing --severity=high\n"
    "  tieout errors resolve 3f2a9c01 --reason=\"refunded by hand, ticket 4711\"\n"
    "  tieout errors list --format=csv > sheet.csv; tieout errors import sheet.csv\n"
    "\n"
    "Exit code 0: done; 1: some rows or ids were not; 3: the sheet was refused, nothing of it was done.\n";

static const char run_help[] =
    "tieout run JOB.yaml --date=YYYY-MM-DD [options]\n"
    "\n"
    "Runs a job for one bill date. The outputs go to OUT/JOBNAME/DATE/, all of them or none.\n"
    "\n"
    "  --date=YYYY-MM-DD    the bill date; required\n"
    "  --out=DIR            instead of the job's output.dir\n"
    "  --write-match        write match.csv too\n"
    "  --max-rejects=N|N%   instead of the job's rejects.max, for both sides\n"
    "  --memory=SIZE        e.g. 2GiB, without it half of the machine's; what does not fit goes to disk and "
    "comes back\n"
    "  --early              also where the capture has not passed the end of the day: what is not there "
    "yet counts as not there\n"
    "  --aggregate-only     count and add up both sides, and stop: aggregate.csv on stdout, nothing is "
    "matched\n"
    "  --plan               say what the run would do, and why, and stop\n"
    "  --stats              say afterwards where time and memory went, and what would make it faster\n"
    "  --threads=N          workers (as many as there are cores)\n"
    "  --io=auto|uring|posix  how files are read (auto)\n"
    "  --format=text|json   how the result is told on stdout (text)\n"
    "\n"
    "Example:\n"
    "  tieout check job.yaml\n"
    "  tieout run job.yaml --date=2026-11-19 --memory=512MiB\n"
    "\n"
    "Exit code 0: everything ties out; 1: it does not; more in tieout --help.\n";

static const char check_help[] =
    "tieout check JOB.yaml\n"
    "\n"
    "Finds what run would refuse about the job, with file:line:column, without reading data, and\n"
    "tells in short what the job does. Exit code 0: the job is fine; 2: it is not.\n"
    "\n"
    "A job file, save it as job.yaml and begin from there:\n"
    "\n"
    "  version: 1\n"
    "  job: sample\n"
    "  channel_code: ALIPAY             # of rows without a column for it\n"
    "  timezone: Asia/Shanghai\n"
    "  currency: CNY\n"
    "  local:\n"
    "    files: day/local.csv           # * and {date} are understood; or binlog: {files: ..., table: "
    "db.table}\n"
    "    fields:\n"
    "      channel_code: channel_code   # field: column of the file\n"
    "      biz_order_no: biz_order_no\n"
    "      trade_time: trade_time\n"
    "      direction: direction\n"
    "      amount: {column: amount, unit: major}\n"
    "      status: {column: status, map: {SUCCESS: SUCCESS, REFUNDED: REFUNDED, other: FAILED}}\n"
    "  channel:\n"
    "    files: day/channel.csv\n"
    "    occurrence_id: channel_order_no  # the same one twice is a duplicate\n"
    "    fields:\n"
    "      channel_code: channel_code\n"
    "      biz_order_no: biz_order_no\n"
    "      channel_order_no: channel_order_no\n"
    "      trade_time: trade_time\n"
    "      direction: direction\n"
    "      amount: amount\n"
    "      status: status\n"
    "  match:\n"
    "    keys: [[channel_code, biz_order_no]]\n"
    "    compare: [amount, status]\n"
    "    tolerance: {amount: 0}\n"
    "    window: {before: 1d, after: 1d}  # days between the two bill dates; or none\n"
    "  output: {dir: out, match: false}\n"
    "\n"
    "Example:\n"
    "  tieout gen --rows=10000 --out=day\n"
    "  tieout check job.yaml\n"
    "  tieout run job.yaml --date=2026-11-19\n";

static const char inspect_help[] =
    "tieout inspect FILE [--job=JOB.yaml|--format=FORMAT] [options]\n"
    "\n"
    "Tells what a file is, and prints its rows as normalized records to stdout.\n"
    "\n"
    "  --job=JOB.yaml       read the file as this job does\n"
    "  --side=local|channel which side of the job, where the file's name does not tell\n"
    "  --format=csv|binlog  what the file is, or its profile's name, when there is no job (by its contents)\n"
    "  --profile=NAME       read the file as this profile says (tieout profiles lists them)\n"
    "  --explain            say which profile fits the file, and why the others do not\n"
    "  --table=DB.TABLE     of a binlog: rows of this table only\n"
    "  --currency=CODE      of rows without a currency, when there is no job (CNY)\n"
    "  --timezone=ZONE      of times without a zone, when there is no job (Asia/Shanghai)\n"
    "  --limit=N            show at most N rows\n"
    "  --json-lines         one JSON object per row instead of CSV\n"
    "\n"
    "Example:\n"
    "  tieout gen --rows=10000 --out=day\n"
    "  tieout inspect day/channel.csv --limit=5\n"
    "  tieout inspect day/local.csv --job=job.yaml --side=local --json-lines\n";

static const char capture_help[] =
    "tieout capture JOB.yaml [options]\n"
    "\n"
    "Reads the log of the job's server (local: {replica: ...}) as it is written, and keeps the changes of\n"
    "the job's table in segments, which run then reads as its local side. Runs until it is stopped; after\n"
    "a kill or a broken connection it goes on where it was, and each committed change counts once. Where\n"
    "the server does not have its place any more, it stops and says what both have: it never jumps.\n"
    "\n"
    "  --catch-up           stop when all that is committed now is captured\n"
    "  --status             say how a capture stands (position, lag, rows/s, last commit), and do nothing\n"
    "  --format=text|json   how --status is told on stdout (text)\n"
    "\n"
    "The local side of such a job (the user needs REPLICATION SLAVE and REPLICATION CLIENT; MariaDB 10.5\n"
    "and later: also BINLOG MONITOR):\n"
    "\n"
    "  local:\n"
    "    replica:\n"
    "      host: db2.internal           # or a socket's path; port: 3306\n"
    "      user: tieout\n"
    "      password: env:DB_PASSWORD    # or file:PATH\n"
    "      server_id: 4711              # ours; no other replica may have it\n"
    "      table: shop.payment_order\n"
    "      start: snapshot              # or now, oldest, FILE:OFFSET, a set of GTIDs\n"
    "\n"
    "Example:\n"
    "  tieout capture job.yaml &\n"
    "  tieout capture job.yaml --status\n"
    "  tieout run job.yaml --date=2026-11-19\n"
    "\n"
    "Exit code 0: stopped in order; 3: the log cannot be read; 5: the server is not there, or refuses;\n"
    "6: the server lost our place; more in tieout --help.\n";

static const char schema_help[] =
    "tieout schema JOB.yaml\n"
    "\n"
    "Asks the job's server what the columns of its table are called, and prints them as the job wants them:\n"
    "`columns:` and `occurrence_id:`. For logs that do not name columns, signs or keys (MySQL 5.x;\n"
    "binlog_row_metadata other than FULL). It says how the table is now: a log that was written before an\n"
    "ALTER TABLE needs the columns of that time. The user needs SELECT on the table.\n"
    "\n"
    "The local side of such a job (a `replica:` or `query:` has its server already):\n"
    "\n"
    "  local:\n"
    "    binlog:\n"
    "      files: \"binlog/mysql-bin.*\"\n"
    "      table: shop.payment_order\n"
    "      server: {host: db1, user: tieout, password: env:DB_PASSWORD}\n"
    "\n"
    "Example:\n"
    "  tieout schema job.yaml\n";

static const char gen_help[] =
    "tieout gen --out=DIR [options]\n"
    "\n"
    "Makes a day: DIR/local.csv, DIR/channel.csv with planted faults, and DIR/truth.json, the right\n"
    "answer. The same options make the same bytes on every machine.\n"
    "\n"
    "  --out=DIR            where the files go; required\n"
    "  --rows=N             rows of local.csv (1000000)\n"
    "  --seed=S             another number, another day (1)\n"
    "  --order=time|shuffled  how rows lie in the files (time)\n"
    "  --date=YYYY-MM-DD    the day (2026-11-19)\n"
    "\n"
    "Faults, each a number of rows (50) or a share of them (0.5%):\n"
    "  --amount-breaks --status-breaks --currency-breaks --direction-breaks   pairs that differ there\n"
    "  --missing --extra            orders that only one side has\n"
    "  --doubles --local-doubles    rows that channel.csv or local.csv has twice\n"
    "  --ambiguous --conflicts      orders that could pair in more than one way; one number, two amounts\n"
    "  --excluded                   orders that moved no money\n"
    "  --day-cut                    pairs on both sides of midnight\n"
    "  --rejects                    rows that cannot be read\n"
    "\n"
    "Example:\n"
    "  tieout gen --rows=10000 --seed=7 --order=shuffled --missing=3 --amount-breaks=0.1% --out=day\n"
    "  tieout diff day/local.csv day/channel.csv --key=channel_code,biz_order_no --amount=amount "
    "--compare=status\n";

static const char plan_help[] =
    "tieout plan JOB.yaml --date=YYYY-MM-DD [options of run]\n"
    "\n"
    "Says what `tieout run` with the same options would do and why, and does not do it: rows and their sizes "
    "(from the\n"
    "first 2000 of each side), workers and buffers, bytes per record, how the memory is shared out, what "
    "will stay in\n"
    "it and what would go to disk. For two files: tieout diff ... --plan.\n"
    "\n"
    "  --date=YYYY-MM-DD    the bill date; required\n"
    "  --threads=N          workers; without it, as many as there are cores\n"
    "  --memory=SIZE        limit; without it, half of what the machine or its cgroup has\n"
    "  --io=auto|uring|posix\n"
    "  --write-match        write match.csv too\n"
    "\n"
    "Example:\n"
    "  tieout plan fixtures/days/01-stripe-day/job.yaml --date=2026-11-19 --memory=64MiB\n";

static const char fetch_help[] =
    "tieout fetch JOB.yaml --date=YYYY-MM-DD [--deadline=SECONDS]\n"
    "\n"
    "Brings a bill date's files into the spool, DATA/<channel>/<date>/, as the job's `fetch:` says: from a "
    "folder,\n"
    "by SFTP, FTP(S) or HTTP(S), or by a program for channels with signed APIs. A file that is there already "
    "is\n"
    "not brought again; one appears under its name only when it is whole and checked. What is cut off is "
    "gone on\n"
    "with; what fails for now is tried again, more and more slowly, until the deadline. The paths of the "
    "files go\n"
    "to stdout.\n"
    "\n"
    "  --date=YYYY-MM-DD    the bill date; required\n"
    "  --deadline=SECONDS   when to give up, instead of the job's fetch.deadline; 0: one try\n"
    "\n"
    "Example:\n"
    "  tieout fetch fixtures/jobs/fetch-folder.yaml --date=2026-11-19\n"
    "\n"
    "Exit code 0: all files are there; 3: what came is not what it should be; 5: the server is not there, "
    "not who\n"
    "it should be, or has no such file (yet).\n";

static const char profiles_help[] =
    "tieout profiles\n"
    "tieout profiles show NAME\n"
    "\n"
    "Lists the bill layouts that are built in, or prints one. A job's side names it with `profile: NAME`; "
    "to\n"
    "change one, print it into a file, edit that, and name it with `profile: MINE.yaml`.\n"
    "\n"
    "Example:\n"
    "  tieout profiles\n"
    "  tieout profiles show wechat-tradebill\n"
    "  tieout inspect fixtures/channels/wechat/tradebill_v3_all.csv --explain\n";

static const char profile_help[] =
    "tieout profile new SAMPLE.csv\n"
    "\n"
    "Drafts a profile from a sample of a bill, to stdout: charset, delimiter, header, the columns that look "
    "like\n"
    "what a record has. What decides about money is never guessed: the unit and the sign of an amount stand "
    "there\n"
    "as CHOOSE, which is refused until somebody who knows the channel has written what they are.\n"
    "\n"
    "Example:\n"
    "  tieout profile new fixtures/channels/stripe/payout_reconciliation_itemized_po_1Example.csv\n";

static const char task_help[] =
    "tieout task init --date=YYYY-MM-DD [--jobs=DIR]\n"
    "tieout task run [--date=] [--channel=] [NAME]\n"
    "tieout task list | show [NAME]\n"
    "tieout task cancel NAME (or --date=, --channel=)\n"
    "tieout task rerun | retry NAME [--cascade]\n"
    "\n"
    "A book is a folder of job files. init makes a task of each for a bill date, once however often it is "
    "called;\n"
    "run does what is due, each queue (channel_code, biz_type) in order of bill date, and carries on what "
    "stays\n"
    "open. A bill that is not there is waited for, and told when it is late; a task that failed three times "
    "is\n"
    "FAILED until somebody says retry. rerun does a day again (a corrected bill): the verdicts that change "
    "are\n"
    "taken back and given anew. A day that others stand on is only done again with them. cancel is for a day "
    "without\n"
    "a bill, or a date that was a slip; a rerun that has not been done is dropped by it: the day, and those "
    "behind\n"
    "it, stay as they were done.\n"
    "\n"
    "  --date=YYYY-MM-DD    the bill date; required by init\n"
    "  --channel=CODE       tasks of this channel_code only\n"
    "  --biz-type=TYPE      tasks of this biz_type only\n"
    "  --cascade            rerun, retry: the days behind it are done again too, in order\n"
    "  --jobs=DIR           the folder of the job files (.)\n"
    "  --state=DIR          its state, where it is not JOBS/state\n"
    "  --threads=N          workers; without it, as many as there are cores\n"
    "  --memory=SIZE        limit, of each task in its turn\n"
    "  --io=auto|uring|posix  how files are read\n"
    "  --format=text|json   list, show\n"
    "\n"
    "Example:\n"
    "  tieout task init --date=2026-11-19 --jobs=fixtures/jobs\n"
    "\n"
    "Exit code of run: 0 all done and tied out; 1 done, not all ties out; that of the first task that "
    "failed; 5 a\n"
    "task waits for its bill; 6 the state is somebody else's, damaged, or a task must wait for the day "
    "before it.\n";

static const char status_help[] =
    "tieout status [--jobs=DIR] [--json]\n"
    "\n"
    "Tasks by phase, how far each queue is and what it carries, failures, errors, alarms.\n"
    "\n"
    "  --jobs=DIR           the folder of the job files (.)\n"
    "  --state=DIR          its state, where it is not JOBS/state\n"
    "  --format=text|json   how it is told\n"
    "  --json               the same as --format=json\n"
    "\n"
    "Example:\n"
    "  tieout status --jobs=books --json\n";

static const char trace_help[] =
    "tieout trace ORDER_NO [--jobs=DIR]\n"
    "\n"
    "The whole life of an order: its rows on both sides with their places, each "
    "day's verdict and reason, under\n"
    "which rules, what sinks were told and answered, who handled it. ORDER_NO is the "
    "biz_order_no, the channel_order_no or the\n"
    "occurrence id. Pairs that were exactly alike on their day are found in the "
    "inputs, as far as those are still there.\n"
    "\n"
    "  --date=YYYY-MM-DD    look in the inputs of this bill date too: rows, byte for byte\n"
    "  --jobs=DIR           the folder of the job files (.)\n"
    "  --state=DIR          its state, where it is not JOBS/state\n"
    "  --format=text|json   how it is told\n"
    "\n"
    "Example:\n"
    "  tieout trace 20261119000042 --jobs=books\n"
    "\n"
    "Exit code 0: found; 1: nothing is known of it.\n";

static const char verify_help[] =
    "tieout verify [--date=YYYY-MM-DD] [--jobs=DIR]\n"
    "\n"
    "Reads the verdict log again, from its first segment: checksums, hashes, the chain. Adds up the verdicts "
    "of each task's\n"
    "last revision and holds them, and I4, against the published summary, certificate and class files.\n"
    "\n"
    "  --date=YYYY-MM-DD    outputs of this bill date only\n"
    "  --jobs=DIR           the folder of the job files (.)\n"
    "  --state=DIR          its state, where it is not JOBS/state\n"
    "  --format=text|json   how it is told\n"
    "\n"
    "Example:\n"
    "  tieout verify --jobs=books\n"
    "\n"
    "Exit code 0: all of it agrees; 6: something is missing, damaged or altered, and what; `tieout task "
    "rerun` rebuilds\n"
    "outputs.\n";

static const char daemon_help[] =
    "tieout daemon [--jobs=DIR]\n"
    "\n"
    "Makes the tasks of the day before once a day, does what is due, pushes errors and alarms, and sleeps. "
    "Ends at\n"
    "SIGTERM, with the task at hand as if it had never begun. cli/systemd/tieout.service runs it.\n"
    "\n"
    "  --jobs=DIR           the folder of the job files (.)\n"
    "  --state=DIR          its state, where it is not JOBS/state\n"
    "  --every=SECONDS      how often it looks (60)\n"
    "  --init-at=HH:MM      local time at which the tasks of the day before are made (00:30)\n"
    "  --once               one round, then end\n"
    "  --threads=N          workers; without it, as many as there are cores\n"
    "  --memory=SIZE        limit, of each task in its turn\n"
    "  --io=auto|uring|posix  how files are read\n"
    "\n"
    "Example:\n"
    "  tieout daemon --jobs=books --once\n";

void help_print(const char *command, FILE *out)
{
    const char *text = program_help;
    switch (command ? options_command(command) : COMMAND_NONE) {
    case COMMAND_DIFF:
        text = diff_help;
        break;
    case COMMAND_RUN:
        text = run_help;
        break;
    case COMMAND_CHECK:
        text = check_help;
        break;
    case COMMAND_INSPECT:
        text = inspect_help;
        break;
    case COMMAND_GEN:
        text = gen_help;
        break;
    case COMMAND_CAPTURE:
        text = capture_help;
        break;
    case COMMAND_SCHEMA:
        text = schema_help;
        break;
    case COMMAND_FETCH:
        text = fetch_help;
        break;
    case COMMAND_PROFILES:
        text = profiles_help;
        break;
    case COMMAND_PROFILE:
        text = profile_help;
        break;
    case COMMAND_TASK:
        text = task_help;
        break;
    case COMMAND_STATUS:
        text = status_help;
        break;
    case COMMAND_TRACE:
        text = trace_help;
        break;
    case COMMAND_VERIFY:
        text = verify_help;
        break;
    case COMMAND_DAEMON:
        text = daemon_help;
        break;
    case COMMAND_PLAN:
        text = plan_help;
        break;
    case COMMAND_PUSH:
        text = push_help;
        break;
    case COMMAND_ERRORS:
        text = errors_help;
        break;
    case COMMAND_NONE:
    case COMMANDS:
        break;
    }
    fputs(text, out);
}
