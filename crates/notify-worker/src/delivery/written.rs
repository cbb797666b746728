use contracts::Personal;

use crate::channels::Letter;
use crate::domain::{Content, Request};
use crate::store::Recipient;
use crate::templates::{Templates, Values};

/// What a letter says, and to whom.
pub(super) struct Written<'a> {
    subject: Option<Personal>,
    text: Personal,
    address: Option<&'a Personal>,
}

impl<'a> Written<'a> {
    /// Fills in the template, unless the text came finished; `Err` is why it can't be written.
    pub(super) fn new(
        templates: &Templates,
        request: &'a Request,
        recipient: Option<&'a Recipient>,
    ) -> Result<Self, String> {
        match &request.content {
            Content::Finished { address, subject, text } => {
                let (subject, text) = (subject.clone(), text.clone());
                Ok(Self { subject, text, address: Some(address) })
            }
            Content::Template { name, params } => {
                let stored = recipient.and_then(|known| known.locale.as_deref());
                let locales: Vec<&str> =
                    request.locale.as_deref().into_iter().chain(stored).collect();
                let order_no = request.order_no.as_ref();
                let values = Values { params, order_no, user_id: request.user_id };
                let text =
                    templates.render(name, &locales, values).map_err(|error| error.to_string())?;
                Ok(Self {
                    subject: Some(Personal::new(text.subject)),
                    text: Personal::new(text.body),
                    address: recipient.and_then(|known| known.address(request.channel)),
                })
            }
        }
    }

    pub(super) fn letter(&'a self, request: &'a Request) -> Letter<'a> {
        Letter {
            id: &request.id,
            channel: request.channel,
            order_no: request.order_no.as_ref(),
            template: request.template(),
            address: self.address,
            subject: self.subject.as_ref(),
            text: &self.text,
        }
    }
}
