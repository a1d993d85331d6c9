//! A mail on its way: tried again where the mail server does not take it, and never lost without a word in the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lettre::message::Mailbox;
use lettre::{AsyncTransport, Message};
use tokenward_core::{Error, Result};

use super::Inner;
use crate::limits::{MAIL_RETRY, MAILS_WAITING};

/// How often it is tried in all.
const TRIES: u32 = 6;

impl Inner {
    /// Sends a mail in a task of its own. The log gets its subject, and neither its text nor to whom it goes.
    pub(super) fn deliver(self: &Arc<Self>, recipient: &str, subject: &str, text: String) -> Result<()> {
        let to = recipient.parse().map_err(|_| Error::internal("an address cannot be written into a mail"))?;
        let message = Message::builder().from(self.from.clone()).to(Mailbox::new(None, to));
        let message = message.subject(subject).body(text).map_err(Error::internal)?;
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAILS_WAITING.size() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            tracing::error!(subject, "a mail was not sent: too many wait for the mail server");
            return Err(Error::unavailable("Too many mails wait for the mail server. Try again later."));
        }
        let (mailer, subject) = (Arc::clone(self), subject.to_owned());
        tokio::spawn(async move {
            mailer.send(&message, &subject).await;
            mailer.waiting.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(())
    }

    async fn send(&self, message: &Message, subject: &str) {
        let mut wait = self.limits.time(&MAIL_RETRY);
        for left in (0..TRIES).rev() {
            let Err(problem) = self.transport.send(message.clone()).await else { return };
            let (permanent, problem) = (problem.is_permanent(), problem.to_string());
            if permanent || left == 0 {
                tracing::error!(subject, problem, "a mail could not be sent, and is not tried again");
                return;
            }
            tracing::warn!(subject, problem, again_in = ?wait, "a mail could not be sent; trying again");
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
}
