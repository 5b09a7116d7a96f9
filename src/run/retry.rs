//! Trying again: each attempt is a run of its own, and all of them have one correlation id.

use std::time::Duration;

use super::lifecycle::Retry;
use super::observer::Notice;
use super::part::Part;
use super::perform::{Performed, Surroundings, perform_part, reborrowed};
use super::request::Request;
use super::session::Session;
use super::{Error, exit};
use crate::object::run::{BASE32, Status};

/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(600);

/// As [`super::perform`], and after a failure again as often as the request says.
///
/// The last attempt is what comes back; the others are on record, with the same correlation id. A request to stop ends it at once, also
/// between two attempts.
///
/// # Errors
/// As [`super::perform`]. What keeps a command from being started is no failure of the command and is not tried again.
pub fn persist(session: &Session<'_>, request: &Request, surroundings: Surroundings<'_>) -> Result<Performed, Error> {
    persist_part(session, request, None, surroundings)
}

/// As [`persist`], for what may be a part of a larger run.
///
/// # Errors
/// As [`persist`].
pub fn persist_part(
    session: &Session<'_>,
    request: &Request,
    mut part: Option<&mut dyn Part>,
    surroundings: Surroundings<'_>,
) -> Result<Performed, Error> {
    let Some(retry) = request.lifecycle.retry.clone().filter(|retry| retry.times > 0) else {
        return perform_part(session, request, part, surroundings, None);
    };
    let Surroundings { environment, observer, interrupts } = surroundings;
    let mut request = request.clone();
    let first = request.lifecycle.attempt_number();
    let last = first.saturating_add(retry.times);
    request.lifecycle.correlation_id.get_or_insert_with(|| correlation(session));
    let mut fresh;
    let mut session = session;
    for attempt in first..=last {
        request.lifecycle.attempt = attempt;
        request.lifecycle.last_attempt = attempt == last;
        let around = Surroundings { environment, observer: &mut *observer, interrupts };
        let mut performed = perform_part(session, &request, reborrowed(&mut part), around, None)?;
        if attempt == last || !is_to_be_tried_again(&performed, &retry) {
            return Ok(performed);
        }
        let delay = delay(session, &retry, attempt - first);
        observer.notice(Notice::Again { attempt: attempt + 1, last, delay });
        let stopped = match interrupts {
            Some(interrupts) => interrupts.pause(delay),
            None => {
                std::thread::sleep(delay);
                None
            }
        };
        if let Some(signal) = stopped {
            performed.warnings.push(format!("interrupted before attempt {} of {last}", attempt + 1));
            performed.exit_code = exit::signalled(signal);
            return Ok(performed);
        }
        // What the failed attempt left, and what changed meanwhile, is looked at anew.
        fresh = session.afresh();
        session = &fresh;
    }
    // Not reached: the last attempt returns. Said as an error rather than assumed.
    Err(Error::Usage { what: "no attempt was made".to_owned() })
}

fn is_to_be_tried_again(performed: &Performed, retry: &Retry) -> bool {
    let run = &performed.run;
    let kind = run.error.as_ref().map_or("", |error| error.kind.as_str());
    if run.status == Status::Success || kind == "interrupted" {
        return false;
    }
    if retry.on.is_empty() { kind != "spawn" && kind != "terminal" } else { retry.on.contains(&performed.exit_code) }
}

/// Twice as long each time, and up to a quarter more, so that many that failed together don't come back together.
fn delay(session: &Session<'_>, retry: &Retry, failed_before: u32) -> Duration {
    let doubled = retry.delay_ms.saturating_mul(1u64.checked_shl(failed_before).unwrap_or(u64::MAX));
    let mut byte = [0];
    session.repo.world().random.fill(&mut byte);
    let more = (doubled / 4).saturating_mul(u64::from(byte[0])) / 255;
    Duration::from_millis(doubled.saturating_add(more)).min(LONGEST)
}

fn correlation(session: &Session<'_>) -> String {
    let mut bytes = [0; 16];
    session.repo.world().random.fill(&mut bytes);
    let letters = bytes.iter().map(|byte| char::from(BASE32[usize::from(byte & 31)]));
    format!("retry-{}", letters.collect::<String>())
}
