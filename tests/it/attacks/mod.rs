//! The adversarial catalogue: every attack through the shipped binary over a real socket, by its id.
//!
//! A case asserts the status, the exact challenge, the reason in the metric, and that the service saw nothing. The
//! run as a whole asserts that no token, proof or key was told in a log line, span, metric, answer or header.

mod answers;
mod beyond_keys;
mod beyond_proofs;
mod beyond_requests;
mod beyond_tokens;
mod bystander;
mod case;
mod catalogue;
mod claims;
mod config;
mod credentials;
mod denial_of_service;
mod denial_of_service_connections;
mod denial_of_service_frames;
mod denial_of_service_sockets;
mod denial_of_service_unread;
mod denial_of_service_uploads;
mod downgrade;
mod forge;
mod framing;
mod headers;
mod keys;
mod proof_forgery;
mod proof_keys;
mod replay;
mod stage;
mod token;
