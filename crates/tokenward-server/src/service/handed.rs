//! What a session hands over to a command line: a code that came back to the machine itself, or one that was typed for another
//! machine. Each makes one session, which inherits how and when its user has proved who it is, and outlasts nothing.

use tokenward_core::method::{Method, Methods};
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::time::Micros;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::identities::{self, Carried};
use tokenward_store::provider_sessions::{self, ProviderSession};
use tokenward_store::{Tx, device_sign_ins, sessions};

/// What is handed over.
#[derive(Clone, Debug)]
pub enum Handed {
    /// A code that a browser brought to the machine on which it runs.
    Code {
        /// By what it works once, and until when.
        carried: Carried,
        /// Which session gives it.
        session: Uuid,
        /// What the new one may reach.
        organization: Option<Uuid>,
        /// For how long.
        life: Micros,
    },
    /// A machine for which somebody has typed its code.
    Device(Uuid),
}

/// What becomes of it.
pub(super) struct HandedTerms {
    pub methods: Methods,
    pub proven_at: Time,
    pub auth_time: Option<Time>,
    pub provider_proofs: ProviderProofs,
    pub there: Vec<ProviderSession>,
    pub absent_claim: Option<String>,
    pub organization: Option<Uuid>,
    pub expires_at: Time,
}

impl Handed {
    /// Takes it, once, for a session of this account.
    pub(super) async fn take(&self, tx: &mut Tx, account: Uuid) -> Result<HandedTerms> {
        let now = tx.now();
        let (session, organization, life, by_device) = match *self {
            Self::Code { carried, session, organization, life } => {
                if !identities::spend_carried(tx, &carried).await? {
                    return Err(unknown_code());
                }
                (session, organization, life, false)
            }
            Self::Device(id) => {
                let taken = device_sign_ins::take(tx, id).await?.filter(|it| it.account_id == Some(account));
                let taken = taken.ok_or_else(unknown_code)?;
                let (session, life) = taken.session_id.zip(taken.life).ok_or_else(unknown_code)?;
                (session, taken.organization_id, life, true)
            }
        };
        // Whoever signs out meanwhile hands nothing over any more.
        let from = sessions::inherited(tx.conn(), account, session, now).await?.ok_or_else(unknown_code)?;
        Ok(HandedTerms {
            methods: if by_device { from.methods.and(Method::Device) } else { from.methods },
            proven_at: from.proven_at,
            auth_time: from.auth_time,
            provider_proofs: from.provider_proofs.after(from.idle),
            there: provider_sessions::of(tx.conn(), session).await?,
            absent_claim: from.absent_claim,
            organization: from.organization_id.or(organization),
            expires_at: now.plus(life).min(from.expires_at),
        })
    }
}

/// What is said of a code that makes no session: always the same.
pub(super) fn unknown_code() -> Error {
    let detail = "This code is not known: it was used, has expired, or was never given. Run `tokenward login` again.";
    Error::new(Code::SignInFailed, detail)
}
