//! The last step: a revocation, and how long it takes until the token opens nothing any more.

use super::caller::{Answer, Call};
use super::issuer::Token;
use super::now;
use super::outcome::Outcome;
use super::stage::{APP_SUBJECT, READ, Stage};
use super::story::{REVOCATION, SIGNED, Told, app_call};
use crate::cli::holder::random_id;
use crate::pop::Denial;
use crate::state::revocation::event::Fact;
use crate::state::revocation::event::plain::Plain;
use crate::state::revocation::feed::file as journal;
use anyhow::Context as _;
use std::time::{Duration, Instant};

/// Uses a token, revokes it, and uses it again and again until it is refused.
pub(super) async fn play(stage: &Stage, broken: bool) -> anyhow::Result<Told> {
    let token = stage.app_token(READ, Duration::from_secs(600));
    let expected = Outcome::Refused(Denial::TokenRevoked);
    let before = request(stage, &token);
    let answer = stage.network.send(&before).await?;
    let worked = answer.outcome == Outcome::admitted(APP_SUBJECT);
    let mut seen = answer.outcome.clone();
    let mut exchanges = vec![(before, answer)];
    let mut delay = None;
    if worked {
        let (refused, last) = revoke_and_wait(stage, &token, broken).await?;
        seen = last.1.outcome.clone();
        delay = refused;
        exchanges.push(last);
    }
    Ok(Told {
        number: REVOCATION,
        title: "Revocation",
        tale: "The theft is noticed and the token is revoked; from then on not even the right key opens \
               the door.",
        exchanges,
        expected,
        seen,
        delay,
        all_headers: false,
    })
}

/// Publishes the event, then asks until the answer changes. The delay is measured from before the event is
/// written to after the refusal is read, so it includes one whole request.
async fn revoke_and_wait(
    stage: &Stage,
    token: &Token,
    broken: bool,
) -> anyhow::Result<(Option<Duration>, (Call, Answer))> {
    let mut connection = stage.network.connect(false).await?;
    let published = Instant::now();
    publish(stage, if broken { "another-token" } else { &token.id })?;
    loop {
        let call = request(stage, token);
        let answer = match connection.send(&call).await {
            Ok(answer) => answer,
            // The revocation came while the answer was on its way: that is cut off too, with its connection.
            Err(_) if published.elapsed() <= LIMIT => {
                connection = stage.network.connect(false).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let waited = published.elapsed();
        if answer.outcome != Outcome::admitted(APP_SUBJECT) {
            return Ok((Some(waited), (call, answer)));
        }
        if waited > LIMIT {
            return Ok((None, (call, answer)));
        }
    }
}

fn request(stage: &Stage, token: &Token) -> Call {
    app_call(stage, token, &stage.app, SIGNED)
}

/// Writes the event to the journal, as `clinch revoke --feed file:… --jti … --issuer …` does.
fn publish(stage: &Stage, token_id: &str) -> anyhow::Result<()> {
    let event = Plain {
        id: random_id(),
        issuer: stage.issuer.url.clone(),
        fact: Some(Fact::TokenId),
        value: token_id.to_owned(),
        at: now(),
        until: None,
        iat: None,
    };
    journal::append(&stage.journal(), &event.to_json()).context("the revocation journal")?;
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(3);
