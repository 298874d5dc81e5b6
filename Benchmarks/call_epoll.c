// Floor of benchmark A: frames that are echoed between two processes over one TCP connection on loopback, with epoll and
// nothing else. The frames are those of the other floors (length, call id, key, 100 bytes); no key is looked up and no
// call is dispatched. All frames that a read brings are answered by one write.
//
//   call_epoll SECONDS     one JSON line each for 1, 64 and 1,024 calls outstanding, after a round that warms up
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  KEYS = 10000,
  KEY = 11,
  PAYLOAD = 100,
  LENGTH = 4,
  ID = 8,
  REQUEST = LENGTH + ID + KEY + PAYLOAD,
  REPLY = LENGTH + ID + PAYLOAD,
  OUTSTANDING_LIMIT = 1024,
  INPUT_LIMIT = 1 << 18,
  OUTPUT_LIMIT = 2 * INPUT_LIMIT,
};

typedef struct {
  int fd, epoll;
  size_t received, unsent;
  char input[INPUT_LIMIT], output[OUTPUT_LIMIT];
} Connection;

// Takes one frame, and writes what follows from it behind `output`.
// Returns how many bytes it wrote.
typedef size_t Handler(const char *frame, size_t length, char *output);

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static Connection *watch(int fd) {
  Connection *connection = calloc(1, sizeof *connection);
  struct epoll_event event = {.events = EPOLLIN};
  int one = 1;
  connection->fd = fd;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if ((connection->epoll = epoll_create1(0)) < 0) die("epoll_create1");
  if (epoll_ctl(connection->epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
  return connection;
}

static void flush_output(Connection *connection) {
  for (size_t sent = 0; sent < connection->unsent;) {
    ssize_t n = send(connection->fd, connection->output + sent, connection->unsent - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) die("send");
    sent += n;
  }
  connection->unsent = 0;
}

// Waits for bytes, handles each whole frame, and sends what came of them.
// Returns 0 when the peer has closed the connection.
static int turn(Connection *connection, Handler *handle) {
  struct epoll_event event;
  if (epoll_wait(connection->epoll, &event, 1, -1) < 0) {
    if (errno == EINTR) return 1;
    die("epoll_wait");
  }
  ssize_t n = read(connection->fd, connection->input + connection->received, INPUT_LIMIT - connection->received);
  if (n < 0) die("read");
  if (n == 0) return 0;
  connection->received += n;
  size_t at = 0;
  while (connection->received - at >= LENGTH) {
    uint32_t length;
    memcpy(&length, connection->input + at, LENGTH);
    if (connection->received - at < LENGTH + length) break;
    connection->unsent +=
        handle(connection->input + at, LENGTH + length, connection->output + connection->unsent);
    at += LENGTH + length;
  }
  connection->received -= at;
  memmove(connection->input, connection->input + at, connection->received);
  if (connection->unsent) flush_output(connection);
  return 1;
}

// The server

static size_t answer(const char *frame, size_t length, char *output) {
  uint32_t rest = REPLY - LENGTH;
  memcpy(output, &rest, LENGTH);
  memcpy(output + LENGTH, frame + LENGTH, ID);
  memcpy(output + LENGTH + ID, frame + length - PAYLOAD, PAYLOAD);
  return REPLY;
}

static void serve(int listener) {
  int fd = accept(listener, 0, 0);
  if (fd < 0) die("accept");
  Connection *connection = watch(fd);
  while (turn(connection, answer)) {}
  exit(0);
}

// The client

static double began[OUTSTANDING_LIMIT], deadline;
static float *latencies;
static size_t done, capacity, outstanding;
static uint64_t calls;

static size_t ask(uint64_t slot, char *output) {
  uint32_t rest = REQUEST - LENGTH;
  memcpy(output, &rest, LENGTH);
  memcpy(output + LENGTH, &slot, ID);
  char key[KEY + 1];
  snprintf(key, sizeof key, "actor-%05u", (unsigned)(calls++ * 7919 % KEYS));
  memcpy(output + LENGTH + ID, key, KEY);
  memset(output + LENGTH + ID + KEY, 'x', PAYLOAD);
  began[slot] = seconds_of(CLOCK_MONOTONIC);
  outstanding++;
  return REQUEST;
}

static size_t note(const char *frame, size_t length, char *output) {
  uint64_t slot;
  memcpy(&slot, frame + LENGTH, ID);
  if (length != REPLY || slot >= OUTSTANDING_LIMIT) {
    fprintf(stderr, "a reply of %zu bytes to call %llu\n", length, (unsigned long long)slot);
    exit(1);
  }
  double at = seconds_of(CLOCK_MONOTONIC);
  outstanding--;
  if (done == capacity) {
    capacity = capacity ? capacity * 2 : 1 << 20;
    if (!(latencies = realloc(latencies, capacity * sizeof *latencies))) die("realloc");
  }
  latencies[done++] = (at - began[slot]) * 1e6;
  return at < deadline ? ask(slot, output) : 0;
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static void measure(Connection *connection, clockid_t server, int count, double seconds, int is_reported) {
  double start = seconds_of(CLOCK_MONOTONIC);
  double spent = -seconds_of(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(server);
  done = 0;
  deadline = start + seconds;
  for (int slot = 0; slot < count; slot++) connection->unsent += ask(slot, connection->output + connection->unsent);
  flush_output(connection);
  while (outstanding)
    if (!turn(connection, note)) {
      fprintf(stderr, "the server has closed the connection\n");
      exit(1);
    }
  double elapsed = seconds_of(CLOCK_MONOTONIC) - start;
  spent += seconds_of(CLOCK_PROCESS_CPUTIME_ID) + seconds_of(server);
  if (!is_reported) return;
  qsort(latencies, done, sizeof *latencies, by_value);
  printf("{\"outstanding\": %d, \"n\": %zu, \"seconds\": %.3f, \"per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
         "\"cpu_us\": %.3f}\n",
         count, done, elapsed, done / elapsed, latencies[done / 2], latencies[done * 99 / 100], spent / done * 1e6);
  fflush(stdout);
}

int main(int argc, char **argv) {
  double seconds = argc == 2 ? atof(argv[1]) : 0;
  if (seconds <= 0) {
    fprintf(stderr, "usage: call_epoll SECONDS\n");
    return 2;
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (void *)&address, size) || listen(listener, 1)) die("listen");
  if (getsockname(listener, (void *)&address, &size)) die("getsockname");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    close(fd);
    serve(listener);
  }
  close(listener);
  if (connect(fd, (void *)&address, sizeof address)) die("connect");
  clockid_t server;
  if ((errno = clock_getcpuclockid(child, &server))) die("clock_getcpuclockid");
  Connection *connection = watch(fd);
  measure(connection, server, 64, seconds < 1 ? seconds : 1, 0);
  static const int counts[] = {1, 64, OUTSTANDING_LIMIT};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) measure(connection, server, counts[i], seconds, 1);
  close(fd);
  waitpid(child, 0, 0);
  return 0;
}
