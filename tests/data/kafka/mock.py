"""A Kafka cluster of two brokers on loopback, by librdkafka: mock.py TOPIC. Prints its brokers, then does as told.

A line on standard input is a partition, a tab and a value to produce there (`\\n` in it is a line end), or a number:
so many events of the example issuer, spread over the partitions. Each line is answered by one. Ends with its input.
"""

import json
import sys
import time

from confluent_kafka import Producer

TOPIC = sys.argv[1]


def main():
    producer = Producer({"test.mock.num.brokers": 2, "bootstrap.servers": "none:1", "linger.ms": 0})
    brokers = producer.list_topics(TOPIC, timeout=10).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    for line in sys.stdin:
        partition, tab, value = line.rstrip("\n").partition("\t")
        if tab:
            producer.produce(TOPIC, value.replace("\\n", "\n"), partition=int(partition))
        else:
            for n in range(int(partition)):
                event = {"id": f"e{n}", "iss": "https://as.example.com", "revoke": {"jti": str(n)}, "at": int(time.time())}
                producer.produce(TOPIC, json.dumps(event), partition=n % 4)
                producer.poll(0)
        producer.flush(30)
        print("done", flush=True)


main()
