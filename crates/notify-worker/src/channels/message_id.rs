use std::fmt::Write as _;

use contracts::NotificationId;

/// The `Message-ID` of a notification's e-mail: the same for every delivery of it, and never
/// another one's. What a `Message-ID` can't hold as it is becomes `=` and two hexadecimal digits.
pub(super) fn message_id(id: &NotificationId, domain: &str) -> String {
    let mut text = String::from("<");
    for byte in id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            text.push(char::from(byte));
        } else {
            write!(text, "={byte:02X}").expect("a string can be written to");
        }
    }
    write!(text, "@{domain}>").expect("a string can be written to");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_holds_the_notifications_id_and_nothing_that_would_break_it() {
        let of = |id| message_id(&NotificationId::new(id).expect("valid"), "example.org");
        assert_eq!(of("01J-EMAIL_1"), "<01J-EMAIL_1@example.org>");
        assert_eq!(of("a.b@c>=2"), "<a=2Eb=40c=3E=3D2@example.org>");
    }
}
