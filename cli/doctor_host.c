// What this machine tells: certificates and keys of the configuration, clocks, disks.
#include "cli/doctor.h"

#include <errno.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/when.h"

enum { RENEW_DAYS = 30 };
static const double gib = 1024.0 * 1024 * 1024;

// --- certificates

static X509 *read_certificate(const char *path) {
  FILE *file = fopen(path, "re");
  X509 *certificate = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
  if (file != NULL) {
    int error = errno;
    fclose(file);
    errno = certificate == NULL ? 0 : error;
  }
  return certificate;
}

static void look_at_certificate(struct doctor *doctor, const char *path) {
  int days = 0, seconds = 0;
  if (path == NULL) {
    return;
  }
  X509 *certificate = read_certificate(path);
  if (certificate == NULL) {
    bool hidden = errno == EACCES;
    doctor_note(doctor, "certificates", hidden ? DOCTOR_UNKNOWN : DOCTOR_BAD,
                hidden ? "run this as the user of the daemon that uses it"
                       : "put the certificate (PEM) there, or correct the configuration",
                "%s cannot be read: %s", path, errno != 0 ? strerror(errno) : "it is no certificate");
  } else if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1) {
    doctor_note(doctor, "certificates", DOCTOR_BAD, "make it anew", "%s has no time at which it ends", path);
  } else if (days < 0 || seconds < 0) {
    doctor_note(doctor, "certificates", DOCTOR_BAD, "renew it, then send SIGHUP to the daemons", "%s has expired, %d days ago",
                path, -days);
  } else {
    doctor_note(doctor, "certificates", days < RENEW_DAYS ? DOCTOR_WARNING : DOCTOR_GOOD,
                "renew it, then send SIGHUP to the daemons", "%s is valid for %d days", path, days);
  }
  X509_free(certificate);
}

static void look_at_key(struct doctor *doctor, const char *path) {
  struct stat info;
  if (path == NULL) {
    return;
  }
  if (stat(path, &info) != 0) {
    bool hidden = errno == EACCES;
    doctor_note(doctor, "certificates", hidden ? DOCTOR_UNKNOWN : DOCTOR_BAD,
                hidden ? "run this as the user of the daemon that uses it" : "put the key there, or correct the configuration",
                "%s cannot be looked at: %s", path, strerror(errno));
  } else if (info.st_mode & (S_IRWXG | S_IRWXO)) {
    doctor_note(doctor, "certificates", DOCTOR_BAD, "chmod 600, and think about who has read it", "others may read the key %s",
                path);
  } else {
    doctor_note(doctor, "certificates", DOCTOR_GOOD, NULL, "only its owner may read the key %s", path);
  }
}

// --- clocks

static void look_at_clocks(struct doctor *doctor, PGconn *connection) {
  struct timex kernel = {0};
  bool kept = adjtimex(&kernel) != TIME_ERROR && (kernel.status & STA_UNSYNC) == 0;
  doctor_note(doctor, "clock", kept ? DOCTOR_GOOD : DOCTOR_WARNING, "run a time service (chrony, systemd-timesyncd)",
              kept ? "this machine's clock is kept by a time service" : "no time service keeps this machine's clock");
  int64_t before = when_now(), there = 0;
  PGresult *result = connection != NULL ? db_query(doctor->cli, connection, "SELECT clock_timestamp() AS now", 0, NULL) : NULL;
  int64_t after = when_now();
  if (result != NULL && when_from_store(db_text(result, 0, "now"), &there)) {
    double apart = ((double)(there - before) - (double)(after - before) / 2) / 1e6;
    double unsure = (double)(after - before) / 2e6;
    bool good = apart < 1 + unsure && apart > -1 - unsure;
    doctor_note(doctor, "clock", good ? DOCTOR_GOOD : DOCTOR_BAD, "run a time service on both machines",
                "the server's clock is %.3f s %s this one's", apart < 0 ? -apart : apart, apart < 0 ? "behind" : "ahead of");
  }
  PQclear(result);
}

// --- disks

// The server's data folder, where it runs on this machine and we may see it.
static bool data_folder(PGconn *connection, char folder[PATH_MAX]) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  char link[64];
  if (getsockopt(PQsocket(connection), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) {
    return false; // over a network
  }
  (void)snprintf(link, sizeof link, "/proc/%ld/cwd", (long)peer.pid);
  ssize_t length = readlink(link, folder, PATH_MAX - 1);
  folder[length > 0 ? length : 0] = '\0';
  return length > 0;
}

static double free_bytes(const char *folder) {
  struct statvfs disk;
  return statvfs(folder, &disk) == 0 ? (double)disk.f_bavail * (double)disk.f_frsize : -1;
}

// What reports will take once as many days are kept as shall be, from the days there are.
static void look_at_store_disk(struct doctor *doctor, PGconn *connection) {
  PGresult *result = db_query(
      doctor->cli, connection,
      "WITH part AS (SELECT to_date(substring(c.relname FROM '[0-9]+$'), 'YYYYMMDD') AS day, pg_total_relation_size(c.oid) AS "
      "bytes"
      "  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
      "  WHERE i.inhparent IN (to_regclass('store.report'), to_regclass('store.packed')) AND c.relname NOT LIKE '%default'),"
      " day AS (SELECT day, sum(bytes) AS bytes FROM part WHERE day < current_date GROUP BY day HAVING sum(bytes) > 1000000)"
      " SELECT pg_database_size(current_database()) AS now, count(*) AS days,"
      "  coalesce(round(greatest(extract(epoch FROM store.longest('report')) / 86400 - count(*), 0) * avg(bytes)), 0)::bigint AS "
      "to_come FROM day",
      0, NULL);
  if (result == NULL) {
    return;
  }
  char folder[PATH_MAX];
  double now = (double)db_number(result, 0, "now"), more = (double)db_number(result, 0, "to_come");
  bool known = db_number(result, 0, "days") > 0, seen = data_folder(connection, folder);
  double room = seen ? free_bytes(folder) : -1;
  if (room < 0) {
    doctor_note(doctor, "disk", DOCTOR_UNKNOWN, "run this on the server's machine, as root or as the server's user",
                "the store takes %.1f GiB and %.1f GiB more are to come; the room on its disk cannot be seen", now / gib,
                more / gib);
  } else if (!known) {
    doctor_note(doctor, "disk", DOCTOR_GOOD, NULL, "the store takes %.1f GiB, %.1f GiB are free; no day is full yet", now / gib,
                room / gib);
  } else {
    doctor_note(
        doctor, "disk",
        more * 1.1 > room ? DOCTOR_BAD
        : more * 2 > room ? DOCTOR_WARNING
                          : DOCTOR_GOOD,
        "make room, or keep reports for less time (vedette retention)",
        "the store takes %.1f GiB, about %.1f GiB more are to come until reports are as old as they may get, %.1f GiB are free",
        now / gib, more / gib, room / gib);
  }
  PQclear(result);
}

static void look_at_journal_disk(struct doctor *doctor, const struct config_journal *journal) {
  double room = free_bytes(journal->folder), most = (double)journal->high_mib * 1024 * 1024;
  if (room < 0) {
    doctor_note(doctor, "disk", errno == EACCES ? DOCTOR_UNKNOWN : DOCTOR_WARNING,
                "run this where an ingest worker runs, as its user", "the journal's folder %s cannot be looked at: %s",
                journal->folder, strerror(errno));
    return;
  }
  doctor_note(doctor, "disk", room < most ? DOCTOR_WARNING : DOCTOR_GOOD,
              "make room, or lower ingest.journal.high_mib: a full disk is worse than a worker that waits",
              "%.1f GiB are free for the journal, which may grow to %.1f GiB while the database is away", room / gib, most / gib);
}

void doctor_host(struct doctor *doctor, PGconn *connection) {
  const struct config *config = doctor->cli->config;
  const char *const certificates[] = {config->broker.ca, config->broker.certificate, config->store.ca, config->store.certificate};
  for (size_t i = 0; i < sizeof certificates / sizeof certificates[0]; i++) {
    look_at_certificate(doctor, certificates[i]);
  }
  look_at_key(doctor, config->broker.key);
  look_at_key(doctor, config->store.key);
  look_at_clocks(doctor, connection);
  if (connection != NULL) {
    look_at_store_disk(doctor, connection);
  }
  look_at_journal_disk(doctor, &config->ingest.journal);
}
