#pragma once

// What Swift cannot call directly: librdkafka's variadic functions, and its macros.

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdint.h>

// Queues a copy of one record. `headers` becomes librdkafka's only when the call succeeds.
static inline rd_kafka_resp_err_t orchestra_produce(rd_kafka_t *handle, rd_kafka_topic_t *topic, int32_t partition,
                                                    const void *key, size_t key_length, const void *value,
                                                    size_t value_length, rd_kafka_headers_t *headers,
                                                    void *opaque) {
    return rd_kafka_producev(handle, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_length),
                             RD_KAFKA_V_VALUE((void *)value, value_length), RD_KAFKA_V_HEADERS(headers),
                             RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
}

// The next `count` requests of kind `api_key` at the mock cluster are answered with `error`. Used by tests.
static inline void orchestra_mock_fail_requests(rd_kafka_mock_cluster_t *cluster, int16_t api_key, size_t count,
                                                rd_kafka_resp_err_t error) {
    for (size_t i = 0; i < count; i++) rd_kafka_mock_push_request_errors(cluster, api_key, 1, error);
}
