//! One error for everything that a person or a client can be told.
//!
//! `code` is stable and for programs, `detail` is for the reader and says what to do, `cause` is for the
//! operator's log alone. Each outer layer maps `code` once: HTTP status, gRPC status, exit code.

use std::error::Error as StdError;
use std::fmt;

use uuid::Uuid;

use crate::meter::Metered;
use crate::reason::Reason;
use crate::time::{MINUTE, Micros, SECOND};

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one word. The strings are part of the API and never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The request cannot be understood or breaks a rule; `faults` names each.
    InvalidRequest,
    /// No credential was sent.
    MissingCredentials,
    /// More than one credential was sent.
    AmbiguousCredentials,
    /// Several organizations are here, and the question does not say which one asks.
    OrganizationRequired,
    /// A gateway asks about a request whose method or path it does not say, or whose API is not known.
    RequestUnknown,
    /// The credential was refused, or may not do this; the reason says which.
    Denied(Reason),
    /// Wrong e-mail address or password.
    SignInFailed,
    /// What was proved is right, and the account has a second factor, which was not shown.
    SecondFactorRequired,
    /// Only a signed-in user may do this, not a token.
    UserRequired,
    /// This user may not make organizations on this server.
    OrganizationCreationDenied,
    /// The session does not prove enough: that its person sits there now, or by what the organization asks for.
    ProofRequired,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// No endpoint has this path.
    UnknownPath,
    /// An endpoint has the path, but not with this method.
    MethodNotAllowed,
    /// The published contract has this endpoint, and this server does not.
    NotSupported,
    /// The name is taken.
    NameTaken,
    /// The digest of a secret was registered before.
    DigestUsed,
    /// The change does not fit the present state.
    Conflict,
    /// `If-Match` named another version.
    PreconditionFailed,
    /// The body is too large.
    TooLarge,
    /// The same idempotency key came with another request.
    IdempotencyMismatch,
    /// Too many attempts.
    Throttled,
    /// The service cannot answer now: starting, stopping, or without its database.
    Unavailable,
    /// This node has not heard from its database for so long that what it knows may be out of date.
    Stale,
    /// A position is one of another log than the one that is here.
    OtherLog,
    /// This node has not come to the position that it was to know.
    Behind,
    /// A fault of the service.
    Internal,
}

impl Code {
    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::MissingCredentials => "missing_credentials",
            Self::AmbiguousCredentials => "ambiguous_credentials",
            Self::OrganizationRequired => "organization_required",
            Self::RequestUnknown => "request_unknown",
            Self::Denied(reason) => reason.as_str(),
            Self::SignInFailed => "sign_in_failed",
            Self::SecondFactorRequired => "second_factor_required",
            Self::UserRequired => "user_required",
            Self::OrganizationCreationDenied => "organization_creation_denied",
            Self::ProofRequired => "proof_required",
            Self::NotFound => "not_found",
            Self::UnknownPath => "unknown_path",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotSupported => "not_supported",
            Self::NameTaken => "name_taken",
            Self::DigestUsed => "digest_used",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::TooLarge => "too_large",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Stale => "stale",
            Self::OtherLog => "other_log",
            Self::Behind => "behind",
            Self::Internal => "internal",
        }
    }
}

/// Most faults that are told of one request.
const FAULTS_MAX: usize = 100;
/// Longest name of a field in a fault, and longest text of one, in bytes.
const FIELD_MAX: usize = 256;
const PROBLEM_MAX: usize = 1_024;

/// One thing that is wrong with one field of a request.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Fault {
    /// The field, as the client wrote it; `body` for the whole.
    pub field: String,
    /// What is wrong; completes the sentence that begins with the field.
    pub problem: String,
}

/// What programs are told of an error besides. It is boxed: an error is as large as every result.
#[derive(Clone, Debug)]
pub enum ErrorExtra {
    /// What has the name already, for `NameTaken`, where the caller may see it.
    Holder(Uuid),
    /// The limits of the token, and what is left of them, where one was reached.
    Limits(Metered),
    /// The organization in which a permission is missing, where who asks may be told how to get it.
    Lacking(Uuid),
    /// What would do, for `ProofRequired`.
    Proof {
        /// The providers one of which is to prove who it is; none where any proof does.
        providers: Box<[Box<str>]>,
        /// For how many seconds a proof counts; none where one of any age does.
        max_age: Option<u32>,
        /// Is it to be by two factors?
        two_factors: bool,
    },
}

/// The error. Make one with the function named after its code.
#[derive(Debug)]
pub struct Error {
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong and what to do, for people. Holds no secret.
    pub detail: Box<str>,
    /// All faults of the request, for `InvalidRequest`.
    pub faults: Box<[Fault]>,
    /// The field of the request that it is about, where it is about one; `faults` name theirs.
    pub field: Option<&'static str>,
    /// What else programs are told, where there is something.
    pub told: Option<Box<ErrorExtra>>,
    /// The permission that was missing, for `Denied` with `PermissionDenied` or `ScopeDenied`.
    pub missing_permission: Option<Box<str>>,
    /// The decision that refused, to ask about it later.
    pub decision_id: Option<Box<str>>,
    /// Seconds after which another attempt makes sense.
    pub retry_after: Option<u32>,
    /// What really happened, for the operator's log.
    pub cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with a code and a text.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into().into(),
            faults: Box::default(),
            field: None,
            told: None,
            missing_permission: None,
            decision_id: None,
            retry_after: None,
            cause: None,
        }
    }

    /// The same error, which names what has the name already.
    #[must_use]
    pub fn held_by(self, holder: Option<Uuid>) -> Self {
        Self { told: holder.map(|id| Box::new(ErrorExtra::Holder(id))), ..self }
    }

    /// What has the name already.
    #[must_use]
    pub fn holder(&self) -> Option<Uuid> {
        match self.told.as_deref() {
            Some(ErrorExtra::Holder(id)) => Some(*id),
            _ => None,
        }
    }

    /// The same error, which says in which organization the permission is missing.
    #[must_use]
    pub fn lacking_in(self, organization: Uuid) -> Self {
        match self.missing_permission {
            Some(_) if self.told.is_none() => Self { told: Some(Box::new(ErrorExtra::Lacking(organization))), ..self },
            _ => self,
        }
    }

    /// In which organization the permission is missing, where who asks may be told how to get it.
    #[must_use]
    pub fn lacking(&self) -> Option<Uuid> {
        match self.told.as_deref() {
            Some(ErrorExtra::Lacking(organization)) => Some(*organization),
            _ => None,
        }
    }

    /// The limits of the token, where one was reached.
    #[must_use]
    pub fn limits(&self) -> Option<&Metered> {
        match self.told.as_deref() {
            Some(ErrorExtra::Limits(metered)) => Some(metered),
            _ => None,
        }
    }

    /// Somebody must prove anew to sit at the session; that counts for so long.
    #[must_use]
    pub fn proof_required(within: Micros) -> Self {
        let words = match within.div_euclid(MINUTE) {
            1 => "minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        };
        let detail = format!(
            "This needs a proof of who sits at the session, within the last {words}: send your password with POST \
             /session/proof, or sign in by your provider, and repeat the request."
        );
        Self::new(Code::ProofRequired, detail).proven_by(&[], Some(within))
    }

    /// The same error, which says by which providers (none where any proof does) and within which time it is to be proved.
    #[must_use]
    pub fn proven_by(self, providers: &[Box<str>], within: Option<Micros>) -> Self {
        let max_age = within.map(seconds);
        Self {
            told: Some(Box::new(ErrorExtra::Proof { providers: providers.into(), max_age, two_factors: false })),
            ..self
        }
    }

    /// Two factors are to prove who sits at the session, within this time where there is one.
    #[must_use]
    pub fn two_factors_required(detail: &str, within: Option<Micros>) -> Self {
        let told = ErrorExtra::Proof { providers: Box::default(), max_age: within.map(seconds), two_factors: true };
        Self { told: Some(Box::new(told)), ..Self::new(Code::ProofRequired, detail) }
    }

    /// Are two factors asked for?
    #[must_use]
    pub fn asks_two_factors(&self) -> bool {
        matches!(self.told.as_deref(), Some(ErrorExtra::Proof { two_factors: true, .. }))
    }

    /// For how many seconds a proof counts that is asked for.
    #[must_use]
    pub fn max_age(&self) -> Option<u32> {
        match self.told.as_deref() {
            Some(ErrorExtra::Proof { max_age, .. }) => *max_age,
            _ => None,
        }
    }

    /// The providers of which one is asked for.
    #[must_use]
    pub fn providers(&self) -> &[Box<str>] {
        match self.told.as_deref() {
            Some(ErrorExtra::Proof { providers, .. }) => providers,
            _ => &[],
        }
    }

    /// What came first is right; a second factor is missing.
    #[must_use]
    pub fn second_factor_required() -> Self {
        let problem = "is missing: send the code of your authenticator, or a recovery code as `recovery_code`";
        let fault = Fault { field: "otp".into(), problem: problem.into() };
        let detail =
            "This account has an authenticator, too: send its code as `otp`, or a recovery code as `recovery_code`.";
        Self { faults: Box::new([fault]), ..Self::new(Code::SecondFactorRequired, detail) }
    }

    /// The same error, said to be about a field of the request.
    #[must_use]
    pub fn about(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// One fault in one field.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::faults(vec![Fault { field: field.into(), problem: problem.into() }])
    }

    /// All faults of a request together, as far as anybody reads them.
    #[must_use]
    pub fn faults(mut faults: Vec<Fault>) -> Self {
        let more = faults.len().saturating_sub(FAULTS_MAX);
        faults.truncate(FAULTS_MAX);
        for fault in &mut faults {
            // A field that is not known has the name that the client gave it, of any length.
            for (text, most) in [(&mut fault.field, FIELD_MAX), (&mut fault.problem, PROBLEM_MAX)] {
                if text.len() > most {
                    text.truncate(text.floor_char_boundary(most));
                    text.push('…');
                }
            }
        }
        if more > 0 {
            faults.push(Fault { field: "body".into(), problem: format!("has {more} more faults") });
        }
        let detail = faults.iter().map(|f| format!("`{}` {}", f.field, f.problem)).collect::<Vec<_>>().join("; ");
        Self { faults: faults.into(), ..Self::new(Code::InvalidRequest, detail) }
    }

    /// There is no such `what`, or the caller may not know of it: the same answer for both.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}, or you may not see it."))
    }

    /// The name is taken in this organization.
    #[must_use]
    pub fn name_taken(what: &str, name: &str) -> Self {
        Self::new(Code::NameTaken, format!("The name `{name}` is taken by another {what}. Choose another name."))
            .about("name")
    }

    /// A secret was registered before. Of whose it is nothing is said: whoever asks may be somebody else.
    #[must_use]
    pub fn digest_used() -> Self {
        let detail = "This secret was registered before, and each is registered once. Make another one.";
        Self::new(Code::DigestUsed, detail)
    }

    /// The change does not fit the present state.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Code::Conflict, detail)
    }

    /// The caller may be known, but its role lacks a permission.
    #[must_use]
    pub fn permission_denied(missing: impl Into<String>) -> Self {
        Self::lacks(Reason::PermissionDenied, missing)
    }

    /// The caller may be known, but lacks a permission: its role does, or (`ScopeDenied`) what its token is narrowed to.
    #[must_use]
    pub fn lacks(reason: Reason, missing: impl Into<String>) -> Self {
        let missing = missing.into();
        let detail = if reason == Reason::ScopeDenied {
            format!("This needs the permission `{missing}`. Your role has it, but this token is narrowed to less.")
        } else {
            format!("This needs the permission `{missing}`, which your role does not have.")
        };
        Self { detail: detail.into(), missing_permission: Some(missing.into()), ..Self::new(Code::Denied(reason), "") }
    }

    /// The credential was refused.
    #[must_use]
    pub fn denied(reason: Reason) -> Self {
        Self::new(Code::Denied(reason), reason.sentence())
    }

    /// A limit of the credential was reached; `None` where none was.
    #[must_use]
    pub fn of_limits(metered: &Metered) -> Option<Self> {
        let (reason, seconds) = metered.refused?;
        Some(Self {
            retry_after: Some(seconds),
            told: Some(Box::new(ErrorExtra::Limits(*metered))),
            ..Self::denied(reason)
        })
    }

    /// A fault of the service; the cause goes to the log, the reader gets no detail of it.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(Code::Internal, "Something went wrong on our side. The operator finds the cause in the log.")
        }
    }

    /// What is known may be out of date: a decision by it could accept what was taken back.
    #[must_use]
    pub fn stale() -> Self {
        let detail = "This node has not reached its database for as long as it may decide by what it knows \
                      (max_staleness). Ask another node, or try again.";
        Self { retry_after: Some(1), ..Self::new(Code::Stale, detail) }
    }

    /// What the caller knows of is not here yet.
    #[must_use]
    pub fn behind() -> Self {
        let detail = "This node has not come to the position that you name (at_least), or the log has not. Try again, or ask \
                      the node that answered the change.";
        Self { retry_after: Some(1), ..Self::new(Code::Behind, detail) }
    }

    /// The service cannot answer now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(Code::Unavailable, detail) }
    }
}

/// Whole seconds.
fn seconds(length: Micros) -> u32 {
    u32::try_from(length.div_euclid(SECOND)).unwrap_or(u32::MAX)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// Collects the faults of a request, so that all are told at once.
#[derive(Default, Debug)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault when `check` failed.
    pub fn check(&mut self, field: &str, check: std::result::Result<(), String>) {
        if let Err(problem) = check {
            self.push(field, problem);
        }
    }

    /// The value that was read, or a fault of `field`.
    pub fn read<T, E: fmt::Display>(&mut self, field: &str, read: std::result::Result<T, E>) -> Option<T> {
        read.map_err(|problem| self.push(field, problem.to_string())).ok()
    }

    /// Adds a fault.
    pub fn push(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Fault { field: field.into(), problem: problem.into() });
    }

    /// The value, when there is no fault; otherwise all faults together, those of the value's error among them. What else
    /// went wrong counts only where there is no fault.
    pub fn and<T>(mut self, value: Result<T>) -> Result<T> {
        match value {
            Err(error) if self.0.is_empty() => Err(error),
            Err(error) => {
                self.0.extend(error.faults);
                Err(Error::faults(self.0))
            }
            Ok(value) => self.finish().map(|()| value),
        }
    }

    /// An error when there is any fault.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::faults(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_as_far_as_anybody_reads_them() {
        let long = |n: usize| Fault { field: "ü".repeat(n), problem: "x".repeat(n) };
        let error = Error::faults((0..FAULTS_MAX + 7).map(|_| long(10_000)).collect());
        assert_eq!(error.faults.len(), FAULTS_MAX + 1);
        assert_eq!(error.faults[FAULTS_MAX].problem, "has 7 more faults");
        assert!(error.detail.len() < (FAULTS_MAX + 1) * (FIELD_MAX + PROBLEM_MAX + 20));
        let short = Error::faults(vec![long(3)]);
        assert_eq!((short.faults.len(), &*short.detail), (1, "`üüü` xxx"));
    }
}
