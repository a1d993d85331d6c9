//! Members of the organization, and those who are invited.

use askama::Template;

use super::{Choice, FormField, ListFrame, Moment, ProofFields, RoleChoices, RoleTag, Shell};

/// A member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberRow {
    /// The user's id.
    pub id: String,
    /// The user's name.
    pub name: String,
    /// The user's e-mail address.
    pub email: String,
    /// Has somebody proved to read what is sent there?
    pub email_proven: bool,
    /// The rule that made the membership, as `corp:engineers`; `None` where a person did.
    pub rule: Option<String>,
    /// The role in this organization.
    pub role: RoleTag,
    /// Since when.
    pub joined: Moment,
    /// When the user last did something.
    pub last_active: Moment,
    /// How many living tokens the user made.
    pub tokens: usize,
    /// Is it the person who looks?
    pub is_you: bool,
    /// Is it the owner? Neither role nor membership can be changed then.
    pub is_owner: bool,
    /// May the person who looks change or remove this member?
    pub may_manage: bool,
}

/// Somebody who is invited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvitationRow {
    /// Its id.
    pub id: String,
    /// To whom.
    pub email: String,
    /// The role that comes with it.
    pub role: RoleTag,
    /// Who invited.
    pub inviter: String,
    /// When the link was made.
    pub sent: Moment,
    /// When the link ends.
    pub expires: Moment,
    /// Is it over?
    pub expired: bool,
}

/// `…/members`. `…/members/invite`, `…/members/<id>`, `…/members/<id>/remove`, `…/members/transfer`; posts to
/// `…/invitations/<id>/resend` and `…/invitations/<id>/delete`.
#[derive(Template, Clone, Debug)]
#[template(path = "members.html")]
pub struct MembersPage {
    /// The frame.
    pub shell: Shell,
    /// The members, by name.
    pub members: Vec<MemberRow>,
    /// Those who have not answered yet; empty for somebody who may not manage members.
    pub invitations: Vec<InvitationRow>,
    /// How the members are sorted, and where they go on.
    pub list: ListFrame,
    /// The same of the invitations.
    pub invited: ListFrame,
    /// May the person invite and manage?
    pub may_manage: bool,
    /// May the person hand the organization over?
    pub may_transfer: bool,
}

/// `…/members/invite`; posts `email`, `role_id`.
#[derive(Template, Clone, Debug)]
#[template(path = "member-invite.html")]
pub struct InvitePage {
    /// The frame.
    pub shell: Shell,
    /// To whom.
    pub email: FormField,
    /// The role that comes with it.
    pub roles: RoleChoices,
    /// Will Tokenward send the link by mail?
    pub sends_mail: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// The answer to the form: the only page that ever shows the secret link. Never cached, never redirected to.
#[derive(Template, Clone)]
#[template(path = "invitation-created.html")]
pub struct InvitationCreatedPage {
    /// The frame.
    pub shell: Shell,
    /// To whom.
    pub email: String,
    /// The role that comes with it.
    pub role: RoleTag,
    /// The link with its secret.
    pub link: String,
    /// When it ends.
    pub expires: Moment,
    /// Was it sent by mail as well?
    pub mailed: bool,
}

/// Without the link.
impl std::fmt::Debug for InvitationCreatedPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvitationCreatedPage").field("email", &self.email).finish_non_exhaustive()
    }
}

/// `…/members/<id>`: another role; posts `role_id`, `fate` once for each listed token, `rest`, `overlap`, `hand_over_to` and `keep_invitations`.
#[derive(Template, Clone, Debug)]
#[template(path = "member.html")]
pub struct MemberPage {
    /// The frame.
    pub shell: Shell,
    /// The member.
    pub member: MemberRow,
    /// The roles to choose from.
    pub roles: RoleChoices,
    /// The living tokens that the member made or owns.
    pub tokens: MemberTokens,
    /// Who takes over the tokens that the member owns.
    pub heirs: Heirs,
    /// The pending invitations that the member has sent: they end with a smaller role.
    pub sent: Vec<InvitationRow>,
    /// Are they to stay?
    pub keep_invitations: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// Who can take over the tokens that a member owns. The form sends `hand_over_to`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Heirs {
    /// How many tokens these are.
    pub owned: usize,
    /// What is chosen, in a sentence.
    pub hint: String,
    /// The other members, and to leave them; none where the person may not say so.
    pub choices: Vec<Choice>,
    /// What is wrong with the chosen one.
    pub error: Option<String>,
}

/// The living tokens of a member who leaves or gets another role. The form sends `fate` for each that is listed, `rest` for the others, and `overlap`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MemberTokens {
    /// The first of them.
    pub rows: Vec<MemberToken>,
    /// How many there are.
    pub count: usize,
    /// What can become of all that are not listed; none where all are, or the person may not say so.
    pub rest: Vec<Choice>,
    /// What is wrong with that.
    pub rest_error: Option<String>,
    /// How long those that end are still accepted.
    pub overlaps: Vec<Choice>,
    /// May the person say what becomes of them?
    pub may_change: bool,
    /// What is wrong with what was chosen.
    pub error: Option<String>,
    /// What is wrong with how long that is.
    pub overlap_error: Option<String>,
}

/// A token that such a member made or owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberToken {
    /// Its id.
    pub id: String,
    /// `API token` or `Policy token`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What is shown of its text.
    pub hint: String,
    /// Its role.
    pub role: RoleTag,
    /// When it was last used; `None` when never.
    pub last_used: Option<Moment>,
    /// Did the member make it?
    pub made: bool,
    /// Is the member accountable for it?
    pub owned: bool,
    /// What can become of it.
    pub fates: Vec<Choice>,
}

/// `…/members/<id>/remove`; posts `fate` once for each listed token, `rest`, `overlap`, `hand_over_to` and `keep_invitations`.
#[derive(Template, Clone, Debug)]
#[template(path = "member-remove.html")]
pub struct MemberRemovePage {
    /// The frame.
    pub shell: Shell,
    /// The member.
    pub member: MemberRow,
    /// The living tokens that the member made or owns.
    pub tokens: MemberTokens,
    /// Who takes over those that the member owns.
    pub heirs: Heirs,
    /// The pending invitations that the member has sent: they end.
    pub sent: Vec<InvitationRow>,
    /// Are they to stay?
    pub keep_invitations: bool,
    /// Why it did not happen, with what to do.
    pub error: Option<String>,
}

/// A member who can become owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferCandidate {
    /// The user's id.
    pub id: String,
    /// The user's name.
    pub name: String,
    /// The user's e-mail address.
    pub email: String,
    /// The role now.
    pub role: String,
}

/// `…/members/transfer`; posts `user_id`, `confirm` (the organization's name, typed) and `password`.
#[derive(Template, Clone, Debug)]
#[template(path = "transfer.html")]
pub struct TransferPage {
    /// The frame.
    pub shell: Shell,
    /// Who can become owner.
    pub candidates: Vec<TransferCandidate>,
    /// The id of the chosen one.
    pub chosen: String,
    /// The organization's name, typed to confirm.
    pub typed: FormField,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
