"""Reads what nodes tell at /metrics with Prometheus' own parser; prints one JSON document: URL -> names of families.

    metrics.py URL...

Exit status: 0, or 1 if a page is not in the format or misses its content type.
"""

import json
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def families(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        content_type = answer.headers["content-type"]
        if not content_type.startswith("text/plain; version=0.0.4"):
            sys.exit(f"{url}: content type {content_type}")
        return sorted(family.name for family in text_string_to_metric_families(answer.read().decode()))


if __name__ == "__main__":
    print(json.dumps({url: families(url) for url in sys.argv[1:]}))
