//! The table of limits: everything that a client can make grow has a row here. Errors name the row, `GET /limits`
//! shows it with the value in force, and `docs/limits.md` is the table for people.
//!
//! To add a limit, add a row; to read one that is a setting, ask [`Limits`]. Nothing else bounds with a number of its
//! own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenward_core::{Code, Error, name};

/// What a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Things.
    Count,
    /// Characters.
    Characters,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Days.
    Days,
    /// Bytes in a second.
    BytesPerSecond,
    /// Things in a minute.
    PerMinute,
    /// Things in an hour.
    PerHour,
}

impl Unit {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Characters => "characters",
            Self::Bytes => "bytes",
            Self::Milliseconds => "ms",
            Self::Days => "days",
            Self::BytesPerSecond => "bytes/s",
            Self::PerMinute => "per minute",
            Self::PerHour => "per hour",
        }
    }
}

/// One limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Its name, in errors and in the configuration. Never changes.
    pub name: &'static str,
    /// What it is where nobody sets it; 0 where it follows from something else, as `bounds` says.
    pub default: u64,
    /// What it counts.
    pub unit: Unit,
    /// What it bounds, in one sentence.
    pub bounds: &'static str,
    /// Can the operator set it?
    pub setting: bool,
}

/// Each row becomes a constant, and all of them [`ALL`].
macro_rules! limits {
    ($($name:ident = $kind:ident $text:literal $default:expr, $unit:ident, $bounds:literal;)*) => {
        $(
            #[doc = $bounds]
            pub static $name: Limit = Limit {
                name: $text,
                default: $default,
                unit: Unit::$unit,
                bounds: $bounds,
                setting: limits!(@ $kind),
            };
        )*
        /// Every limit, in the order of the page.
        pub static ALL: &[&Limit] = &[$(&$name),*];
    };
    (@ setting) => { true };
    (@ fixed) => { false };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

limits! {
    HEAD_TIME = setting "head_ms" 10_000, Milliseconds,
        "How long a connection may take for a TLS handshake, for its first bytes, and for the head of a request.";
    CONNECTIONS = setting "connections" 0, Count,
        "Connections at once, of all clients and on all ports; derived: three quarters of the files that the process may open, at most 10,000.";
    CONNECTIONS_PER_ADDRESS = setting "connections_per_address" 0, Count,
        "Connections at once of one client address (IPv6: one /64) that is no trusted proxy or gateway; derived: a quarter of `connections`, at most 512.";
    IDLE_TIME = setting "idle_ms" 90_000, Milliseconds,
        "How long a connection without a request stays open: longer than proxies keep theirs, which is 60 seconds in nginx and in most load balancers.";
    ANSWER_STALL = setting "answer_stall_ms" 30_000, Milliseconds,
        "How long a client may take nothing of an answer that is there.";
    HEAD_BYTES = fixed "head_bytes" 64 * KIB, Bytes,
        "The head of a request: its path and its headers.";
    BODIES_BYTES = setting "bodies_bytes" 64 * MIB, Bytes,
        "The bodies of all requests that are not answered yet, but for those of up to 4 KiB, and the answers of more than 64 KiB that are not taken yet; a list that is written while it is sent counts as 256 KiB.";
    BODIES_PER_ADDRESS = setting "bodies_per_address_bytes" 16 * MIB, Bytes,
        "The same from one client address (IPv6: one /64) that is no trusted proxy or gateway.";
    STREAMS = fixed "streams" 32, Count,
        "Requests at once on a connection of HTTP/2.";
    GATEWAY_STREAMS = fixed "gateway_streams" 1_024, Count,
        "Questions at once on a connection of Envoy's.";
    STREAM_BUFFER = fixed "stream_buffer_bytes" 64 * KIB, Bytes,
        "What is kept of one stream of HTTP/2 before somebody takes it, in each direction.";
    CONNECTION_BUFFER = fixed "connection_buffer_bytes" 512 * KIB, Bytes,
        "The same for all that clients send on one connection.";
    RESETS = fixed "resets" 64, Count,
        "Streams of HTTP/2 that a client began and took back before they were looked at.";
    STOP_TIME = fixed "stop_ms" 10_000, Milliseconds,
        "How long requests that run may go on when the server is told to stop.";
    BODY_BYTES = fixed "body_bytes" MIB, Bytes,
        "The body of a request of the API.";
    BODY_TIME = fixed "body_ms" 10_000, Milliseconds,
        "How long a body of the API may take to arrive.";
    DOCUMENT_BYTES = fixed "document_bytes" 32_000_000, Bytes,
        "A document that describes the routes of an API.";
    WHOLE_DOCUMENT_BYTES = fixed "whole_document_bytes" 10_000_000, Bytes,
        "What of such a document is kept until it is read. A larger one is read while it comes, and one in TOML is not taken.";
    LARGE_DOCUMENTS = fixed "large_documents" 2, Count,
        "Documents that are read while they come, at once; one of an organization.";
    PASTED_DOCUMENT_BYTES = fixed "pasted_document_bytes" 5_000_000, Bytes,
        "The same in a form of the console.";
    DOCUMENT_TIME = fixed "document_ms" 60_000, Milliseconds,
        "How long such a document may take to arrive.";
    BODY_RATE = fixed "body_rate_bytes" 16 * KIB, BytesPerSecond,
        "What must come of any body, in each ten seconds that it takes.";
    VISITOR_FORM_BYTES = fixed "visitor_form_bytes" 16 * KIB, Bytes,
        "A form of somebody who is not signed in; it has the time of a body of the API.";
    FORM_BYTES = fixed "form_bytes" 4 * MIB, Bytes,
        "A form of the console: a role of a few thousand projects still fits.";
    DOCUMENT_FORM_BYTES = fixed "document_form_bytes" 20_000_000, Bytes,
        "A form of the console with a document in it: a form writes three bytes for one that is no letter, and six for the end of a line.";
    FORM_FIELDS = fixed "form_fields" 50_000, Count,
        "Fields of a form.";
    FORM_WORD = fixed "form_word_characters" 512, Characters,
        "A field of a form in which nobody writes a text: a choice, an id, a number, a name that is typed again, or what is looked for.";
    NEXT_PATH = fixed "next_characters" 2_000, Characters,
        "A page of ours that is gone on to after a sign-in or a proof; a longer address is forgotten.";
    FORM_TIME = fixed "form_ms" 60_000, Milliseconds,
        "How long a form of the console may take to arrive.";
    DISCARDED_BYTES = fixed "discarded_bytes" 64 * MIB, Bytes,
        "What is read of a form or a document that is too large, and thrown away, so that the client hears our answer.";
    ROUTES = fixed "routes" tokenward_core::routes::ROUTES_MAX as u64, Count,
        "Routes of one API.";
    ROUTE_PATH_BYTES = fixed "route_path_bytes" tokenward_core::routes::TEMPLATE_MAX as u64, Bytes,
        "The path of a route.";
    ROUTE_PARAMETERS = fixed "route_parameters" tokenward_core::routes::PARAMETERS_MAX as u64, Count,
        "Parameters in the path of a route.";
    ROUTE_PERMISSIONS = fixed "route_permissions" tokenward_core::needs::PERMISSIONS_MAX as u64, Count,
        "Permissions that one route needs.";
    ALLOW_PATHS = fixed "allow_paths" tokenward_core::path::Reading::ALL.len() as u64, Count,
        "Ways in which the servers of one API are known to read paths.";
    ROUTE_WAYS = fixed "route_ways" tokenward_core::needs::WAYS_MAX as u64, Count,
        "Ways of one route, of which any one is enough.";
    ROLE_PERMISSIONS = setting "role_permissions" 200, Count,
        "Permissions that a custom role names.";
    ROLE_PERMISSIONS_CHARACTERS = fixed "role_permissions_characters" 1_300_000, Characters,
        "The permissions of a role as lines of a form: many more than a role names, so that they can be put right.";
    CUSTOM_ROLES = setting "custom_roles" 500, Count,
        "Custom roles of an organization.";
    APIS = setting "apis" 100, Count,
        "APIs of an organization.";
    ORGANIZATION_ROUTES = setting "organization_routes" 100_000, Count,
        "Routes of all APIs of an organization together: they are in memory.";
    VARIABLE_VALUE_BYTES = fixed "variable_value_bytes" 64 * KIB, Bytes,
        "The value of a variable or a secret.";
    MISSES_PER_MINUTE = setting "misses_per_minute" 100, PerMinute,
        "Malformed or unknown tokens that one client address (IPv6: one /64) presents; beyond, it has to wait. Valid tokens always pass.";
    PROOF_TIME = setting "proof_ms" 300_000, Milliseconds,
        "How long a typed password proves who sits at a session: for a transfer of ownership, the deletion of an organization, and tokens with the role admin.";
    MAILS_PER_INVITER = setting "mails_per_inviter" 50, PerHour,
        "Invitations that one member or token sends by mail.";
    MAILS_PER_ORGANIZATION = setting "mails_per_organization" 200, PerHour,
        "The same of an organization.";
    MAILS_PER_RECIPIENT = setting "mails_per_recipient" 5, PerHour,
        "The same to one address, from everybody.";
    NOTICES_PER_RECIPIENT = setting "notices_per_recipient" 20, PerHour,
        "Mails to one person about the own account: sign-ins with a device that is not known, changes of the address.";
    PASSWORD_RESETS_PER_RECIPIENT = setting "password_resets_per_recipient" 3, PerHour,
        "Mails to one address by which somebody chooses a new password; what is asked for beyond is not sent.";
    PASSWORD_RESETS_PER_ADDRESS = setting "password_resets_per_address" 10, PerHour,
        "The same that one client address (IPv6: one /64) asks for.";
    PASSWORD_RESETS = setting "password_resets" 300, PerHour,
        "The same in all.";
    PASSWORD_RESETS_WAITING = fixed "password_resets_waiting" 256, Count,
        "Such requests that wait for their mail.";
    PASSWORD_RESET_TIME = fixed "password_reset_ms" 1_800_000, Milliseconds,
        "How long the link is good by which somebody chooses a new password.";
    EMAIL_CHANGE_TIME = fixed "email_change_ms" 3_600_000, Milliseconds,
        "How long the link is good by which an account gets a new address.";
    EMAIL_UNDO_TIME = fixed "email_undo_ms" 259_200_000, Milliseconds,
        "How long the old address can take that back: 72 hours.";
    MAIL_RETRY = setting "mail_retry_ms" 20_000, Milliseconds,
        "How long a mail waits that the mail server did not take; each of five further tries waits twice as long.";
    MAILS_WAITING = fixed "mails_waiting" 1_000, Count,
        "Mails that wait to be sent, or sent again; one more is not sent, and the log says so.";
    MAIL_MEMORY = fixed "mail_memory" 65_536, Count,
        "Inviters, organizations and addresses whose mails are remembered.";
    SIGN_IN_ATTEMPTS = setting "sign_in_attempts" 5, Count,
        "Failed attempts at one account from one client address (IPv6: one /64), or by one known device, before waiting begins.";
    SIGN_IN_ATTEMPTS_PER_ADDRESS = setting "sign_in_attempts_per_address" 20, Count,
        "The same from one client address at all accounts; links that lead nowhere are counted apart, by the same number.";
    SIGN_IN_ATTEMPTS_PER_ACCOUNT = setting "sign_in_attempts_per_account" 50, Count,
        "The same at one account from all addresses, of strangers: known devices do not count and are not held up.";
    SIGN_IN_WINDOW = setting "sign_in_window_ms" 3_600_000, Milliseconds,
        "In this time as many failed attempts are forgiven as are free.";
    SIGN_IN_LOCK = setting "sign_in_lock_ms" 900_000, Milliseconds,
        "The longest wait after failed attempts; the first one is a second, and each failure doubles it.";
    SIGN_IN_MEMORY = fixed "sign_in_memory" 262_144, Count,
        "Accounts, addresses and devices whose failed attempts are remembered: more than can be tried in the longest wait.";
    PASSWORD_FAILURES = fixed "password_failures" 100_000, Count,
        "The same that several nodes keep in the database; of more, those go within a minute that are forgiven soonest.";
    SET_UP_LINKS = fixed "set_up_links" 100, Count,
        "Set-up links that count at once: each server that starts while there is no organization prints one; of more the newest count.";
    SECURITY_MEMORY = fixed "security_memory" 16_384, Count,
        "Accounts, kinds and clients of failed attempts that are counted until they are written, which is every minute; of more the log of the process tells alone.";
    CODE_ATTEMPTS = setting "code_attempts" 5, Count,
        "Codes of a second factor in a row that are wrong at one account, on all nodes, before strangers wait there; a known device, and whoever has proved more than the password, is counted apart.";
    CODE_PAUSE = setting "code_pause_ms" 900_000, Milliseconds,
        "How long: since the last one of them; after as long without any, counting begins anew.";
    CODE_TIME = fixed "code_ms" 300_000, Milliseconds,
        "How long a browser that has shown the first factor may take to show the second.";
    CODE_CHARACTERS = fixed "code_characters" 64, Characters,
        "A code of a second factor, with blanks and hyphens.";
    RECOVERY_CODES = fixed "recovery_codes" 10, Count,
        "Recovery codes of one account.";
    SECOND_FACTOR_SET_UP = fixed "second_factor_set_up_ms" 600_000, Milliseconds,
        "How long setting up an authenticator may take, until its first code.";
    SECOND_FACTOR_SET_UP_CHARACTERS = fixed "second_factor_set_up_characters" 1_024, Characters,
        "What a client carries meanwhile, sealed.";
    KNOWN_DEVICE_TIME = setting "known_device_ms" 7_776_000_000, Milliseconds,
        "How long a browser, or the network of a program, is known for an account after a sign-in: 90 days.";
    KNOWN_PLACES = fixed "known_places" 65_536, Count,
        "Accounts and networks from which somebody signed in that are remembered, until the server is stopped.";
    HASHES = setting "hashes" 2, Count,
        "Passwords that are hashed at once; each takes a core and 19 MiB.";
    HASHES_WAITING = setting "hashes_waiting" 32, Count,
        "Strangers whose passwords wait to be hashed.";
    HASHES_WAITING_PER_ADDRESS = setting "hashes_waiting_per_address" 8, Count,
        "The same of one client address (IPv6: one /64), or of one known device.";
    HASHES_WAITING_KNOWN = setting "hashes_waiting_known" 16, Count,
        "Known devices and holders of links whose passwords wait to be hashed; they have every second turn.";
    TOKENS = setting "max_tokens" 1_000_000, Count,
        "Tokens of an organization that live; what has expired is left out within a minute.";
    TOKEN_CREATES = setting "token_creates_per_minute" 0, PerMinute,
        "Tokens of all kinds that one credential makes, at each node; an import counts as one, and 0 is no limit.";
    TOKEN_VERSIONS = fixed "token_versions" 5, Count,
        "Secrets of one token that are accepted at once: its newest, and those before that are not over.";
    TOKEN_NETWORKS = fixed "token_networks" 1_000, Count,
        "Networks that one token is bound to.";
    POLICY_TOKENS = setting "policy_tokens" 10_000, Count,
        "Policy tokens of an organization that live: their policies are in memory, and read at a start.";
    TOKEN_PERMISSIONS = fixed "token_permissions" 100, Count,
        "Permissions that one token is narrowed to.";
    TOKEN_PROJECTS = fixed "token_projects" 100, Count,
        "Projects that one token is narrowed to.";
    TOKEN_ENVIRONMENTS = fixed "token_environments" 100, Count,
        "Environments that one token is narrowed to.";
    POLICY_CHARACTERS = fixed "policy_characters" tokenward_verify::server::policy::POLICY_CHARACTERS as u64, Characters,
        "The policy of a policy token.";
    POLICY_NESTING = fixed "policy_nesting" tokenward_verify::server::policy::POLICY_NESTING as u64, Count,
        "Brackets within brackets in a policy: the time to read it doubles with each.";
    POLICY_CHAIN = fixed "policy_operators" tokenward_verify::server::policy::POLICY_CHAIN as u64, Count,
        "Operators, fields and indexes in one expression of a policy.";
    POLICY_LITERALS = fixed "policy_literals" tokenward_verify::server::policy::POLICY_LITERALS as u64, Count,
        "Texts and numbers in a policy.";
    POLICY_RULES = fixed "policy_rules" tokenward_verify::server::policy::POLICY_RULES as u64, Count,
        "Rules of a policy.";
    POLICY_DEPTH = fixed "policy_depth" tokenward_verify::server::policy::POLICY_DEPTH as u64, Count,
        "Rules of a policy that use each other, one below the other.";
    POLICY_INSTRUCTIONS = fixed "policy_steps" tokenward_verify::server::policy::POLICY_INSTRUCTIONS as u64, Count,
        "Steps of one question to a policy.";
    POLICY_TIME = fixed "policy_ms" tokenward_verify::server::policy::POLICY_TIME.as_millis() as u64, Milliseconds,
        "How long one question to a policy may take.";
    POLICY_BODY = fixed "policy_body_bytes" tokenward_verify::server::policy::POLICY_BODY as u64, Bytes,
        "The body of a request that a policy is shown; a larger one is denied.";
    REQUEST_BODY = fixed "request_body_bytes" 512 * KIB, Bytes,
        "The body of a request that a question is about.";
    POLICY_COMPILE_TIME = fixed "policy_compile_ms" 2_000, Milliseconds,
        "How long a policy may wait to be read, and how long that may take.";
    POLICIES_AT_ONCE = fixed "policies_at_once" 2, Count,
        "Policies that are read at once; one of an organization.";
    POLICY_REQUESTS = fixed "policy_requests" 100, Count,
        "Requests about which a policy is asked at once without being kept.";
    TOKEN_POLICY_ROLES = fixed "token_policy_roles" 1_000, Count,
        "Roles about which a token policy says something of its own.";
    TOKEN_NETWORKS_CHARACTERS = fixed "token_networks_characters" 195_000, Characters,
        "The same as lines of a form, with what is noted of each.";
    TOKEN_PERMISSIONS_CHARACTERS = fixed "token_permissions_characters" 13_000, Characters,
        "The permissions that a token is narrowed to, as lines of a form.";
    TOKEN_PLACES_LINES = fixed "token_places_lines" 200, Count,
        "Projects and environments together, as lines of a form.";
    TOKEN_PLACES_CHARACTERS = fixed "token_places_characters" 52_000, Characters,
        "The same in characters.";
    TOKEN_IMPORT_CHARACTERS = fixed "token_import_characters" 1_000_000, Characters,
        "Rows of an import in a form of the console.";
    NETWORK_CHARACTERS = fixed "network_characters" 64, Characters,
        "A network, as it is written.";
    NETWORK_NOTE_CHARACTERS = fixed "network_note_characters" 128, Characters,
        "What is noted about a network.";
    TOKEN_LABELS = fixed "token_labels" 32, Count,
        "Labels of one token.";
    TOKEN_LABELS_BYTES = fixed "token_labels_bytes" 4 * KIB, Bytes,
        "The labels of one token, as JSON.";
    TOKEN_METADATA_BYTES = fixed "token_metadata_bytes" 4 * KIB, Bytes,
        "The metadata of one token, as JSON.";
    TOKEN_METADATA_TEXT = fixed "token_metadata_text_bytes" 16 * KIB, Bytes,
        "The same as it is typed into a form, with blanks and line breaks.";
    TOKEN_UNDO = setting "token_undo_ms" 3_600_000, Milliseconds,
        "How long ago the deletion of a token may be to be undone: an hour; 1 for never.";
    TOKEN_OVERLAP = setting "token_overlap_ms" 2_592_000_000, Milliseconds,
        "How long an earlier secret of a token may be accepted after a rotation: 30 days.";
    TOKEN_BROWNOUT_WINDOW = fixed "token_brownout_window_ms" 3_600_000, Milliseconds,
        "How long a token is refused at a time in a brownout: an hour.";
    TOKEN_BROWNOUT = setting "token_brownout_ms" 2_592_000_000, Milliseconds,
        "How far the end of a brownout may be: 30 days.";
    TOKEN_ATTEST = setting "token_attest_ms" 1_209_600_000, Milliseconds,
        "How long an owner has to say that a token is still needed before it is marked, and once more before it is switched off: 14 days.";
    PROJECTS = setting "projects" 1_000, Count,
        "Projects of an organization.";
    ENVIRONMENTS = setting "environments" 100, Count,
        "Environments of a project.";
    CLUSTERS = setting "clusters" 100, Count,
        "Clusters of an organization.";
    VARIABLES = setting "variables" 1_000, Count,
        "Variables and secrets of a project, and of an environment.";
    VARIABLES_BYTES = setting "variables_bytes" 4 * MIB, Bytes,
        "What the values of the variables and secrets of a project, and of an environment, have together.";
    VARIABLES_TOLD_BYTES = fixed "variables_told_bytes" 16 * MIB, Bytes,
        "The values in one answer about variables: an alias tells the value that it stands for, too.";
    MEMBERS = setting "members" 10_000, Count,
        "Members of an organization.";
    INVITATIONS = setting "invitations" 1_000, Count,
        "Invitations of an organization that were not accepted, expired ones among them.";
    ORGANIZATIONS = setting "organizations" 100, Count,
        "Organizations that one person owns.";
    SESSIONS = setting "sessions" 20, Count,
        "Sessions of one person at once: a further one ends the oldest.";
    PROVIDER_TIME = fixed "provider_ms" 5_000, Milliseconds,
        "How long a provider of identities may take for all that one sign-in asks of it.";
    PROVIDER_BYTES = fixed "provider_bytes" 256 * KIB, Bytes,
        "One answer of a provider of identities.";
    KEYS_PUBLISHED = fixed "provider_keys" 100, Count,
        "Keys that a provider of identities publishes.";
    PROVIDER_ICON = fixed "provider_icon_bytes" 32 * KIB, Bytes,
        "The picture of a provider of identities on its buttons.";
    PROVIDERS_ASKED = fixed "providers_asked" 16, Count,
        "Sign-ins that ask a provider of identities at once; others wait.";
    SIGN_IN_ATTEMPT_TIME = fixed "provider_sign_in_ms" 600_000, Milliseconds,
        "How long somebody may be at a provider of identities until coming back.";
    SIGN_IN_ATTEMPTS_OPEN = fixed "provider_sign_ins" 5, Count,
        "Sign-ins by a provider that one browser has under way; one more ends the oldest.";
    PASSKEYS = setting "passkeys" 20, Count,
        "Passkeys of one person.";
    PASSKEY_BYTES = fixed "passkey_bytes" 64 * KIB, Bytes,
        "What a browser says that an authenticator has answered.";
    PASSKEY_STATE = fixed "passkey_state_bytes" 4 * KIB, Bytes,
        "What a client carries until an authenticator has answered: a cookie holds it.";
    PASSKEY_TIME = fixed "passkey_ms" 300_000, Milliseconds,
        "How long somebody may be at an authenticator until its answer comes.";
    COMMAND_LINE_CODE_TIME = fixed "command_line_code_ms" 60_000, Milliseconds,
        "How long the code is good that a browser brings to `tokenward login`.";
    DEVICE_SIGN_IN_TIME = setting "device_sign_in_ms" 600_000, Milliseconds,
        "How long a machine waits whose short code somebody is to type.";
    DEVICE_POLL = setting "device_poll_ms" 5_000, Milliseconds,
        "How long such a machine waits between two questions; one that asks sooner waits 5 seconds longer each time.";
    DEVICE_SIGN_INS = setting "device_sign_ins" 1_000, Count,
        "Machines that wait so, in all.";
    DEVICE_SIGN_INS_PER_ADDRESS = setting "device_sign_ins_per_address" 5, Count,
        "The same of one client address (IPv6: one /64).";
    DEVICE_GUESSES = setting "device_guesses" 5, Count,
        "Short codes that one account types and that are none, in the time that a machine waits.";
    HOST_NAME = fixed "host_name_characters" 64, Characters,
        "What a machine calls itself that asks to be signed in.";
    LOGOUT_TOKEN = fixed "logout_token_bytes" 16 * KIB, Bytes,
        "The token by which a provider of identities says that somebody has signed out there.";
    LOGOUT_TOKEN_TIME = fixed "logout_token_ms" 600_000, Milliseconds,
        "How old such a token may be, and for how long it is remembered that it came.";
    SUBJECT = fixed "subject_characters" 255, Characters,
        "What a provider of identities calls a person.";
    CLAIM_VALUES = fixed "claim_values" 10_000, Count,
        "Values of one claim, such as groups; a claim with more counts as absent.";
    SIGN_IN_RULES = fixed "sign_in_rules" 200, Count,
        "Rules of an organization about who becomes a member by a provider.";
    SIGN_IN_RULE_VALUE = fixed "sign_in_rule_characters" 255, Characters,
        "What a rule compares with the groups that a provider says.";
    PROVIDER_KEYS = fixed "sign_in_providers" 16, Count,
        "Providers of which an organization asks that one proves its sessions.";
    GRACE_DAYS = fixed "two_factors_grace_days" 30, Count,
        "Days for which an organization that asks two factors of sessions refuses nobody yet, at most.";
    IDEMPOTENCY_KEYS = setting "idempotency_keys" 10_000, Count,
        "Answers of one organization that are kept for their `Idempotency-Key`.";
    IDEMPOTENCY_ANSWER = fixed "idempotency_answer_bytes" MIB, Bytes,
        "One of them; a larger answer is given and not kept, and a repetition says so.";
    IDEMPOTENCY_BYTES = setting "idempotency_bytes" 64 * MIB, Bytes,
        "All of them together; where there is no room for a further answer, a request with a new key is refused.";
    READS = setting "organization_reads" 2, Count,
        "Reads of one organization from the database at once; others of it wait.";
    WRITES = setting "organization_writes" 2, Count,
        "Writes of one organization to the database at once; others of it wait. Tokens that are made or deleted share one.";
    SHARE_WAIT = setting "organization_wait_ms" 10_000, Milliseconds,
        "How long such a read or write waits for its turn.";
    ORGANIZATION_WAITING = fixed "organization_waiting" 4_096, Count,
        "Reads and writes of one organization that wait so, and, counted apart, tokens to be made or deleted.";
    LARGE_WORKS = fixed "large_works_waiting" 64, Count,
        "Large bodies, batches and documents of one organization, or of the clients at one address, that wait for a processor; half of the processors, one at least, work for it at once.";
    LARGE_WORK_WAIT = fixed "large_work_wait_ms" 30_000, Milliseconds,
        "How long each of them waits.";
    HANDSHAKES = fixed "handshakes_per_address" 16, Count,
        "Connections of one client address (IPv6: one /64) that make their TLS handshake at once; others of it wait.";
    RECEIPT_WAIT = setting "receipt_wait_ms" 1_000, Milliseconds,
        "How long what takes something away waits until it counts on every node, where the request does not say so itself.";
    RECEIPT_WAIT_MOST = fixed "receipt_wait_most_ms" 30_000, Milliseconds,
        "How long a request may say that it is to wait (`Prefer: wait=SECONDS`).";
    AT_LEAST_WAIT = setting "at_least_wait_ms" 1_000, Milliseconds,
        "How long a request waits until this node has come to the position that it is to know.";
    POSITION = fixed "position_characters" 64, Characters,
        "A position in the log, as `Tokenward-Position` says it.";
    EVENT_TARGETS = fixed "event_targets" 1_000, Count,
        "Things that a list of what events are about names, those of the newest events.";
    EVENTS_LOOKED_THROUGH = fixed "events_looked_through" 10_000, Count,
        "Events that such a list is made of, the newest.";
    EVENT_BYTES = fixed "event_bytes" tokenward_store::log::EVENT_MAX as u64, Bytes,
        "What the log keeps of one event.";
    JOURNAL_BYTES = setting "journal_bytes" 16 * 1024 * MIB, Bytes,
        "What the journal of a node is to take on its disk: from four fifths of it on the log of the process tells it once an hour. Nothing of it is dropped that an older copy may need, so it can become longer.";
    NAME = fixed "name_characters" name::NAME_MAX as u64, Characters,
        "A name: of an organization, a token, a role, a project, an environment, a cluster or its region, a person.";
    DESCRIPTION = fixed "description_characters" name::DESCRIPTION_MAX as u64, Characters,
        "A description, and an address of a web page.";
    VARIABLE_DESCRIPTION = fixed "variable_description_characters" 255, Characters,
        "The description of a variable or a secret.";
    EMAIL = fixed "email_characters" name::EMAIL_MAX as u64, Characters,
        "An e-mail address.";
    ADMIN_EMAILS = fixed "admin_emails" 50, Count,
        "Contacts of an organization.";
    ADMIN_EMAILS_TEXT = fixed "admin_emails_characters" 12_800, Characters,
        "The same as one line of a form.";
    PASSWORD = fixed "password_bytes" tokenward_core::password::MAX as u64, Bytes,
        "A password.";
    LINK_SECRET = fixed "link_secret_characters" 128, Characters,
        "The secret part of a one-time link.";
    PERMISSION = fixed "permission_characters" tokenward_core::permission::PERMISSION_MAX as u64, Characters,
        "A permission.";
    ROLE_LEVELS = fixed "role_levels" 4, Count,
        "Levels that a role has in one project: one for each mode.";
    API_NAME = fixed "api_name_characters" 64, Characters,
        "The name of an API.";
    VARIABLE_KEY = fixed "variable_key_characters" 255, Characters,
        "The key of a variable.";
    MOUNT_PATH = fixed "mount_path_bytes" 1_024, Bytes,
        "The path of a file that a variable is put into.";
    CLUSTER_BYTES = fixed "cluster_bytes" 64 * KIB, Bytes,
        "What a cluster has besides name, region and provider: it is kept as it comes.";
    WORD = fixed "word_characters" 64, Characters,
        "A word out of a short list, such as a plan or a mode.";
    PRESENTED_BYTES = fixed "presented_bytes" 64 * KIB, Bytes,
        "What somebody presented to your API and you ask about: the text of a token, a path, a user agent. No head of a request is larger.";
    BATCH = fixed "batch" 1_000, Count,
        "Questions in one batch.";
    VERIFY_INCLUDE = fixed "verify_include" 2, Count,
        "What a question about a token asks to be told of it besides.";
    GUIDE_QUERY = fixed "guide_query_characters" 200, Characters,
        "What is searched for in the guides of the console.";
    BACK = fixed "back_bytes" 6_000, Bytes,
        "What an address of the console carries along of the list that its page was opened from; a longer one is left out.";
    QUERY = fixed "query_characters" 256, Characters,
        "The value of a parameter in a query.";
    PATH_SEGMENT = fixed "path_segment_characters" 128, Characters,
        "What a path names: an id or a name.";
    IDEMPOTENCY_KEY = fixed "idempotency_key_characters" 255, Characters,
        "An `Idempotency-Key`.";
    EVENT_PAGE = fixed "event_page" 1_000, Count,
        "Events on a page of the log.";
    TOKEN_PAGE = fixed "token_page" 200, Count,
        "API tokens on a page of their list, where a page is asked for.";
    LIST_PAGE = fixed "list_page" 200, Count,
        "Entries on a page of another list, where a page is asked for.";
    TOKEN_BULK = fixed "token_bulk" 100_000, Count,
        "API tokens that one request deletes, switches off or on, or gives an end or an owner.";
    TOKEN_IMPORT = fixed "token_import" 100_000, Count,
        "Tokens in one import.";
    TOKEN_IMPORT_BYTES = fixed "token_import_bytes" 32_000_000, Bytes,
        "The body of an import of tokens.";
    TOKEN_IMPORT_LINE_BYTES = fixed "token_import_line_bytes" 128 * KIB, Bytes,
        "One line of it.";
    TOKEN_IMPORTS = fixed "token_imports" 2, Count,
        "Imports that a node reads and carries out at once; one of an organization, and others wait.";
    TOKENS_HANDED_OVER = fixed "tokens_handed_over" 5_000, Count,
        "Tokens that get another owner, or of which one thing is said of all, together with the removal or the new role of the one before; more are changed in bulk.";
    TOKEN_BULK_IDS = fixed "token_bulk_ids" 1_000, Count,
        "API tokens that such a request names one by one.";
    MEMBER_TOKENS = fixed "member_tokens" 1_000, Count,
        "Tokens of which the removal or the new role of a member says one by one what becomes of them.";
    MEMBER_POLICY_TOKENS = fixed "member_policy_tokens" 100, Count,
        "Policy tokens that are deleted together with the removal or the new role of a member, as the log keeps the policy of each; more are deleted in bulk before.";
    MEMBER_TOKENS_LISTED = fixed "member_tokens_listed" 100, Count,
        "Tokens of a member that the console lists where the member is removed or gets another role; of the others together is said what becomes of them.";
    DECISION_PAGE = fixed "decision_page" 500, Count,
        "Decisions in one list.";
    DENIALS = setting "denials" 10_000, Count,
        "Denials that are kept of an organization, the last ones.";
    DENIAL_DAYS = setting "denial_days" 14, Days,
        "How long denials are kept.";
    DENIALS_LOOKED_THROUGH = fixed "denials_looked_through" 10_000, Count,
        "Denials that are looked through for a route, the newest.";
    USAGE_DAYS = fixed "usage_days" 90, Days,
        "How long the counts of uses by day, and which permissions were used, are kept.";
    USAGE_ROWS = fixed "usage_rows" 10_000, Count,
        "Sums in one answer about the use of tokens.";
    PERMISSIONS_USED = fixed "permissions_used" tokenward_store::usage_days::PERMISSIONS as u64, Count,
        "Permissions of your API of which it is kept that a token used them.";
    PROOF_PAGE = fixed "proof_page" 100, Count,
        "Proofs of events in one answer.";
    LOG_PAGE = fixed "log_page" 4_000, Count,
        "Positions of the log in one answer.";
    LOG_PAGE_EVENTS = fixed "log_page_events" 200, Count,
        "Events of the log in one answer, as they were written.";
    ACCOUNT_EVENTS = fixed "account_events" 100, Count,
        "Events of an account in one answer; `before` asks for older ones.";
    ACCOUNT_NOTICES = fixed "account_notices" 200, Count,
        "Counts of failed attempts that are kept of an account, one an hour, kind and client.";
    GATEWAY_MESSAGE_BYTES = fixed "gateway_message_bytes" MIB, Bytes,
        "A question of Envoy's; its own limit for the headers of a request is 60 KiB.";
}

impl Limit {
    /// The default as a size.
    #[must_use]
    pub fn size(&self) -> usize {
        // Sizes in the table are far below what an address space holds.
        usize::try_from(self.default).unwrap_or(usize::MAX)
    }

    /// The default as a number of things.
    #[must_use]
    pub fn number(&self) -> u32 {
        u32::try_from(self.default).unwrap_or(u32::MAX)
    }

    /// The default as a time.
    #[must_use]
    pub const fn time(&self) -> Duration {
        Duration::from_millis(self.default)
    }

    /// What is wrong with a text that is longer; completes the sentence that begins with its field.
    #[must_use]
    pub fn longer(&self) -> String {
        format!("is longer than the limit `{}` ({} {})", self.name, self.default, self.unit.as_str())
    }

    /// The value in words: "the limit `name` is 5".
    #[must_use]
    pub fn in_words(&self, value: u64) -> String {
        format!("the limit `{}` is {value}", self.name)
    }

    /// Does a text keep within the default? The error completes the sentence that begins with its field.
    pub fn check_text(&self, text: &str) -> Result<(), String> {
        // No text has more characters than bytes; most are so short that they need not be counted.
        if text.len() <= self.size() {
            return Ok(());
        }
        match self.unit {
            Unit::Characters => match text.chars().count() {
                count if count <= self.size() => Ok(()),
                count => Err(format!("has {count} characters; {}", self.in_words(self.default))),
            },
            _ => Err(format!("has {} bytes; {}", text.len(), self.in_words(self.default))),
        }
    }

    /// As much of a text as an error may repeat.
    #[must_use]
    pub fn shown<'a>(&self, text: &'a str) -> &'a str {
        &text[..text.floor_char_boundary(self.size())]
    }

    /// Does a list keep within the default? The error completes the sentence that begins with its field.
    pub fn check_list<T>(&self, list: &[T]) -> Result<(), String> {
        self.check_count(list.len() as u64, self.default)
    }

    /// Do so many keep within `value`, which is in force? The error completes the sentence that begins with its field.
    pub fn check_count(&self, count: u64, value: u64) -> Result<(), String> {
        if count <= value { Ok(()) } else { Err(format!("holds {count}; {}", self.in_words(value))) }
    }

    /// An error for what went beyond it. `what` begins the sentence, `advice` says what to do, in a sentence.
    #[must_use]
    pub fn exceeded(&self, code: Code, value: u64, what: &str, advice: &str) -> Error {
        Error::new(code, format!("{what} the limit `{}` ({value} {}). {advice}", self.name, self.unit.as_str()))
    }
}

/// The limits in force: the defaults, and what the operator has set. Whoever holds a clone sees what is taken up later.
#[derive(Clone, Default)]
pub struct Limits(Arc<ArcSwap<BTreeMap<&'static str, u64>>>);

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.load().fmt(f)
    }
}

/// A limit that cannot be set like that, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotSet(String);

impl fmt::Display for NotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Limits {
    /// The value in force.
    #[must_use]
    pub fn get(&self, limit: &Limit) -> u64 {
        self.0.load().get(limit.name).copied().unwrap_or(limit.default)
    }

    /// The value in force of a limit of time.
    #[must_use]
    pub fn time(&self, limit: &Limit) -> Duration {
        Duration::from_millis(self.get(limit))
    }

    /// The same in microseconds, as the log and the clock count.
    #[must_use]
    pub fn micros(&self, limit: &Limit) -> i64 {
        i64::try_from(self.get(limit)).unwrap_or(i64::MAX).saturating_mul(1_000)
    }

    /// The value in force of a limit of things or bytes in memory.
    #[must_use]
    pub fn size(&self, limit: &Limit) -> usize {
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX)
    }

    /// Is there room for one more thing where there are `count`? A conflict where there is none; `what` begins its sentence
    /// and says whose they are: "The organization has as many projects as".
    pub fn room(&self, limit: &Limit, count: u64, what: &str) -> Result<(), Error> {
        let most = self.get(limit);
        if count < most {
            return Ok(());
        }
        Err(limit.exceeded(Code::Conflict, most, what, "Delete some first, or ask the operator to raise it."))
    }

    /// Puts a value in the place of the default, for the holder of these limits alone. Tests set also what operators cannot.
    pub fn set(&mut self, limit: &Limit, value: u64) {
        let mut values = BTreeMap::clone(&self.0.load());
        values.insert(limit.name, value);
        self.0 = Arc::new(ArcSwap::from_pointee(values));
    }

    /// From now on these are the limits, for everybody who holds a clone.
    pub fn take_up(&self, newer: &Self) {
        self.0.store(newer.0.load_full());
    }

    /// Takes what the operator wrote.
    pub fn set_by_name(&mut self, name: &str, value: u64) -> Result<(), NotSet> {
        let settings = || ALL.iter().filter(|limit| limit.setting);
        let Some(limit) = settings().find(|limit| limit.name == name) else {
            let known: Vec<&str> = settings().map(|limit| limit.name).collect();
            return Err(NotSet(format!("limits.{name} cannot be set; settings are {}", known.join(", "))));
        };
        if value == 0 && limit.default != 0 {
            return Err(NotSet(format!("limits.{name} must be at least 1: there is no \"without limit\"")));
        }
        self.set(limit, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_the_table_say_the_same() {
        let page = include_str!("../../../docs/limits.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let row = |limit: &&Limit| {
            let default = match limit.default {
                0 if limit.bounds.contains("derived") => "derived".to_owned(),
                0 => "none".to_owned(),
                set => set.to_string(),
            };
            let setting = if limit.setting { "yes" } else { "" };
            format!("| `{}` | {default} {} | {setting} | {} |", limit.name, limit.unit.as_str(), limit.bounds)
        };
        let expected: Vec<String> = ALL.iter().map(row).collect();
        assert!(rows == expected, "docs/limits.md must hold this table:\n\n{}\n", expected.join("\n"));
    }

    #[test]
    fn names_are_unique_and_limits_are_told_in_sentences() {
        let mut names: Vec<&str> = ALL.iter().map(|limit| limit.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for limit in ALL {
            assert!(limit.bounds.ends_with('.'), "{}", limit.name);
            assert!(limit.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", limit.name);
        }
    }

    #[test]
    fn an_operator_sets_only_settings_and_only_to_something() {
        let mut limits = Limits::default();
        assert_eq!(limits.time(&HEAD_TIME), Duration::from_secs(10));
        assert_eq!(limits.set_by_name("head_ms", 300), Ok(()));
        assert_eq!(limits.time(&HEAD_TIME), Duration::from_millis(300));
        assert!(limits.set_by_name("head_ms", 0).unwrap_err().to_string().contains("at least 1"));
        assert!(limits.set_by_name("body_bytes", 9).unwrap_err().to_string().contains("head_ms"));
    }

    #[test]
    fn an_error_names_the_limit_its_value_and_what_to_do() {
        let error = BODY_BYTES.exceeded(Code::TooLarge, 7, "The body is larger than", "Send less.");
        assert_eq!(&*error.detail, "The body is larger than the limit `body_bytes` (7 bytes). Send less.");
    }
}
