//! What bounds the texts and lists that a client sends, for the OpenAPI document: the schema of a field names its limit, in
//! `x-limit`, as errors and settings do. The number stands in the server's table of limits, which puts it beside the name.

use serde_json::{Value, json};
use tokenward_core::event::ActorKind;
use tokenward_core::organization::{CloudProvider, Plan, VariableScope, VariableType};
use tokenward_core::path::Reading;
use tokenward_core::reason::Reason;
use tokenward_core::role::{ClusterLevel, EnvironmentLevel, Mode};
use tokenward_core::routes::Unknown;
use utoipa::openapi::extensions::{Extensions, ExtensionsBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// The key that names a limit in a schema.
pub const KEY: &str = "x-limit";

fn named(limit: &str) -> Option<Extensions> {
    Some(ExtensionsBuilder::new().add(KEY, Value::from(limit)).build())
}

fn text(limit: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).extensions(named(limit))
}

/// One of these words.
fn one_of<const N: usize>(words: [&'static str; N]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build().into()
}

/// The word of a decision. The list is open: a later version may refuse for a reason that is not in it, and a client that
/// does not know a word denies. What each reason means for a client stands beside it, so that nobody copies it by hand.
fn decision_code() -> RefOr<Schema> {
    let reason = |it: Reason| json!({ "code": it.as_str(), "refuses_credential": it.refuses_credential(), "sentence": it.sentence() });
    let extensions = ExtensionsBuilder::new()
        .add(
            "x-extensible-enum",
            ["valid", "throttled"].into_iter().chain(Reason::ALL.map(Reason::as_str)).collect::<Value>(),
        )
        .add("x-reasons", Value::from_iter(Reason::ALL.map(reason)));
    ObjectBuilder::new().schema_type(Type::String).extensions(Some(extensions.build())).build().into()
}

/// A network as a text, or with a note.
fn network() -> RefOr<Schema> {
    let noted = ObjectBuilder::new()
        .property("network", Network::schema())
        .required("network")
        .property("note", NetworkNote::schema())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    Schema::OneOf(OneOfBuilder::new().item(Network::schema()).item(noted.build()).build()).into()
}

pub(crate) fn list(limit: &str, of: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(of).extensions(named(limit)).build().into()
}

/// Each becomes a type without values, which stands for the field's own in its schema.
/// An id.
fn id() -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into()
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl ToSchema for $name {}
    )*};
}

fields! {
    /// A name.
    Name = text("name_characters").build().into();
    /// A description, or an address of a web page.
    Description = text("description_characters").build().into();
    /// A network.
    Network = text("network_characters").build().into();
    /// The body of a request that a question is about.
    RequestBody = text("request_body_bytes").build().into();
    /// A policy in Rego.
    Policy = text("policy_characters").build().into();
    /// What a machine calls itself.
    HostName = text("host_name_characters").build().into();
    /// What a client carries until an authenticator has answered.
    PasskeyState = text("passkey_state_bytes").build().into();
    /// What an authenticator has answered, as a browser writes it.
    PasskeyAnswer = ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .extensions(named("passkey_bytes"))
        .build()
        .into();
    /// A token that says of somebody to have signed out.
    LogoutToken = text("logout_token_bytes").build().into();
    /// What is noted about one.
    NetworkNote = text("network_note_characters").build().into();
    /// Those of a token.
    TokenNetworks = list("token_networks", network());
    /// The description of a variable.
    VariableDescription = text("variable_description_characters").build().into();
    /// An e-mail address.
    Email = text("email_characters").build().into();
    /// Several.
    Emails = list("admin_emails", Email::schema());
    /// Tokens that are named one by one.
    BulkIds = list("token_bulk_ids", id());
    /// A password.
    Password =
        text("password_bytes").format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))).build().into();
    /// A code of a second factor.
    SecondFactorCode = text("code_characters").build().into();
    /// What setting up an authenticator carries.
    SecondFactorSetUp = text("second_factor_set_up_characters").build().into();
    /// The secret part of a one-time link.
    LinkSecret = text("link_secret_characters").build().into();
    /// By what people sign in.
    SignInWord = one_of(["any", "providers"]);
    /// The keys of providers.
    ProviderKeys = list("sign_in_providers", Word::schema());
    /// What a rule compares with the groups that a provider says.
    RuleValue = text("sign_in_rule_characters").build().into();
    /// A permission.
    Permission = text("permission_characters").build().into();
    /// Those of a role.
    RolePermissions = list("role_permissions", Permission::schema());
    /// Those of its role that a token is narrowed to.
    TokenPermissions = list("token_permissions", Permission::schema());
    /// The projects that a token is narrowed to.
    TokenProjects = list("token_projects", id());
    /// The environments that a token is narrowed to.
    TokenEnvironments = list("token_environments", id());
    /// Those of a route.
    RoutePermissions = list("route_permissions", Permission::schema());
    /// The ways of a route.
    RouteWays = list("route_ways", RoutePermissions::schema());
    /// The path of a route.
    RoutePath = text("route_path_bytes").build().into();
    /// The name of an API.
    ApiName = text("api_name_characters").build().into();
    /// The key of a variable.
    VariableKey = text("variable_key_characters").pattern(Some("^[A-Za-z_.-][0-9A-Za-z_.-]*$")).build().into();
    /// The mode of an environment.
    ModeWord = one_of(Mode::ALL.map(Mode::as_str));
    /// The mode of a new environment.
    NewModeWord = one_of([Mode::Development, Mode::Staging, Mode::Production].map(Mode::as_str));
    /// With whom a cluster runs.
    ProviderWord = one_of(CloudProvider::ALL.map(CloudProvider::as_str));
    /// The plan of an organization.
    PlanWord = one_of(Plan::ALL.map(Plan::as_str));
    /// What a role may do with a cluster.
    ClusterLevelWord = one_of(ClusterLevel::ALL.map(ClusterLevel::as_str));
    /// What a role may do with environments of one mode.
    EnvironmentLevelWord = one_of(EnvironmentLevel::ALL.map(EnvironmentLevel::as_str));
    /// What kind of caller somebody is.
    ActorWord = one_of(ActorKind::ALL.map(ActorKind::as_str));
    /// What becomes of requests that no route fits.
    UnknownRouteWord = one_of(Unknown::ALL.map(Unknown::as_str));
    /// How servers read paths.
    PathReading = one_of(Reading::ALL.map(Reading::as_str));
    /// Several of these.
    PathReadings = list("allow_paths", PathReading::schema());
    /// A role as older clients say it.
    DeprecatedRole = one_of(["ADMIN", "DEVELOPER", "VIEWER"]);
    /// Where a variable can be made.
    OwnScope = one_of([VariableScope::Project, VariableScope::Environment].map(VariableScope::as_str));
    /// Where a variable comes from.
    Scope = one_of(VariableScope::ALL.map(VariableScope::as_str));
    /// What a variable is.
    TypeOfVariable = one_of(VariableType::ALL.map(VariableType::as_str));
    /// The value of a variable.
    VariableValue = text("variable_value_bytes").build().into();
    /// The path of a file.
    MountPath = text("mount_path_bytes").pattern(Some("^/")).build().into();
    /// Whatever else a cluster has.
    ClusterRest = ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .extensions(named("cluster_bytes"))
        .build()
        .into();
    /// The SHA-256 of a text, in hexadecimal digits.
    Sha256 = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[0-9a-fA-F]{64}$"))
        .min_length(Some(64))
        .max_length(Some(64))
        .build()
        .into();
    /// The last four characters of a text.
    LastFour = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[!-~]{4}$"))
        .min_length(Some(4))
        .max_length(Some(4))
        .build()
        .into();
    /// Labels of a token.
    TokenLabels = ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .extensions(named("token_labels_bytes"))
        .build()
        .into();
    /// Metadata of a token.
    TokenMetadata = ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .extensions(named("token_metadata_bytes"))
        .build()
        .into();
    /// What an answer is to tell besides.
    VerifyIncludes = list("verify_include", one_of(["labels", "metadata"]));
    /// A word out of a short list.
    Word = text("word_characters").build().into();
    /// A position in the log.
    Position = text("position_characters").build().into();
    /// What was decided.
    DecisionCode = decision_code();
    /// What somebody presented to a protected API.
    Presented = text("presented_bytes").build().into();
}

/// A list with a limit whose entries are described by the module that uses it.
macro_rules! list_of {
    ($name:ident, $limit:literal, $of:ty) => {
        /// Stands for a list in a schema, with its limit.
        #[derive(Debug)]
        pub enum $name {}

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let of = utoipa::openapi::Ref::from_schema_name(<$of as ToSchema>::name());
                crate::field::list($limit, utoipa::openapi::RefOr::Ref(of))
            }
        }

        impl ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
                schemas.push((<$of as ToSchema>::name().into_owned(), <$of as utoipa::PartialSchema>::schema()));
                <$of as ToSchema>::schemas(schemas);
            }
        }
    };
}
pub(crate) use list_of;
