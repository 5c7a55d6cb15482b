// The HTTP endpoint against real sockets on loopback; the loop is turned by the test.
#include "unit.h"

#include "common/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct bench {
  struct loop *loop;
  struct http *http;
  struct config_http config;
};

static bool is_ready_answer;

static void metrics(struct evbuffer *out, void *arg) {
  (void)arg;
  http_metric(out, "x_total", "counter", "Help.", "", 3);
}

static bool ready(char *why, size_t size, void *arg) {
  (void)arg;
  snprintf(why, size, "not connected to anything");
  return is_ready_answer;
}

static void nothing(void *arg) {
  (void)arg;
}

// A port that is free now.
static uint16_t free_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  close(fd);
  return ntohs(address.sin_port);
}

static int setup(void **state) {
  static struct bench bench;
  static char address[] = "127.0.0.1";
  struct http_source source = {.metrics = metrics, .ready = ready};
  bench.loop = loop_new(nothing, nothing, NULL);
  bench.config.address = address;
  bench.config.port = free_port();
  bench.http = http_open(bench.loop, &bench.config, &source);
  *state = &bench;
  return bench.http == NULL;
}

static int teardown(void **state) {
  struct bench *bench = *state;
  http_close(bench->http);
  loop_free(bench->loop);
  return 0;
}

static void turn(const struct bench *bench) {
  event_base_loop(loop_base(bench->loop), EVLOOP_NONBLOCK);
}

static int dial(const struct bench *bench) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(bench->config.port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  assert_true(fd >= 0);
  assert_true(connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
  turn(bench);
  return fd;
}

static void say(const struct bench *bench, int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
  turn(bench);
}

// Turns the loop until the peer has closed or `words` have come; returns what came, of much the end.
static const char *hear(const struct bench *bench, int fd, const char *words) {
  static char text[65536];
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < 200000 && strstr(text, words) == NULL; i++) {
    turn(bench);
    used = used == sizeof text - 1 ? 0 : used; // of much only the end
    ssize_t got = recv(fd, text + used, sizeof text - 1 - used, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
      break;
    }
    used += got > 0 ? (size_t)got : 0;
    text[used] = '\0';
  }
  return text;
}

static bool is_closed(int fd) {
  char byte;
  ssize_t got = recv(fd, &byte, 1, MSG_PEEK);
  return got == 0 || (got < 0 && errno != EAGAIN);
}

static const char *ask(const struct bench *bench, const char *path) {
  static char request[200];
  int fd = dial(bench);
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
  say(bench, fd, request);
  const char *answer = hear(bench, fd, "no such words");
  close(fd);
  turn(bench);
  return answer;
}

static void tells_health_readiness_and_metrics(void **state) {
  const struct bench *bench = *state;
  assert_non_null(strstr(ask(bench, "/healthz"), "200 OK"));
  is_ready_answer = false;
  const char *answer = ask(bench, "/readyz");
  assert_non_null(strstr(answer, "503 Not ready"));
  assert_non_null(strstr(answer, "not connected to anything\n"));
  is_ready_answer = true;
  assert_non_null(strstr(ask(bench, "/readyz"), "200 OK"));
  answer = ask(bench, "/metrics");
  static const char *const expected[] = {"text/plain; version=0.0.4",
                                         "\nx_total 3\n",
                                         "\nprocess_cpu_seconds_total ",
                                         "\nprocess_resident_memory_bytes ",
                                         "\nprocess_anonymous_memory_bytes ",
                                         "\nprocess_open_fds ",
                                         "\nprocess_max_fds ",
                                         "\nprocess_start_time_seconds ",
                                         "\nvedette_http_connections 1\n",
                                         "\nvedette_log_left_out_total "};
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    assert_non_null(strstr(answer, expected[i]));
  }
  double start = strtod(strstr(answer, "\nprocess_start_time_seconds ") + 28, NULL);
  assert_true(start > (double)clock_wall_us() / 1e6 - 600 && start < (double)clock_wall_us() / 1e6 + 2);
  assert_non_null(strstr(ask(bench, "/elsewhere"), "404"));
}

// Clients that hold connections, silent or halfway through a request, keep nobody out.
static void a_further_connection_takes_the_place_of_the_oldest(void **state) {
  enum { HELD = 3 * HTTP_CONNECTIONS_MOST };
  const struct bench *bench = *state;
  int held[HELD];
  for (int i = 0; i < HELD; i++) {
    held[i] = dial(bench);
    if (i % 2 == 0) {
      say(bench, held[i], "GET /metrics HTTP/1.1\r\nX: ");
    }
  }
  assert_non_null(strstr(ask(bench, "/healthz"), "200 OK"));
  int open = 0;
  for (int i = 0; i < HELD; i++) {
    bool closed = is_closed(held[i]);
    open += !closed;
    assert_int_equal(closed, i < HELD - HTTP_CONNECTIONS_MOST + 1); // the newest stay
  }
  assert_int_equal(open, HTTP_CONNECTIONS_MOST - 1); // the question took one place
  char words[100];
  snprintf(words, sizeof words, "vedette_http_connections %d\n", HTTP_CONNECTIONS_MOST);
  const char *answer = ask(bench, "/metrics");
  assert_non_null(strstr(answer, words));
  snprintf(words, sizeof words, "vedette_http_connections_closed_total %d\n", HELD - HTTP_CONNECTIONS_MOST + 1);
  assert_non_null(strstr(answer, words));
  for (int i = 0; i < HELD; i++) {
    close(held[i]);
  }
  for (int i = 0; i < 100; i++) {
    turn(bench);
  }
  assert_non_null(strstr(ask(bench, "/metrics"), "vedette_http_connections 1\n")); // its own
}

// A client that asks and never reads.
static void one_that_does_not_read_is_closed_for_others(void **state) {
  const struct bench *bench = *state;
  int lazy = dial(bench);
  int held[HTTP_CONNECTIONS_MOST];
  for (int i = 0; i < 200; i++) {
    const char *request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    if (send(lazy, request, strlen(request), MSG_NOSIGNAL) < 0) {
      break;
    }
    turn(bench);
  }
  for (int i = 0; i < HTTP_CONNECTIONS_MOST; i++) {
    held[i] = dial(bench);
  }
  assert_non_null(strstr(ask(bench, "/healthz"), "200 OK"));
  for (int i = 0; i < HTTP_CONNECTIONS_MOST; i++) {
    close(held[i]);
  }
  hear(bench, lazy, "no such words");
  assert_true(is_closed(lazy));
  close(lazy);
}

static void refuses_what_is_not_a_small_get(void **state) {
  const struct bench *bench = *state;
  int fd = dial(bench);
  say(bench, fd, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
  const char *answer = hear(bench, fd, "\r\n\r\n");
  assert_null(strstr(answer, " 200 "));
  close(fd);
  static char long_header[10000];
  memset(long_header, 'a', sizeof long_header - 1);
  fd = dial(bench);
  say(bench, fd, "GET /metrics HTTP/1.1\r\nX: ");
  say(bench, fd, long_header);
  hear(bench, fd, "no such words");
  assert_true(is_closed(fd));
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(tells_health_readiness_and_metrics, setup, teardown),
      cmocka_unit_test_setup_teardown(a_further_connection_takes_the_place_of_the_oldest, setup, teardown),
      cmocka_unit_test_setup_teardown(one_that_does_not_read_is_closed_for_others, setup, teardown),
      cmocka_unit_test_setup_teardown(refuses_what_is_not_a_small_get, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
