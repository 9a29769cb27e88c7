"""The closed list of why something is rejected by the collector or set aside by a worker."""

# code -> what it means to the sender
REJECTED = {
    "invalid_json": "not JSON, or not UTF-8",
    "not_an_object": "an event is a JSON object",
    "unknown_field": "no such field",
    "missing_field": "a field that every event needs is absent",
    "invalid_type": "a value of another JSON type",
    "invalid_value": "a value outside the field's set or form",
    "invalid_number": "NaN, infinite, negative or too long a number",
    "invalid_tokens": "tokens are whole numbers from 0 to 4294967295",
    "invalid_id": "an id is a UUID and not nil",
    "invalid_timestamp": "RFC 3339 with an offset, or unix milliseconds",
    "timestamp_in_future": "more than 10 minutes ahead",
    "timestamp_too_old": "more than 90 days behind",
    "too_long": "longer than the field's limit",
    "too_many_tags": "more than 32 tag keys",
    "invalid_tag_key": "a tag key is 1 to 64 of A-Z a-z 0-9 _ . -",
    "nul_character": "NUL is not taken in ids, names and tags",
    "too_deep": "nested deeper than 64 levels",
    "event_too_large": "above 1 MiB as compact JSON",
    "duplicate_key": "the same key twice in an object",
}

SET_ASIDE = {
    "undecodable": "not a record of a known version",
    "out_of_range": "a value the tables cannot hold",
    "refused_by_store": "the store refused this row alone",
}
