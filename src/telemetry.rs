//! Seen from outside: one span, one log line, one set of metrics per request.
