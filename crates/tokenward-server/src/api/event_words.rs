//! The words of the published contract by which events are filtered (contract §1.5). Its clients offer all of them, also
//! those of which nothing happens here; any other word is a mistake.

/// What happened.
pub(super) const EVENT_TYPES: [&str; 57] = [
    "CREATE",
    "UPDATE",
    "DELETE",
    "ACCEPT",
    "EXPORT",
    "CLONE",
    "DEPLOY_QUEUED",
    "STOP_QUEUED",
    "RESTART_QUEUED",
    "DELETE_QUEUED",
    "UNINSTALL_QUEUED",
    "MAINTENANCE",
    "DRY_RUN",
    "TRIGGER_REDEPLOY",
    "TRIGGER_CANCEL",
    "FORCE_RUN_QUEUED",
    "FORCE_RUN_QUEUED_DEPLOY",
    "FORCE_RUN_QUEUED_STOP",
    "FORCE_RUN_QUEUED_DELETE",
    "TRIGGER_DEPLOY",
    "TRIGGER_STOP",
    "TRIGGER_RESTART",
    "TRIGGER_DELETE",
    "TRIGGER_UNINSTALL",
    "TRIGGER_DEPLOY_DRY_RUN",
    "TRIGGER_TERRAFORM_FORCE_UNLOCK",
    "TRIGGER_TERRAFORM_MIGRATE_STATE",
    "TRIGGER_FORCE_RUN",
    "TRIGGER_FORCE_RUN_DEPLOY",
    "TRIGGER_FORCE_RUN_STOP",
    "TRIGGER_FORCE_RUN_DELETE",
    "DEPLOYED",
    "STOPPED",
    "DELETED",
    "UNINSTALLED",
    "RESTARTED",
    "DEPLOYED_DRY_RUN",
    "FORCE_RUN_SUCCEEDED",
    "TERRAFORM_FORCE_UNLOCK_SUCCEEDED",
    "TERRAFORM_MIGRATE_STATE_SUCCEEDED",
    "DEPLOY_FAILED",
    "STOP_FAILED",
    "DELETE_FAILED",
    "UNINSTALL_FAILED",
    "RESTART_FAILED",
    "DEPLOYED_DRY_RUN_FAILED",
    "FORCE_RUN_FAILED",
    "TERRAFORM_FORCE_UNLOCK_FAILED",
    "TERRAFORM_MIGRATE_STATE_FAILED",
    "SHELL",
    "PORT_FORWARD",
    "REMOTE_DEBUG",
    "MCP",
    "IMPORT",
    "LOCK",
    "UNLOCK",
    "POLICY_FAILED",
];

/// To what kind of thing.
pub(super) const TARGET_TYPES: [&str; 16] = [
    "AGENTIC_WORKFLOW",
    "APPLICATION",
    "CLUSTER",
    "CONTAINER",
    "CONTAINER_REGISTRY",
    "DATABASE",
    "ENTERPRISE_CONNECTION",
    "ENVIRONMENT",
    "JOB",
    "HELM",
    "HELM_REPOSITORY",
    "MEMBERS_AND_ROLES",
    "ORGANIZATION",
    "PROJECT",
    "WEBHOOK",
    "TERRAFORM",
];

/// To which part of it.
pub(super) const SUB_TARGET_TYPES: [&str; 40] = [
    "ADVANCED_SETTINGS",
    "ALERT_RECEIVER",
    "ALERT_RULE",
    "ANNOTATIONS_GROUP",
    "API_TOKEN",
    "ARGOCD_CLUSTER_MAPPING",
    "ARGOCD_CONFIGURATION",
    "BILLING_INFO",
    "BILLING_USAGE_REPORT",
    "BLUEPRINT_MIGRATION",
    "CLOUD_PROVIDER_CREDENTIALS",
    "CLUSTER_CREDENTIALS",
    "CLUSTER_ROUTING_TABLE",
    "CONFIG",
    "CREDIT_CARD",
    "CREDIT_CODE",
    "CUSTOM_DOMAIN",
    "CUSTOM_ROLE",
    "DEPLOYMENT_RULE",
    "DEPLOYMENT_STAGE",
    "DNS_PROVIDER",
    "GITHUB_APP",
    "GIT_REPOSITORY",
    "GIT_TOKEN",
    "INVITATION",
    "JWT_TOKEN_FORGED",
    "KUBERNETES_CONFIGURATION",
    "KUBERNETES_CREDENTIALS",
    "LABELS_GROUP",
    "MCP_SERVER",
    "MEMBER_ROLE",
    "PLAN",
    "POLICY_API_TOKEN",
    "REMOTE_ACCESS",
    "SECRET",
    "SSO",
    "TERRAFORM",
    "TOOL_CALL",
    "TRANSFER_OWNERSHIP",
    "VARIABLE",
];

/// From where.
pub(super) const ORIGINS: [&str; 7] =
    ["API", "CLI", "CONSOLE", "GIT", "QOVERY_INTERNAL", "SKILL", "TERRAFORM_PROVIDER"];

#[cfg(test)]
mod tests {
    use tokenward_core::event::{Kind, Origin};

    use super::*;

    #[test]
    fn every_event_of_ours_is_found_by_words_of_the_contract() {
        for kind in Kind::ALL.iter().copied() {
            let known = EVENT_TYPES.contains(&kind.event_type())
                && TARGET_TYPES.contains(&kind.target_type())
                && kind.sub_target_type().is_none_or(|sub| SUB_TARGET_TYPES.contains(&sub));
            assert!(known, "{}", kind.as_str());
        }
        assert!(Origin::ALL.iter().all(|origin| ORIGINS.contains(&origin.as_str())));
    }
}
