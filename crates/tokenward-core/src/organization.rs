//! The words for what an organization is and has (contract §1.2, §1.6, §1.7).

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
