//! A proof works once, whichever replica it is shown to: two processes of the shipped binary before one service,
//! with Redis or NATS between them, and what becomes of that when the store fails.

mod outage;
mod race;
mod replicas;
