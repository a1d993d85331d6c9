//! Mail, where SMTP is configured: the link of an invitation. Sent after the change counts, and never a reason for it
//! to fail; whoever invites has the link in the answer too.

use std::sync::Arc;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokenward_store::invitations::Invitation;

/// Sends mail.
#[derive(Clone)]
pub struct Mailer {
    transport: Arc<AsyncSmtpTransport<Tokio1Executor>>,
    from: Mailbox,
}

/// Why mail cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The address of the server is none. The text does not repeat it: it can hold a password.
    #[error("this is not an address such as smtps://USER:PASSWORD@HOST or smtp://HOST:25")]
    Url,
    /// The sender is none.
    #[error("`{0}` is not an address such as Tokenward <tokens@example.com>")]
    From(String),
}

impl Mailer {
    /// Ready to send through the server at `url`, as `from`.
    pub fn new(url: &str, from: &str) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| MailError::Url)?;
        let from = from.parse().map_err(|_| MailError::From(from.to_owned()))?;
        Ok(Self { transport: Arc::new(transport.build()), from })
    }

    /// Sends an invitation's link in a task of its own. A failure is logged, without the link.
    pub fn invite(&self, invitation: &Invitation, link: &str) {
        let Invitation { email, organization_name, inviter, role_name, .. } = invitation;
        let text = format!(
            "{inviter} invites you to {organization_name} on Tokenward, with the role {role_name}.\n\n\
             Accept within seven days:\n\n{link}\n\n\
             The link is for you alone: whoever has it can take your place. If you expected nothing, ignore this mail.\n"
        );
        let (mailer, id) = (self.clone(), invitation.id);
        let message =
            email.parse().map_err(|_| "the address cannot be written into a mail".to_owned()).and_then(|to| {
                Message::builder()
                    .from(self.from.clone())
                    .to(Mailbox::new(None, to))
                    .subject(format!("Invitation to {organization_name}"))
                    .body(text)
                    .map_err(|error| error.to_string())
            });
        tokio::spawn(async move {
            let sent = match message {
                Ok(message) => mailer.transport.send(message).await.map(|_| ()).map_err(|error| error.to_string()),
                Err(problem) => Err(problem),
            };
            match sent {
                Ok(()) => tracing::info!(invitation = %id, "the invitation was mailed"),
                Err(problem) => tracing::error!(invitation = %id, problem, "the invitation could not be mailed"),
            }
        });
    }
}
