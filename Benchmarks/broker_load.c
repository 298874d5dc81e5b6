// Load for the broker benchmark, on librdkafka. Prints one JSON line per measurement.
//
//     broker_load rates mock|HOST:PORT RECORDS     produce, then consume, 256-byte records; "mock": in-process floor
//     broker_load commits mock|HOST:PORT PRODUCERS SECONDS [PER_SECOND]
//
// `commits` measures the latency of commit_transaction, one record in each transaction: all producers at once, each one
// as fast as it can; or, with PER_SECOND, each of them that often, at fixed times. Then "late" is counted from the time
// at which a transaction was due, so that a stall counts for all that it holds up.
#define _GNU_SOURCE
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 256, PARTITIONS = 8, BATCH = 1000, MAXIMUM_COMMITS = 1 << 20 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "broker_load: %s: %s\n", what, why);
    exit(1);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const *settings) {
    char error[512];
    rd_kafka_conf_t *made = rd_kafka_conf_new();
    for (; *settings; settings += 2)
        if (rd_kafka_conf_set(made, settings[0], settings[1], error, sizeof error)) fail(settings[0], error);
    rd_kafka_t *handle = rd_kafka_new(type, made, error, sizeof error);
    if (!handle) fail("client", error);
    return handle;
}

static void create_topic(const char *bootstrap, const char *topic) {
    char error[512];
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, (const char *[]){"bootstrap.servers", bootstrap, NULL});
    rd_kafka_NewTopic_t *new = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, error, sizeof error);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(producer);
    rd_kafka_CreateTopics(producer, &new, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    if (!event || rd_kafka_event_error(event)) fail("create topic", topic);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(new);
    rd_kafka_destroy(producer);
}

static void report(const char *bench, const char *peer, long count, double seconds) {
    printf(
        "{\"bench\": \"%s\", \"peer\": \"%s\", \"n\": %ld, \"seconds\": %.3f, \"per_s\": %.0f}\n", bench, peer, count,
        seconds, (double)count / seconds);
    fflush(stdout);
}

static long delivered_count;

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer, (void)opaque;
    if (message->err) fail("delivery", rd_kafka_err2str(message->err));
    delivered_count++;
}

// Produces `count` records to all partitions in batches of the API; returns when all are acknowledged.
static void produce(const char *bootstrap, const char *topic, long count) {
    char error[512];
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    const char *pairs[] = {"bootstrap.servers", bootstrap, "linger.ms", "5",
                           "queue.buffering.max.messages", "1000000", "acks", "all"};
    for (int i = 0; i < 8; i += 2) rd_kafka_conf_set(settings, pairs[i], pairs[i + 1], error, sizeof error);
    rd_kafka_conf_set_dr_msg_cb(settings, delivered);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, settings, error, sizeof error);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
    static char payload[SIZE];
    static rd_kafka_message_t messages[BATCH];
    delivered_count = 0;
    for (long sent = 0; sent < count;) {
        for (int i = 0; i < BATCH; i++) messages[i] = (rd_kafka_message_t){.payload = payload, .len = SIZE};
        int partition = (int)(sent / BATCH % PARTITIONS);
        sent += rd_kafka_produce_batch(handle, partition, RD_KAFKA_MSG_F_COPY, messages, BATCH);
        rd_kafka_poll(producer, sent - delivered_count > 200000 ? 10 : 0);
    }
    rd_kafka_flush(producer, 60000);
    if (delivered_count < count) fail("produce", "not everything was acknowledged");
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(producer);
}

static void consume(const char *bootstrap, const char *topic, long count) {
    rd_kafka_t *consumer = client(
        RD_KAFKA_CONSUMER, (const char *[]){"bootstrap.servers", bootstrap, "group.id", "bench", "enable.auto.commit",
                                            "false", "check.crcs", "false", NULL});
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    static rd_kafka_message_t *messages[BATCH];
    double end = now() + 120;
    for (long got = 0; got < count;) {
        ssize_t some = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH);
        for (ssize_t i = 0; i < some; i++) {
            if (!messages[i]->err) got++;
            rd_kafka_message_destroy(messages[i]);
        }
        if (now() > end) fail("consume", "not everything came within 120 s");
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
}

static int rates(const char *where, long count) {
    char address[256], topic[64];
    int is_mock = strcmp(where, "mock") == 0;
    const char *peer = is_mock ? "floor-mock-cluster" : "orchestra";
    rd_kafka_t *owner = NULL;
    snprintf(topic, sizeof topic, "bench-%d", (int)getpid());
    snprintf(address, sizeof address, "%s", where);
    if (is_mock) {
        // The mock cluster keeps 5 MB per partition, so what is consumed is what is left of it.
        owner = client(RD_KAFKA_PRODUCER, (const char *[]){"client.id", "owner", NULL});
        rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(owner, 1);
        rd_kafka_mock_topic_create(cluster, topic, PARTITIONS, 1);
        snprintf(address, sizeof address, "%s", rd_kafka_mock_cluster_bootstraps(cluster));
    } else {
        create_topic(address, topic);
    }
    double began = now();
    produce(address, topic, count);
    report("produce", peer, count, now() - began);
    long left = is_mock ? PARTITIONS * 10000L : count;
    if (is_mock) {
        snprintf(topic, sizeof topic, "bench-consume");
        rd_kafka_mock_cluster_t *cluster = rd_kafka_handle_mock_cluster(owner);
        if (!cluster) {
            cluster = rd_kafka_mock_cluster_new(owner, 1);
            snprintf(address, sizeof address, "%s", rd_kafka_mock_cluster_bootstraps(cluster));
        }
        rd_kafka_mock_topic_create(cluster, topic, PARTITIONS, 1);
        produce(address, topic, left);
    }
    began = now();
    consume(address, topic, left);
    report("consume", peer, left, now() - began);
    return 0;
}

struct committer {
    pthread_t thread;
    const char *bootstrap, *topic;
    int number;
};
static double start, deadline, length, period;  // period: seconds between two transactions of a producer; 0: no pause
static int committer_count;
static double processor;  // seconds of all threads
static pthread_barrier_t all_are_ready;
static double latencies[MAXIMUM_COMMITS], delays[MAXIMUM_COMMITS];
static _Atomic long commits;

static void ignore(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer, (void)message, (void)opaque;
}

static rd_kafka_t *transactional_producer(const struct committer *self) {
    char error[512], identifier[96];
    snprintf(identifier, sizeof identifier, "%s-%d", self->topic, self->number);
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    const char *pairs[] = {"bootstrap.servers", self->bootstrap, "transactional.id", identifier,
                           "linger.ms", "0", "socket.nagle.disable", "true"};
    for (int i = 0; i < 8; i += 2) rd_kafka_conf_set(settings, pairs[i], pairs[i + 1], error, sizeof error);
    rd_kafka_conf_set_dr_msg_cb(settings, ignore);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, settings, error, sizeof error);
    if (!producer || rd_kafka_init_transactions(producer, 30000)) fail("init", error);
    return producer;
}

// The producers take turns within a period, so that their transactions are spread evenly.
static double due_time(int number, int turn) {
    return start + period * (turn + (double)number / committer_count);
}

static void sleep_until(double time) {
    struct timespec wake = {.tv_sec = (time_t)time, .tv_nsec = (long)((time - (double)(time_t)time) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL)) continue;
}

static double processor_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// Returns how long the commit took, in seconds.
static double run_transaction(const struct committer *self, rd_kafka_t *producer) {
    static const char payload[SIZE];
    if (rd_kafka_begin_transaction(producer)) fail("begin", "refused");
    rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(self->topic), RD_KAFKA_V_PARTITION(self->number % PARTITIONS),
        RD_KAFKA_V_VALUE((void *)payload, SIZE), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    double began = now();
    rd_kafka_error_t *refusal = rd_kafka_commit_transaction(producer, 30000);
    if (refusal) fail("commit", rd_kafka_error_string(refusal));
    return now() - began;
}

static void *commit_all_the_time(void *opaque) {
    struct committer *self = opaque;
    rd_kafka_t *producer = transactional_producer(self);
    // The first ones wait for metadata.
    for (int i = 0; i < 5; i++) run_transaction(self, producer);
    if (pthread_barrier_wait(&all_are_ready) == PTHREAD_BARRIER_SERIAL_THREAD) {
        start = now() + 0.1;
        deadline = start + length;
        processor = processor_seconds();
    }
    pthread_barrier_wait(&all_are_ready);
    for (int turn = 0; now() < deadline; turn++) {
        double due = now();
        if (period > 0) {
            due = due_time(self->number, turn);
            if (due > deadline) break;
            sleep_until(due);
        }
        double took = run_transaction(self, producer);
        long place = commits++;
        if (place >= MAXIMUM_COMMITS) continue;
        latencies[place] = took;
        delays[place] = now() - due;
    }
    if (pthread_barrier_wait(&all_are_ready) == PTHREAD_BARRIER_SERIAL_THREAD) {
        processor = processor_seconds() - processor;
        length = now() - start;
    }
    rd_kafka_destroy(producer);
    return NULL;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static int measure_commits(const char *where, int count, double seconds, double per_second) {
    static struct committer committers[1024];
    char topic[64], address[256];
    snprintf(topic, sizeof topic, "commits-%d", (int)getpid());
    snprintf(address, sizeof address, "%s", where);
    int is_mock = strcmp(where, "mock") == 0;
    if (is_mock) {
        rd_kafka_t *owner = client(RD_KAFKA_PRODUCER, (const char *[]){"client.id", "owner", NULL});
        rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(owner, 1);
        rd_kafka_mock_topic_create(cluster, topic, PARTITIONS, 1);
        snprintf(address, sizeof address, "%s", rd_kafka_mock_cluster_bootstraps(cluster));
    } else {
        create_topic(address, topic);
    }
    committer_count = count;
    length = seconds;
    period = per_second > 0 ? 1 / per_second : 0;
    pthread_barrier_init(&all_are_ready, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        committers[i] = (struct committer){.bootstrap = address, .topic = topic, .number = i};
        pthread_create(&committers[i].thread, NULL, commit_all_the_time, &committers[i]);
    }
    for (int i = 0; i < count; i++) pthread_join(committers[i].thread, NULL);
    long done = commits < MAXIMUM_COMMITS ? commits : MAXIMUM_COMMITS;
    if (done == 0) fail("commits", "none was measured; give it more time");
    qsort(latencies, (size_t)done, sizeof latencies[0], ascending);
    qsort(delays, (size_t)done, sizeof delays[0], ascending);
    printf(
        "{\"bench\": \"commits\", \"peer\": \"%s\", \"n\": %ld, \"per_s\": %.0f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, "
        "\"late_p99_ms\": %.2f, \"client_cpu_ms\": %.3f}\n",
        is_mock ? "floor-mock-cluster" : "orchestra", done, (double)done / length, latencies[done / 2] * 1e3,
        latencies[done * 99 / 100] * 1e3, delays[done * 99 / 100] * 1e3, processor / (double)done * 1e3);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 4 && strcmp(arguments[1], "rates") == 0) return rates(arguments[2], atol(arguments[3]));
    if ((count == 5 || count == 6) && strcmp(arguments[1], "commits") == 0 && atoi(arguments[3]) <= 1024)
        return measure_commits(
            arguments[2], atoi(arguments[3]), atof(arguments[4]), count == 6 ? atof(arguments[5]) : 0);
    fprintf(
        stderr,
        "usage: broker_load rates mock|HOST:PORT RECORDS | commits mock|HOST:PORT PRODUCERS SECONDS [PER_SECOND]\n");
    return 2;
}
