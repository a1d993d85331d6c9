//! The words for what an organization is and has (contract §1.2, §1.6, §1.7).

use uuid::Uuid;

use crate::word::words;

words! {
    /// The plan of an organization. Kept and shown; nothing depends on it here.
    Plan {
        /// One of the contract's.
        Free = "FREE",
        /// One of the contract's.
        Team = "TEAM",
        /// One of the contract's.
        TeamYearly = "TEAM_YEARLY",
        /// The one that a new organization has (contract §8.12).
        Enterprise = "ENTERPRISE",
        /// One of the contract's.
        EnterpriseYearly = "ENTERPRISE_YEARLY",
        /// One of the contract's.
        Professional = "PROFESSIONAL",
        /// One of the contract's.
        Business = "BUSINESS",
        /// One of the contract's.
        User2025 = "USER_2025",
        /// One of the contract's.
        Team2025 = "TEAM_2025",
        /// One of the contract's.
        Business2025 = "BUSINESS_2025",
        /// One of the contract's.
        Enterprise2025 = "ENTERPRISE_2025",
    }
}

words! {
    /// With whom a cluster runs.
    CloudProvider {
        /// Amazon Web Services.
        Aws = "AWS",
        /// Scaleway.
        Scaleway = "SCW",
        /// Google Cloud.
        Gcp = "GCP",
        /// DigitalOcean.
        DigitalOcean = "DO",
        /// Microsoft Azure.
        Azure = "AZURE",
        /// OVHcloud.
        Ovh = "OVH",
        /// Civo.
        Civo = "CIVO",
        /// Hetzner.
        Hetzner = "HETZNER",
        /// Oracle Cloud.
        Oracle = "ORACLE",
        /// IBM Cloud.
        Ibm = "IBM",
        /// The organization's own machines.
        OnPremise = "ON_PREMISE",
    }
}

words! {
    /// What a variable is.
    VariableType {
        /// Every project and environment has it; nobody made it.
        BuiltIn = "BUILT_IN",
        /// A value.
        Value = "VALUE",
        /// A value that is put into a file.
        File = "FILE",
        /// Another key for a variable.
        Alias = "ALIAS",
        /// Another value for a variable.
        Override = "OVERRIDE",
    }
}

words! {
    /// Where a variable comes from.
    VariableScope {
        /// Nobody made it.
        BuiltIn = "BUILT_IN",
        /// From the project: its environments inherit it.
        Project = "PROJECT",
        /// From the environment.
        Environment = "ENVIRONMENT",
    }
}

words! {
    /// The keys of the variables that are there without anybody having made them.
    BuiltInVariable {
        /// Of every project, and of its environments.
        ProjectId = "QOVERY_PROJECT_ID",
        /// Of every environment.
        EnvironmentId = "QOVERY_ENVIRONMENT_ID",
    }
}

/// Where a UUID says its version, which is 7 for all that we make.
const VERSION_BYTE: usize = 6;

impl BuiltInVariable {
    /// The placeholder that clients know it by (contract §1.7).
    #[must_use]
    pub fn value(self) -> &'static str {
        match self {
            Self::ProjectId => "||Q_PRJ_ID||",
            Self::EnvironmentId => "||Q_ENV_ID||",
        }
    }

    /// The id of the variable of this project or environment: that one's own, marked as version 8 (RFC 9562 §5.8). So it is
    /// the same wherever it is seen, and needs no row.
    #[must_use]
    pub fn id(of: Uuid) -> Uuid {
        with_version(of, 8)
    }

    /// The project or environment whose built-in variable has this id, if it is the id of any.
    #[must_use]
    pub fn owner(id: Uuid) -> Option<Uuid> {
        (id.get_version_num() == 8).then(|| with_version(id, 7))
    }
}

fn with_version(id: Uuid, version: u8) -> Uuid {
    let mut bytes = id.into_bytes();
    bytes[VERSION_BYTE] = (bytes[VERSION_BYTE] & 0x0f) | (version << 4);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_built_in_variable_leads_back_to_whose_it_is() {
        let of = Uuid::from_u128(0x0193_7f3b_aaaa_7bcd_8123_4567_89ab_cdef);
        let id = BuiltInVariable::id(of);
        assert_ne!(id, of);
        assert_eq!((BuiltInVariable::owner(id), BuiltInVariable::owner(of)), (Some(of), None));
        assert_eq!(BuiltInVariable::owner(Uuid::nil()), None);
    }
}
