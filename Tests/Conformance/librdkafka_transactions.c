// Checks of the broker through the librdkafka of the system (Debian 12: 2.0.2), which the runtime uses: transactions,
// fencing, isolation, a group. Prints one line per check; exits with 1 at the first failure.
//
//     librdkafka_transactions BOOTSTRAP TOPIC       (the topic exists, has one partition and is empty)
#define _POSIX_C_SOURCE 200809L
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *bootstrap, *topic;
static char identifier[128];

static void fail(const char *what, const char *why) {
    printf("FAIL %s: %s\n", what, why);
    exit(1);
}

static void must(const char *what, rd_kafka_error_t *error) {
    if (error) fail(what, rd_kafka_error_string(error));
}

static void set(rd_kafka_conf_t *settings, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(settings, name, value, error, sizeof error)) fail(name, error);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *settings) {
    char error[512];
    set(settings, "bootstrap.servers", bootstrap);
    set(settings, "log_level", "2");
    rd_kafka_t *made = rd_kafka_new(type, settings, error, sizeof error);
    if (!made) fail("client", error);
    return made;
}

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer, (void)message, (void)opaque;
}

static rd_kafka_t *transactional_producer(void) {
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    set(settings, "transactional.id", identifier);
    set(settings, "linger.ms", "0");
    rd_kafka_conf_set_dr_msg_cb(settings, delivered);
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, settings);
    must("init_transactions", rd_kafka_init_transactions(producer, 20000));
    return producer;
}

static rd_kafka_t *reader(const char *isolation) {
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    set(settings, "group.id", identifier);
    set(settings, "enable.auto.commit", "false");
    set(settings, "auto.offset.reset", "error");
    set(settings, "enable.partition.eof", "true");
    set(settings, "isolation.level", isolation);
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, settings);
    rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

static void begin_with(rd_kafka_t *producer, const char *value) {
    must("begin_transaction", rd_kafka_begin_transaction(producer));
    rd_kafka_resp_err_t error = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE((void *)value, strlen(value)),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error) fail("produce", rd_kafka_err2str(error));
    if (rd_kafka_flush(producer, 20000)) fail("flush", "not everything was acknowledged");
}

// The topic must hold exactly these values, separated by blanks.
static void expect(const char *what, const char *isolation, const char *values) {
    char found[512] = "";
    rd_kafka_t *consumer = reader(isolation);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 0;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (int turns = 0;; turns++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
        if (turns > 100) fail(what, "no end of the partition");
        if (!message) continue;
        rd_kafka_resp_err_t error = message->err;
        if (error && error != RD_KAFKA_RESP_ERR__PARTITION_EOF) fail(what, rd_kafka_message_errstr(message));
        if (!error) {
            size_t used = strlen(found);
            snprintf(
                found + used, sizeof found - used, used ? " %.*s" : "%.*s", (int)message->len,
                (const char *)message->payload);
        }
        rd_kafka_message_destroy(message);
        if (error) break;
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    if (strcmp(found, values) != 0) {
        printf("FAIL %s: expected \"%s\", got \"%s\"\n", what, values, found);
        exit(1);
    }
    printf("ok   %s\n", what);
}

static void send_offsets_as(rd_kafka_t *producer, rd_kafka_t *consumer, int offset) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    rd_kafka_consumer_group_metadata_t *member = rd_kafka_consumer_group_metadata(consumer);
    must("send_offsets", rd_kafka_send_offsets_to_transaction(producer, list, member, 20000));
    rd_kafka_consumer_group_metadata_destroy(member);
    rd_kafka_topic_partition_list_destroy(list);
}

static void expect_committed(const char *what, rd_kafka_t *consumer, int offset) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0);
    rd_kafka_resp_err_t error = rd_kafka_committed(consumer, list, 20000);
    if (error) fail(what, rd_kafka_err2str(error));
    int found = (int)list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (found != offset) {
        printf("FAIL %s: expected offset %d, got %d\n", what, offset, found);
        exit(1);
    }
    printf("ok   %s\n", what);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    bootstrap = arguments[1], topic = arguments[2];
    snprintf(identifier, sizeof identifier, "c-%s", topic);
    setvbuf(stdout, NULL, _IOLBF, 0);

    rd_kafka_t *producer = transactional_producer();
    begin_with(producer, "one");
    expect("an open transaction is not seen", "read_committed", "");
    must("commit", rd_kafka_commit_transaction(producer, 20000));
    expect("a committed one is", "read_committed", "one");
    begin_with(producer, "two");
    must("abort", rd_kafka_abort_transaction(producer, 20000));
    expect("an aborted one is not", "read_committed", "one");
    expect("but by a reader of everything", "read_uncommitted", "one two");

    rd_kafka_t *consumer = reader("read_committed");
    begin_with(producer, "three");
    send_offsets_as(producer, consumer, 3);
    must("abort", rd_kafka_abort_transaction(producer, 20000));
    expect_committed("offsets of an aborted transaction are not", consumer, RD_KAFKA_OFFSET_INVALID);
    begin_with(producer, "four");
    send_offsets_as(producer, consumer, 4);
    must("commit", rd_kafka_commit_transaction(producer, 20000));
    expect_committed("offsets of a committed one are", consumer, 4);

    begin_with(producer, "zombie");
    rd_kafka_t *successor = transactional_producer();
    begin_with(successor, "five");
    must("commit", rd_kafka_commit_transaction(successor, 20000));
    rd_kafka_error_t *fenced = rd_kafka_commit_transaction(producer, 20000);
    if (!fenced || !rd_kafka_error_is_fatal(fenced)) fail("fencing", "the zombie was not fenced");
    rd_kafka_error_destroy(fenced);
    expect("a zombie is fenced and its transaction aborted", "read_committed", "one four five");
    rd_kafka_consumer_close(consumer);
    return 0;
}
