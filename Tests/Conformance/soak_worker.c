// A transactional worker of the soak test, on the librdkafka of the system: consume, count, produce, send offsets,
// commit. soak_worker.py says what it does; this is the same in C.
//
//     soak_worker BOOTSTRAP GROUP SOURCE TARGET TRANSACTIONAL_ID INSTANCE SEED
#define _POSIX_C_SOURCE 200809L
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STUCK_SECONDS = 45, KEYS = 16, PARTITIONS = 64, ERROR_SIZE = 512, STATE_TEXT = KEYS * 12 };
static const double ABORTS = 0.15;

struct state {
    bool present;
    long long offset;  // the next one to be read
    int counts[KEYS];
};

static rd_kafka_t *producer, *consumer;
static const char *source, *target;
static struct state committed[PARTITIONS];  // of the partitions that are ours
static struct state open_states[PARTITIONS];  // of those that the open transaction has touched
static bool in_transaction;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "soak_worker: %s: %s\n", what, why);
    exit(3);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double lot(void) { return (double)rand() / ((double)RAND_MAX + 1); }

// What to do about an error: 0 nothing is wrong, 1 again, 2 abort the transaction. Anything worse ends the process.
static int judge(const char *what, rd_kafka_error_t *error) {
    if (!error) return 0;
    int verdict = rd_kafka_error_is_retriable(error) ? 1 : rd_kafka_error_txn_requires_abort(error) ? 2 : 3;
    if (verdict == 3 || rd_kafka_error_is_fatal(error)) fail(what, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return verdict;
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)message, (void)opaque;  // A failure shows in the commit.
}

static void abort_transaction(bool rewind) {
    in_transaction = false;
    while (judge("abort", rd_kafka_abort_transaction(producer, 30000)) == 1) continue;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, source, NULL);
    for (int partition = 0; partition < PARTITIONS; partition++) {
        bool touched = open_states[partition].present;
        open_states[partition].present = false;
        if (rewind && touched && committed[partition].present)
            rd_kafka_seek(topic, partition, committed[partition].offset, 10000);
    }
    rd_kafka_topic_destroy(topic);
}

static void take_partitions(rd_kafka_topic_partition_list_t *partitions) {
    double deadline = seconds() + 60;
    rd_kafka_resp_err_t error;
    // Fails while the broker is away, or while an open transaction has offsets of these partitions.
    while ((error = rd_kafka_committed(consumer, partitions, 10000)))
        if (seconds() > deadline) fail("committed", rd_kafka_err2str(error));
    for (int i = 0; i < partitions->cnt; i++) {
        rd_kafka_topic_partition_t *entry = &partitions->elems[i];
        if (entry->err) fail("committed", rd_kafka_err2str(entry->err));
        struct state *state = &committed[entry->partition];
        *state = (struct state){.present = true};
        if (entry->offset >= 0) {
            char text[STATE_TEXT] = "", *rest = NULL;
            if (entry->metadata_size >= sizeof text) fail("metadata", "too long");
            memcpy(text, entry->metadata, entry->metadata_size);
            int key = 0;
            for (char *word = strtok_r(text, ",", &rest); word && key < KEYS; word = strtok_r(NULL, ",", &rest))
                state->counts[key++] = atoi(word);
            if (key != KEYS) fail("metadata", "not the counts");
            state->offset = entry->offset;
        }
        entry->offset = state->offset;
    }
    rd_kafka_assign(consumer, partitions);
}

static void rebalance(
    rd_kafka_t *client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *partitions, void *opaque) {
    (void)client, (void)opaque;
    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        take_partitions(partitions);
        return;
    }
    if (in_transaction) abort_transaction(false);
    for (int i = 0; i < partitions->cnt; i++) committed[partitions->elems[i].partition].present = false;
    rd_kafka_assign(consumer, NULL);
}

static void take(const rd_kafka_message_t *message) {
    struct state *state = &open_states[message->partition];
    if (!state->present) *state = committed[message->partition];
    if (message->offset < state->offset) return;  // What was fetched before a rewind.
    char key_text[8] = "", text[256];
    memcpy(key_text, message->key, message->key_len < 7 ? message->key_len : 7);
    int key = atoi(key_text);
    if (key < 0 || key >= KEYS) fail("key", key_text);
    state->counts[key]++;
    int length = snprintf(
        text, sizeof text, "%d %lld %.*s %d %d", message->partition, (long long)message->offset, (int)message->len,
        (const char *)message->payload, key, state->counts[key]);
    rd_kafka_resp_err_t error = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(target), RD_KAFKA_V_PARTITION(message->partition),
        RD_KAFKA_V_VALUE(text, (size_t)length), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    // A refusal because the transaction is to be aborted shows in the next call that ends it.
    if (error && error != RD_KAFKA_RESP_ERR__STATE) fail("produce", rd_kafka_err2str(error));
    rd_kafka_poll(producer, 0);
    state->offset = message->offset + 1;
}

static bool send_offsets(void) {
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);
    for (int partition = 0; partition < PARTITIONS; partition++) {
        const struct state *state = &open_states[partition];
        if (!state->present) continue;
        rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(offsets, source, partition);
        char text[STATE_TEXT];
        size_t length = 0;
        for (int key = 0; key < KEYS; key++)
            length += (size_t)snprintf(text + length, sizeof text - length, key ? ",%d" : "%d", state->counts[key]);
        entry->offset = state->offset;
        entry->metadata = malloc(length);
        memcpy(entry->metadata, text, length);
        entry->metadata_size = length;
    }
    rd_kafka_consumer_group_metadata_t *member = rd_kafka_consumer_group_metadata(consumer);
    int verdict;
    do verdict = judge("offsets", rd_kafka_send_offsets_to_transaction(producer, offsets, member, 30000));
    while (verdict == 1);
    rd_kafka_consumer_group_metadata_destroy(member);
    rd_kafka_topic_partition_list_destroy(offsets);
    return verdict == 0;
}

static void finish(void) {
    double drawn = lot();
    if (drawn < ABORTS / 2 || !send_offsets() || drawn < ABORTS) {
        abort_transaction(true);
        return;
    }
    int verdict;
    while ((verdict = judge("commit", rd_kafka_commit_transaction(producer, 30000))) == 1) continue;
    if (verdict == 2) {
        abort_transaction(true);
        return;
    }
    for (int partition = 0; partition < PARTITIONS; partition++) {
        if (open_states[partition].present) committed[partition] = open_states[partition];
        open_states[partition].present = false;
    }
    in_transaction = false;
}

// One transaction over what comes within a few milliseconds; none if nothing comes.
static void turn(void) {
    int limit = 1 + (int)(lot() * 80);
    double until = 0;
    while (limit > 0 && (until == 0 || seconds() < until)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, until == 0 ? 500 : 10);
        if (!message) {
            if (until == 0) return;
            continue;
        }
        if (!message->err && message->partition < PARTITIONS && committed[message->partition].present) {
            if (!in_transaction && judge("begin", rd_kafka_begin_transaction(producer))) fail("begin", "refused");
            in_transaction = true;
            if (until == 0) until = seconds() + 0.03;
            take(message);
            limit--;
        }
        rd_kafka_message_destroy(message);
    }
    if (in_transaction) finish();
}

static void set(rd_kafka_conf_t *settings, const char *name, const char *value) {
    char error[ERROR_SIZE];
    if (rd_kafka_conf_set(settings, name, value, error, sizeof error)) fail(name, error);
}

static void set_common(rd_kafka_conf_t *settings) {
    // librdkafka doubles its pause between attempts up to 10 s, which is as long as a transaction may take.
    set(settings, "reconnect.backoff.max.ms", "500");
    set(settings, "log_level", "2");
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *settings) {
    char error[ERROR_SIZE];
    rd_kafka_t *made = rd_kafka_new(type, settings, error, sizeof error);
    if (!made) fail("client", error);
    return made;
}

int main(int count, char **arguments) {
    if (count != 8) return 2;
    source = arguments[3], target = arguments[4];
    srand((unsigned)atoi(arguments[7]));

    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    set(settings, "bootstrap.servers", arguments[1]);
    set(settings, "transactional.id", arguments[5]);
    set(settings, "transaction.timeout.ms", "10000");
    set(settings, "message.timeout.ms", "10000");
    set(settings, "linger.ms", "1");
    set_common(settings);
    rd_kafka_conf_set_dr_msg_cb(settings, delivered);
    producer = client(RD_KAFKA_PRODUCER, settings);
    while (judge("init", rd_kafka_init_transactions(producer, 30000))) continue;

    settings = rd_kafka_conf_new();
    set(settings, "bootstrap.servers", arguments[1]);
    set(settings, "group.id", arguments[2]);
    if (strcmp(arguments[6], "-") != 0) set(settings, "group.instance.id", arguments[6]);
    set(settings, "enable.auto.commit", "false");
    set(settings, "auto.offset.reset", "earliest");
    set(settings, "isolation.level", "read_committed");
    set(settings, "session.timeout.ms", "6000");
    set(settings, "heartbeat.interval.ms", "500");
    set_common(settings);
    rd_kafka_conf_set_rebalance_cb(settings, rebalance);
    consumer = client(RD_KAFKA_CONSUMER, settings);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, source, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    for (;;) {
        alarm(STUCK_SECONDS);  // Ends the process if a call hangs; the soak test then starts it again.
        turn();
    }
}
