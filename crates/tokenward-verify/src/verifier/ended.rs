//! What is answered about secrets that have ended: why, to their own organization, and nothing to others.

use tokenward_core::caller::Grant;
use tokenward_core::decision::Decision;
use tokenward_core::directory::{Directory, Organization};
use tokenward_core::ended::{EndedSecret, Why};
use tokenward_core::index::FoundRecord;
use tokenward_core::reason::Reason;
use tokenward_core::role::Target;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::Reader;

use super::{CheckOutcome, Verifier};
use crate::pending::Exercised;
use crate::question::{Asking, Presenter, Question};
use crate::record::DecisionFact;
use crate::trace::DecisionId;

/// What is known of a text.
pub(super) enum Looked<'a> {
    /// It is a secret that lives.
    Living(FoundRecord<'a>),
    /// It was one.
    Ended(EndedSecret),
    /// Nothing.
    Unknown,
}

impl<'a> Looked<'a> {
    pub(super) fn living(&self) -> Option<FoundRecord<'a>> {
        match self {
            Self::Living(found) => Some(*found),
            Self::Ended(_) | Self::Unknown => None,
        }
    }

    /// One that has ended, and its organization, for those who may know of it.
    pub(super) fn ended<'d>(
        &self,
        directory: &'d Directory,
        asking: Asking,
    ) -> Option<(EndedSecret, &'d Organization)> {
        let Self::Ended(ended) = self else { return None };
        let organization = directory.numbered(ended.organization)?;
        asking.may_see(organization.id).then_some((*ended, organization))
    }
}

impl Verifier {
    /// The answer about what does not live.
    #[cold]
    pub(super) fn answer_ended<'a>(
        &'a self,
        looked: &Looked<'_>,
        directory: &Directory,
        (question, kept): (&Question<'_>, &Question<'_>),
    ) -> Result<CheckOutcome<'a>> {
        let Some((ended, organization)) = looked.ended(directory, question.asking) else {
            return self.answer_unknown(directory, (question, kept));
        };
        let reason = ended.why.reason();
        self.0.refusals.count(reason, question.from.address);
        let id = self.record_ended(&ended, organization.id, kept, false);
        Ok(CheckOutcome { decision: deny(reason), found: None, metered: None, brownout: None, id })
    }

    /// The answer about what nobody knows. As long as it may be one that has ended, it is no guess, and nothing is counted.
    #[cold]
    pub(super) fn answer_unknown<'a>(
        &'a self,
        directory: &Directory,
        (question, kept): (&Question<'_>, &Question<'_>),
    ) -> Result<CheckOutcome<'a>> {
        if self.0.followed.index.ended.is_whole() {
            self.miss(Reason::Unknown, question.from.address)?;
            return Ok(self.refuse(Reason::Unknown, directory, kept));
        }
        let id = self.0.uses.of_nobody(None);
        Ok(CheckOutcome { decision: deny(Reason::Unknown), found: None, metered: None, brownout: None, id })
    }

    /// The refusal of a credential of our own API that does not live.
    #[cold]
    pub(super) fn refuse_ended(&self, looked: &Looked<'_>, directory: &Directory, from: &Presenter<'_>) -> Error {
        let Some((ended, organization)) = looked.ended(directory, Asking::Any) else {
            let counts = self.0.followed.index.ended.is_whole();
            return if counts { self.refused(Reason::Unknown, from.address) } else { Error::denied(Reason::Unknown) };
        };
        let question = Question::new(Asking::Any, tokenward_core::decision::Ask::Identity).from(*from);
        self.record_ended(&ended, organization.id, &question, true);
        self.refused(ended.why.reason(), from.address)
    }

    /// How often a token of the organization was refused for this reason from a day on, up to now.
    pub async fn denied_since(
        &self,
        reader: &mut Reader,
        grant: &Grant,
        token: Uuid,
        of: (Reason, i64),
    ) -> Result<i64> {
        self.0.uses.denied_since(reader, grant, token, of).await
    }

    /// Notes that it was presented.
    fn record_ended(
        &self,
        ended: &EndedSecret,
        organization: Uuid,
        question: &Question<'_>,
        of_ours: bool,
    ) -> DecisionId<'_> {
        if ended.why == Why::Replaced {
            self.note_reuse((ended.token, ended.version), organization, &question.from);
        }
        let fact = DecisionFact {
            at: self.0.clock.recent(),
            organization,
            token: Some(ended.token),
            decision: deny(ended.why.reason()),
            target: Target::Organization,
            question,
            of_ours,
        };
        self.0.uses.of_token((ended.token, ended.version), &fact, Exercised::default())
    }
}

fn deny(reason: Reason) -> Decision<'static> {
    Decision::Deny { reason, missing: None }
}
