// Floor of benchmark B: consume, count per key, produce, on librdkafka with a transaction every 100 ms; the counts are in
// memory alone. And what both contestants need: a producer of the input, a consumer that checks and times the output.
//
// usage: kafka_loop produce BROKER TOPIC RECORDS SCHEMA_ID    values in the registry's framing, 300 bytes
//        kafka_loop loop    BROKER IN OUT                     until killed
//        kafka_loop consume BROKER TOPIC RECORDS              one line of JSON
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 10000, PAYLOAD = 300, BATCH = 2000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void must(const char *what, rd_kafka_error_t *error) {
  if (error) die(what, rd_kafka_error_string(error));
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client, (void)opaque;
  if (message->err) die("delivery", rd_kafka_err2str(message->err));
}

static rd_kafka_t *make(rd_kafka_type_t type, const char *const *settings) {
  char error[512];
  rd_kafka_conf_t *configuration = rd_kafka_conf_new();
  for (; *settings; settings += 2)
    if (rd_kafka_conf_set(configuration, settings[0], settings[1], error, sizeof error)) die(settings[0], error);
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(configuration, delivered);
  rd_kafka_t *client = rd_kafka_new(type, configuration, error, sizeof error);
  if (!client) die("client", error);
  return client;
}

static rd_kafka_t *make_producer(const char *broker, const char *transactional_id) {
  // The runtime's partitioner: a record elsewhere would have to be moved first.
  return make(RD_KAFKA_PRODUCER, (const char *[]){"bootstrap.servers", broker, "linger.ms", "5", "acks", "all",
                                                  "enable.idempotence", "true", "partitioner", "murmur2_random",
                                                  transactional_id ? "transactional.id" : 0, transactional_id, 0});
}

static rd_kafka_t *make_consumer(const char *broker, const char *topic, const char *group) {
  rd_kafka_t *consumer = make(RD_KAFKA_CONSUMER, (const char *[]){"bootstrap.servers", broker, "group.id", group,
                                                                  "auto.offset.reset", "earliest", "enable.auto.commit",
                                                                  "false", "isolation.level", "read_committed", 0});
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
  rd_kafka_subscribe(consumer, topics);
  rd_kafka_topic_partition_list_destroy(topics);
  return consumer;
}

static void put(rd_kafka_t *producer, const char *topic, const void *key, size_t key_length, void *value, size_t length) {
  rd_kafka_resp_err_t error;
  while ((error = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_length),
                                    RD_KAFKA_V_VALUE(value, length), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                    RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
    rd_kafka_poll(producer, 10);
  if (error) die("produce", rd_kafka_err2str(error));
}

// Keys are numbers behind "actor-".
static long number_of(const rd_kafka_message_t *message) {
  char key[16] = "";
  if (message->key_len < 7 || message->key_len > 15) die("key", "unexpected");
  memcpy(key, message->key, message->key_len);
  long number = atol(key + 6);
  if (number < 0 || number >= KEYS) die("key", key);
  return number;
}

static int produce(const char *broker, const char *topic, long records, uint32_t schema) {
  rd_kafka_t *producer = make_producer(broker, 0);
  // Magic byte, schema id, length (zigzag), bytes.
  uint8_t value[5 + 2 + PAYLOAD] = {0, schema >> 24, schema >> 16, schema >> 8, schema, (2 * PAYLOAD & 127) | 128,
                                    2 * PAYLOAD >> 7};
  memset(value + 7, 'x', PAYLOAD);
  char key[24];
  for (long i = 0; i < records; i++) {
    put(producer, topic, key, snprintf(key, sizeof key, "actor-%05ld", i * 7919 % KEYS), value, sizeof value);
    if (!(i & 255)) rd_kafka_poll(producer, 0);
  }
  return rd_kafka_flush(producer, 60000) ? 1 : 0;
}

static void loop(const char *broker, const char *in, const char *out) {
  static rd_kafka_message_t *batch[BATCH];
  static long counts[KEYS];
  static char value[4096];
  rd_kafka_t *consumer = make_consumer(broker, in, "kafka-loop");
  rd_kafka_t *producer = make_producer(broker, "kafka-loop");
  must("init", rd_kafka_init_transactions(producer, 10000));
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
  for (double due = 0;;) {
    ssize_t got = rd_kafka_consume_batch_queue(queue, due ? 10 : 100, batch, BATCH);
    for (ssize_t i = 0; i < got; i++) {
      rd_kafka_message_t *message = batch[i];
      if (!message->err) {
        if (!due) {
          due = now() + .1;
          must("begin", rd_kafka_begin_transaction(producer));
        }
        int head = snprintf(value, 32, "%ld|", ++counts[number_of(message)]);
        memcpy(value + head, message->payload, message->len);
        put(producer, out, message->key, message->key_len, value, head + message->len);
      }
      rd_kafka_message_destroy(message);
    }
    rd_kafka_poll(producer, 0);
    if (!due || now() < due) continue;
    rd_kafka_topic_partition_list_t *offsets;
    rd_kafka_assignment(consumer, &offsets);
    rd_kafka_position(consumer, offsets);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
    must("offsets", rd_kafka_send_offsets_to_transaction(producer, offsets, group, 10000));
    must("commit", rd_kafka_commit_transaction(producer, 10000));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
    due = 0;
  }
}

// The count in an output: decimal of the floor, Avro of the runtime.
static long count_in(const rd_kafka_message_t *message) {
  const uint8_t *bytes = message->payload;
  if (message->len < 6) die("output", "too short");
  if (bytes[0]) return atol((const char *)bytes);
  uint64_t value = 0;
  for (size_t i = 5, shift = 0; i < message->len && shift < 64; i++, shift += 7) {
    value |= (uint64_t)(bytes[i] & 127) << shift;
    if (!(bytes[i] & 128)) break;
  }
  return (long)(value >> 1);
}

static int consume(const char *broker, const char *topic, long records) {
  static rd_kafka_message_t *batch[BATCH];
  static long counts[KEYS];
  rd_kafka_t *consumer = make_consumer(broker, topic, topic);
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
  long seen = 0, wrong = 0;
  double first = 0, last = now();
  while (seen < records && now() - last < 60) {
    ssize_t got = rd_kafka_consume_batch_queue(queue, 100, batch, BATCH);
    for (ssize_t i = 0; i < got; i++) {
      if (!batch[i]->err) {
        last = now();
        if (!seen++) first = last;
        wrong += count_in(batch[i]) != ++counts[number_of(batch[i])];
      }
      rd_kafka_message_destroy(batch[i]);
    }
  }
  printf("{\"n\": %ld, \"wrong\": %ld, \"seconds\": %.3f, \"per_s\": %.1f}\n", seen, wrong, last - first,
         seen / (last - first));
  return seen == records && !wrong ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc == 6 && !strcmp(argv[1], "produce")) return produce(argv[2], argv[3], atol(argv[4]), atol(argv[5]));
  if (argc == 5 && !strcmp(argv[1], "loop")) loop(argv[2], argv[3], argv[4]);
  if (argc == 5 && !strcmp(argv[1], "consume")) return consume(argv[2], argv[3], atol(argv[4]));
  fprintf(stderr, "usage: see the head of kafka_loop.c\n");
  return 2;
}
