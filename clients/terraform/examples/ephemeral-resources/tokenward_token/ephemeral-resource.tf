# For this run alone: it is refused as soon as the run is over.
ephemeral "tokenward_token" "smoke" {
  role        = "viewer"
  name_prefix = "smoke-"
  expires_in  = "15m"
  permissions = ["role:read", "organization:read"]
}

provider "tokenward" {
  alias = "as_viewer"
  token = ephemeral.tokenward_token.smoke.token
}

# Asked with that token, and not with the provider's own.
data "tokenward_roles" "seen" {
  provider = tokenward.as_viewer
}
