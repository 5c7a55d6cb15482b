#include "tests/bench/player.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
  IN_ROOM = 16 * 1024,
  RECORD = 16 * 1024, // most bytes of a TLS record
  CONTROL_ROOM = 1024,
  TICK_NS = 500000,
  PAUSE_US = 1000000,
  WINDOW_31 = 1000, // for MQTT 3.1.1, which has no Receive Maximum
};
enum { CONNECT = 1, PUBACK = 4, SUBSCRIBE = 8, PINGREQ = 12, DISCONNECT = 14 };

struct player {
  SSL *tls;
  const struct stock *stock;
  struct player_limits limits;
  struct player_result result;
  struct frames frames; // after CONNECT
  size_t sent;          // messages
  size_t total;         // to be sent; SIZE_MAX until `again` is over
  bool playing, gone, blocked;
  bool warmed;         // the messages that are not measured are acknowledged
  int64_t resume_us;   // steady clock: end of the pause after them; 0: there is none
  int64_t over_us;     // steady clock: end of playing again
  const char *broken;  // why it cannot go on
  const uint8_t *out;  // what is being written: TLS wants a refused write repeated as it was
  size_t out_size;     // bytes
  size_t out_messages; // that `out` ends with; 0: it is control packets
  size_t control_used, in_used;
  uint8_t control[CONTROL_ROOM];
  uint8_t in[IN_ROOM];
};

static int64_t clock_us(clockid_t which) {
  struct timespec now;
  clock_gettime(which, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void answer(struct player *player, const uint8_t *bytes, size_t size) {
  if (CONTROL_ROOM - player->control_used < size) {
    player->broken = "the client asks more than it reads";
    return;
  }
  memcpy(player->control + player->control_used, bytes, size);
  player->control_used += size;
}

// --- what the client sends

static size_t number_at(const uint8_t *body) {
  return (size_t)body[0] << 8 | body[1];
}

// Bytes of a CONNECT property's value; 0: not known here.
static size_t property_size(const uint8_t *at, size_t left) {
  switch (at[0]) {
  case 0x11:                                              // session expiry interval
  case 0x27: return 4;                                    // maximum packet size
  case 0x21:                                              // receive maximum
  case 0x22: return 2;                                    // topic alias maximum
  case 0x17:                                              // request problem information
  case 0x19: return 1;                                    // request response information
  case 0x15:                                              // authentication method
  case 0x16: return left > 2 ? 2 + number_at(at + 1) : 0; // authentication data
  default: return 0;
  }
}

// The Receive Maximum among the properties at `at` (length, then properties); 65,535 if it is not given, 0 if they make no sense.
static size_t receive_maximum(const uint8_t *at, size_t left) {
  size_t found = 65535;
  if (left == 0 || at[0] > 127 || (size_t)at[0] + 1 > left) {
    return 0;
  }
  const uint8_t *end = at + 1 + at[0];
  for (at++; at < end;) {
    size_t size = property_size(at, (size_t)(end - at));
    if (size == 0 || size > (size_t)(end - at) - 1) {
      return 0;
    }
    found = at[0] == 0x21 ? number_at(at + 1) : found;
    at += 1 + size;
  }
  return found;
}

static void take_connect(struct player *player, const uint8_t *body, size_t size) {
  static const uint8_t accepted5[] = {0x20, 3, 0, 0, 0};
  static const uint8_t accepted4[] = {0x20, 2, 0, 0};
  struct player_result *result = &player->result;
  bool mqtt = size > 10 && memcmp(body, "\0\4MQTT", 6) == 0 && (body[6] == 4 || body[6] == 5);
  size_t window = !mqtt ? 0 : body[6] == 5 ? receive_maximum(body + 10, size - 10) : WINDOW_31;
  if (window == 0) {
    player->broken = "this CONNECT is neither MQTT 3.1.1 nor 5, or has properties that are not known here";
    return;
  }
  result->mqtt5 = body[6] == 5;
  result->window = window < player->limits.window ? window : player->limits.window;
  if (!frames_lay(&player->frames, player->stock, &player->limits.repeats, result->mqtt5)) {
    player->broken = "out of memory";
    return;
  }
  player->total = player->limits.again > 0 ? SIZE_MAX : player->frames.count;
  result->bytes = player->frames.count > 0 ? player->frames.ends[player->frames.count - 1] : 0;
  answer(player, result->mqtt5 ? accepted5 : accepted4, result->mqtt5 ? sizeof accepted5 : sizeof accepted4);
}

static void take_subscribe(struct player *player, const uint8_t *body, size_t size) {
  uint8_t reply[64] = {0x90};
  size_t at = player->result.mqtt5 && size > 2 ? 3 + (size_t)body[2] : 2;
  size_t used = 2;
  reply[used++] = body[0];
  reply[used++] = body[1];
  if (player->result.mqtt5) {
    reply[used++] = 0;
  }
  while (at + 2 < size && used < sizeof reply) {
    at += 2 + number_at(body + at) + 1;
    reply[used++] = 1; // QoS 1 is granted
  }
  reply[1] = (uint8_t)(used - 2);
  answer(player, reply, used);
  if (!player->playing) {
    player->playing = true;
    player->warmed = player->limits.warm == 0;
    player->result.first_us = clock_us(CLOCK_REALTIME);
  }
}

static void take_puback(struct player *player, const uint8_t *body, size_t size) {
  if (size < 2 || player->result.acknowledged == player->sent || number_at(body) != frames_id(player->result.acknowledged) ||
      (size > 2 && body[2] >= 0x80)) {
    player->broken = "a PUBACK that is not that of the oldest message under way, or that refuses it";
    return;
  }
  player->result.acknowledged++;
  if (player->result.acknowledged == player->total) {
    player->result.last_us = clock_us(CLOCK_REALTIME);
  } else if (!player->warmed && player->result.acknowledged == player->limits.warm) {
    player->warmed = true;
    player->resume_us = clock_us(CLOCK_MONOTONIC) + PAUSE_US;
    player->limits.warmed();
  }
}

static void take(struct player *player, uint8_t kind, const uint8_t *body, size_t size) {
  static const uint8_t pong[] = {0xd0, 0};
  switch (kind >> 4) {
  case CONNECT: take_connect(player, body, size); break;
  case SUBSCRIBE:
    if (size >= 5 && player->result.window > 0) {
      take_subscribe(player, body, size);
    }
    break;
  case PUBACK: take_puback(player, body, size); break;
  case PINGREQ: answer(player, pong, sizeof pong); break;
  case DISCONNECT: player->gone = true; break;
  default: player->broken = "a packet that no subscriber sends";
  }
}

// Bytes of the packet at `at`, header included, and of its header; 0 while it is not whole.
static size_t packet_size(const uint8_t *at, size_t left, size_t *header) {
  size_t length = 0;
  for (size_t i = 1; i < left && i < 5; i++) {
    length |= (size_t)(at[i] & 127) << (7 * (i - 1));
    if (at[i] < 128) {
      *header = i + 1;
      return left >= length + i + 1 ? length + i + 1 : 0;
    }
  }
  return 0;
}

static void take_packets(struct player *player) {
  size_t at = 0;
  size_t header = 0;
  size_t size;
  while (!player->broken && (size = packet_size(player->in + at, player->in_used - at, &header)) > 0) {
    take(player, player->in[at], player->in + at + header, size - header);
    at += size;
  }
  player->in_used -= at;
  memmove(player->in, player->in + at, player->in_used);
  if (player->in_used == IN_ROOM) {
    player->broken = "a packet that is too large";
  }
}

// --- what goes out

// Up to which message may be sent now.
static size_t send_limit(const struct player *player) {
  size_t window = player->result.acknowledged + player->result.window;
  size_t last = player->warmed ? player->total : player->limits.warm;
  return window < last ? window : last;
}

// Half the window is open: less would mean small writes.
static bool refill_due(const struct player *player) {
  return player->playing && player->resume_us == 0 && player->sent < send_limit(player) &&
         player->sent - player->result.acknowledged <= player->result.window / 2;
}

static bool read_some(struct player *player) {
  while (!player->broken && !player->gone && !refill_due(player)) {
    int got = SSL_read(player->tls, player->in + player->in_used, (int)(IN_ROOM - player->in_used));
    if (got <= 0) {
      player->gone = SSL_get_error(player->tls, got) != SSL_ERROR_WANT_READ;
      return false;
    }
    player->in_used += (size_t)got;
    take_packets(player);
  }
  return true;
}

// Makes the next packets those of new reports, when all have been played before.
static void renew(struct player *player, size_t first, size_t count) {
  size_t round = player->sent / player->frames.count;
  uint64_t lowest = stock_get(player->stock, 0).sequence;
  uint64_t each = stock_get(player->stock, player->frames.count - 1).sequence - lowest + 1;
  int64_t now = clock_us(CLOCK_REALTIME);
  for (size_t i = 0; round > 0 && i < count; i++) {
    uint64_t sequence = stock_get(player->stock, first + i).sequence + round * each;
    frames_renew(&player->frames, first + i, frames_id(player->sent + i), sequence, now);
  }
}

// Whole packets for one TLS record, up to message `limit`.
static void choose_frames(struct player *player, size_t limit) {
  const struct frames *frames = &player->frames;
  size_t first = player->sent % frames->count;
  size_t most = limit - player->sent < frames->count - first ? limit - player->sent : frames->count - first;
  size_t start = frames_start(frames, first);
  size_t count = 1;
  while (count < most && frames->ends[first + count] - start <= RECORD) {
    count++;
  }
  renew(player, first, count);
  player->out = frames->bytes + start;
  player->out_size = frames->ends[first + count - 1] - start;
  player->out_messages = count;
}

static bool choose(struct player *player) {
  size_t limit = send_limit(player);
  if (player->out != NULL) {
    return true; // to be repeated
  }
  if (player->control_used > 0) {
    player->out = player->control;
    player->out_size = player->control_used;
    player->out_messages = 0;
  } else if (player->playing && player->resume_us == 0 && player->sent < limit) {
    choose_frames(player, limit);
  }
  return player->out != NULL;
}

static void written(struct player *player) {
  if (player->out_messages == 0) {
    player->control_used -= player->out_size;
    memmove(player->control, player->control + player->out_size, player->control_used);
  }
  player->sent += player->out_messages;
  player->out = NULL;
}

static void write_some(struct player *player) {
  player->blocked = false;
  while (!player->broken && choose(player)) {
    int put = SSL_write(player->tls, player->out, (int)player->out_size);
    if (put <= 0) {
      player->blocked = SSL_get_error(player->tls, put) == SSL_ERROR_WANT_WRITE;
      player->gone = !player->blocked;
      return;
    }
    written(player);
  }
}

static bool all_acknowledged(const struct player *player) {
  return player->playing && player->result.acknowledged == player->total;
}

// A client that leaves Nagle's algorithm on, as Paho does, collects PUBACKs until we acknowledge those before: we do so after
// each look, and look every TICK_NS. So neither waits for a delayed acknowledgement, and neither is woken for each message.
static void rest(struct player *player) {
  int on = 1;
  struct pollfd wait = {.fd = SSL_get_fd(player->tls), .events = POLLOUT};
  const struct timespec tick = {.tv_nsec = TICK_NS};
  bool ok = setsockopt(wait.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on) == 0;
  if (ok && player->blocked) {
    ok = ppoll(&wait, 1, &tick, NULL) >= 0 || errno == EINTR;
  } else if (ok) {
    nanosleep(&tick, NULL);
  }
  if (!ok) {
    player->broken = strerror(errno);
  }
}

static void turn(struct player *player) {
  rest(player);
  if (player->resume_us != 0 && clock_us(CLOCK_MONOTONIC) >= player->resume_us) {
    player->resume_us = 0;
    player->result.first_us = clock_us(CLOCK_REALTIME);
    player->over_us = clock_us(CLOCK_MONOTONIC) + (int64_t)player->limits.again * 1000000;
  }
  if (player->total == SIZE_MAX && player->over_us != 0 && clock_us(CLOCK_MONOTONIC) >= player->over_us && player->out == NULL) {
    player->total = player->sent;
    player->result.last_us = clock_us(CLOCK_REALTIME); // unless an acknowledgement is still to come
  }
  bool more = true;
  while (more && !player->broken && !player->gone) {
    more = read_some(player); // ends when there is nothing to read, or half the window is open
    if (refill_due(player) || player->control_used > 0 || player->out != NULL) {
      write_some(player);
      more &= !player->blocked;
    }
  }
}

// Whether it can go on; says why not.
static bool is_sound(const struct player *player, bool done, bool late) {
  if (player->broken) {
    fprintf(stderr, "%s\n", player->broken);
  } else if (!done && player->gone) {
    fprintf(stderr, "the client left after %zu of %zu messages sent\n", player->result.acknowledged, player->sent);
  } else if (!done && late) {
    fprintf(stderr, "the client acknowledged %zu of %zu messages sent within %d s\n", player->result.acknowledged, player->sent,
            player->limits.seconds);
  } else {
    return true;
  }
  return false;
}

bool player_run(SSL *tls, const struct stock *stock, const struct player_limits *limits, const volatile int *stop,
                void (*done)(const struct player_result *result)) {
  struct player *player = calloc(1, sizeof *player);
  if (player == NULL) {
    fprintf(stderr, "out of memory\n");
    return false;
  }
  player->tls = tls;
  player->stock = stock;
  player->limits = *limits;
  int64_t until = clock_us(CLOCK_REALTIME) + (int64_t)limits->seconds * 1000000;
  bool finished = false;
  bool sound = true;
  while (sound && !*stop && !player->gone && clock_us(CLOCK_REALTIME) < until) {
    turn(player);
    if (!finished && all_acknowledged(player)) {
      finished = true;
      until = clock_us(CLOCK_REALTIME) + (int64_t)limits->seconds * 1000000;
      done(&player->result);
    }
    sound = is_sound(player, finished, clock_us(CLOCK_REALTIME) >= until);
  }
  if (sound && !finished) {
    sound = *stop != 0 || is_sound(player, finished, true);
  }
  frames_free(&player->frames);
  free(player);
  return sound;
}
