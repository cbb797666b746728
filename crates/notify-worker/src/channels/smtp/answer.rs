//! What a mail server's answer means. Its text is never passed on: servers repeat addresses.

use lettre::transport::smtp::Error;

use crate::channels::NotDelivered;

/// "Service not available, closing transmission channel": not about one letter.
const CLOSING: u16 = 421;
/// The server wants other credentials, or some at all: not about one letter.
const CREDENTIALS: [u16; 5] = [454, 530, 534, 535, 538];

/// Why a mail server that is silent is away.
pub(super) const TOO_LATE: &str = "the mail server did not answer in time";

pub(super) fn meaning(error: &Error) -> NotDelivered {
    let reason = reason(error);
    match error.status().map(u16::from) {
        // No answer: a connection, a time-out, TLS.
        None => NotDelivered::Away { reason },
        Some(code) if code == CLOSING || CREDENTIALS.contains(&code) => {
            NotDelivered::Away { reason }
        }
        Some(_) if error.is_permanent() => NotDelivered::Never { reason },
        Some(_) => NotDelivered::Later { reason },
    }
}

/// The code, and the enhanced code (RFC 3463) when there is one.
pub(super) fn reason(error: &Error) -> String {
    let Some(code) = error.status() else {
        return unanswered(error).to_owned();
    };
    match std::error::Error::source(error).map(ToString::to_string).as_deref().and_then(enhanced) {
        Some(enhanced) => format!("the mail server answered {code} {enhanced}"),
        None => format!("the mail server answered {code}"),
    }
}

fn unanswered(error: &Error) -> &'static str {
    if error.is_timeout() {
        TOO_LATE
    } else if error.is_tls() {
        "TLS with the mail server failed"
    } else if error.is_client() {
        "the mail server lacks what is configured (STARTTLS, or a way to log in)"
    } else if error.is_response() {
        "the mail server's answer can't be read"
    } else {
        "the mail server can't be reached"
    }
}

/// `5.1.1` at the start of an answer's text.
fn enhanced(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?;
    let mut parts = word.split('.');
    let is_number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let class = parts.next()?;
    let is_code = matches!(class, "4" | "5")
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
        && parts.next().is_none();
    is_code.then_some(word)
}

#[cfg(test)]
mod tests {
    use super::enhanced;

    #[test]
    fn only_an_enhanced_code_is_taken_from_an_answers_text() {
        assert_eq!(enhanced("5.1.1 <somebody@example.org> is unknown"), Some("5.1.1"));
        assert_eq!(enhanced("4.7.650 slow down"), Some("4.7.650"));
        for text in ["", "somebody@example.org", "5.1", "5.1.1.1", "2.0.0 ok", "5..1", "5.1.1000"] {
            assert_eq!(enhanced(text), None, "{text}");
        }
    }
}
