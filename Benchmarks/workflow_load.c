// Load generator of benchmark C: workflows through a gateway, closed loop.
//
// Each of N callers keeps one connection, posts a workflow, long-polls until it is completed, and begins again.
// The time of a workflow is from the first byte of the POST to the last byte of the GET that shows its result.
//
//   workflow_load HOST PORT SECONDS CALLERS...     one JSON line for each number of callers
//
// Exits with 1 if any accepted workflow did not complete.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RESPONSE_LIMIT = 1 << 16, CALLERS_LIMIT = 4096 };

static const char *host;
static int port;
static double deadline;

typedef struct {
  pthread_t thread;
  int fd;
  int id;
  long done, refused, failed;
  double *latencies;
  long capacity;
  char response[RESPONSE_LIMIT];
} Caller;

static double now_microseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int connect_to_gateway(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (void *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

// Sends a request and reads the whole response (Content-Length only); the status, or -1 if the connection broke.
static int exchange(Caller *caller, const char *request, size_t length) {
  while (length > 0) {
    ssize_t sent = send(caller->fd, request, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return -1;
    request += sent;
    length -= sent;
  }
  size_t have = 0, whole = 0;
  for (;;) {
    ssize_t got = recv(caller->fd, caller->response + have, RESPONSE_LIMIT - 1 - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    have += got;
    caller->response[have] = 0;
    if (!whole) {
      char *end = strstr(caller->response, "\r\n\r\n");
      if (!end) continue;
      char *field = strcasestr(caller->response, "content-length:");
      if (!field || field > end) return -1;
      whole = (end + 4 - caller->response) + strtoul(field + 15, 0, 10);
      if (whole >= RESPONSE_LIMIT) return -1;
    }
    if (have >= whole) break;
  }
  return atoi(caller->response + 9);
}

static void note_latency(Caller *caller, double microseconds) {
  if (caller->done == caller->capacity) {
    caller->capacity = caller->capacity ? caller->capacity * 2 : 1024;
    caller->latencies = realloc(caller->latencies, caller->capacity * sizeof *caller->latencies);
  }
  caller->latencies[caller->done++] = microseconds;
}

static const char TEXT[] =
    "Orchestra runs workflows on a cluster of silos. Every event is a record in Kafka. "
    "Agents do the slow work and answer with results. A workflow survives the loss of any process. "
    "Gateways take requests over HTTP and show what became of them.";

static void *call_until_deadline(void *argument) {
  Caller *caller = argument;
  char body[1024], request[2048], id[128];
  for (long n = 0; now_microseconds() < deadline; n++) {
    if (caller->fd < 0 && (caller->fd = connect_to_gateway()) < 0) {
      caller->failed++;
      usleep(10000);
      continue;
    }
    int body_length = snprintf(body, sizeof body, "{\"workflow\":\"summarize\",\"input\":\"%s Call %d.%ld.\"}", TEXT,
                               caller->id, n);
    int length = snprintf(request, sizeof request,
                          "POST /v1/workflows HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
                          "Content-Length: %d\r\n\r\n%s", body_length, body);
    double start = now_microseconds();
    int status = exchange(caller, request, length);
    if (status == 503) {
      caller->refused++;
      usleep(20000);
      continue;
    }
    char *name = status == 202 ? strstr(caller->response, "\"workflowId\":\"") : 0;
    if (!name || sscanf(name + 14, "%127[^\"]", id) != 1) {
      caller->failed++;
      close(caller->fd);
      caller->fd = -1;
      continue;
    }
    length = snprintf(request, sizeof request, "GET /v1/workflows/%s?wait=30s HTTP/1.1\r\nHost: gateway\r\n\r\n", id);
    status = exchange(caller, request, length);
    if (status == 200 && strstr(caller->response, "\"status\":\"completed\"")) {
      note_latency(caller, now_microseconds() - start);
    } else {
      caller->failed++;
      fprintf(stderr, "workflow %s: HTTP %d\n", id, status);
      close(caller->fd);
      caller->fd = -1;
    }
  }
  if (caller->fd >= 0) close(caller->fd);
  return 0;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: workflow_load HOST PORT SECONDS CALLERS...\n");
    return 2;
  }
  host = argv[1];
  port = atoi(argv[2]);
  double seconds = atof(argv[3]);
  long failures = 0;
  for (int round = 4; round < argc; round++) {
    int count = atoi(argv[round]);
    if (count < 1 || count > CALLERS_LIMIT) return 2;
    Caller *callers = calloc(count, sizeof *callers);
    double start = now_microseconds();
    deadline = start + seconds * 1e6;
    for (int i = 0; i < count; i++) {
      callers[i].fd = -1;
      callers[i].id = i;
      pthread_create(&callers[i].thread, 0, call_until_deadline, &callers[i]);
    }
    long done = 0, refused = 0, failed = 0;
    for (int i = 0; i < count; i++) {
      pthread_join(callers[i].thread, 0);
      done += callers[i].done;
      refused += callers[i].refused;
      failed += callers[i].failed;
    }
    double elapsed = (now_microseconds() - start) / 1e6;
    double *all = malloc((done + 1) * sizeof *all);
    long at = 0;
    for (int i = 0; i < count; i++) {
      memcpy(all + at, callers[i].latencies, callers[i].done * sizeof *all);
      at += callers[i].done;
      free(callers[i].latencies);
    }
    qsort(all, done, sizeof *all, by_value);
    printf("{\"bench\": \"C-c%d\", \"peer\": \"orchestra\", \"n\": %ld, \"seconds\": %.3f, \"per_s\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"refused\": %ld, \"failed\": %ld}\n",
           count, done, elapsed, done / elapsed, done ? all[done / 2] : 0, done ? all[done * 99 / 100] : 0, refused,
           failed);
    fflush(stdout);
    failures += failed;
    free(all);
    free(callers);
  }
  return failures > 0;
}
